"""From a tainted value at a sink back to its source: the way through the code, as lines a person can read."""

from __future__ import annotations

import functools
import linecache
from types import CodeType
from typing import Any

from .request import Request

MAX_STEPS = 40


@functools.lru_cache(maxsize=4096)
def line_of(code: CodeType, lasti: int) -> int:
    """The line of an instruction, the function's first line where it is not known."""
    if lasti >= 0:
        for start, end, line in code.co_lines():
            if start <= lasti < end and line is not None:
                return line
    return code.co_firstlineno


def chain(request: Request, step: int, source: int) -> list[int]:
    """The numbers of the steps from `source` to `step`, oldest first; as far as they were recorded."""
    steps = request.table.steps()
    way: list[int] = []
    seen: set[int] = set()

    def reaches(number: int) -> bool:
        stack = [number]
        visited: set[int] = set()
        while stack:
            at = stack.pop()
            if at < 0 or at in visited:
                continue
            visited.add(at)
            if steps[at][5] == source:
                return True
            stack += [steps[at][3], steps[at][4]]
        return False

    while 0 <= step < len(steps) and step not in seen:
        seen.add(step)
        way.append(step)
        if steps[step][5] == source:
            break
        first, second = steps[step][3], steps[step][4]
        step = second if second >= 0 and not reaches(first) and reaches(second) else first
    return way[::-1]


def validated(request: Request, value: Any, source: int) -> int:
    """The marks that validators gave to the values on the way from `source` to `value`."""
    marks = 0
    number = request.table.step(value)
    seen = 0
    stack = [number]
    visited: set[int] = set()
    while stack and seen < 500:
        at = stack.pop()
        if at < 0 or at in visited:
            continue
        visited.add(at)
        seen += 1
        one = request.table.step_at(at)
        if one[5] in (-1, source):
            marks |= one[6]
        stack += [one[3], one[4]]
    return marks


def describe(request: Request, step: int, source: int, short: Any, first_party: Any) -> list[dict[str, Any]]:
    """The way as ``{file, line, function, operation, code}``, consecutive steps of one line told once."""
    steps = request.table.steps()
    out: list[dict[str, Any]] = []
    for number in chain(request, step, source):
        op, code, lasti = steps[number][:3]
        if code is None:
            continue
        line = line_of(code, lasti)
        path = code.co_filename
        if out and out[-1]["file"] == short(path) and out[-1]["line"] == line:
            if op not in out[-1]["operation"].split(", "):
                out[-1]["operation"] += f", {op}"
            continue
        out.append(
            {
                "file": short(path),
                "line": line,
                "function": getattr(code, "co_qualname", code.co_name),
                "operation": op,
                "code": linecache.getline(path, line).strip()[:240] if first_party(path) else "",
            }
        )
    if len(out) > MAX_STEPS:
        out = out[: MAX_STEPS // 2] + out[-MAX_STEPS // 2 :]
    return out
