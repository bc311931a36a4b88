// Links and forms that change only a region: the server answers with the whole page (or, asked by x-part, with
// the region alone), and the region of the same id is taken from it.
// Without script they are ordinary links and forms.
import { parsePage, t, toast } from "./dom.js";

/** @type {AbortController | null} */
let running = null;
/** @type {((region: Element) => void)[]} */
const after = [];

/** Call `handler` with each region that came in. @param {(region: Element) => void} handler */
export function onSwap(handler) {
  after.push(handler);
}

/**
 * Fetch `url` and put its region `selector` in place of ours.
 * @param {string} url
 * @param {string} selector
 * @param {{ push?: boolean, keep?: boolean, quiet?: boolean, part?: string }} [how]
 */
export async function swap(url, selector, { push = false, keep = false, quiet = false, part = "" } = {}) {
  if (!quiet) running?.abort();
  const mine = new AbortController();
  if (!quiet) running = mine;
  try {
    const answer = await fetch(url, { headers: part ? { accept: "text/html", "x-part": part } : { accept: "text/html" }, credentials: "same-origin", signal: mine.signal });
    const text = await answer.text();
    if (answer.redirected && new URL(answer.url).pathname.endsWith("/login")) {
      location.assign(answer.url);
      return;
    }
    const page = parsePage(text);
    const fresh = page.querySelector(selector);
    const old = document.querySelector(selector);
    if (!fresh || !old) {
      location.assign(url);
      return;
    }
    const scroll = keep ? [scrollX, scrollY] : null;
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.closest("[data-id]")?.getAttribute("data-id") : null;
    old.replaceWith(document.adoptNode(fresh));
    if (push) {
      history.pushState(null, "", answer.redirected ? answer.url : url);
      if (page.title) document.title = page.title;
    }
    if (part) {
      const chosen = new URL(location.href).searchParams.get("sel");
      for (const row of document.querySelectorAll(".evs [data-id]")) {
        if (row.getAttribute("data-id") === chosen) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
    }
    if (scroll) scrollTo(scroll[0] ?? 0, scroll[1] ?? 0);
    for (const handler of after) handler(fresh);
    if (focus) /** @type {HTMLElement | null} */ (document.querySelector(`[data-id="${CSS.escape(focus)}"] a`))?.focus({ preventScroll: true });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!quiet) toast(t("error", { what: String(error) }), true);
  }
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a[data-swap]") : null;
  if (!(link instanceof HTMLAnchorElement)) return;
  const selector = link.dataset["swap"];
  if (!selector) return;
  event.preventDefault();
  void swap(link.href, selector, { push: true, keep: "keep" in link.dataset, part: link.dataset["part"] ?? "" });
});

addEventListener("popstate", () => void swap(location.href, "#page", { keep: true }));
