"""What the engine can tell of itself."""

from __future__ import annotations

from msgspec import Struct

from phalanx.model.ids import EventId, RuleId

__all__ = ["EngineStatistics", "RuleStatistics", "UndecidedRecord"]


class UndecidedRecord(Struct, frozen=True, kw_only=True):
    """A rule that could not be decided about an event in time: no alert, but no silence either."""

    rule: RuleId
    event: EventId
    container: str
    """Id of the container whose facts were missing; empty when it was the process that was not known."""
    ts_ns: int
    """Time of the event."""
    recorded_ns: int
    """When the wait ended, UTC ns."""
    decided: bool | None = None
    """What the rule said after all, when the facts came within a minute; None when they have not."""


class RuleStatistics(Struct, frozen=True, kw_only=True):
    """One rule since the engine began (kept over reloads)."""

    rule: RuleId
    evaluated: int
    """Events of its types that were fed."""
    matched: int
    undecided: int
    """Times that it was still undecided after the wait."""
    waited: int
    """Matches that came after waiting for facts."""
    last_match_ns: int | None
    """Time of the last event it matched."""
    ns: int
    """Estimated time spent on it, nanoseconds: its share of the measured time of its event types."""


class EngineStatistics(Struct, frozen=True, kw_only=True):
    """The engine since it began."""

    events: int
    detections: int
    undecided: int
    """Rules recorded as undecided."""
    waiting: int
    """Events that wait for facts now."""
    dropped: int
    """Waiting events that were given up because too many waited; each of their rules was recorded as undecided."""
    reloads: int
    rules_version: str
    rules: tuple[RuleStatistics, ...]
    """One for each active rule, in the order of the rule set."""
    recent_undecided: tuple[UndecidedRecord, ...]
    """The last ones recorded, newest last, at most 200."""
