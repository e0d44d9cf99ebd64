// The WebSocket of a conversation: opens, says how it is, and opens again with growing pauses.
//
// Events: "open" (detail.isFirst), "frame" (detail is the frame), "state" (detail is one of the states below).

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const CROWDED_PAUSE_MS = 30_000;
const ATTEMPTS_BEFORE_GIVING_UP = 4;

/** Close codes of the contract. */
const SIGNED_OUT = 4401;
const GONE = 4404;
const IDLE = 4408;
const CROWDED = 4429;

export class Connection extends EventTarget {
  constructor(path) {
    super();
    this.url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${path}`;
    this.socket = null;
    this.state = "connecting";
    this.wasEverOpen = false;
    this.failures = 0;
    this.refusals = 0; // sockets in a row that never opened
    this.timer = null;
    addEventListener("online", () => this.#openAnew());
    addEventListener("offline", () => this.#say("offline"));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.wake();
    });
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** No socket ever came about (a proxy in between, perhaps): plain forms are the way. */
  get isHopeless() {
    return !this.wasEverOpen && this.failures >= ATTEMPTS_BEFORE_GIVING_UP;
  }

  get isOver() {
    return this.state === "signed-out" || this.state === "gone";
  }

  open() {
    clearTimeout(this.timer);
    if (this.isOver || (this.socket && this.socket.readyState <= WebSocket.OPEN)) return;
    this.#say(navigator.onLine === false ? "offline" : "connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener("open", () => this.#onOpen(socket));
    socket.addEventListener("message", (event) => this.#onMessage(event.data));
    socket.addEventListener("close", (event) => this.#onClose(socket, event.code));
    this.refusals += 1;
  }

  /** After the network was away: a socket that still calls itself open may have died with it, without a word. */
  #openAnew() {
    const old = this.socket;
    this.socket = null;
    old?.close();
    this.open();
  }

  /** Opens at once when the connection was let go for idleness or is waiting for its next try. */
  wake() {
    if (!this.isOpen) this.open();
  }

  /** True when the frame went out. */
  send(frame) {
    if (!this.isOpen) {
      this.wake();
      return false;
    }
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  #onOpen(socket) {
    if (socket !== this.socket) return;
    const isFirst = !this.wasEverOpen;
    this.wasEverOpen = true;
    this.refusals = 0;
    this.#say("open");
    this.dispatchEvent(new CustomEvent("open", { detail: { isFirst } }));
  }

  #onMessage(data) {
    this.failures = 0;
    this.dispatchEvent(new CustomEvent("frame", { detail: JSON.parse(data) }));
  }

  #onClose(socket, code) {
    if (socket !== this.socket) return;
    this.socket = null;
    if (this.isOver) return;
    if (code === SIGNED_OUT) return this.#say("signed-out");
    if (code === GONE) return this.#say("gone");
    if (code === IDLE && document.hidden) return this.#say("idle");
    this.failures += 1;
    this.#say(navigator.onLine === false ? "offline" : "waiting");
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1));
    const pause = code === CROWDED ? CROWDED_PAUSE_MS : longest * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), pause);
    if (this.refusals > 1) this.#askPage();
  }

  /** Of a socket that was refused before it opened browsers tell nothing; the page itself says who may see it. */
  async #askPage() {
    const answer = await fetch(location.pathname, { method: "HEAD", redirect: "manual" }).catch(() => null);
    const found = answer?.type === "opaqueredirect" ? "signed-out" : answer?.status === 404 ? "gone" : null;
    if (!found || this.isOpen) return;
    clearTimeout(this.timer);
    this.#say(found);
  }

  #say(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
