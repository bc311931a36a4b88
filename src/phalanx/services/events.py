"""The history of events and the live stream: search by condition, histogram, facets, one event, what was covered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.model.container import Container
from phalanx.model.event import Event
from phalanx.services.paging import Count

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


class EventRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event as a list shows it. All text is observed and hostile."""

    id: str
    ts_ns: int
    kind: str
    """Tag of the event: ``exec``, ``connect`` … ; ``loss`` for what was not seen."""
    type: str
    """System call."""
    agent: str
    host: str = ""
    process: str = ""
    """Name of the process; empty when UNKNOWN."""
    pid: int | None = None
    exepath: str = ""
    user: str = ""
    container_id: str = ""
    """Empty on the host."""
    container_name: str = ""
    image: str = ""
    pod: str = ""
    namespace: str = ""
    what: str = ""
    """What was seen, in one line: the command line, the path, the peer; at most 2,048 characters."""
    ret: int | None = None
    lost: int | None = None
    """Only for ``loss``: how many events; None when not known."""
    cause: str = ""
    """Only for ``loss``."""
    severity: str = ""
    """Worst severity of a detection on this event; empty when there is none."""
    rule: str = ""
    """Rule of that detection."""
    finding: str = ""
    """Finding that it belongs to."""


class Gap(Struct, frozen=True, kw_only=True):
    """A stretch of the asked time about which nothing is known."""

    since_ns: int
    until_ns: int
    agent: str = ""
    """Agent that it concerns; empty when no agent recorded then."""
    cause: str = "not_recorded"
    """``not_recorded``, ``not_running`` or the cause of a loss."""
    lost: int | None = None
    """Events known to be lost; None when not known."""


class CoverageAnswer(Struct, frozen=True, kw_only=True):
    """What an answer about the past rests on."""

    complete: bool
    """True when every agent recorded the whole asked time without loss."""
    recorded_since_ns: int | None
    """The first instant that the store covers; None when it covers nothing."""
    gaps: tuple[Gap, ...] = ()
    """At most 100, in order of time."""
    lost: int = 0
    """Events known to be lost in the asked time."""
    sentence: str = ""
    """The same in English for people: "Complete.", "Not recorded before 18:02:11 UTC." …"""


class EventPage(Struct, frozen=True, kw_only=True):
    """Some events, newest first, with what they rest on."""

    rows: tuple[EventRow, ...]
    next: str | None
    """Cursor towards older events; None at the end."""
    count: Count
    coverage: CoverageAnswer
    took_ms: float


class Bucket(Struct, frozen=True, kw_only=True):
    """One bar."""

    since_ns: int
    count: int
    by: dict[str, int] = {}
    """By series (kind of event, or severity), the largest five and ``rest``."""
    lost: int = 0
    covered: bool = True
    """False where some of the bucket was not recorded: draw it hatched, never as zero."""


class Histogram(Struct, frozen=True, kw_only=True):
    """Events over time."""

    since_ns: int
    until_ns: int
    width_ns: int
    buckets: tuple[Bucket, ...]
    series: tuple[str, ...]
    coverage: CoverageAnswer


class FacetValue(Struct, frozen=True, kw_only=True):
    """One value of a field and how often it was seen."""

    value: str
    count: int
    condition: str
    """The comparison to add to the bar: ``proc.name = curl``, quoted where it must be."""


class Facet(Struct, frozen=True, kw_only=True):
    """The commonest values of a field."""

    field: str
    values: tuple[FacetValue, ...]
    more: bool = False
    """True when there are further values."""


class EventDetail(Struct, frozen=True, kw_only=True):
    """One event, whole."""

    row: EventRow
    event: Event
    container: Container | None = None
    """As known at the time of the event; None on the host or when no runtime told."""
    fields: tuple[tuple[str, str], ...] = ()
    """``(field, value)`` of every field of the language that has a value here, each a pivot."""
    findings: tuple[str, ...] = ()
    """Ids of findings that rest on it."""


class LiveBatch(Struct, frozen=True, kw_only=True):
    """What one update of the live stream carries; at most four a second."""

    id: str
    """Event id of the newest row: what to resume after."""
    rows: tuple[EventRow, ...]
    """At most 200 of those that match, newest last."""
    more: int = 0
    """Matching events of this update that were left out of ``rows``."""
    rate: float = 0.0
    """Events per second, all kinds, that phalanx receives."""
    lost: int = 0
    """Events lost since the former update."""


class Events:
    """Asks the event store."""

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
        raise NotImplementedError

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
        """The same events counted over time in ``buckets`` (1 to 400) bars of a round width."""
        raise NotImplementedError

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
        """The commonest values of each field among the same events."""
        raise NotImplementedError

    async def get(self, actor: Actor, event_id: str) -> EventDetail:
        """One event. NotFoundError when the store does not hold it (any more)."""
        raise NotImplementedError

    def subscribe(self, actor: Actor, *, where: str = "", after: str | None = None) -> AsyncIterator[LiveBatch]:
        """Events as they come, from the one after ``after`` (an event id; at most five minutes back), else from now.

        RuleError at once when ``where`` is wrong. The iterator ends when the hub stops; leaving it frees its queue.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End live streams: the hub stops."""
