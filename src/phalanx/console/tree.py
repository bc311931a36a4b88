"""A finding's process tree as rows: ancestors downwards, the process that acted, what it started; where it crosses into or out of a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from phalanx.console.words import Words
from phalanx.model.evidence import ProcessTree, SeenEvent
from phalanx.model.finding import Finding
from phalanx.model.process import MAX_ANCESTORS, Process
from phalanx.model.values import UNKNOWN
from phalanx.services.events import EventRow

__all__ = ["Node", "Tree", "acting_process", "connectors", "process_tree"]

_FOLD_ABOVE: Final = 12
"""Children beyond this number, without a detection and of the same name, are folded into one row."""


class Node(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of the tree."""

    kind: str = "process"
    """``process``, ``lane`` (where it runs), ``edge`` (a crossing) or ``fold`` (siblings in one)."""
    depth: int = 0
    lines: tuple[str, ...] = ()
    """Connectors before the name, as classes: ``z`` nothing, ``l`` a line through, ``f`` a fork, ``e`` an end."""
    name: str = ""
    args: str = ""
    pid: int | None = None
    user: str = ""
    ts_ns: int | None = None
    offset: str = ""
    """Time since the act, ``+4 ms``; empty when not known."""
    severity: str = ""
    detection: str = ""
    not_in_image: bool = False
    memfd: bool = False
    peer: str = ""
    href: str = ""
    acted: bool = False
    first: bool = False
    place: str = ""
    """Of a lane: ``inside`` or ``onhost``; of an edge: ``enters`` or ``leaves``."""
    label: str = ""
    folded: int = 0


class Tree(Struct, frozen=True, kw_only=True):
    """What the template draws."""

    rows: tuple[Node, ...]
    count: int
    """Processes shown or folded."""
    cut: bool
    """True when the ancestors are not complete."""
    where: str = ""
    """Condition that finds the same events."""


def acting_process(finding: Finding) -> tuple[Process, ...]:
    """The lineage of the process that acted, nearest first; empty when no evidence names one."""
    for evidence in finding.evidence:
        if isinstance(evidence, ProcessTree) and evidence.lineage:
            return evidence.lineage
    for evidence in finding.evidence:
        if isinstance(evidence, SeenEvent) and isinstance(evidence.event.process, Process):
            process = evidence.event.process
            return (process, *process.ancestors())
    return ()


def connectors(depths: Sequence[int]) -> list[tuple[str, ...]]:
    """Connector classes for rows in tree order, from their depths alone."""
    result: list[tuple[str, ...]] = []
    for i, depth in enumerate(depths):
        lines: list[str] = []
        for level in range(1, depth + 1):
            again = False
            for later in depths[i + 1 :]:
                if later < level:
                    break
                if later == level:
                    again = True
                    break
            if level == depth:
                lines.append("f" if again else "e")
            else:
                lines.append("l" if again else "z")
        result.append(tuple(lines))
    return result


def process_tree(
    finding: Finding, children: Sequence[EventRow], words: Words, host: str, *, title: str, href: str = ""
) -> Tree:
    """The tree of ``finding``; ``children`` are starts of programs by the acting process, in any order."""
    lineage = acting_process(finding)
    if not lineage:
        return Tree(rows=(), count=0, cut=False)
    seen = next((e.event for e in finding.evidence if isinstance(e, SeenEvent)), None)
    act_ns = seen.ts_ns if seen is not None else finding.last_seen_ns
    nodes: list[Node] = []
    place: str | None = None
    chain = list(reversed(lineage))
    for depth, process in enumerate(chain):
        if process.container_id != place:
            if place is not None:
                crossing = "enters" if process.container_id != "host" else "leaves"
                nodes.append(Node(kind="edge", place=crossing))
            inside = process.container_id != "host"
            nodes.append(
                Node(
                    kind="lane", place="inside" if inside else "onhost", label=process.container_id if inside else host
                )
            )
            place = process.container_id
        acted = depth == len(chain) - 1
        nodes.append(
            Node(
                depth=depth,
                name=process.name,
                args=process.args,
                pid=process.pid,
                user=process.user or ("" if process.uid is None else f"uid {process.uid}"),
                ts_ns=act_ns if acted else None,
                offset=_offset(0, words) if acted else "",
                severity=finding.severity.value if acted else "",
                detection=title if acted else "",
                not_in_image=bool(process.exe_upper),
                memfd=process.exe_memfd,
                peer=_peer(seen) if acted else "",
                acted=acted,
                href=href if acted else "",
            )
        )
    nodes.extend(_children(children, len(chain), act_ns, words))
    depths = [node.depth for node in nodes if node.kind in ("process", "fold")]
    lines = iter(connectors(depths))
    first = True
    rows: list[Node] = []
    for node in nodes:
        if node.kind in ("process", "fold"):
            rows.append(structs.replace(node, lines=next(lines), first=first and node.kind == "process"))
            first = False
        else:
            rows.append(node)
    top = chain[0]
    return Tree(
        rows=tuple(rows),
        count=sum(node.folded or 1 for node in nodes if node.kind in ("process", "fold")),
        cut=top.parent is UNKNOWN or (top.ppid not in (None, 0) and top.pid != 1) or len(lineage) > MAX_ANCESTORS,
        where=f"proc.pid = {lineage[0].pid}",
    )


def _children(rows: Sequence[EventRow], depth: int, act_ns: int, words: Words) -> list[Node]:
    ordered = sorted(rows, key=lambda row: row.ts_ns)
    result: list[Node] = []
    counts: dict[str, int] = {}
    for row in ordered:
        counts[row.process] = counts.get(row.process, 0) + 1
    folded: set[str] = set()
    for row in ordered:
        many = len(ordered) > _FOLD_ABOVE and counts[row.process] > 2 and not row.severity
        if many and row.process in folded:
            continue
        if many:
            folded.add(row.process)
            result.append(Node(kind="fold", depth=depth, name=row.process, folded=counts[row.process]))
            continue
        name, _, args = row.what.partition(" ")
        result.append(
            Node(
                depth=depth,
                name=name or row.process,
                args=args,
                pid=row.pid,
                user=row.user,
                ts_ns=row.ts_ns,
                offset=_offset(row.ts_ns - act_ns, words),
                severity=row.severity,
                detection=row.rule,
            )
        )
    return result


def _offset(ns: int, words: Words) -> str:
    return f"{'−' if ns < 0 else '+'}{words.span(abs(ns)) if ns else words.span(0)}"


def _peer(event: object) -> str:
    fd = getattr(event, "fd", None)
    if fd is None or fd.type not in ("4", "6"):
        return ""
    return f"{fd.sip}:{fd.sport}" if fd.sip and not fd.is_server else (f"{fd.cip}:{fd.cport}" if fd.cip else "")
