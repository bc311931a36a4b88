"""Rows of the event store as lists show them: one line of what was seen, and what an answer rests on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from phalanx.model.severity import Severity
from phalanx.services.event_types import CoverageAnswer, EventRow, Gap
from phalanx.store.events.interface import Completeness
from phalanx.store.state.findings import DetectionRow

__all__ = ["MAX_WHAT", "coverage_of", "quoted", "row_of", "what_of"]

MAX_WHAT: Final = 2_048
"""Longest line of what was seen, in characters; the event itself has the rest."""
_WORD_OF_RANK: Final = {severity.rank: severity.value for severity in Severity}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+*")


def row_of(values: Mapping[str, Any], detection: DetectionRow | None) -> EventRow:
    """One row of an answer with the store's default columns."""

    def text(name: str) -> str:
        return str(values.get(name) or "")

    container = text("proc_container_id")
    kind = text("kind")
    return EventRow(
        id=text("id"),
        ts_ns=int(values["ts_ns"]),
        kind=kind,
        type=text("type"),
        agent=text("agent"),
        host=text("host"),
        process=text("proc_name"),
        pid=values.get("proc_pid"),
        exepath=text("proc_exepath"),
        user=text("proc_user"),
        container_id="" if container == "host" else container,
        container_name=text("container_name"),
        image=text("container_image"),
        pod=text("k8s_pod_name"),
        namespace=text("k8s_ns_name"),
        what=what_of(values)[:MAX_WHAT],
        ret=values.get("ret"),
        lost=values.get("count") if kind == "loss" else None,
        cause=text("cause") if kind == "loss" else "",
        severity="" if detection is None else _WORD_OF_RANK[detection.severity],
        rule="" if detection is None else detection.rule,
        finding="" if detection is None else f"F-{detection.finding}",
    )


def what_of(values: Mapping[str, Any]) -> str:
    """What was seen, from the columns of the event's kind."""

    def first(*names: str) -> str:
        return next((str(values[name]) for name in names if values.get(name) not in (None, "")), "")

    def both(*names: str) -> str:
        return " ".join(part for part in (first(name) for name in names) if part)

    kind = values.get("kind")
    match kind:
        case "exec" | "fork" | "exit":
            return first("proc_cmdline", "filename", "proc_name")
        case "connect" | "accept" | "bind" | "listen" | "socket" | "send":
            return " ".join(part for part in (first("fd_name", "addr"), first("dns_name")) if part)
        case "rename" | "link":
            return f"{first('oldpath', 'linkpath')} → {first('newpath', 'filename')}"
        case "loss":
            count = values.get("count")
            return f"{'an unknown number of' if count is None else count} events were not seen: {first('cause')}"
        case "namespace":
            return both("nstype", "flags", "path")
        case "mount":
            return both("fd_name", "dir", "fstype")
        case "ptrace":
            return both("request", "target_pid")
        case "bpf":
            return both("cmd", "flags")
        case "cred":
            return both("option", "flags")
        case "open" | "unlink" | "mkdir" | "chmod" | "module" | "memfd" | "cgroup":
            return both("fd_name", "flags") if values.get("fd_name") else both("name", "path", "filename", "flags")
        case _:
            return first("fd_name", "name", "path", "filename", "addr", "proc_cmdline")


def coverage_of(told: Completeness, *, since_ns: int, until_ns: int) -> CoverageAnswer:
    """What the store says of completeness, for people."""
    gaps = tuple(
        Gap(since_ns=gap.since_ns, until_ns=gap.until_ns, agent=gap.agent, kind=gap.kind) for gap in told.gaps[:100]
    )
    return CoverageAnswer(
        complete=told.complete,
        recorded_since_ns=told.recorded_since_ns,
        recorded_until_ns=told.recorded_until_ns,
        gaps=gaps,
        lost=told.lost,
        lost_unknown=told.lost_unknown,
        undecided=told.undecided or 0,
        sentence=_sentence(told, since_ns, until_ns),
    )


def _sentence(told: Completeness, since_ns: int, until_ns: int) -> str:
    if told.complete:
        return "Complete."
    parts = []
    if told.recorded_since_ns is None:
        parts.append("Nothing is recorded of this time.")
    elif told.recorded_since_ns > since_ns:
        parts.append(f"Not recorded before {_time(told.recorded_since_ns)}.")
    if told.lost or told.lost_unknown:
        number = (
            f"{told.lost:,} events"
            if not told.lost_unknown
            else f"at least {told.lost:,} events"
            if told.lost
            else "an unknown number of events"
        )
        parts.append(f"{number[0].upper()}{number[1:]} of this time were lost.")
    inside = [gap for gap in told.gaps if told.recorded_since_ns is None or gap.until_ns > told.recorded_since_ns]
    if inside and told.recorded_since_ns is not None and told.recorded_since_ns <= since_ns:
        parts.append(
            f"{len(inside)} {'gap' if len(inside) == 1 else 'gaps'}, the first from {_time(inside[0].since_ns)} to {_time(inside[0].until_ns)}."
        )
    if told.recorded_until_ns is not None and told.recorded_until_ns < until_ns and not parts:
        parts.append(f"Recorded up to {_time(told.recorded_until_ns)}; later events may still come.")
    if told.undecided:
        parts.append(f"{told.undecided:,} events could not be decided, because something they need was not known.")
    return " ".join(parts) or "Not complete."


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def quoted(value: str) -> str:
    """``value`` as the condition language writes it: plain where it can be, else in double quotes with ``\\"`` and ``\\\\`` escaped."""
    if value and set(value) <= _PLAIN and not value.startswith(("-", "%")):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
