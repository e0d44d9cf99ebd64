// A line above what came while the reader was away: after a visit, or with the page in the background.

export class ReadingMark {
  constructor({ transcript, memory }) {
    this.transcript = transcript;
    this.memory = memory;
    this.place(memory.read("seen"));
    addEventListener("pagehide", () => this.remember());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.remember();
      else this.place(this.memory.read("seen"));
    });
  }

  /** The last message that could be read to its end; an answer that is still written counts as new when it is done. */
  remember() {
    const read = this.transcript.messages.filter((article) => article.dataset.status !== "streaming");
    this.memory.write("seen", read.at(-1)?.dataset.messageId ?? "");
  }

  place(seenId) {
    const seen = this.transcript.find(seenId);
    const messages = this.transcript.messages;
    const next = seen && messages[messages.indexOf(seen) + 1];
    if (!next || next.dataset.status === "streaming" || "pending" in next.dataset) return;
    this.transcript.list.querySelector(".new-since")?.remove();
    const line = document.createElement("p");
    line.className = "new-since";
    line.textContent = "New since you left";
    next.before(line);
  }
}
