"""Findings: detections become findings, people judge them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.model.detection import Detection
from phalanx.model.finding import AssetRef, Finding, FindingKind, Proof, Reason, State, Stopped
from phalanx.model.severity import Severity
from phalanx.services.paging import Count, Page

__all__ = [
    "BulkResult",
    "FindingChange",
    "FindingFacet",
    "FindingFilter",
    "FindingRow",
    "FindingUpdate",
    "Findings",
    "Neighbours",
]


class FindingRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Findings:
    """Everything that happens to findings.

    Sorts: ``risk``, ``last_seen``, ``first_seen``, ``severity``, ``count``, ``title``; ``-`` before it is descending.
    """

    async def ingest(self, detections: Sequence[Detection], *, host: str, agent: str) -> tuple[str, ...]:
        """Detections of one report as findings, new or seen again; answers the ids in the order of ``detections``."""
        raise NotImplementedError

    async def list(
        self,
        actor: Actor,
        where: FindingFilter | None = None,
        *,
        sort: str = "-risk",
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[FindingRow]:
        """Findings, worst first by default."""
        raise NotImplementedError

    async def get(self, actor: Actor, finding_id: str) -> Finding:
        """One finding, whole."""
        raise NotImplementedError

    async def neighbours(
        self, actor: Actor, finding_id: str, where: FindingFilter | None = None, *, sort: str = "-risk"
    ) -> Neighbours:
        """The findings before and after this one in a list, for ``j`` and ``k``."""
        raise NotImplementedError

    async def facets(self, actor: Actor, where: FindingFilter | None = None) -> tuple[FindingFacet, ...]:
        """Counts by kind, severity, state, proof, owner and rule; each facet ignores its own restriction."""
        raise NotImplementedError

    async def change(
        self, actor: Actor, finding_id: str, change: FindingChange, *, version: int | None = None
    ) -> Finding:
        """Judge one finding. ConflictError when it changed since ``version``, UsageError when the state may not follow."""
        raise NotImplementedError

    async def bulk(
        self,
        actor: Actor,
        change: FindingChange,
        *,
        ids: Sequence[str] = (),
        where: FindingFilter | None = None,
    ) -> BulkResult:
        """The same change for ``ids``, or for all that ``where`` selects now (at most 10,000)."""
        raise NotImplementedError

    async def undo(self, actor: Actor, undo: str) -> BulkResult:
        """Take back one's own bulk change; findings that somebody changed since are skipped and named."""
        raise NotImplementedError

    def subscribe(self, actor: Actor, *, after: str | None = None) -> AsyncIterator[tuple[FindingUpdate, ...]]:
        """Changes of findings as they happen: the first at once, then at most four batches a second."""
        raise NotImplementedError
