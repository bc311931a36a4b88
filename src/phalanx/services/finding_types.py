"""What the services say of findings: rows, filters, changes, updates."""

from __future__ import annotations

from msgspec import Struct

from phalanx.model.finding import AssetRef, FindingKind, Proof, Reason, State, Stopped
from phalanx.model.severity import Severity
from phalanx.services.paging import Count

__all__ = ["BulkResult", "FindingChange", "FindingFacet", "FindingFilter", "FindingRow", "FindingUpdate", "Neighbours"]


class FindingRow(Struct, frozen=True, kw_only=True):
    """A finding as a list shows it."""

    id: str
    kind: FindingKind
    title: str
    severity: Severity
    state: State
    proof: Proof
    stopped: Stopped
    asset: AssetRef
    score: int
    likelihood: float
    impact: float
    reasons: tuple[Reason, ...] = ()
    """At most four, strongest first."""
    techniques: tuple[str, ...] = ()
    rule: str = ""
    owner: str = ""
    due_ns: int | None = None
    first_seen_ns: int
    last_seen_ns: int
    count: int = 1
    version: int = 1


class FindingFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which findings; an empty tuple does not restrict. Within a field any value fits, between fields all must."""

    kind: tuple[FindingKind, ...] = ()
    severity: tuple[Severity, ...] = ()
    state: tuple[State, ...] = ()
    proof: tuple[Proof, ...] = ()
    owner: tuple[str, ...] = ()
    """User names; the empty string is "nobody"."""
    asset: tuple[str, ...] = ()
    """Keys of assets."""
    rule: tuple[str, ...] = ()
    technique: tuple[str, ...] = ()
    text: str = ""
    """Substring of title or asset name, case ignored; or a finding's id."""
    min_score: int | None = None
    since_ns: int | None = None
    """Seen at or after."""
    until_ns: int | None = None
    """First seen before."""
    overdue: bool = False


class Neighbours(Struct, frozen=True, kw_only=True):
    """Where a finding stands in the list that it was opened from."""

    position: int | None
    """1-based; None when it is not in that list (any more) or lies beyond the cap."""
    count: Count
    previous: str | None
    next: str | None


class FindingFacet(Struct, frozen=True, kw_only=True):
    """How many findings have which value of a field."""

    field: str
    values: tuple[tuple[str, int], ...]


class FindingChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person changes; None leaves a part as it is."""

    state: State | None = None
    reason: str = ""
    """Needed for ``accepted`` (why) and ``false_positive`` (VEX justification)."""
    expires_ns: int | None = None
    """Needed for ``accepted``: when it ends, at most one year from now."""
    owner: str | None = None
    """A user's name; the empty string is nobody."""
    due_ns: int | None = None
    """0 removes the date."""


class BulkResult(Struct, frozen=True, kw_only=True):
    """What one change of many findings did."""

    undo: str
    """Give this to ``undo`` within ten minutes; empty when nothing changed."""
    changed: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    """``(id, why)``."""


class FindingUpdate(Struct, frozen=True, kw_only=True):
    """One message of the findings' live stream."""

    id: str
    """Number of the change, decimal: what to resume after."""
    what: str
    """``new``, ``seen_again``, ``reopened`` or ``changed``."""
    finding: FindingRow
