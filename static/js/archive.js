// Asks for the state of the archive until it is ready or failed, with growing pauses.

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;

const place = document.querySelector("[data-archive]");
let pause = FIRST_PAUSE_MS;

async function refresh() {
  try {
    const response = await fetch(place.dataset.url, { headers: { "X-Requested-With": "fetch" } });
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
  pause = Math.min(LONGEST_PAUSE_MS, pause * 1.4);
}

wait();
