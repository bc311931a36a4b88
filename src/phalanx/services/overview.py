"""The first page: what needs a decision, the loop, what changed."""

from __future__ import annotations

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.services.events import Histogram
from phalanx.services.findings import FindingRow
from phalanx.services.health import Freshness

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


class Overview:
    """The overview."""

    async def view(self, actor: Actor, *, since_ns: int | None = None) -> OverviewView:
        """The overview over the time from ``since_ns`` (24 hours by default) to now."""
        raise NotImplementedError
