// The conversation page. The server's database is the truth; this page shows it, sends orders, and after any break
// asks for what it missed. Frames are those of docs/contracts.md.

import { BudgetLine } from "./budget-line.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConnectionLine } from "./connection-line.js";
import { Days } from "./days.js";
import { Follower } from "./follower.js";
import { Memory, isId, newId } from "./ids.js";
import { installMessageActions } from "./message-actions.js";
import { ReadingMark } from "./reading-mark.js";
import { SourcePanel } from "./source-panel.js";
import { Transcript } from "./transcript.js";

const SILENCE_MS = 25_000; // no frame for so long while an answer runs: ask again

class Conversation {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("[data-messages]");
    this.announcer = root.querySelector("[data-announcer]");
    this.memory = new Memory(root.dataset.sessionId);
    this.transcript = new Transcript({ list: this.list, announcer: this.announcer, cloneName: root.dataset.cloneName });
    this.panel = new SourcePanel({ panel: document.querySelector("[data-source-panel]") });
    installMessageActions({ list: this.list, announcer: this.announcer, onProblem: (text) => this.tell(text) });
    this.heardAt = Date.now();
    this.catchingUp = null;
    new ReadingMark({ transcript: this.transcript, memory: this.memory });
    new Days({ list: this.list });
    this.list.addEventListener("click", (event) => this.onVersion(event));
    if (!("ended" in root.dataset)) this.#goLive();
  }

  #goLive() {
    const { root } = this;
    this.outbox = JSON.parse(this.memory.read("outbox") ?? "null");
    this.pendingEdit = null;
    this.composer = new Composer({ form: root.querySelector("[data-composer]"), memory: this.memory });
    this.follower = new Follower({
      content: root.querySelector(".chat-column"),
      button: root.querySelector("[data-to-end]"),
      isFollowing: !location.hash && this.transcript.messages.length > 0,
    });
    this.budget = new BudgetLine({ line: root.querySelector("[data-budget]") });
    this.connection = new Connection(root.dataset.socketPath);
    const line = new ConnectionLine({ line: root.querySelector("[data-connection]"), signInUrl: root.dataset.signInUrl });
    this.connection.addEventListener("state", (event) => line.show(event.detail));
    this.connection.addEventListener("open", (event) => this.onOpen(event.detail));
    this.connection.addEventListener("frame", (event) => this.onFrame(event.detail));
    this.composer.addEventListener("submit", (event) => this.onSubmit(event));
    this.composer.addEventListener("stop", () => this.stop());
    this.list.addEventListener("click", (event) => this.onEdit(event));
    this.list.addEventListener("submit", (event) => this.onRegenerate(event));
    for (const form of root.querySelectorAll("[data-starters]"))
      form.addEventListener("submit", (event) => this.onStarter(event));
    addEventListener("pageshow", (event) => event.persisted && this.catchUp());
    setInterval(() => this.watch(), SILENCE_MS / 5);
    if (this.follower.isFollowing) this.follower.toEnd();
    this.showState();
    this.connection.open();
  }

  tell(text) {
    if (this.composer) this.composer.notice(text, { isError: true });
    else this.announcer.textContent = text;
  }

  showState() {
    this.composer.busy = Boolean(this.outbox || this.pendingEdit || this.transcript.running);
  }

  // Sending

  onSubmit(event) {
    if (this.connection.isHopeless) return; // the plain form does it
    event.preventDefault();
    const { content, editing } = event.detail;
    this.composer.notice("");
    if (editing) this.sendEdit(editing, content);
    else this.sendMessage(content);
  }

  sendMessage(content) {
    this.leaveVersion();
    this.outbox = { clientId: newId(), content };
    this.memory.write("outbox", JSON.stringify(this.outbox));
    this.transcript.addQuestion(this.outbox);
    for (const part of this.root.querySelectorAll(".starters, .open-items")) part.remove(); // as the server has it
    this.composer.clear();
    this.nameConversation(content);
    this.follower.toEnd();
    this.showState();
    this.flushOutbox();
  }

  /** The first question is the title until the server has a better one. */
  nameConversation(content) {
    const title = this.root.querySelector("[data-title][data-untitled]");
    if (!title) return;
    title.textContent = content;
    delete title.dataset.untitled;
  }

  /** A title of the model's, or one that another tab gave. */
  onTitle({ title }) {
    const line = this.root.querySelector("[data-title]");
    line.textContent = title;
    delete line.dataset.untitled;
    this.root.querySelector("[data-page-title]").textContent = `Conversation with ${this.root.dataset.cloneName}: ${title}`;
    document.title = `${title} · CloneAI`;
  }

  /** Sends what is not confirmed yet. The same id again is the same turn, so this is safe at any time. */
  flushOutbox() {
    if (!this.outbox) return;
    const { clientId, content } = this.outbox;
    if (!this.transcript.findByClientId(clientId)) this.transcript.addQuestion(this.outbox);
    this.connection.send({ type: "message", content, client_message_id: clientId });
    this.showState();
  }

  forgetOutbox() {
    this.outbox = null;
    this.memory.write("outbox", "");
  }

  sendEdit(id, content) {
    if (!this.connection.send({ type: "edit", message_id: id, content })) {
      return this.tell("There is no connection right now. Try again in a moment.");
    }
    this.pendingEdit = { clientId: newId(), content };
    this.transcript.removeFrom(this.transcript.find(id));
    this.transcript.addQuestion(this.pendingEdit);
    this.composer.endEdit();
    this.follower.toEnd();
    this.showState();
  }

  onStarter(event) {
    if (this.connection.isHopeless || !event.submitter) return;
    event.preventDefault();
    if (!this.composer.isBusy) this.sendMessage(event.submitter.value);
  }

  onEdit(event) {
    const link = event.target.closest('[data-action="edit"]');
    if (!link || this.connection.isHopeless || isForNewTab(event)) return; // the link's page does it
    event.preventDefault();
    const article = link.closest("[data-message-id]");
    this.composer.edit(article.dataset.messageId, article.querySelector("[data-text]").textContent);
  }

  /** Another version of an answer, without leaving the page; the link's page does it otherwise. */
  async onVersion(event) {
    const link = event.target.closest("a[data-version]");
    if (!link || !this.connection || this.transcript.running || isForNewTab(event)) return;
    event.preventDefault();
    history.replaceState(null, "", link.href);
    const name = link.getAttribute("aria-label");
    await this.catchUp();
    const pager = this.transcript.find(link.dataset.version)?.querySelector(".versions");
    if (!pager) return location.reload();
    (pager.querySelector(`[aria-label="${name}"]`) ?? pager.querySelector("a")).focus();
    this.announcer.textContent = pager.querySelector("[role=img]").getAttribute("aria-label");
  }

  /** Who goes on talking goes on from the current versions. */
  leaveVersion() {
    if (!new URLSearchParams(location.search).has("version")) return;
    history.replaceState(null, "", location.pathname);
    this.catchUp();
  }

  onRegenerate(event) {
    if (!event.target.matches("form[data-regenerate]")) return;
    const id = event.target.closest("[data-message-id]").dataset.messageId;
    if (this.connection.send({ type: "regenerate", message_id: id })) event.preventDefault();
  }

  stop() {
    const { running } = this.transcript;
    if (running) this.connection.send({ type: "stop", message_id: running.id });
  }

  // Receiving

  async onOpen({ isFirst }) {
    if (!isFirst) await this.catchUp();
    else this.resume();
    this.flushOutbox();
  }

  resume() {
    this.heardAt = Date.now();
    const { running } = this.transcript;
    if (running) this.connection.send({ type: "resume", message_id: running.id, after_seq: running.lastSeq });
  }

  /** An answer that has fallen silent: perhaps its writer died, and the page knows how it ended. */
  watch() {
    if (this.transcript.running && this.connection.isOpen && Date.now() - this.heardAt > SILENCE_MS) this.catchUp();
  }

  /** Fetches the page's messages, then what runs. Also the answer to anything that this page cannot place. */
  catchUp() {
    this.catchingUp ??= this.#fetchMessages().finally(() => {
      this.catchingUp = null;
    });
    return this.catchingUp;
  }

  async #fetchMessages() {
    try {
      const response = await fetch(location.pathname + location.search, { headers: { "X-Requested-With": "fetch" } });
      if (response.ok && !response.redirected) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.querySelector("[data-messages]");
        if (fresh) this.transcript.replaceWith(fresh);
      }
    } catch {
      // away again; what is on the page stays, and the next opening comes back here
    }
    this.pendingEdit = null;
    this.showState();
    this.resume();
  }

  onFrame(frame) {
    this.heardAt = Date.now();
    if (frame.type === "user_message") this.onUserMessage(frame);
    else if (frame.type === "ai_response_start") this.onStart(frame);
    else if (frame.type === "ai_response_chunk") this.onChunk(frame);
    else if (frame.type === "session_title") this.onTitle(frame);
    else if (frame.type === "error") this.onError(frame);
    this.showState();
  }

  onUserMessage(frame) {
    if (this.outbox && frame.client_message_id === this.outbox.clientId) this.forgetOutbox();
    const own = this.transcript.findByClientId(frame.client_message_id ?? this.pendingEdit?.clientId);
    this.pendingEdit = null;
    if (own) {
      this.transcript.confirmQuestion(own, frame.message_id);
      if (frame.help) own.querySelector("[data-text]")?.insertAdjacentHTML("afterend", frame.help); // our own template
    } else if (!this.transcript.find(frame.message_id)) this.catchUp(); // another tab asked or edited
  }

  onStart(frame) {
    if (!this.transcript.startAnswer(frame.message_id, frame.reply_to)) this.catchUp();
  }

  onChunk(frame) {
    if (frame.is_complete) {
      this.budget.show(frame.budget);
      if (!this.transcript.finish(frame.message_id, frame.rendered)) this.catchUp();
      return;
    }
    if (this.transcript.append(frame) === "gap") this.resume();
  }

  /** A refused order; failures of an answer come with its message_id and are shown by its last frame. */
  onError(frame) {
    if (isId(frame.message_id) && this.transcript.find(frame.message_id)) return;
    const refused = this.outbox ?? this.pendingEdit;
    this.forgetOutbox();
    if (refused) {
      this.transcript.removeFrom(this.transcript.findByClientId(refused.clientId));
      this.composer.restore(refused.content);
      if (this.pendingEdit) this.catchUp();
    }
    this.pendingEdit = null;
    this.tell(frame.message);
  }
}

const isForNewTab = (event) => event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;

new Conversation(document.querySelector("[data-conversation]"));
