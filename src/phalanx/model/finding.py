"""A finding: a statement that a person must judge; stable identity, evidence, state and history."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from phalanx.model.evidence import Evidence
from phalanx.model.ids import FindingId
from phalanx.model.severity import Severity

__all__ = [
    "TRANSITIONS",
    "AssetRef",
    "Finding",
    "FindingKind",
    "HistoryEntry",
    "Proof",
    "Reason",
    "Risk",
    "State",
    "Stopped",
]


class FindingKind(StrEnum):
    """What the statement is about."""

    VULNERABILITY = "vulnerability"
    MISCONFIGURATION = "misconfiguration"
    WEAKNESS = "weakness"
    SECRET = "secret"  # noqa: S105 — the word, not one
    MALWARE = "malware"
    THREAT = "threat"
    ANOMALY = "anomaly"
    EXPOSURE = "exposure"


class State(StrEnum):
    """Where a finding stands; :data:`TRANSITIONS` says from where to where."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in_progress"
    FIXED = "fixed"
    VERIFIED = "verified"
    ACCEPTED = "accepted"
    FALSE_POSITIVE = "false_positive"


_ACTIVE = frozenset({State.OPEN, State.CONFIRMED, State.IN_PROGRESS})
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.OPEN: frozenset(
        {State.CONFIRMED, State.IN_PROGRESS, State.FIXED, State.ACCEPTED, State.FALSE_POSITIVE},
    ),
    State.CONFIRMED: frozenset({State.OPEN, State.IN_PROGRESS, State.FIXED, State.ACCEPTED, State.FALSE_POSITIVE}),
    State.IN_PROGRESS: frozenset({State.OPEN, State.CONFIRMED, State.FIXED, State.ACCEPTED, State.FALSE_POSITIVE}),
    State.FIXED: _ACTIVE | {State.VERIFIED},
    State.VERIFIED: frozenset({State.OPEN}),
    State.ACCEPTED: frozenset({State.OPEN}),
    State.FALSE_POSITIVE: frozenset({State.OPEN}),
}
"""Which state may follow which. ``verified`` is set by a check only, never by a person."""


class Proof(StrEnum):
    """How sure it is; it only climbs."""

    UNPROVEN = "unproven"
    REACHABLE = "reachable"
    OBSERVED = "observed"
    REPLAYED = "replayed"
    EXPLOITED = "exploited"


class Stopped(StrEnum):
    """Whether a response holds; ``proven`` only after the attack was tried again and failed."""

    NO = "no"
    STOPPED = "stopped"
    PROVEN = "proven"


class AssetRef(Struct, frozen=True, kw_only=True):
    """The asset a finding is about."""

    kind: str
    """``host``, ``container``, ``workload``, ``image``, ``project`` …"""
    key: str
    """Natural key, unique for its kind: host name, container id, image digest …"""
    name: str
    """What people call it."""


class Reason(Struct, frozen=True, kw_only=True):
    """One term of a risk score."""

    term: str
    """Stable word: ``attack_seen``, ``root``, ``kev`` …"""
    text: str
    """The sentence a person reads, English; the console translates by ``term``."""
    factor: str
    """``likelihood`` or ``impact``."""
    weight: float
    """What it contributes to its factor, 0 to 1."""
    source: str = ""
    """Where it comes from."""


class Risk(Struct, frozen=True, kw_only=True):
    """Likelihood times impact, with every term."""

    score: int
    """0 to 100: ``round(100 * likelihood * impact)``."""
    likelihood: float
    impact: float
    reasons: tuple[Reason, ...] = ()
    """Strongest first."""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One change of a finding."""

    ts_ns: int
    actor: str
    """User name, ``phalanx`` for the platform itself."""
    what: str
    """``state``, ``owner``, ``seen_again``, ``proof`` …"""
    before: str = ""
    after: str = ""
    reason: str = ""


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A statement that a person must judge."""

    id: FindingId
    """Given by the state store when first seen."""
    kind: FindingKind
    fingerprint: str
    """Identity: seen again with the same fingerprint is the same finding; recipes in ``phalanx.risk.fingerprint``."""
    recipe: str
    """Name and version of the recipe that made ``fingerprint``: ``threat/1``; kept, never recomputed."""
    title: str
    """A sentence that says what is true."""
    severity: Severity
    confidence: float = 1.0
    """0 to 1."""
    state: State = State.OPEN
    proof: Proof = Proof.UNPROVEN
    stopped: Stopped = Stopped.NO
    asset: AssetRef
    entities: tuple[AssetRef, ...] = ()
    """Further assets that it touches."""
    techniques: tuple[str, ...] = ()
    """ATT&CK ids."""
    rule: str = ""
    """Rule or check that stated it."""
    refs: tuple[str, ...] = ()
    """CVE, CWE, GHSA … ids and addresses."""
    story: str = ""
    """Two or three sentences made from typed facts."""
    advice: str = ""
    """What to do."""
    risk: Risk
    first_seen_ns: int
    last_seen_ns: int
    count: int = 1
    """How often it was seen."""
    owner: str = ""
    due_ns: int | None = None
    justification: str = ""
    """VEX justification of ``false_positive``, reason of ``accepted``."""
    expires_ns: int | None = None
    """End of an acceptance."""
    evidence: tuple[Evidence, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    version: int = 1
    """Grows with every change; a writer states the one it read (ETag)."""
