// One server-sent stream for each page: resumes by id, rests while the tab is hidden, says when it is not live.
import { root, span, t } from "./dom.js";

/** @typedef {{ newest: number | null, live: number, agents: number, lost: number, now: number }} Fresh */

/** @type {Map<string, ((data: any) => void)[]>} */
const listeners = new Map();
/** @type {EventSource | null} */
let source = null;
let address = "";
let last = "";
/** Difference of the server's clock to ours, ms. */
let skew = 0;
/** @type {number | null} */
let newest = null;
/** When the stream broke, ms; null while it lives. @type {number | null} */
let brokeAt = null;
/** @type {number | undefined} */
let resting;

/**
 * Call `handler` for each message of a kind.
 * @param {string} kind
 * @param {(data: any) => void} handler
 */
export function on(kind, handler) {
  const known = listeners.get(kind);
  if (known) known.push(handler);
  else listeners.set(kind, [handler]);
  if (source && !known) attach(kind);
}

/** @param {string} kind */
function attach(kind) {
  source?.addEventListener(kind, (event) => {
    const message = /** @type {MessageEvent<string>} */ (event);
    if (message.lastEventId) last = message.lastEventId;
    const data = JSON.parse(message.data);
    for (const handler of listeners.get(kind) ?? []) handler(data);
  });
}

/**
 * Open the page's stream; the one of every page when Live has not named its own.
 * @param {string} [own]
 */
export function open(own) {
  if (own && own !== address) {
    source?.close();
    source = null;
    last = "";
  }
  if (source) return;
  address = own ?? (address || `${root}/stream`);
  const url = new URL(address, location.href);
  if (last) url.searchParams.set("after", last);
  source = new EventSource(url);
  source.addEventListener("open", () => {
    brokeAt = null;
    document.documentElement.dataset["stream"] = "open";
    draw();
  });
  source.addEventListener("error", () => {
    brokeAt ??= Date.now();
    document.documentElement.dataset["stream"] = "lost";
    draw();
    if (source?.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(() => document.hidden || open(), 5000);
    }
  });
  for (const kind of listeners.keys()) attach(kind);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => {
      source?.close();
      source = null;
    }, 30_000);
  } else {
    open();
  }
});
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    source = null;
    open();
  }
});

on("fresh", (/** @type {Fresh} */ fresh) => {
  skew = fresh.now - Date.now();
  if (fresh.newest !== null) newest = Math.max(newest ?? 0, fresh.newest);
  const box = document.getElementById("fresh");
  if (!box) return;
  const agents = box.querySelector("[data-agents]");
  if (agents) {
    agents.textContent = t("agents", { live: fresh.live, n: fresh.agents });
    agents.parentElement?.classList.toggle("w", fresh.live < fresh.agents || fresh.agents === 0);
  }
  const lost = box.querySelector("[data-lost]");
  if (lost instanceof HTMLElement) {
    lost.hidden = !fresh.lost;
    const text = lost.querySelector(".num");
    if (text) text.textContent = t("lost", { n: fresh.lost });
  }
  draw();
});

/** The age of the newest event, counted on between messages; never old data as new. @param {number} [ms] */
export function seen(ms) {
  if (ms !== undefined) newest = Math.max(newest ?? 0, ms);
}

function draw() {
  const box = document.getElementById("fresh");
  const age = box?.querySelector("[data-age]");
  if (!box || !age) return;
  if (brokeAt !== null) {
    box.classList.add("stale");
    age.textContent = t("notlive", { at: new Date(brokeAt).toLocaleTimeString(document.documentElement.lang, { hour12: false }) });
    return;
  }
  const known = newest ?? (Number(box.dataset["newest"]) / 1e6 || null);
  if (known === null) return;
  const old = Math.max(Date.now() + skew - known, 0);
  box.classList.toggle("stale", old > 60_000);
  age.textContent = old > 60_000 ? t("stale", { age: span(old) }) : span(old);
}
setInterval(() => document.hidden || draw(), 1000);
