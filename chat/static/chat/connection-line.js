// One line above the composer that tells when the connection is away, and what helps.

const PATIENCE_MS = 1200; // short breaks heal unseen

export class ConnectionLine {
  constructor({ line, signInUrl }) {
    this.line = line;
    this.signInUrl = signInUrl;
    this.timer = null;
  }

  show(state) {
    clearTimeout(this.timer);
    if (state === "open" || state === "idle") this.line.hidden = true;
    else if (state === "offline") this.#say("You are offline. Your draft is kept; the conversation goes on when you are back.");
    else if (state === "signed-out") this.#say("You have been signed out. ", { isError: true, link: ["Sign in", this.signInUrl] });
    else if (state === "gone") this.#say("This conversation is no longer available. ", { isError: true, link: ["All conversations", "/chat/"] });
    else if (!this.line.hidden) this.#say("Reconnecting…");
    else this.timer = setTimeout(() => this.#say("Reconnecting…"), PATIENCE_MS);
  }

  #say(text, { isError = false, link = null } = {}) {
    this.line.textContent = text;
    this.line.classList.toggle("is-error", isError);
    if (link) {
      const anchor = document.createElement("a");
      [anchor.textContent, anchor.href] = link;
      this.line.append(anchor);
    }
    this.line.hidden = false;
  }
}
