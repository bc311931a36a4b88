// Every page: keyboard, copying, the stream; islands are loaded where a page has them.
import { t, toast } from "./dom.js";
import "./keys.js";
import { on, open, seen } from "./stream.js";
import { onSwap, swap } from "./swap.js";

/** @type {Record<string, () => Promise<{ mount(element: HTMLElement): void }>>} */
const islands = {
  live: () => import("./live.js"),
  brush: () => import("./brush.js"),
  condition: () => import("./condition.js"),
  tree: () => import("./tree.js"),
  bulk: () => import("./bulk.js"),
  editor: () => import("./editor.js"),
  overview: () => import("./pill.js"),
};

/** @param {ParentNode} where */
async function mount(where) {
  const found = [...where.querySelectorAll("[data-island]")];
  if (where instanceof HTMLElement && where.dataset["island"]) found.push(where);
  await Promise.all(
    found.map(async (element) => {
      const load = islands[element.getAttribute("data-island") ?? ""];
      if (!load || !(element instanceof HTMLElement) || element.dataset["mounted"]) return;
      element.dataset["mounted"] = "1";
      (await load()).mount(element);
    }),
  );
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
  if (target instanceof HTMLElement) {
    const text = target.dataset["copy"] === "here" ? location.href : (target.dataset["copy"] ?? "");
    navigator.clipboard?.writeText(text).then(
      () => toast(`${t("copied")}: ${text.slice(0, 120)}`),
      () => toast(t("notcopied"), true),
    );
  }
  for (const open of document.querySelectorAll("details.pop[open], .tabbar details[open]")) {
    if (open instanceof HTMLDetailsElement && event.target instanceof Node && !open.contains(event.target)) open.open = false;
  }
});

// Results of one's own act stay six seconds and leave the address, so that a copied link does not repeat them.
const once = document.querySelector("[data-toast]");
if (once) {
  const url = new URL(location.href);
  for (const name of ["said", "count", "undo"]) url.searchParams.delete(name);
  history.replaceState(null, "", url);
  if (!once.querySelector("form")) setTimeout(() => once.remove(), 6000);
}
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("[data-dismiss]") : null;
  if (link) {
    event.preventDefault();
    link.closest(".toast")?.remove();
  }
});

// With "as the system" the button must turn to what is not shown now.
const theme = document.querySelector("[data-theme-toggle]");
if (theme instanceof HTMLButtonElement && !document.documentElement.dataset["theme"]) {
  theme.value = matchMedia("(prefers-color-scheme: dark)").matches ? "light" : "dark";
}
if (matchMedia("(max-width: 1180px)").matches) for (const box of document.querySelectorAll("details.facets")) box.removeAttribute("open");

// Regions that tell of something under way.
setInterval(() => {
  if (document.hidden) return;
  const region = document.querySelector("#run[data-refresh]");
  if (region instanceof HTMLElement) void swap(region.dataset["refresh"] ?? "", "#page", { keep: true, quiet: true });
}, 1500);

onSwap((region) => void mount(region));
on("findings", (/** @type {{ last: number }[]} */ updates) => updates.forEach((update) => seen(update.last)));
await mount(document);
open();
