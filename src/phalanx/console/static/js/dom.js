// Words, small DOM helpers, and the one Trusted Types policy. Islands build nodes from text only; nothing here takes markup from data.

/** @type {Record<string, string>} */
const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

/**
 * A message of the page's language; what is filled in is text.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  });
}

const language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";

/** @param {number} value */
export function number(value) {
  return new Intl.NumberFormat(language).format(value);
}

/**
 * A duration as the server writes it: "4 min", "12 s", "139 ms".
 * @param {number} ms
 */
export function span(ms) {
  const gap = "\u202f";
  if (ms < 1000) return `${Math.max(Math.round(ms), 0)}${gap}${t("ms")}`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)}${gap}${t("s")}`;
  if (s < 60) return `${Math.round(s)}${gap}${t("s")}`;
  if (s < 3600) return `${Math.floor(s / 60)}${gap}${t("min")}`;
  if (s < 86400) return `${Math.floor(s / 3600)}${gap}${t("h")}`;
  return `${Math.floor(s / 86400)}${gap}${t("d")}`;
}

/**
 * Observed text as nodes: strings become text, one-element arrays are drawn as tags.
 * @param {(string | string[])[]} pieces
 */
export function observed(pieces) {
  const box = document.createElement("bdi");
  box.dir = "ltr";
  for (const piece of pieces) {
    if (typeof piece === "string") {
      box.append(piece);
    } else {
      const tag = document.createElement("span");
      tag.className = "ctl";
      tag.textContent = piece[0] ?? "";
      box.append(tag);
    }
  }
  return box;
}

/**
 * The element that a template holds, as a copy.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function copyOf(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  const first = template.content.firstElementChild;
  if (!first) throw new Error(`template ${id} is empty`);
  return /** @type {HTMLElement} */ (first.cloneNode(true));
}

/** @type {{ createHTML(text: string): any }} */
const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("phalanx", { createHTML: (/** @type {string} */ text) => text }) ?? { createHTML: (/** @type {string} */ text) => text };

/**
 * A page of this hub as a document that runs nothing. Only swap.js gives it text, and only answers of our own origin.
 * @param {string} text
 */
export function parsePage(text) {
  return new DOMParser().parseFromString(policy.createHTML(text), "text/html");
}

/** @param {string} text */
export function toast(text, bad = false) {
  const place = document.getElementById("toasts");
  if (!place) return;
  const box = document.createElement("div");
  box.className = "toast";
  const said = document.createElement("span");
  said.className = bad ? "g ill" : "g";
  said.textContent = text;
  box.append(said);
  place.append(box);
  while (place.children.length > 3) place.firstElementChild?.remove();
  if (!bad) setTimeout(() => box.remove(), 6000);
  else box.addEventListener("click", () => box.remove());
}

export const csrf = document.body.dataset["csrf"] ?? "";
export const root = document.body.dataset["root"] ?? "";
