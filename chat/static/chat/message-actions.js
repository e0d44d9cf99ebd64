// Buttons under messages: copy, feedback. Regenerate and edit belong to the conversation, which owns the socket.

const DONE_MS = 1600;

export function installMessageActions({ list, announcer, onProblem }) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest('[data-action="copy"]');
    if (button) copyMessage(button, announcer).catch(() => onProblem("The browser does not allow copying here."));
  });
  list.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-feedback]");
    if (!form) return;
    event.preventDefault();
    sendFeedback(form, event.submitter, announcer).catch(() => onProblem("Your feedback could not be saved. Try again."));
  });
}

/** The text as it reads, without the numbers of its sources. */
function textOf(article) {
  const copy = article.querySelector(".message-text").cloneNode(true);
  for (const marker of copy.querySelectorAll(".cite")) marker.remove();
  copy.className = "visually-hidden message-copy";
  document.body.append(copy);
  const text = article.dataset.role === "user" ? copy.textContent : copy.innerText;
  copy.remove();
  return text.trim();
}

async function copyMessage(button, announcer) {
  const text = textOf(button.closest("[data-message-id]"));
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyTheOldWay(text);
  const icon = button.querySelector("svg");
  const check = document.querySelector('template[data-pattern="check"]').content.firstElementChild.cloneNode(true);
  icon.replaceWith(check);
  announcer.textContent = "Copied.";
  setTimeout(() => check.replaceWith(icon), DONE_MS);
}

/** Plain http has no clipboard interface. */
function copyTheOldWay(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  if (!isDone) throw new Error("copy refused");
}

async function sendFeedback(form, submitter, announcer) {
  const body = new FormData(form);
  if (submitter?.name === "rating") {
    body.set("rating", submitter.getAttribute("aria-pressed") === "true" ? "0" : submitter.value);
  }
  const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
  body.delete("csrfmiddlewaretoken");
  const response = await fetch(form.action, {
    method: "POST",
    body,
    headers: { "X-Requested-With": "fetch", "X-CSRFToken": token },
  });
  if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
  const saved = await response.json();
  showFeedback(form.closest("[data-message-id]"), saved, { isComment: !submitter?.name, announcer });
}

function showFeedback(article, saved, { isComment, announcer }) {
  for (const button of article.querySelectorAll("button[name=rating]")) {
    button.setAttribute("aria-pressed", String(Number(button.value) === saved.rating));
  }
  const details = article.querySelector(".feedback-comment");
  details.hidden = saved.rating === null && !saved.comment;
  details.querySelector("summary").textContent = saved.comment ? "Your comment" : "Add a comment";
  details.open = !isComment && saved.rating === -1;
  if (details.open) details.querySelector("textarea").focus();
  announcer.textContent = isComment ? "Your comment is saved." : saved.rating === null ? "Rating removed." : "Thank you for the feedback.";
}
