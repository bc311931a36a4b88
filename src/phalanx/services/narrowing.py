"""Asking the past for a rule, and drafting the exception that would have kept a finding quiet."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from phalanx.errors import UsageError
from phalanx.language import EventQuery, Rule, RuleSet
from phalanx.language.catalogue import lookup
from phalanx.language.evaluate import evaluate
from phalanx.language.output import render_value
from phalanx.model.event import Event
from phalanx.model.evidence import ProcessTree, SeenEvent
from phalanx.model.finding import Finding
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN
from phalanx.services.event_types import CoverageAnswer, EventRow, Histogram
from phalanx.services.events import Events, histogram_of, width_for
from phalanx.services.rule_types import BackTest

__all__ = ["back_test", "choices_of", "exception_text", "suggested"]

_FIELDS: Final = (
    "proc.exepath",
    "proc.pname",
    "proc.aname[2]",
    "proc.cmdline",
    "proc.pcmdline",
    "proc.name",
    "user.name",
    "container.image.repository",
    "container.name",
    "k8s.ns.name",
    "k8s.pod.name",
    "fd.name",
    "fd.sip",
    "fd.sport",
    "evt.arg.path",
    "evt.type",
)
"""What an exception may name, the most telling first."""
_MAX_VALUE: Final = 512
_BUCKETS: Final = 60


async def back_test(
    events: Events, rules: Sequence[Rule], before: RuleSet | None, since: int, until: int, *, samples: int, cap: int
) -> BackTest:
    """When ``rules`` would have fired in ``[since, until)``, and how often those of the same ids in ``before`` did.

    A rule whose condition uses what is not stored is refused, never answered with 0.
    """
    began = time.perf_counter()
    fires = earlier = 0
    coverage: CoverageAnswer | None = None
    found: list[EventRow] = []
    actors: Counter[str] = Counter()
    histogram = None
    try:
        for rule in rules:
            if rule.dormant:
                raise UsageError(f"{rule.name}: {rule.dormant}")
            width = width_for(until - since, _BUCKETS)
            asked = EventQuery(
                since_ns=since, until_ns=until, where=rule.condition, bucket_ns=width, order="oldest", limit=cap
            )
            answer = await events.ask(asked)
            bars = histogram_of(answer, (), since=since, until=until, width=width, by="")
            fires += sum(bar.count for bar in bars.buckets)
            histogram = bars if histogram is None else _added(histogram, bars)
            if coverage is None or not bars.coverage.complete:
                coverage = bars.coverage
            found += await events.rows(EventQuery(since_ns=since, until_ns=until, where=rule.condition, limit=samples))
            grouped = EventQuery(
                since_ns=since, until_ns=until, where=rule.condition, group_by=("proc.exepath",), top_n=20, limit=20
            )
            for row in (await events.ask(grouped)).rows():
                actors[str(row["proc.exepath"] or "?")] += int(row["count"])
            known = before.rule(rule.id) if before is not None else None
            if known is not None and not known.dormant:
                former = await events.ask(
                    EventQuery(since_ns=since, until_ns=until, where=known.condition, bucket_ns=width, limit=cap)
                )
                earlier += sum(int(row["count"]) for row in former.rows())
    except UsageError as error:
        nothing = await events.coverage(since, until)
        return BackTest(
            since_ns=since,
            until_ns=until,
            fires=0,
            coverage=nothing,
            refused=error.message,
            took_ms=(time.perf_counter() - began) * 1e3,
        )
    found.sort(key=lambda row: row.id, reverse=True)
    return BackTest(
        since_ns=since,
        until_ns=until,
        fires=fires,
        before=earlier if before is not None else None,
        samples=tuple(found[:samples]),
        by_actor=tuple(actors.most_common(20)),
        histogram=histogram,
        coverage=coverage or await events.coverage(since, until),
        took_ms=(time.perf_counter() - began) * 1e3,
    )


def _added(one: Histogram, other: Histogram) -> Histogram:
    bars = tuple(
        msgspec.structs.replace(left, count=left.count + right.count)
        for left, right in zip(one.buckets, other.buckets, strict=True)
    )
    return msgspec.structs.replace(one, buckets=bars)


def _event_of(finding: Finding) -> Event | None:
    """The last event that the finding rests on, with its process's ancestors put together again."""
    seen = next((item for item in reversed(finding.evidence) if isinstance(item, SeenEvent)), None)
    if seen is None:
        return None
    event = seen.event
    tree = next(
        (item for item in reversed(finding.evidence) if isinstance(item, ProcessTree) and item.ts_ns == seen.ts_ns),
        None,
    )
    if tree is None or not tree.lineage or not isinstance(event.process, Process):
        return event
    parent: Process | None = None
    for process in reversed(tree.lineage[1:]):
        parent = msgspec.structs.replace(process, parent=parent)
    return msgspec.structs.replace(event, process=msgspec.structs.replace(event.process, parent=parent))


def choices_of(finding: Finding, rule: Rule) -> tuple[tuple[str, str], ...]:
    """``(field, value)`` of everything that an exception could name in this finding."""
    event = _event_of(finding)
    if event is None:
        return ()
    found = []
    extra = [field for field in rule.condition.fields if field not in _FIELDS]
    for name in (*_FIELDS, *extra):
        value = _value(name, event)
        if value is not None:
            found.append((name, value))
    return tuple(found)


def _value(name: str, event: Event) -> str | None:
    match = re.fullmatch(r"([a-z0-9_.]+?)(?:\[(\w+)\])?", name)
    ref = None if match is None else lookup(match[1], match[2])
    if ref is None:
        return None
    value = evaluate(ref, event)
    if value is None or value is UNKNOWN or isinstance(value, (tuple, float)) or value in ("", "<NA>"):
        return None
    text = render_value(value)
    return text if len(text) <= _MAX_VALUE else None


def suggested(choices: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The fields to begin with: the program, who started it, and where."""
    names = [name for name, _ in choices]
    picked = [name for name in ("proc.exepath", "proc.pname", "container.image.repository", "fd.name") if name in names]
    return tuple(picked or names[:2])


def exception_text(rule: Rule, finding: str, chosen: Sequence[tuple[str, str]]) -> str:
    """The YAML that appends the exception to the rule."""
    name = f"phx_{finding.lower().replace('-', '_')}_{len(rule.exceptions) + 1}"
    fields = ", ".join(_text(field) for field, _ in chosen)
    values = ", ".join(_text(value) for _, value in chosen)
    comparisons = ", ".join("=" for _ in chosen)
    return (
        f"- rule: {_text(rule.name)}\n"
        "  exceptions:\n"
        f"    - name: {name}\n"
        f"      fields: [{fields}]\n"
        f"      comps: [{comparisons}]\n"
        "      values:\n"
        f"        - [{values}]\n"
        "  override:\n"
        "    exceptions: append\n"
    )


def _text(value: str) -> str:
    # JSON strings are YAML's double-quoted scalars; ASCII only, so that no observed character stands bare in the text
    return json.dumps(value)
