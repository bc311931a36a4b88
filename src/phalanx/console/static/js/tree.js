// A process tree: arrow keys move, Home and End jump, Enter opens the event.

/** @param {HTMLElement} tree */
export function mount(tree) {
  /** @returns {HTMLElement[]} */
  const items = () => [...tree.querySelectorAll("[role=treeitem]")].map((item) => /** @type {HTMLElement} */ (item));
  /** @param {HTMLElement | undefined} item */
  const focus = (item) => {
    if (!item) return;
    for (const other of items()) other.tabIndex = -1;
    item.tabIndex = 0;
    item.focus();
  };
  tree.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const here = all[at];
    if (!here) return;
    const level = Number(here.ariaLevel);
    if (event.key === "ArrowDown") focus(all[at + 1]);
    else if (event.key === "ArrowUp") focus(all[at - 1]);
    else if (event.key === "Home") focus(all[0]);
    else if (event.key === "End") focus(all.at(-1));
    else if (event.key === "ArrowLeft") focus(all.slice(0, at).findLast((item) => Number(item.ariaLevel) < level));
    else if (event.key === "ArrowRight") focus(Number(all[at + 1]?.ariaLevel) > level ? all[at + 1] : undefined);
    else if (event.key === "Enter") here.querySelector("a")?.click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
