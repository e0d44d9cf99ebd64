// The field for the next message: grows, keeps a draft, counts, sends on Enter.
//
// Events: "submit" (detail: content, editing id or null), "stop", "edit-cancelled".

const NOTICE_SHARE = 0.8;

export class Composer extends EventTarget {
  constructor({ form, memory }) {
    super();
    this.form = form;
    this.memory = memory;
    this.input = form.querySelector("[data-composer-input]");
    this.sendButton = form.querySelector("[data-send]");
    this.stopButton = form.querySelector("[data-stop]");
    this.noticeLine = form.querySelector("[data-notice]");
    this.editingLine = form.querySelector("[data-editing]");
    this.maxChars = Number(form.dataset.maxChars);
    this.isBusy = false;
    this.editing = null;
    this.draft = ""; // what stood in the field when the editing began
    this.input.value ||= memory.read("draft") ?? "";
    this.#listen();
    this.#onInput();
  }

  /** While an answer is on its way, the button stops it. */
  set busy(isBusy) {
    const hadFocus = document.activeElement === this.stopButton;
    this.isBusy = isBusy;
    this.sendButton.hidden = isBusy;
    this.stopButton.hidden = !isBusy;
    if (hadFocus && !isBusy) this.input.focus();
  }

  notice(text, { isError = false } = {}) {
    this.noticeLine.classList.toggle("is-error", isError);
    if (this.noticeLine.textContent !== text) this.noticeLine.textContent = text;
  }

  /** Puts text back, unless something new has been typed meanwhile. */
  restore(text) {
    if (this.input.value.trim()) return;
    this.input.value = text;
    this.#onInput({ keepsNotice: true });
  }

  edit(id, text) {
    if (!this.editing) this.draft = this.input.value;
    this.editing = id;
    this.editingLine.hidden = false;
    this.input.value = text;
    this.#onInput();
    this.input.focus();
  }

  endEdit() {
    this.editing = null;
    this.editingLine.hidden = true;
    this.input.value = this.draft;
    this.#onInput();
  }

  clear() {
    this.input.value = "";
    this.#onInput();
  }

  #listen() {
    this.input.addEventListener("input", () => this.#onInput());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.editing) return this.#cancelEdit();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    this.form.addEventListener("submit", (event) => this.#onSubmit(event));
    this.form.querySelector("[data-cancel-edit]").addEventListener("click", () => this.#cancelEdit());
    this.stopButton.addEventListener("click", () => this.dispatchEvent(new Event("stop")));
  }

  #onSubmit(event) {
    const content = this.input.value.trim();
    if (!content) {
      event.preventDefault();
      return this.input.focus();
    }
    if (this.isBusy) {
      event.preventDefault();
      return this.notice("An answer is being written. Wait for it, or stop it first.");
    }
    const order = new CustomEvent("submit", { cancelable: true, detail: { content, editing: this.editing } });
    if (!this.dispatchEvent(order)) event.preventDefault(); // taken over; otherwise the plain form goes
  }

  #cancelEdit() {
    this.endEdit();
    this.input.focus();
    this.dispatchEvent(new Event("edit-cancelled"));
  }

  #onInput({ keepsNotice = false } = {}) {
    const { value } = this.input;
    if (!this.editing) this.memory.write("draft", value);
    if (!CSS.supports("field-sizing", "content")) {
      this.input.style.height = "auto";
      this.input.style.height = `${this.input.scrollHeight}px`;
    }
    if (keepsNotice) return;
    const count = value.length.toLocaleString();
    if (value.length > this.maxChars) {
      this.notice(`${count} characters: this is probably too long for one message. Shorten it, or send it in parts.`, { isError: true });
    } else if (value.length > this.maxChars * NOTICE_SHARE) {
      this.notice(`${count} of about ${this.maxChars.toLocaleString()} characters`);
    } else {
      this.notice("");
    }
  }
}
