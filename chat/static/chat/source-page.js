// Links lead to #passage; whoever comes by the bare address sees the passage too, and after a reload what was seen before.

const [visit] = performance.getEntriesByType("navigation");
if (!location.hash && visit?.type === "navigate") {
  document.querySelector("[data-passage]")?.scrollIntoView({ block: "start" });
}
