// Live: rows come by the stream. They enter the list by themselves only at its top while nobody reads; else a pill counts them.
import { copyOf, number, observed, t } from "./dom.js";
import { on, open, seen } from "./stream.js";
import { swap } from "./swap.js";

/**
 * @typedef {(string | string[])[]} Pieces
 * @typedef {{ id: string, time: string, ms: number, kind: string, icon?: string, word?: string, type?: string, place?: Pieces,
 *   head?: Pieces, bold?: boolean, what: Pieces, severity?: string }} Row
 * @typedef {{ rows: Row[], more: number, rate: number, lost: number }} Batch
 */

const MOST_ROWS = 200;
const MOST_WAITING = 500;

/** @type {HTMLElement | null} */
let card = null;
/** @type {Row[]} */
let waiting = [];
let uncounted = 0;
let paused = false;
let hovering = false;
let saidAt = 0;
let rateAt = 0;

function list() {
  return card?.querySelector(".evs") ?? null;
}

function reading() {
  if (paused || hovering || scrollY > 80) return true;
  if (new URL(location.href).searchParams.get("sel")) return true;
  return !!document.activeElement?.closest(".evs");
}

/** @param {Row} row */
function build(row) {
  const loss = row.kind === "loss";
  const item = copyOf(loss ? "loss" : "row");
  item.dataset["id"] = row.id;
  const time = item.querySelector("time");
  if (time) {
    time.textContent = row.time;
    time.dateTime = new Date(row.ms).toISOString();
  }
  if (loss) {
    item.lastElementChild?.append(observed(row.what));
    return item;
  }
  const use = item.querySelector("use");
  const sprite = document.querySelector("svg.i use")?.getAttribute("href")?.split("#")[0] ?? "";
  use?.setAttribute("href", `${sprite}#${row.icon ?? "activity"}`);
  const kind = item.querySelector(".k");
  kind?.setAttribute("title", row.type ?? "");
  const word = kind?.querySelector("span");
  if (word) word.textContent = row.word ?? row.kind;
  item.querySelector(".wl")?.append(observed(row.place ?? []));
  const link = item.querySelector("a");
  if (link) {
    const url = new URL(card?.dataset["base"] ?? location.href, location.href);
    url.searchParams.set("sel", row.id);
    link.href = url.pathname + url.search;
    const head = document.createElement(row.bold ? "b" : "span");
    if (!row.bold) head.className = "q";
    head.append(observed(row.head ?? []));
    link.append(head, " ", observed(row.what));
  }
  if (row.severity) item.lastElementChild?.replaceWith(copyOf(`sev-${row.severity}`));
  return item;
}

function enter() {
  const rows = list();
  if (!rows) return;
  const fresh = document.createDocumentFragment();
  for (const row of waiting.slice(-MOST_ROWS).reverse()) {
    if (!rows.querySelector(`[data-id="${CSS.escape(row.id)}"]`)) fresh.append(build(row));
  }
  rows.prepend(fresh);
  while (rows.children.length > MOST_ROWS) rows.lastElementChild?.remove();
  document.getElementById("nothing")?.remove();
  waiting = [];
  uncounted = 0;
}

function draw() {
  const pill = document.getElementById("pill");
  const text = pill?.querySelector("span");
  const count = waiting.length + uncounted;
  if (pill && text) {
    pill.hidden = count === 0;
    text.textContent = t("new", { n: count });
  }
  const said = document.getElementById("pill-said");
  if (said && count && Date.now() - saidAt > 10_000) {
    saidAt = Date.now();
    said.textContent = t("new", { n: count });
  }
  const follow = document.getElementById("follow");
  if (follow) follow.textContent = follow.dataset[paused ? "paused" : reading() ? "off" : "on"] ?? "";
}

on("events", (/** @type {Batch} */ batch) => {
  if (!card) return;
  waiting.push(...batch.rows);
  uncounted += batch.more;
  if (waiting.length > MOST_WAITING) {
    uncounted += waiting.length - MOST_WAITING;
    waiting = waiting.slice(-MOST_WAITING);
  }
  const last = batch.rows.at(-1);
  if (last) seen(last.ms);
  if (!reading()) enter();
  draw();
  if (Date.now() - rateAt > 1000) {
    rateAt = Date.now();
    const rate = document.querySelector("[data-rate]");
    if (rate) rate.textContent = t("rate", { n: number(batch.rate) });
  }
});

setInterval(() => {
  const region = document.getElementById("hist");
  if (region && card && !document.hidden && !paused && !reading() && region.dataset["refresh"]) {
    const rate = document.querySelector("[data-rate]")?.textContent;
    void swap(region.dataset["refresh"], "#hist", { keep: true, quiet: true }).then(() => {
      const next = document.querySelector("[data-rate]");
      if (next && rate) next.textContent = rate;
      pauseButton();
    });
  }
}, 10_000);

function pauseButton() {
  const pause = document.getElementById("pause");
  if (!pause || pause.dataset["mounted"]) return;
  pause.dataset["mounted"] = "1";
  const show = () => {
    pause.setAttribute("aria-pressed", String(paused));
    const word = pause.querySelector("span");
    if (word) word.textContent = t(paused ? "resume" : "pause");
    const use = pause.querySelector("use");
    use?.setAttribute("href", (use.getAttribute("href") ?? "").replace(/#.*/, paused ? "#play" : "#pause"));
  };
  pause.addEventListener("click", () => {
    paused = !paused;
    show();
    if (!reading()) enter();
    draw();
  });
  show();
}

/** @param {HTMLElement} element */
export function mount(element) {
  card = element;
  waiting = [];
  uncounted = 0;
  pauseButton();
  document.getElementById("pill")?.addEventListener("click", () => {
    enter();
    draw();
    scrollTo({ top: 0 });
  });
  /** @type {number | undefined} */
  let timer;
  const rows = list();
  rows?.addEventListener("pointerenter", () => {
    timer = setTimeout(() => {
      hovering = true;
      draw();
    }, 500);
  });
  rows?.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    hovering = false;
    if (!reading()) enter();
    draw();
  });
  const stream = new URL(element.dataset["stream"] ?? "", location.href);
  if (element.dataset["after"]) stream.searchParams.set("after", element.dataset["after"]);
  // Choosing a row redraws the page; the stream goes on unless the condition changed.
  const key = stream.pathname + (stream.searchParams.get("where") ?? "");
  if (key !== opened) {
    opened = key;
    open(stream.href);
  }
  draw();
}
let opened = "";
