// The keyboard map. A shortcut is an attribute: data-key on what it clicks or focuses, data-go on where `g x` goes; rows are data-row.
import { swap } from "./swap.js";

const letters = document.body.dataset["keys"] !== "off";
let going = 0;

/** @param {EventTarget | null} target */
function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) && !(target instanceof HTMLInputElement && target.type === "checkbox");
}

/** @returns {HTMLElement[]} */
function rows() {
  return [...document.querySelectorAll(".page [data-row]")].filter((row) => row instanceof HTMLElement && row.offsetParent !== null).map((row) => /** @type {HTMLElement} */ (row));
}

/** @param {HTMLElement} row */
function handle(row) {
  return /** @type {HTMLElement | null} */ (row.matches("a,[tabindex]") ? row : row.querySelector("a[href]"));
}

/** @param {number} step */
function move(step) {
  const all = rows();
  const here = document.activeElement?.closest("[data-row]");
  const at = here ? all.indexOf(/** @type {HTMLElement} */ (here)) : step > 0 ? -1 : all.length;
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  if (!next) return false;
  handle(next)?.focus();
  next.scrollIntoView({ block: "nearest" });
  return true;
}

/** @param {string} key */
function press(key) {
  const target = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find((e) => e.getAttribute("data-key") === key);
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) {
    target.focus();
    target.select();
  } else {
    target.click();
    if (target.tagName === "SUMMARY") target.focus();
  }
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (event.key === "Escape") {
    if (typing(event.target)) /** @type {HTMLElement} */ (event.target).blur();
    else {
      const open = document.querySelector("details.pop[open], .tabbar details[open]");
      if (open instanceof HTMLDetailsElement) open.open = false;
      else press("Escape");
    }
    return;
  }
  if (!letters || typing(event.target)) return;
  const key = event.key;
  if (going && Date.now() - going < 1500) {
    going = 0;
    const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link instanceof HTMLAnchorElement) {
      event.preventDefault();
      location.assign(link.href);
    }
    return;
  }
  const row = document.activeElement?.closest("[data-row]");
  let done = true;
  if (key === "g") going = Date.now();
  else if (key === "?") /** @type {HTMLDialogElement | null} */ (document.getElementById("keys"))?.showModal();
  else if ((key === "j" || key === "k") && press(key)) done = true;
  else if (key === "j" || key === "ArrowDown") done = key === "j" || row ? move(1) : false;
  else if (key === "k" || key === "ArrowUp") done = key === "k" || row ? move(-1) : false;
  else if (key === "x" && row) row.querySelector("input[type=checkbox]")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  else if (key === "e") nextTab();
  else if ((key === "f" || key === "F") && row) filter(row, key === "F");
  else if (key === " " && document.activeElement !== document.body && document.activeElement?.matches("button,a,summary,input")) done = false;
  else done = press(key);
  if (done) event.preventDefault();
});

function nextTab() {
  const tabs = [...document.querySelectorAll("[data-tabs] a")];
  const at = tabs.findIndex((tab) => tab.hasAttribute("aria-current"));
  const next = tabs[(at + 1) % tabs.length];
  if (next instanceof HTMLAnchorElement) void swap(next.href, "#page", { push: true, keep: true });
}

/** @param {Element} row @param {boolean} not */
function filter(row, not) {
  const link = row.matches("[data-not]") ? row : row.querySelector("[data-not]");
  if (link instanceof HTMLAnchorElement) location.assign(not ? (link.dataset["not"] ?? link.href) : link.href);
}
