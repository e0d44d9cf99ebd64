// Uploads the chosen or dropped files one by one and says of each what became of it. Without it the form posts as it is.
const form = document.querySelector("[data-upload]");
const input = form?.querySelector('input[type="file"]');
const list = form?.querySelector("[data-uploads]");
const summary = form?.querySelector("[data-upload-summary]");
const button = form?.querySelector('button[type="submit"]');

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
const size = (bytes) => (bytes < 2 ** 20 ? `${Math.ceil(bytes / 2 ** 10)} KB` : megabytes(bytes));

function addRow(file) {
  const row = document.createElement("li");
  const name = Object.assign(document.createElement("span"), { className: "ax-upload-name", textContent: file.name });
  const bar = Object.assign(document.createElement("progress"), { className: "ax-progress", max: 1, value: 0 });
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  const note = Object.assign(document.createElement("span"), { className: "ax-muted", textContent: size(file.size) });
  row.append(name, bar, note);
  list.append(row);
  return { row, bar, note };
}

function finish({ row, bar, note }, { is_accepted: isAccepted, message, url }) {
  bar.remove();
  row.dataset.outcome = isAccepted ? "good" : "bad";
  note.className = isAccepted ? "ax-good" : "ax-reason";
  note.textContent = message;
  if (url) {
    note.append(" ", Object.assign(document.createElement("a"), { href: url, textContent: "Open", className: "ax-link" }));
  }
  return isAccepted;
}

function send(file, bar) {
  const body = new FormData(form);
  body.delete(input.name);
  body.append(input.name, file);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how far an upload is
    const fail = (message) => resolve({ is_accepted: false, message });
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) bar.value = event.loaded / event.total;
    };
    request.onerror = () => fail("The connection broke. Upload this file again.");
    request.onload = () => {
      try {
        const { results, errors } = JSON.parse(request.responseText);
        if (results.length) resolve(results[0]);
        else fail(errors.join(" "));
      } catch {
        fail(`The server refused the upload (status ${request.status}). Reload the page and try again.`);
      }
    };
    request.open("POST", form.action || window.location.href);
    request.setRequestHeader("Accept", "application/json");
    request.send(body);
  });
}

async function upload(files) {
  button.disabled = true;
  list.hidden = false;
  list.replaceChildren();
  const rows = files.map((file) => ({ file, ...addRow(file) }));
  let accepted = 0;
  for (const row of rows) {
    const isTooLarge = row.file.size > Number(form.dataset.maxBytes);
    const result = isTooLarge
      ? { is_accepted: false, message: `Larger than ${megabytes(Number(form.dataset.maxBytes))}. Split it and upload it again.` }
      : await send(row.file, row.bar);
    if (finish(row, result)) accepted += 1;
    summary.textContent = `${accepted} of ${files.length} files accepted.`;
  }
  button.disabled = false;
  input.value = "";
  if (accepted) {
    const clone = encodeURIComponent(form.elements.clone.value);
    const link = document.createElement("a");
    Object.assign(link, { href: `${form.dataset.listUrl}?clone=${clone}`, className: "ax-link", textContent: "Watch them being read" });
    summary.append(" ", link);
    if (accepted === files.length) window.location.assign(link.href);
  }
}

function takeDrops(zone) {
  zone.querySelector("[data-drop-hint]").hidden = false;
  for (const type of ["dragenter", "dragover"]) {
    zone.addEventListener(type, (event) => {
      event.preventDefault();
      zone.dataset.over = "";
    });
  }
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget)) delete zone.dataset.over;
  });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    delete zone.dataset.over;
    if (event.dataTransfer.files.length) input.files = event.dataTransfer.files;
  });
}

if (form) {
  input.hasChangeListener = true; // else unfold's script looks for the text field of its own file widget, and fails
  takeDrops(form.querySelector("[data-drop]"));
  form.addEventListener("submit", (event) => {
    if (!form.reportValidity()) return;
    event.preventDefault();
    upload([...input.files]);
  });
}
