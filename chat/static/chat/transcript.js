// The list of messages on the page. Markup comes from the server alone: patterns for what is new, `rendered` for
// what is finished. Text of people and of running answers is set as text.

import { isId } from "./ids.js";
import { StreamedText } from "./streamed-text.js";

const PLACEHOLDER_ID = "00000000-0000-0000-0000-000000000000";

export class Transcript {
  constructor({ list, announcer, cloneName }) {
    this.list = list;
    this.announcer = announcer;
    this.cloneName = cloneName;
    this.streams = new Map();
    this.adopt();
  }

  /** Takes over what the server rendered, running answers included. */
  adopt() {
    for (const stream of this.streams.values()) stream.stop();
    this.streams.clear();
    for (const article of this.list.querySelectorAll('[data-role="assistant"][data-status="streaming"]')) {
      const text = article.querySelector("[data-text]");
      this.streams.set(article.dataset.messageId, new StreamedText(text, Number(article.dataset.lastSeq)));
    }
  }

  get messages() {
    return [...this.list.querySelectorAll("[data-message-id]")];
  }

  /** Id of the running answer and the number of its last frame, or null. */
  get running() {
    const [entry] = this.streams;
    return entry ? { id: entry[0], lastSeq: entry[1].lastSeq } : null;
  }

  find(id) {
    return isId(id) ? this.list.querySelector(`[data-message-id="${id}"]`) : null;
  }

  findByClientId(clientId) {
    return isId(clientId) ? this.list.querySelector(`[data-client-id="${clientId}"]`) : null;
  }

  /** A question that the server has not confirmed yet. */
  addQuestion({ clientId, content }) {
    const article = this.#pattern("question", clientId);
    article.dataset.clientId = clientId;
    article.dataset.pending = "";
    article.dataset.created = new Date().toISOString();
    article.querySelector("[data-text]").textContent = content;
    this.list.append(article);
    return article;
  }

  confirmQuestion(article, id) {
    delete article.dataset.pending;
    for (const link of article.querySelectorAll("a[href]"))
      link.setAttribute("href", link.getAttribute("href").replace(article.dataset.clientId, id));
    article.dataset.messageId = id;
    article.id = `m-${id}`;
  }

  /** Removes a message and everything after it; the server keeps earlier versions. */
  removeFrom(article) {
    while (article) {
      const next = article.nextElementSibling;
      this.streams.get(article.dataset.messageId)?.stop();
      this.streams.delete(article.dataset.messageId);
      article.remove();
      article = next;
    }
  }

  /** False when the question is not on this page, so that it has to be fetched. */
  startAnswer(id, replyTo) {
    const known = this.find(id);
    if (known) {
      this.streams.get(id)?.restart();
      return true;
    }
    const question = this.find(replyTo);
    if (!question || !isId(id)) return false;
    this.removeFrom(question.nextElementSibling);
    const article = this.#pattern("answer", id);
    article.dataset.created = new Date().toISOString();
    this.list.append(article);
    this.streams.set(id, new StreamedText(article.querySelector("[data-text]"), -1));
    return true;
  }

  /** "new", "known", "gap", or "stranger" for an answer that is not running here. */
  append({ message_id, seq, content, blocks = [] }) {
    return this.streams.get(message_id)?.push(seq, content, blocks) ?? "stranger";
  }

  /** Puts the finished message in the place of the streaming one; false when it is not on this page. */
  finish(id, rendered) {
    const article = this.find(id);
    if (!article || !rendered) return false;
    const wasRunning = this.streams.has(id);
    this.streams.get(id)?.stop();
    this.streams.delete(id);
    const template = document.createElement("template");
    template.innerHTML = rendered.trim();
    const finished = template.content.firstElementChild;
    article.replaceWith(finished);
    if (wasRunning) this.#announce(finished);
    return true;
  }

  /** Takes the list of a freshly fetched page. Nothing moves when it says the same. */
  replaceWith(fresh) {
    const sign = (list) =>
      [...list.querySelectorAll("[data-message-id]:not([data-pending])")]
        .map((article) => article.dataset.messageId + article.dataset.status)
        .join();
    if (sign(fresh) === sign(this.list)) return;
    const pending = [...this.list.querySelectorAll("[data-pending]")].filter(
      (article) => !fresh.querySelector(`[data-client-id="${article.dataset.clientId}"]`),
    );
    this.list.replaceChildren(...fresh.children, ...pending);
    this.adopt();
  }

  #announce(article) {
    const text = article.querySelector(".message-text")?.innerText ?? "";
    const problem = article.querySelector(".message-problem p")?.innerText ?? "";
    this.announcer.textContent = `${this.cloneName} answered. ${text} ${problem}`;
  }

  #pattern(name, id) {
    const source = document.querySelector(`template[data-pattern="${name}"]`);
    const template = document.createElement("template");
    template.innerHTML = source.innerHTML.trim().replaceAll(PLACEHOLDER_ID, id);
    return template.content.firstElementChild;
  }
}
