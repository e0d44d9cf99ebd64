// Asks for a part of the page until nothing in it is pending, with growing pauses.

export const FROM_SCRIPT = { "X-Requested-With": "fetch" };

const LONGEST_PAUSE_MS = 10_000;

// `place` names the address in `data-url`, its only child its state in `data-state`. After `patientAfter` rounds the
// pauses grow.
export function refreshWhilePending(place, { firstPauseMs, patientAfter = 0 }) {
  let pause = firstPauseMs;
  let rounds = 0;

  async function refresh() {
    try {
      const response = await fetch(place.dataset.url, { headers: FROM_SCRIPT });
      if (response.redirected) return location.reload();
      if (response.ok) show(await response.text());
    } catch {
      // away; the next round tries again
    }
    wait();
  }

  function show(html) {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    const fresh = template.content.firstElementChild;
    if (fresh.dataset.state !== place.firstElementChild.dataset.state) place.replaceChildren(fresh);
  }

  function wait() {
    if (!place.querySelector("[data-pending]")) return;
    setTimeout(refresh, pause);
    rounds += 1;
    if (rounds > patientAfter) pause = Math.min(LONGEST_PAUSE_MS, pause * 1.4);
  }

  wait();
}
