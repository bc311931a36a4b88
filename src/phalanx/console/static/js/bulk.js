// Selected rows of a list: counted, a range with Shift.
import { t } from "./dom.js";

/** @param {HTMLElement} bar */
export function mount(bar) {
  const form = bar.closest("form");
  const said = bar.querySelector("[data-selected]");
  if (!form || !said) return;
  const boxes = () => /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[type=checkbox][name=id]")]);
  /** @type {HTMLInputElement | null} */
  let last = null;
  const draw = () => {
    const n = boxes().filter((box) => box.checked).length;
    said.textContent = n ? t("selected", { n }) : t("none");
  };
  form.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    if (event.shiftKey && last) {
      const all = boxes();
      const [a, b] = [all.indexOf(last), all.indexOf(box)].sort((x, y) => x - y);
      for (const between of all.slice(a, (b ?? 0) + 1)) between.checked = box.checked;
    }
    last = box;
    draw();
  });
  draw();
}
