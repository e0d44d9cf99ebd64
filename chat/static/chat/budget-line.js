// The notice that today's budget is short: as the server writes it, with the time that is left counted down.

const MINUTE_MS = 60_000;

export class BudgetLine {
  constructor({ line }) {
    this.line = line;
    setInterval(() => this.#count(), MINUTE_MS / 2);
  }

  /** `html` is the server's; empty when there is enough. */
  show(html) {
    if (html !== undefined && html !== this.line.innerHTML) this.line.innerHTML = html;
  }

  #count() {
    const time = this.line.querySelector("[data-countdown]");
    if (!time) return;
    const minutes = Math.round((new Date(time.dateTime) - Date.now()) / MINUTE_MS);
    if (minutes <= 0) return this.line.replaceChildren();
    time.textContent = minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
  }
}
