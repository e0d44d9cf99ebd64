// Keeps the end of the page in view while text grows, as long as the reader is there; else offers the way down.

const AT_END_PX = 2;
const NEAR_END_PX = 90;

export class Follower {
  constructor({ content, button, isFollowing }) {
    this.button = button;
    this.isFollowing = isFollowing;
    this.lastY = scrollY;
    button.addEventListener("click", () => this.toEnd({ isSmooth: true }));
    addEventListener("scroll", () => this.#look(), { passive: true });
    addEventListener("resize", () => this.#follow(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(content);
  }

  toEnd({ isSmooth = false } = {}) {
    this.isFollowing = true;
    scrollTo({ top: document.documentElement.scrollHeight, behavior: isSmooth ? "smooth" : "instant" });
    this.lastY = scrollY; // the event comes later, and the reader may be quicker
    this.button.hidden = true;
  }

  #follow() {
    if (this.isFollowing) this.toEnd();
    else this.#look();
  }

  #look() {
    const page = document.documentElement;
    const distance = page.scrollHeight - innerHeight - scrollY;
    if (distance < AT_END_PX) this.isFollowing = true;
    else if (scrollY < this.lastY) this.isFollowing = false; // only the reader goes up, be it by a line; text grows down
    else if (distance < NEAR_END_PX && scrollY > this.lastY) this.isFollowing = true;
    this.lastY = scrollY;
    this.button.hidden = distance < NEAR_END_PX;
  }
}
