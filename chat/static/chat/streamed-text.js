// An answer that arrives in bursts and appears evenly. Text is shown as text; as soon as a Markdown block is finished,
// the server's HTML takes the place of its text.

const CATCH_UP_FRAMES = 10;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class StreamedText {
  /** `element` holds the finished blocks and, last, the rest; its `data-end` is the length of the whole text. */
  constructor(element, lastSeq) {
    this.rest = element.querySelector("[data-rest]");
    this.node = this.rest.firstChild ?? this.rest.appendChild(document.createTextNode(""));
    this.lastSeq = lastSeq;
    this.text = this.node.data; // behind the last block, shown or not
    this.shown = this.text.length;
    this.begin = Number(element.dataset.end) - this.text.length; // where `text` begins in the answer
    this.blocks = []; // finished, and their text not shown to its end
    this.frame = null;
  }

  /** Appends frame `seq`. "gap" when frames before it are missing, "known" when it was there before. */
  push(seq, text, blocks) {
    if (seq <= this.lastSeq) return "known";
    if (seq > this.lastSeq + 1) return "gap";
    this.lastSeq = seq;
    this.text += text;
    this.blocks.push(...blocks);
    if (calm.matches || document.hidden) this.#show(this.text.length);
    else this.frame ??= requestAnimationFrame(() => this.#step());
    return "new";
  }

  /** Empties it: the stream comes again from its beginning. */
  restart() {
    this.stop();
    while (this.rest.previousSibling) this.rest.previousSibling.remove();
    this.node.data = this.text = "";
    this.begin = this.shown = 0;
    this.lastSeq = -1;
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.blocks = [];
  }

  #step() {
    this.frame = null;
    const waiting = this.text.length - this.shown;
    this.#show(this.shown + Math.max(2, Math.ceil(waiting / CATCH_UP_FRAMES)));
    if (this.shown < this.text.length) this.frame = requestAnimationFrame(() => this.#step());
  }

  #show(count) {
    const from = this.shown;
    this.shown = Math.min(count, this.text.length);
    if (this.#showBlocks() || !this.node.data) this.node.data = this.text.slice(0, this.shown).replace(/^\n+/, "");
    else this.node.appendData(this.text.slice(from, this.shown));
  }

  /** Puts blocks whose text has been shown in its place; true when there was one. */
  #showBlocks() {
    const ready = this.blocks.filter(({ end }) => end <= this.begin + this.shown);
    for (const { html, end } of ready) {
      this.rest.insertAdjacentHTML("beforebegin", html);
      this.text = this.text.slice(end - this.begin);
      this.shown -= end - this.begin;
      this.begin = end;
    }
    this.blocks.splice(0, ready.length);
    return ready.length > 0;
  }
}
