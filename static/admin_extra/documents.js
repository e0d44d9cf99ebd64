// Refreshes the state of documents that are still in work: every 2 s, only while there is one, not in a hidden tab.
const POLL_MS = 2000;
const MAX_WAIT_MS = 30000;

const unfinished = () => [...document.querySelectorAll('[data-document-state][data-final="false"]')];

function show(found) {
  const holder = document.createElement("template");
  holder.innerHTML = found.html; // rendered and escaped by our own server
  const fresh = holder.content.firstElementChild;
  for (const node of document.querySelectorAll(`[data-document-state="${found.id}"]`)) {
    node.replaceWith(fresh.cloneNode(true));
  }
  for (const [name, value] of [["page-count", found.page_count], ["chunk-count", found.chunk_count]]) {
    for (const node of document.querySelectorAll(`[data-document-${name}="${found.id}"]`)) node.textContent = value;
  }
}

async function refresh(nodes) {
  const ids = [...new Set(nodes.map((node) => node.dataset.documentState))];
  const query = new URLSearchParams(ids.map((id) => ["id", id]));
  const response = await fetch(`${nodes[0].dataset.statusUrl}?${query}`, { headers: { Accept: "application/json" } });
  if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
  const { documents } = await response.json();
  for (const found of documents) show(found);
  const known = new Set(documents.map((found) => found.id));
  for (const node of nodes) if (!known.has(node.dataset.documentState)) node.dataset.final = "true"; // deleted elsewhere
}

async function poll(wait) {
  const nodes = unfinished();
  if (nodes.length === 0) {
    // Buttons and warnings of a document's own page depend on its state.
    if (document.querySelector("[data-reload-when-final]") && wait !== 0) window.location.reload();
    return;
  }
  let next = POLL_MS;
  if (!document.hidden) {
    try {
      await refresh(nodes);
    } catch {
      next = Math.min(Math.max(wait, POLL_MS) * 2, MAX_WAIT_MS);
    }
  }
  setTimeout(() => poll(next), next);
}

poll(0);
