// Shows the summary as soon as it is final, ticks action items in place, prints.

import { FROM_SCRIPT, refreshWhilePending } from "../js/refresh.js";

const place = document.querySelector("[data-summary]");

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

refreshWhilePending(place, { firstPauseMs: 700, patientAfter: 30 });
