// Keeps the end of the page in view while text grows, as long as the reader is there; else offers the way down.

const NEAR_END_PX = 90;

export class Follower {
  constructor({ content, button }) {
    this.button = button;
    this.isFollowing = !location.hash;
    this.lastY = scrollY;
    button.addEventListener("click", () => this.toEnd({ isSmooth: true }));
    addEventListener("scroll", () => this.#look(), { passive: true });
    addEventListener("resize", () => this.#follow(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(content);
  }

  toEnd({ isSmooth = false } = {}) {
    this.isFollowing = true;
    scrollTo({ top: document.documentElement.scrollHeight, behavior: isSmooth ? "smooth" : "instant" });
    this.button.hidden = true;
  }

  #follow() {
    if (this.isFollowing) this.toEnd();
    else this.#look();
  }

  #look() {
    const page = document.documentElement;
    const isAtEnd = page.scrollHeight - innerHeight - scrollY < NEAR_END_PX;
    if (isAtEnd) this.isFollowing = true;
    else if (scrollY < this.lastY) this.isFollowing = false; // only the reader goes up; text only grows down
    this.lastY = scrollY;
    this.button.hidden = isAtEnd;
  }
}
