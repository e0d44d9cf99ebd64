// Buttons that copy the text of another element: data-copy names its id, data-done what the button says then.

const SHOWN_MS = 2500;

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]");
  const before = (label.dataset.before ??= label.textContent);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    label.textContent = button.dataset.done;
  } catch {
    getSelection().selectAllChildren(source); // no clipboard outside https: Ctrl+C does the rest
    label.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => (label.textContent = before), SHOWN_MS);
});
