// Sources open beside the text on wide screens and as a sheet from below on narrow ones.

const wide = matchMedia("(min-width: 64rem)");

export class SourcePanel {
  constructor({ panel }) {
    this.panel = panel;
    this.opener = null;
    this.request = null;
    document.addEventListener("click", (event) => this.#onClick(event));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && panel.open && !event.defaultPrevented) this.close();
    });
    panel.addEventListener("close", () => this.#onClosed());
    addEventListener("popstate", () => this.close());
    wide.addEventListener("change", () => this.close());
  }

  close() {
    if (this.panel.open) this.panel.close();
  }

  async #onClick(event) {
    if (event.target.closest("[data-close-panel]") || event.target === this.panel) return this.close();
    const link = event.target.closest("a[data-source]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (this.panel.open && this.opener === link) return this.close();
    await this.#open(link);
  }

  async #open(link) {
    this.request?.abort();
    this.request = new AbortController();
    let html;
    try {
      const response = await fetch(link.href, {
        headers: { "X-Requested-With": "fetch" },
        signal: this.request.signal,
      });
      if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
      html = await response.text();
    } catch (error) {
      if (error.name !== "AbortError") location.assign(link.href); // the page says what is wrong
      return;
    }
    this.#mark(link);
    this.panel.innerHTML = html;
    if (!this.panel.open) {
      if (wide.matches) this.panel.show();
      else {
        this.panel.showModal();
        // On a phone the sheet feels like a page: Back must close it, not leave the conversation.
        if (!history.state?.isSourceOpen) history.pushState({ isSourceOpen: true }, "");
      }
    }
    document.body.classList.toggle("has-source-panel", wide.matches);
    this.panel.querySelector("[data-source-title]").focus({ preventScroll: true });
    this.#showPassage();
  }

  /** Scrolls the panel, and only the panel. */
  #showPassage() {
    const passage = this.panel.querySelector("[data-passage]");
    const head = this.panel.querySelector(".source-head");
    const top = passage.getBoundingClientRect().top - this.panel.getBoundingClientRect().top;
    this.panel.scrollTop += top - head.offsetHeight - 48;
  }

  #mark(link) {
    this.opener?.removeAttribute("aria-current");
    this.opener = link;
    link?.setAttribute("aria-current", "true");
  }

  #onClosed() {
    const opener = this.opener;
    this.#mark(null);
    document.body.classList.remove("has-source-panel");
    if (history.state?.isSourceOpen) history.back();
    opener?.focus({ preventScroll: true });
  }
}
