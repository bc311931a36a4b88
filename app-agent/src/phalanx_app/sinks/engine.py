"""Wraps the sinks, sanitizers and propagators of the catalogue, and turns a tainted argument into a finding."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from .. import flow, marks, patch, runtime
from ..request import MASK, Request, secret_name, shown
from ..taint import CURRENT, ON
from . import checks
from .transfers import TRANSFERS

MAX_FINDINGS = 200
"""Findings reported for one request at most."""


_SECOND_ORDER = frozenset(
    {"sql-injection", "command-injection", "code-injection", "cross-site-scripting", "template-injection"}
)
"""Rules for which a value read back from a database counts as untrusted."""


def _agent_file(path: str) -> bool:
    return path.startswith(_PREFIX)


_PREFIX = __file__.rpartition("sinks")[0]
_ENTRIES = frozenset(f"{_PREFIX}sources/{name}.py" for name in ("wsgi", "asgi"))


def app_frame(limit: int = 120) -> FrameType | None:
    """The innermost frame of first-party code."""
    scope = runtime.RUNTIME.scope if runtime.RUNTIME is not None else None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and limit and scope is not None:
        name = frame.f_code.co_filename
        if scope.has(name):
            return frame
        if name in _ENTRIES and frame.f_code.co_name in ("call", "__next__"):
            return None  # what lies further out called the application: a test, a server
        frame = frame.f_back
        limit -= 1
    return None


def _handed_over(request: Request, value: Any) -> tuple[str, int, str] | None:
    """Where first-party code last touched a value that a worker thread uses: the application gave the sink itself to the pool.

    None when a library's frame is on the stack: then the use is the library's own.
    """
    agent = runtime.RUNTIME
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "site-packages" in name or name in _ENTRIES:
            return None
        frame = frame.f_back
    number = request.table.step(value)
    for _ in range(100):
        if number < 0 or agent is None:
            return None
        _, code, lasti, first, _, _, _ = request.table.step_at(number)
        if code is not None and agent.scope.has(code.co_filename):
            return code.co_filename, flow.line_of(code, lasti), getattr(code, "co_qualname", code.co_name)
        number = first
    return None


def direct_frame() -> FrameType | None:
    """The frame that called into the agent's wrapper when it is first-party, else None: libraries' own uses are not the application's."""
    scope = runtime.RUNTIME.scope if runtime.RUNTIME is not None else None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _agent_file(frame.f_code.co_filename):
        frame = frame.f_back
    return frame if frame is not None and scope is not None and scope.has(frame.f_code.co_filename) else None


def argument(arguments: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> list[Any]:
    """The values at the places that the catalogue names."""
    if arguments == "*":
        return [*args, *keywords.values()]
    out = []
    for index, keyword in arguments:
        if index < len(args):
            out.append(args[index])
        elif keyword and keyword in keywords:
            out.append(keywords[keyword])
    return out


def unsafe(request: Request, value: Any, bit: int) -> list[tuple[int, int, int, int]]:
    """The tainted ranges of `value` that carry no mark `bit`, neither on themselves nor by a validator on their way."""
    ranges = request.table.ranges(value)
    if not ranges:
        return []
    if request.verify is not None and bit and request.verify.bit == bit:
        request.verify.watch(value, ranges)
    out = []
    for one in ranges:
        if one[3] & bit:
            continue
        if bit and flow.validated(request, value, one[2]) & bit:
            continue
        out.append(one)
    return out


def carried(value: Any) -> Any:
    """The text that stands for a path object or an SQL composition at a sink."""
    if isinstance(value, (str, bytes, bytearray)):
        return value
    text = getattr(value, "_str", None)
    if isinstance(text, str):
        return text
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    return value


def report(
    rule: str,
    sink: str,
    value: Any = None,
    ranges: list[tuple[int, int, int, int]] | None = None,
    frame: FrameType | None = None,
    detail: str = "",
    location: tuple[str, int, str] | None = None,
    once: str = "",
) -> None:
    """Build the finding and hand it to the reporter, each flaw once for a request.

    Args:
        rule: the rule's name.
        sink: the place of the catalogue.
        value: the value at the sink, for the evidence.
        ranges: its unsafe ranges; None for rules without taint.
        frame: the application's frame, searched when it is not given.
        detail: what the check saw.
        location: file, line, function where no frame exists (response headers).
        once: for findings of the whole application, the text that identifies them.
    """
    agent = runtime.RUNTIME
    if agent is None or rule in agent.config.disabled_rules:
        return
    table = CURRENT.get()
    request: Request | None = table.owner if table is not None else None
    if location is None:
        frame = frame if frame is not None else app_frame()
        if frame is not None:
            location = (
                frame.f_code.co_filename,
                frame.f_lineno,
                getattr(frame.f_code, "co_qualname", frame.f_code.co_name),
            )
        else:
            handed = _handed_over(request, value) if ranges is not None and request is not None else None
            if handed is None:
                return
            location = handed
    path, line, function = location
    short = agent.scope.short(path) if path else ""
    source: tuple[str, str, Any] = ("", "", "")
    if ranges and request is not None:
        number = ranges[0][2]
        source = request.sources[number] if 0 <= number < len(request.sources) else source
        if source[0] == "database" and rule not in _SECOND_ORDER:
            return
    # The outermost sink of a line is reported: that `read_text` opens a file further down is the same flaw.
    key = (rule, short, line, source[0], source[1], once or detail)
    if request is not None:
        if key in request.found or len(request.found) >= MAX_FINDINGS:
            return
        request.found.add(key)
    route = request.route if request is not None else ""
    agent.counters.findings += 1
    if request is not None and request.verify is not None:
        request.verify.saw(rule)
    known = agent.told.get((*key, function, route))
    if known is not None:
        agent.reporter.again(known)
        return
    entry = agent.catalogue["rules"][rule]
    # The route is part of the identity when it is the framework's own template; a raw path (with its ids) would split one flaw into many.
    identity = once or "\0".join((rule, sink, short, function, _line_text(path, line), source[0], source[1], route))
    finding: dict[str, Any] = {
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:32],
        "rule": rule,
        "cwe": entry["cwe"],
        "severity": entry["severity"],
        "title": entry["title"],
        "fix": _fix(entry),
        "detail": detail,
        "sink": {"name": sink, "file": short, "line": line, "function": function, "code": _line_text(path, line)},
        "route": route,
        "proof": "unproven" if ranges is None else "observed",
    }
    if request is not None:
        finding["request"] = request.picture()
        finding["handler"] = request.handler
        finding["traceparent"] = request.traceparent
    if ranges is not None and request is not None:
        finding["source"] = {
            "kind": source[0],
            "name": source[1],
            "value": MASK if secret_name(source[1]) else shown(source[2]),
        }
        finding["evidence"] = _evidence(request, value, ranges)
        first_party = agent.scope.has
        finding["flow"] = flow.describe(
            request, request.table.step(value), ranges[0][2], agent.scope.short, first_party
        )
    if len(agent.told) < 20_000:
        agent.told[(*key, function, route)] = finding["fingerprint"]
    agent.reporter.finding(finding)


def _line_text(path: str, line: int) -> str:
    import linecache

    return linecache.getline(path, line).strip()[:240] if path else ""


_FRAMEWORKS = ("flask", "django", "fastapi", "starlette", "aiohttp", "sqlalchemy", "sqlite3")


def _fix(entry: dict[str, Any]) -> str:
    fixes = entry.get("fixes")
    if fixes:
        for name in _FRAMEWORKS:
            if name in fixes and name in sys.modules:
                return f"{entry['fix']} ({name}: {fixes[name]})"
    return str(entry["fix"])


def _evidence(request: Request, value: Any, ranges: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """The value at the sink with its tainted parts, those from secret sources masked."""
    text = (
        value
        if isinstance(value, str)
        else bytes(value).decode("latin-1")
        if isinstance(value, (bytes, bytearray))
        else str(value)
    )
    parts: list[dict[str, Any]] = []
    at = 0
    for start, end, source, _ in ranges[:20]:
        if start > at:
            parts.append({"text": shown(text[max(at, start - 300) : start], 320)})
        name = request.sources[source][1] if 0 <= source < len(request.sources) else ""
        tainted = MASK if secret_name(name) else shown(text[start:end], 300)
        parts.append({"text": tainted, "source": name})
        at = end
    if at < len(text):
        parts.append({"text": shown(text[at : at + 300], 300)})
    return {"parts": parts}


# --- wrapping --------------------------------------------------------------------------------------------------------------------------


def sink_wrapper(entry: dict[str, Any]) -> Callable[[Any], Callable[..., Any]]:
    """What makes the wrapper of one sink."""
    rule = entry["rule"]
    bit = marks.BIT.get(rule, 0)
    arguments = entry["arguments"]
    sink = f"{entry['module']}:{entry['name']}"
    check = getattr(checks, entry["check"]) if "check" in entry else None
    needs_taint = bit != 0
    # These look deeper than at the arguments and their members, so they are always asked.
    flat = needs_taint and entry.get("check") not in ("nosql", "prompt", "log", "url", "redirect", "sax", "lxml", "yaml")

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(*args: Any, **keywords: Any) -> Any:
            if ON or not needs_taint:
                table = CURRENT.get()
                if (
                    table is not None
                    and (not flat or table.touches(args) or (keywords and table.touches(tuple(keywords.values()))))
                    and table.owner is not None
                    and not runtime.busy()
                ):
                    with runtime.Busy(table.owner):
                        try:
                            if check is not None:
                                check(table.owner, rule, bit, sink, argument(arguments, args, keywords), args, keywords)
                            else:
                                plain(table.owner, rule, bit, sink, argument(arguments, args, keywords))
                        except Exception:  # noqa: BLE001 - the application's call is made whatever happens here
                            runtime.failed(f"sink {sink}")
            return original(*args, **keywords)

        return wrapper

    return make


def plain(request: Request, rule: str, bit: int, sink: str, values: list[Any]) -> None:
    """A tainted argument is the flaw."""
    for value in values:
        value = carried(value)
        if hasattr(value, "getvalue"):
            value = checks._stream(request, value)
        found = unsafe(request, value, bit)
        if found:
            report(rule, sink, value, found)
            return


def carrier_wrapper(entry: dict[str, Any], mark: int) -> Callable[[Any], Callable[..., Any]]:
    """What makes the wrapper of a sanitizer (`mark`) or propagator."""
    arguments = entry["arguments"]
    transfer = TRANSFERS[entry.get("transfer", "whole")]
    op = entry["name"].rpartition(".")[2]
    flat = entry.get("transfer") not in ("text", "rows")

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(*args: Any, **keywords: Any) -> Any:
            result = original(*args, **keywords)
            if ON:
                table = CURRENT.get()
                if (
                    table is not None
                    and (not flat or table.touches(args) or (keywords and table.touches(tuple(keywords.values()))))
                    and not runtime.busy()
                ):
                    with runtime.Busy(table.owner):
                        try:
                            return transfer(table, result, argument(arguments, args, keywords), op, mark)
                        except Exception:  # noqa: BLE001
                            runtime.failed(f"transfer {op}")
            return result

        return wrapper

    return make


def watch_all(agent: runtime.Runtime) -> None:
    """Let every place of the catalogue be wrapped when its module is there."""
    watched = agent.importer.watched
    for entry in agent.catalogue["sinks"]:
        watched.setdefault(entry["module"], []).append(_patcher(entry["name"], sink_wrapper(entry)))
    for entry in agent.catalogue["sanitizers"]:
        watched.setdefault(entry["module"], []).append(
            _patcher(entry["name"], carrier_wrapper(entry, marks.of(entry["marks"])))
        )
    for entry in agent.catalogue["propagators"]:
        watched.setdefault(entry["module"], []).append(_patcher(entry["name"], carrier_wrapper(entry, 0)))
    for entry in agent.catalogue["cookies"]:
        watched.setdefault(entry["module"], []).append(
            _patcher(entry["name"], checks.cookie_wrapper(f"{entry['module']}:{entry['name']}"))
        )


def _patcher(name: str, make: Callable[[Any], Callable[..., Any]]) -> Callable[[ModuleType], None]:
    def run(module: ModuleType) -> None:
        patch.wrap(module, name, make)

    return run
