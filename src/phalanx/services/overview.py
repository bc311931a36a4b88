"""The first page: what needs a decision, the loop, what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection

from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.finding import HistoryEntry
from phalanx.model.finding import State as FindingState
from phalanx.model.ids import FindingId
from phalanx.model.severity import Severity
from phalanx.services.base import State
from phalanx.services.event_types import Bucket, CoverageAnswer, Histogram
from phalanx.services.events import Events, width_for
from phalanx.services.findings import FindingFilter, FindingRow, Findings
from phalanx.services.health import Freshness, Health
from phalanx.services.paging import COUNT_CAP
from phalanx.store.state import findings as store

__all__ = ["Change", "Loop", "Overview", "OverviewView"]


class Loop(Struct, frozen=True, kw_only=True):
    """Seen › detected › open › stopped › proven, over the asked time."""

    seen: int
    lost: int
    detected: int
    open: int
    stopped: int
    proven: int


class Change(Struct, frozen=True, kw_only=True):
    """Something that changed in the asked time."""

    ts_ns: int
    what: str
    """``new``, ``reopened``, ``worse``, ``fixed``, ``verified``, ``accepted``, ``false_positive``, ``expired``, ``proven``."""
    finding: str
    title: str
    severity: str
    actor: str


class OverviewView(Struct, frozen=True, kw_only=True):
    """The overview."""

    decisions: int
    """Open findings at medium or above, nobody's or the asking person's."""
    top: tuple[FindingRow, ...]
    """At most seven, worst first."""
    lower: int
    """Further open findings at medium or above."""
    hidden: int
    """Open findings below medium: not listed here."""
    loop: Loop
    detections: Histogram
    """Detections by severity over the asked time."""
    changes: tuple[Change, ...]
    """At most ten, newest first."""
    freshness: Freshness
    since_ns: int
    until_ns: int
    last_stopped_ns: int | None = None
    """When an attack was last stopped; None when never."""


_DAY_NS: Final = 86_400 * 10**9
_ACTIVE: Final = ("open", "confirmed", "in_progress")
_WORTH: Final = ("critical", "high", "medium")
_TOP: Final = 7
_CHANGES: Final = 10
_BUCKETS: Final = 48
_WORD_OF_RANK: Final = {severity.rank: severity.value for severity in Severity}
_TOLD: Final = frozenset({"new", "reopened", "worse", "expired", "proof"})
_TOLD_STATES: Final = frozenset({"fixed", "verified", "accepted", "false_positive"})


class Overview:
    """The overview."""

    def __init__(self, state: State, events: Events, findings: Findings, health: Health) -> None:
        self._state = state
        self._events = events
        self._findings = findings
        self._health = health

    async def view(self, actor: Actor, *, since_ns: int | None = None) -> OverviewView:
        """The overview over the time from ``since_ns`` (24 hours by default, at most 90 days) to now."""
        actor.require(Permission.FINDINGS_READ)
        now = self._state.clock()
        until = now + 1
        since = now - _DAY_NS if since_ns is None else max(min(since_ns, now), now - 90 * _DAY_NS)
        states = tuple(FindingState(word) for word in _ACTIVE)
        worth = FindingFilter(state=states, severity=tuple(Severity(word) for word in _WORTH))
        top = await self._findings.list(actor, worth, sort="-risk", limit=_TOP)
        width = width_for(until - since, _BUCKETS)
        first = since - since % width

        def work(connection: Connection) -> _Facts:
            every = store.count(connection, store.Selection(state=_ACTIVE), cap=COUNT_CAP)
            stopped = store.stopped(connection)
            return _Facts(
                active=every,
                decisions=store.count(
                    connection, store.Selection(state=("open",), severity=_WORTH, owner=("", actor.name)), cap=COUNT_CAP
                ),
                detected=store.count_detections(connection, since_ns=since, until_ns=until),
                bars=store.detections_by_bucket(connection, since_ns=first, until_ns=until, width_ns=width),
                history=store.recent_history(connection, since_ns=since, limit=200),
                stopped=stopped,
            )

        facts = await self._state.read(work)
        seen = await self._events.count(since, until)
        coverage = await self._events.coverage(since, until)
        return OverviewView(
            decisions=facts.decisions,
            top=top.rows,
            lower=max(top.count.value - len(top.rows), 0),
            hidden=max(facts.active - top.count.value, 0),
            loop=Loop(
                seen=seen,
                lost=coverage.lost,
                detected=facts.detected,
                open=facts.active,
                stopped=facts.stopped[0],
                proven=facts.stopped[1],
            ),
            detections=_histogram(facts.bars, coverage, since=since, until=until, first=first, width=width),
            changes=_changes(facts.history),
            freshness=await self._health.freshness(actor),
            since_ns=since,
            until_ns=until,
            last_stopped_ns=facts.stopped[2],
        )


class _Facts(Struct, frozen=True, kw_only=True):
    active: int
    decisions: int
    detected: int
    bars: list[tuple[int, int, int]]
    history: list[tuple[FindingId, str, int, HistoryEntry]]
    stopped: tuple[int, int, int | None]


def _histogram(
    bars: Sequence[tuple[int, int, int]], coverage: CoverageAnswer, *, since: int, until: int, first: int, width: int
) -> Histogram:
    counts: dict[int, dict[str, int]] = {start: {} for start in range(first, until, width)}
    for start, rank, count in bars:
        if start in counts:
            counts[start][_WORD_OF_RANK[rank]] = count
    buckets = tuple(
        Bucket(
            since_ns=start,
            count=sum(by.values()),
            by=by,
            covered=not any(gap.since_ns < start + width and gap.until_ns > start for gap in coverage.gaps),
        )
        for start, by in counts.items()
    )
    series = tuple(
        word for word in ("critical", "high", "medium", "low", "info") if any(word in bar.by for bar in buckets)
    )
    return Histogram(since_ns=since, until_ns=until, width_ns=width, buckets=buckets, series=series, coverage=coverage)


def _changes(history: Sequence[tuple[FindingId, str, int, HistoryEntry]]) -> tuple[Change, ...]:
    found = []
    for finding, title, rank, entry in history:
        what = (
            entry.after
            if entry.what == "state" and entry.after in _TOLD_STATES
            else entry.what
            if entry.what in _TOLD
            else ""
        )
        if what:
            found.append(
                Change(
                    ts_ns=entry.ts_ns,
                    what=what,
                    finding=finding,
                    title=title,
                    severity=_WORD_OF_RANK[rank],
                    actor=entry.actor,
                )
            )
    return tuple(found[:_CHANGES])
