"""What the services say of events: rows, histograms, facets, coverage."""

from __future__ import annotations

from msgspec import Struct

from phalanx.model.container import Container
from phalanx.model.event import Event
from phalanx.services.paging import Count

__all__ = [
    "Bucket",
    "CoverageAnswer",
    "EventDetail",
    "EventPage",
    "EventRow",
    "Facet",
    "FacetValue",
    "Gap",
    "Histogram",
    "LiveBatch",
]


class EventRow(Struct, frozen=True, kw_only=True):
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
    kind: str = ""
    """Kind of event that it concerns; ``*`` for all."""


class CoverageAnswer(Struct, frozen=True, kw_only=True):
    """What an answer about the past rests on."""

    complete: bool
    """True when every agent recorded the whole asked time without loss."""
    recorded_since_ns: int | None
    """From when the record reaches without a gap to its end; None when nothing is recorded."""
    recorded_until_ns: int | None = None
    """Up to when every agent has reported; None when nothing is recorded."""
    gaps: tuple[Gap, ...] = ()
    """At most 100, in order of time."""
    lost: int = 0
    """Events known to be lost in the asked time."""
    lost_unknown: bool = False
    """True when a loss could not say how many."""
    undecided: int = 0
    """Events for which the condition rests on something that is not known; they are not in the answer."""
    sentence: str = ""
    """The same in English for people: "Complete.", "Not recorded before 18:02:11 UTC." …"""


class EventPage(Struct, frozen=True, kw_only=True):
    """Some events, newest first, with what they rest on."""

    rows: tuple[EventRow, ...]
    next: str | None
    """Cursor towards older events; None at the end."""
    count: Count
    """All of them when they fit on this page, else capped at what was seen: nobody pays a scan for a number."""
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
