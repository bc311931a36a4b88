// The rule editor: line numbers, errors as one types; the back-test and the rest are the form's own buttons.
import { csrf, t } from "./dom.js";

/** @typedef {{ level: "error" | "warning", message: string, hint: string, line: number | null, column: number | null, source: string }} Problem */

/** @param {HTMLElement} form */
export function mount(form) {
  const area = form.querySelector("textarea");
  const gutter = form.querySelector(".gut");
  const list = form.querySelector("[data-problems]");
  const counts = form.querySelector("[data-counts]");
  if (!area || !gutter || !list) return;
  /** @type {Set<number>} */
  let bad = new Set();
  /** @type {number | undefined} */
  let timer;
  let asked = 0;

  const number = () => {
    const lines = area.value.split("\n").length;
    const nodes = [];
    for (let i = 1; i <= lines; i++) {
      const line = document.createElement(bad.has(i) ? "b" : "span");
      line.textContent = `${i}\n`;
      nodes.push(line);
    }
    gutter.replaceChildren(...nodes);
    area.style.height = `${Math.max(lines * 20 + 40, 360)}px`;
  };

  /** @param {Problem} problem */
  const item = (problem) => {
    const li = document.createElement("li");
    const level = document.createElement("span");
    level.className = problem.level === "error" ? "ill b" : "w b";
    level.textContent = t(`problem.${problem.level}`);
    li.append(level, " ");
    if (problem.line) li.append(`${t("at", { line: String(problem.line), column: String(problem.column ?? 1) })} `);
    li.append(problem.message);
    if (problem.hint) {
      const hint = document.createElement("span");
      hint.className = "m";
      hint.textContent = ` ${problem.hint}`;
      li.append(hint);
    }
    if (problem.source) {
      const source = document.createElement("span");
      source.className = "src";
      const at = (problem.column ?? 1) - 1;
      const word = /^[\w.[\]-]+/.exec(problem.source.slice(at))?.[0] ?? problem.source.slice(at, at + 1);
      const mark = document.createElement("s");
      mark.textContent = word;
      source.append(problem.source.slice(0, at), mark, problem.source.slice(at + word.length));
      li.append(source);
    }
    return li;
  };

  const check = async () => {
    const mine = ++asked;
    const answer = await fetch(form.dataset["check"] ?? "", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", "x-csrf-token": csrf },
      body: JSON.stringify({ text: area.value }),
    }).catch(() => null);
    if (mine !== asked || !answer?.ok) return;
    /** @type {{ problems: Problem[], rules: number, macros: number, lists: number, live: number, dormant: number }} */
    const result = await answer.json();
    bad = new Set(result.problems.filter((p) => p.level === "error" && p.line).map((p) => /** @type {number} */ (p.line)));
    list.replaceChildren(...result.problems.map(item));
    if (!result.problems.length) {
      const none = document.createElement("li");
      none.className = "good";
      none.textContent = t("noproblems");
      list.append(none);
    }
    area.setAttribute("aria-invalid", String(bad.size > 0));
    if (counts) counts.textContent = t("counts", { ...result, problems: "" });
    number();
  };

  area.addEventListener("input", () => {
    number();
    clearTimeout(timer);
    timer = setTimeout(() => void check(), 300);
  });
  // Two spaces for Tab inside; Escape then Tab leaves, so that nobody is trapped.
  let leave = false;
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave = true;
    else if (event.key === "Tab" && !event.shiftKey && !leave) {
      event.preventDefault();
      area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
      area.dispatchEvent(new Event("input"));
    } else if (event.key !== "Tab") leave = false;
  });
  number();
  void check();
}
