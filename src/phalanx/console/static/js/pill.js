// Lists of findings: what changed is counted; it enters the list when the reader says so.
import { t } from "./dom.js";
import { on } from "./stream.js";
import { swap } from "./swap.js";

/** @type {Set<string>} */
const changed = new Set();
let saidAt = 0;

function draw() {
  const pill = document.getElementById("pill");
  const text = pill?.querySelector("span");
  if (!pill || !text) return;
  pill.hidden = changed.size === 0;
  text.textContent = t("changed", { n: changed.size });
  const said = document.getElementById("pill-said");
  if (said && changed.size && Date.now() - saidAt > 10_000) {
    saidAt = Date.now();
    said.textContent = text.textContent;
  }
}

on("findings", (/** @type {{ id: string }[]} */ updates) => {
  for (const update of updates) changed.add(update.id);
  draw();
});

/** @param {HTMLElement} pill */
export function mount(pill) {
  changed.clear();
  pill.addEventListener("click", () => void swap(location.href, "#page", { keep: true }));
}
