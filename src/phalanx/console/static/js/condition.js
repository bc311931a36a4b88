// The condition bar: grows with its text, underlines the place of an error, completes fields, operators and values seen.

/**
 * @typedef {{ name: string, type: string, what: string, operators: string[] }} Field
 * @typedef {{ text: string, note: string }} Choice
 */

/** @type {Promise<Field[]> | null} */
let fields = null;

const AFTER = ["and", "or", "and not"];
const WORD = /[\w.[\]-]+$/;

/** @param {HTMLElement} form */
export function mount(form) {
  const area = form.querySelector("textarea");
  const under = form.querySelector(".under");
  const box = form.querySelector(".in");
  if (!area || !under || !box || !(form instanceof HTMLFormElement)) return;
  const menu = document.createElement("ul");
  menu.className = "menu";
  menu.hidden = true;
  menu.id = "choices";
  menu.setAttribute("role", "listbox");
  menu.setAttribute("aria-label", area.getAttribute("aria-label") ?? "");
  form.append(menu);
  area.setAttribute("aria-autocomplete", "list");
  area.setAttribute("aria-controls", menu.id);
  /** @type {Choice[]} */
  let choices = [];
  let at = -1;

  const grow = () => {
    area.style.height = "20px";
    area.style.height = `${Math.min(area.scrollHeight, 120)}px`;
  };
  const mark = () => {
    const column = Number(area.dataset["column"]);
    under.replaceChildren();
    if (!column) return;
    const text = area.value;
    const from = Math.min(column - 1, Math.max(text.length - 1, 0));
    const word = /^[\w.[\]-]+/.exec(text.slice(from))?.[0] ?? text.slice(from, from + 1);
    const wrong = document.createElement("s");
    wrong.textContent = word || " ";
    under.append(text.slice(0, from), wrong, text.slice(from + word.length));
  };
  const close = () => {
    menu.hidden = true;
    at = -1;
    area.removeAttribute("aria-activedescendant");
  };
  const draw = () => {
    menu.replaceChildren(
      ...choices.map((choice, i) => {
        const item = document.createElement("li");
        item.id = `choice-${i}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", String(i === at));
        const text = document.createElement("span");
        text.className = "mono";
        text.textContent = choice.text;
        const note = document.createElement("span");
        note.className = "q";
        note.textContent = choice.note;
        item.append(text, note);
        item.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          take(i);
        });
        return item;
      }),
    );
    menu.hidden = choices.length === 0;
    if (at >= 0) {
      area.setAttribute("aria-activedescendant", `choice-${at}`);
      menu.children[at]?.scrollIntoView({ block: "nearest" });
    } else area.removeAttribute("aria-activedescendant");
  };
  /** @param {number} i */
  const take = (i) => {
    const choice = choices[i];
    if (!choice) return;
    const caret = area.selectionStart;
    const before = area.value.slice(0, caret).replace(WORD, "");
    const text = `${before}${choice.text} `;
    area.value = text + area.value.slice(caret);
    area.setSelectionRange(text.length, text.length);
    close();
    grow();
    void offer();
  };
  const offer = async () => {
    fields ??= fetch(form.dataset["fields"] ?? "", { headers: { accept: "application/json" } }).then((answer) => (answer.ok ? answer.json() : []));
    const known = await fields.catch(() => /** @type {Field[]} */ ([]));
    if (document.activeElement !== area) return;
    const before = area.value.slice(0, area.selectionStart);
    const word = (WORD.exec(before)?.[0] ?? "").toLowerCase();
    const former = before.slice(0, before.length - word.length).trimEnd();
    const lastWord = /(\S+)$/.exec(former)?.[1] ?? "";
    const field = known.find((f) => f.name === lastWord.replace(/\[.*$/, ""));
    at = -1;
    if (field) {
      choices = field.operators.filter((op) => op.startsWith(word)).map((op) => ({ text: op, note: field.type }));
    } else if (former === "" || /(^|[\s(])(and|or|not|\()$/.test(former)) {
      choices = known.filter((f) => f.name.startsWith(word)).sort((a, b) => a.name.length - b.name.length || a.name.localeCompare(b.name)).concat(word ? known.filter((f) => !f.name.startsWith(word) && f.name.includes(word)) : [])
        .slice(0, 60).map((f) => ({ text: f.name, note: `${f.type} · ${f.what}` }));
    } else if (word === "" && /\s$/.test(before) && !/(=|<|>|in|contains|startswith|endswith|glob|regex|pmatch)$/.test(former)) {
      choices = AFTER.map((text) => ({ text, note: "" }));
    } else choices = [];
    if (choices.length === 1 && choices[0]?.text === word) choices = [];
    draw();
  };

  area.addEventListener("input", () => {
    delete area.dataset["column"];
    area.value = area.value.replace(/\n/g, " ");
    mark();
    grow();
    void offer();
  });
  area.addEventListener("focus", () => area.value === "" && void offer());
  area.addEventListener("blur", close);
  area.addEventListener("keydown", (event) => {
    if (!menu.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      at = (at + (event.key === "ArrowDown" ? 1 : -1) + choices.length) % choices.length;
      draw();
      event.preventDefault();
    } else if (!menu.hidden && (event.key === "Tab" || event.key === "Enter") && at >= 0) {
      take(at);
      event.preventDefault();
    } else if (!menu.hidden && event.key === "Escape") {
      close();
      event.stopPropagation();
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  grow();
  mark();
}
