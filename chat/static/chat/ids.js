// Random ids and a form of storage that never throws.

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isId = (text) => typeof text === "string" && ID.test(text);

/** A version 4 UUID. `crypto.randomUUID` is missing on plain http, except on localhost. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** localStorage of one conversation; private windows and full disks lose the draft, not the page. */
export class Memory {
  constructor(sessionId) {
    this.prefix = `chat:${sessionId}:`;
  }

  read(name) {
    try {
      return localStorage.getItem(this.prefix + name);
    } catch {
      return null;
    }
  }

  write(name, text) {
    try {
      if (text) localStorage.setItem(this.prefix + name, text);
      else localStorage.removeItem(this.prefix + name);
    } catch {
      // nothing to do: the page works without it
    }
  }
}
