// Text that arrives in bursts and appears evenly. Always as text, never as HTML.

const CATCH_UP_FRAMES = 10;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class StreamedText {
  constructor(element, lastSeq) {
    this.node = element.firstChild ?? element.appendChild(document.createTextNode(""));
    this.lastSeq = lastSeq;
    this.waiting = "";
    this.frame = null;
  }

  /** Appends frame `seq`. "gap" when frames before it are missing, "known" when it was there before. */
  push(seq, text) {
    if (seq <= this.lastSeq) return "known";
    if (seq > this.lastSeq + 1) return "gap";
    this.lastSeq = seq;
    this.waiting += text;
    if (calm.matches || document.hidden) this.#show(this.waiting.length);
    else this.frame ??= requestAnimationFrame(() => this.#step());
    return "new";
  }

  /** Empties the text: the stream comes again from its beginning. */
  restart() {
    this.stop();
    this.node.data = "";
    this.lastSeq = -1;
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.waiting = "";
  }

  #step() {
    this.frame = null;
    this.#show(Math.max(2, Math.ceil(this.waiting.length / CATCH_UP_FRAMES)));
    if (this.waiting) this.frame = requestAnimationFrame(() => this.#step());
  }

  #show(count) {
    this.node.appendData(this.waiting.slice(0, count));
    this.waiting = this.waiting.slice(count);
  }
}
