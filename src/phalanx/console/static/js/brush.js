// The brush: drag over a histogram, or move its handles by keyboard, to choose the page's time range.
import { t } from "./dom.js";

/** @param {HTMLElement} chart */
export function mount(chart) {
  const since = Number(chart.dataset["since"]);
  const until = Number(chart.dataset["until"]);
  const step = Math.max(Number(chart.dataset["width"]), 1);
  const svg = chart.querySelector("svg");
  if (!svg || !(until > since)) return;
  /** @type {[number, number] | null} */
  let chosen = null;
  const box = document.createElement("div");
  box.className = "brushbox";
  box.hidden = true;
  const handles = ["from", "to"].map((key) => {
    const handle = document.createElement("button");
    handle.type = "button";
    handle.className = "handle";
    handle.hidden = true;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", t(key));
    handle.setAttribute("aria-valuemin", String(since));
    handle.setAttribute("aria-valuemax", String(until));
    return handle;
  });
  chart.append(box, ...handles);

  /** @param {number} ms */
  const x = (ms) => ((ms - since) / (until - since)) * 100;
  const draw = () => {
    box.hidden = !chosen;
    handles.forEach((handle, i) => {
      handle.hidden = !chosen;
      const at = chosen?.[i];
      if (at === undefined) return;
      handle.style.left = `${x(at)}%`;
      handle.setAttribute("aria-valuenow", String(at));
      handle.setAttribute("aria-valuetext", new Date(at).toISOString());
    });
    if (chosen) {
      box.style.left = `${x(chosen[0])}%`;
      box.style.width = `${x(chosen[1]) - x(chosen[0])}%`;
    }
  };
  const go = () => {
    if (!chosen) return;
    const url = new URL(location.href);
    if (url.pathname.endsWith("/live")) url.pathname = url.pathname.replace(/live$/, "events");
    for (const name of ["range", "cursor", "sel", "said"]) url.searchParams.delete(name);
    url.searchParams.set("from", new Date(chosen[0]).toISOString());
    url.searchParams.set("to", new Date(chosen[1]).toISOString());
    location.assign(url);
  };
  /** @param {PointerEvent} event */
  const timeAt = (event) => {
    const frame = svg.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - frame.left) / frame.width, 0), 1);
    return since + Math.round((share * (until - since)) / step) * step;
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const start = timeAt(event);
    svg.setPointerCapture(event.pointerId);
    /** @param {PointerEvent} moved */
    const move = (moved) => {
      const end = timeAt(moved);
      chosen = end === start ? null : [Math.min(start, end), Math.max(start, end)];
      draw();
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener(
      "pointerup",
      () => {
        svg.removeEventListener("pointermove", move);
        go();
      },
      { once: true },
    );
  });
  svg.addEventListener("dblclick", () => {
    const url = new URL(location.href);
    url.searchParams.delete("from");
    url.searchParams.delete("to");
    location.assign(url);
  });
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || chosen) return;
    chosen = [since + Math.round((until - since) / 4 / step) * step, since + Math.round(((until - since) * 3) / 4 / step) * step];
    draw();
    handles[0]?.focus();
    event.stopPropagation();
  });
  handles.forEach((handle, i) => {
    handle.addEventListener("keydown", (event) => {
      if (!chosen) return;
      const far = (event.shiftKey ? 10 : 1) * step;
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        const moved = (chosen[i] ?? since) + (event.key === "ArrowLeft" ? -far : far);
        chosen[i] = i === 0 ? Math.min(Math.max(moved, since), chosen[1] - step) : Math.max(Math.min(moved, until), chosen[0] + step);
        draw();
      } else if (event.key === "Enter") go();
      else if (event.key === "Escape") {
        chosen = null;
        draw();
        svg.focus();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  });
}
