// Asks for the summary until it is final, ticks action items in place, prints.

const FIRST_PAUSE_MS = 700;
const PATIENT_AFTER = 30; // rounds; then the pauses grow
const LONGEST_PAUSE_MS = 10_000;
const FROM_SCRIPT = { "X-Requested-With": "fetch" };

const place = document.querySelector("[data-summary]");
let pause = FIRST_PAUSE_MS;
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
  if (rounds > PATIENT_AFTER) pause = Math.min(LONGEST_PAUSE_MS, pause * 1.4);
}

place.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-tick]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  const body = new FormData(form, event.submitter);
  const response = await fetch(form.action, { method: "POST", body, headers: FROM_SCRIPT }).catch(() => null);
  if (!response?.ok) return form.submit();
  const { done } = await response.json();
  button.setAttribute("aria-pressed", String(done));
  button.value = done ? "0" : "1";
  form.closest("li").classList.toggle("is-done", done);
});

place.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

wait();
