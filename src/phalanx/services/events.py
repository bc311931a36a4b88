"""The history of events and the live stream: search by condition, histogram, facets, one event, what was covered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal

import msgspec
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection

from phalanx.errors import NotFoundError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.language import CATALOGUE, Condition, EventQuery, parse_condition
from phalanx.language.catalogue import ArgumentProblem, lookup
from phalanx.language.evaluate import evaluate
from phalanx.language.output import render_value
from phalanx.model.container import Container
from phalanx.model.event import Event
from phalanx.model.ids import event_id_time_ns
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN
from phalanx.services.base import State
from phalanx.services.event_rows import coverage_of, quoted, row_of
from phalanx.services.event_types import (
    Bucket,
    CoverageAnswer,
    EventDetail,
    EventPage,
    EventRow,
    Facet,
    FacetValue,
    Gap,
    Histogram,
    LiveBatch,
)
from phalanx.services.live import UPDATE_INTERVAL_S
from phalanx.services.paging import Count, bounded_limit
from phalanx.store.events.interface import Answer, Cancel, EventStore
from phalanx.store.state import estate as estate_store
from phalanx.store.state import findings as findings_store

__all__ = [
    "Bucket",
    "CoverageAnswer",
    "EventDetail",
    "EventPage",
    "EventRow",
    "Events",
    "Facet",
    "FacetValue",
    "Gap",
    "Histogram",
    "LiveBatch",
]


_S: Final = 10**9
_HOUR_NS: Final = 3_600 * _S
_WIDTHS: Final = tuple(
    seconds * _S
    for seconds in (
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        10_800,
        21_600,
        43_200,
        86_400,
        172_800,
        604_800,
    )
)
_SERIES: Final = 5
_LIVE_ROWS: Final = 200
_RESUME_NS: Final = 300 * _S
_LATE_NS: Final = 2 * _S
"""With a condition, events that come so much later than others of their time are still found."""
_ASKERS: Final = 4
_RATE_S: Final = 5.0


class Events:
    """Asks the event store."""

    def __init__(self, store: EventStore, state: State) -> None:
        self._store = store
        self._state = state
        self._askers = CapacityLimiter(_ASKERS)
        self._arrived = asyncio.Event()
        self._stopped = False
        self._rates: deque[tuple[float, int]] = deque(maxlen=512)
        self.received = 0
        """Events since the hub started."""

    # --- the past -------------------------------------------------------------------------------

    async def ask(self, query: EventQuery) -> Answer:
        """The store's answer, for other services; ends the question when who asks goes away."""
        cancel = Cancel()
        try:
            return await to_thread.run_sync(
                lambda: self._store.query(query, cancel=cancel), limiter=self._askers, abandon_on_cancel=True
            )
        except asyncio.CancelledError:
            cancel.cancel()
            raise

    async def search(
        self,
        actor: Actor,
        *,
        where: str = "",
        since_ns: int | None = None,
        until_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> EventPage:
        """Events that satisfy the condition ``where`` in ``[since_ns, until_ns)``, newest first; the last hour when no time is given.

        RuleError, with place, when ``where`` is wrong.
        """
        actor.require(Permission.EVENTS_READ)
        since, until = self._span(since_ns, until_ns)
        query = EventQuery(
            since_ns=since, until_ns=until, where=where.strip() or None, limit=bounded_limit(limit), cursor=cursor or ""
        )
        answer = await self.ask(query)
        rows = await self._rows(answer.rows())
        whole = cursor is None and answer.cursor is None
        return EventPage(
            rows=rows,
            next=answer.cursor,
            count=Count(value=len(rows), capped=not whole),
            coverage=coverage_of(answer.completeness, since_ns=since, until_ns=until),
            took_ms=answer.took_ns / 1e6,
        )

    async def _rows(self, values: Sequence[dict[str, Any]]) -> tuple[EventRow, ...]:
        ids = [str(row["id"]) for row in values]
        if not ids:
            return ()
        known = await self._state.read(lambda connection: findings_store.detections_of_events(connection, ids))
        return tuple(row_of(row, known.get(str(row["id"]))) for row in values)

    async def rows(self, query: EventQuery) -> tuple[EventRow, ...]:
        """The rows of an answer, for other services."""
        return await self._rows((await self.ask(query)).rows())

    async def count(self, since_ns: int, until_ns: int) -> int:
        """How many events are stored of a time."""
        answer = await self.ask(EventQuery(since_ns=since_ns, until_ns=until_ns, group_by=("kind",), limit=200))
        return sum(int(row["count"]) for row in answer.rows())

    async def coverage(self, since_ns: int, until_ns: int) -> CoverageAnswer:
        """What an answer about this time would rest on."""
        query = EventQuery(since_ns=since_ns, until_ns=until_ns)
        told = await to_thread.run_sync(self._store.completeness, query, limiter=self._askers)
        return coverage_of(told, since_ns=since_ns, until_ns=until_ns)

    def _span(self, since_ns: int | None, until_ns: int | None) -> tuple[int, int]:
        until = self._state.clock() + 1 if until_ns is None else until_ns
        since = until - _HOUR_NS if since_ns is None else since_ns
        if since >= until:
            raise UsageError("the time asked for ends before it begins")
        if since < 0 or until >= 1 << 63:
            raise UsageError("this is no time", hint="times are nanoseconds since 1970, UTC")
        return since, until

    async def histogram(
        self,
        actor: Actor,
        *,
        where: str = "",
        since_ns: int | None = None,
        until_ns: int | None = None,
        buckets: int = 60,
        by: Literal["kind", "none"] = "kind",
    ) -> Histogram:
        """The same events counted over time in at most ``buckets`` (1 to 400) bars of a round width."""
        actor.require(Permission.EVENTS_READ)
        if not 1 <= buckets <= 400:
            raise UsageError(f"buckets is {buckets}; it must be between 1 and 400")
        since, until = self._span(since_ns, until_ns)
        width = width_for(until - since, buckets)
        query = EventQuery(
            since_ns=since,
            until_ns=until,
            where=where.strip() or None,
            bucket_ns=width,
            group_by=("kind",) if by == "kind" else (),
            limit=10_000,
            order="oldest",
        )
        answer = await self.ask(query)
        losses = await self._state.read(lambda connection: estate_store.losses_between(connection, since, until))
        return histogram_of(answer, losses, since=since, until=until, width=width, by="kind" if by == "kind" else "")

    async def facets(
        self,
        actor: Actor,
        *,
        where: str = "",
        since_ns: int | None = None,
        until_ns: int | None = None,
        fields: tuple[str, ...] = ("evt.type", "proc.name", "container.id", "user.name"),
        top: int = 8,
    ) -> tuple[Facet, ...]:
        """The commonest values of each field (at most 12 fields) among the same events."""
        actor.require(Permission.EVENTS_READ)
        if not 1 <= len(fields) <= 12 or not 1 <= top <= 100:
            raise UsageError("between 1 and 12 fields with 1 to 100 values can be counted")
        since, until = self._span(since_ns, until_ns)
        found = []
        for field in fields:
            query = EventQuery(
                since_ns=since,
                until_ns=until,
                where=where.strip() or None,
                group_by=(field,),
                top_n=top + 1,
                limit=top + 1,
            )
            rows = (await self.ask(query)).rows()
            values = [
                FacetValue(
                    value=str(row[field]), count=int(row["count"]), condition=f"{field} = {quoted(str(row[field]))}"
                )
                for row in rows
                if row[field] is not None
            ]
            found.append(Facet(field=field, values=tuple(values[:top]), more=len(rows) > top))
        return tuple(found)

    async def get(self, actor: Actor, event_id: str) -> EventDetail:
        """One event. NotFoundError when the store does not hold it (any more)."""
        actor.require(Permission.EVENTS_READ)
        event = await to_thread.run_sync(self._store.get, event_id, limiter=self._askers)
        process = event.process if isinstance(event.process, Process) else None
        query = EventQuery(since_ns=event.ts_ns, until_ns=event.ts_ns + 1, limit=1_000)
        rows = [row for row in (await self.ask(query)).rows() if row["id"] == event_id]
        if not rows:
            raise NotFoundError(f"the event {event_id[:80]} is not stored (any more)")
        host = str(rows[0].get("host") or "")

        def work(connection: Connection) -> tuple[Container | None, tuple[str, ...]]:
            identifier = process.container_id if process is not None else "host"
            container = estate_store.container_at(connection, host, identifier, event.ts_ns)
            return container, tuple(f"F-{number}" for number in findings_store.findings_of_event(connection, event_id))

        container, found = await self._state.read(work)
        shown = await self._rows(rows)
        return EventDetail(
            row=shown[0], event=event, container=container, fields=fields_of_event(event, container), findings=found
        )

    # --- the present ----------------------------------------------------------------------------

    def arrived(self, rows: int) -> None:
        """A batch is durable: live streams may look."""
        self.received += rows
        self._rates.append((time.monotonic(), rows))
        self._arrived.set()
        self._arrived = asyncio.Event()

    @property
    def rate(self) -> float:
        """Events per second over the last five seconds."""
        since = time.monotonic() - _RATE_S
        return sum(rows for moment, rows in self._rates if moment >= since) / _RATE_S

    def stop(self) -> None:
        """End live streams: the hub stops."""
        self._stopped = True
        self._arrived.set()

    def subscribe(self, actor: Actor, *, where: str = "", after: str | None = None) -> AsyncIterator[LiveBatch]:
        """Events as they come, from the one after ``after`` (an event id; at most five minutes back), else from now.

        RuleError at once when ``where`` is wrong. The iterator ends when the hub stops.
        """
        actor.require(Permission.EVENTS_READ)
        return self._stream(parse_condition(where) if where.strip() else None, after)

    async def _stream(self, condition: Condition | None, after: str | None) -> AsyncIterator[LiveBatch]:
        feed = _Feed(self, condition)
        await feed.start(after)
        while not self._stopped:
            arrived = self._arrived  # before looking: what comes while we look wakes us
            batch = await feed.next()
            if batch is None:
                await arrived.wait()
                continue
            yield batch
            await asyncio.sleep(UPDATE_INTERVAL_S)


class _Feed:
    """What one live stream has seen."""

    def __init__(self, owner: Events, condition: Condition | None) -> None:
        self._owner = owner
        self._condition = condition
        self._position = 0
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._newest_ns = 0
        self._backlog: list[dict[str, Any]] = []
        self._clock = owner._state.clock

    async def start(self, after: str | None) -> None:
        """Note where the stream begins."""
        _, self._position, _ = await self._tail(0)
        now = self._clock()
        self._newest_ns = now
        if after is None:
            return
        try:
            since = event_id_time_ns(after)
        except ValueError:
            return
        since = max(since, now - _RESUME_NS)
        query = EventQuery(since_ns=since, where=self._condition, limit=_LIVE_ROWS)
        rows = (await self._owner.ask(query)).rows()
        self._backlog = [row for row in reversed(rows) if str(row["id"]) > after]
        for row in rows:
            self._sent[str(row["id"])] = None

    async def _tail(self, after: int) -> tuple[list[dict[str, Any]], int, int]:
        def run() -> tuple[list[dict[str, Any]], int, int]:
            table, position, skipped = self._owner._store.tail(after, limit=_LIVE_ROWS)
            return table.to_pylist(), position, skipped

        return await to_thread.run_sync(run, limiter=self._owner._askers)

    async def next(self) -> LiveBatch | None:
        """What came since the last call; None when nothing that fits did."""
        rows, more = self._backlog, 0
        self._backlog = []
        if not rows:
            rows, more = await (self._all() if self._condition is None else self._matching())
        if not rows:
            return None
        lost = sum(int(row.get("count") or 0) for row in rows if row.get("kind") == "loss")
        shown = await self._owner._rows(rows)
        return LiveBatch(id=max(row.id for row in shown), rows=shown, more=more, rate=self._owner.rate, lost=lost)

    async def _all(self) -> tuple[list[dict[str, Any]], int]:
        former = self._position
        rows, self._position, skipped = await self._tail(former)
        if former == 0 and self._position > 0:
            # the store had nothing when the stream began, and its tail cannot be asked from there: all it has is new
            answer = await self._owner.ask(EventQuery(limit=_LIVE_ROWS))
            rows = list(reversed(answer.rows()))
        return rows, skipped

    async def _matching(self) -> tuple[list[dict[str, Any]], int]:
        query = EventQuery(since_ns=self._newest_ns - _LATE_NS, where=self._condition, limit=2 * _LIVE_ROWS)
        found = (await self._owner.ask(query)).rows()
        fresh = [
            row
            for row in reversed(found)
            if str(row["id"]) not in self._sent and int(row["ts_ns"]) > self._newest_ns - _LATE_NS
        ]
        for row in fresh:
            self._sent[str(row["id"])] = None
            self._newest_ns = max(self._newest_ns, int(row["ts_ns"]))
        while len(self._sent) > 20 * _LIVE_ROWS:
            self._sent.popitem(last=False)
        return fresh[-_LIVE_ROWS:], max(len(fresh) - _LIVE_ROWS, 0)


def width_for(span_ns: int, buckets: int) -> int:
    """The smallest round width with which at most ``buckets`` bars cover ``span_ns``, where there is one; else as many weeks as needed."""
    for width in _WIDTHS:
        if span_ns <= width * (buckets - 1) or (buckets == 1 and span_ns <= width):
            return width
    week = _WIDTHS[-1]
    return week * -(-span_ns // (week * max(buckets - 1, 1)))


def histogram_of(
    answer: Answer,
    losses: Sequence[tuple[int, int | None, int | None]],
    *,
    since: int,
    until: int,
    width: int,
    by: str,
) -> Histogram:
    """Bars from the store's groups; ``losses`` are ``(time, since, count)``."""
    coverage = coverage_of(answer.completeness, since_ns=since, until_ns=until)
    first = since - since % width
    counts: dict[int, dict[str, int]] = {start: {} for start in range(first, until, width)}
    totals: dict[str, int] = {}
    for row in answer.rows():
        series = str(row[by]) if by else "events"
        bucket = counts.get(int(row["bucket_ns"]))
        if bucket is not None:
            bucket[series] = bucket.get(series, 0) + int(row["count"])
            totals[series] = totals.get(series, 0) + int(row["count"])
    largest = sorted(totals, key=lambda name: (-totals[name], name))[:_SERIES]
    lost = dict.fromkeys(counts, 0)
    for ts, _, count in losses:
        start = ts - ts % width
        if start in lost:
            lost[start] += count or 0
    bars = []
    for start, bucket in counts.items():
        named = {name: bucket[name] for name in largest if name in bucket}
        rest = sum(bucket.values()) - sum(named.values())
        if rest:
            named["rest"] = rest
        end = min(start + width, until)
        covered = not any(gap.since_ns < end and gap.until_ns > max(start, since) for gap in coverage.gaps)
        if coverage.recorded_since_ns is None or (start + width <= coverage.recorded_since_ns and coverage.gaps):
            covered = False
        bars.append(
            Bucket(
                since_ns=start, count=sum(bucket.values()), by=named if by else {}, lost=lost[start], covered=covered
            )
        )
    series_names = (*largest, *(("rest",) if len(totals) > _SERIES else ()))
    return Histogram(
        since_ns=since,
        until_ns=until,
        width_ns=width,
        buckets=tuple(bars),
        series=series_names if by else (),
        coverage=coverage,
    )


def fields_of_event(event: Event, container: Container | None) -> tuple[tuple[str, str], ...]:
    """Every field of the language that has a value here, with it, bounded."""
    process = event.process if isinstance(event.process, Process) else None
    on_host = process is not None and process.container_id == "host"
    told = container if container is not None else None if on_host else UNKNOWN
    whole = msgspec.structs.replace(event, container=told)
    found = []
    for name in sorted(CATALOGUE):
        try:
            ref = lookup(name)
        except ArgumentProblem:
            continue  # it has no value without an argument
        if ref is None:
            continue
        value = evaluate(ref, whole)
        if value is None or value is UNKNOWN or value in ("", ()):
            continue
        found.append((name, render_value(value)[:1_024]))
    return tuple(found)
