"""What an agent tells the hub beside its column batches: detections, facts, losses, how it is."""

from __future__ import annotations

from msgspec import Struct

from phalanx.model.container import Container
from phalanx.model.detection import Detection
from phalanx.model.event import Loss
from phalanx.model.process import Process

__all__ = [
    "Acknowledgement",
    "AgentStatus",
    "Command",
    "CommandResult",
    "Feature",
    "LossCount",
    "Report",
    "RuleBundle",
    "RuleCost",
]


class Feature(Struct, frozen=True, kw_only=True):
    """One thing that the sensor can or cannot do on this node."""

    name: str
    available: bool
    why: str = ""
    """Why not, in a sentence that says what to do; empty when it can."""


class LossCount(Struct, frozen=True, kw_only=True):
    """Events that were not seen, since the agent's start."""

    cause: str
    """As in :class:`phalanx.model.event.Loss`."""
    count: int | None
    """None when not known."""
    last_ns: int | None = None


class RuleCost(Struct, frozen=True, kw_only=True):
    """What one rule did and cost since the agent's start."""

    rule: str
    evaluated: int
    matched: int
    undecided: int
    ns: int
    """Time spent, nanoseconds; 0 where it is not measured."""


class AgentStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an agent is; sent every five seconds."""

    version: str
    started_ns: int
    kernel: str = ""
    """Release of the kernel."""
    lag_p95_ms: float | None = None
    """From the kernel's clock to the end of evaluation, over the last minute; None before the first event."""
    events_per_s: float = 0.0
    events_total: int = 0
    candidates_total: int = 0
    detections_total: int = 0
    undecided: int = 0
    """Rules that stayed undecided, since start."""
    waiting: int = 0
    """Events that wait for metadata now."""
    lost: tuple[LossCount, ...] = ()
    truncated: int = 0
    """Events whose text was cut at a bound."""
    spool_bytes: int = 0
    spool_dropped: int = 0
    """Records that the spool had to drop within its bound, or that the hub refused."""
    memory_bytes: int = 0
    rules_version: str = ""
    rules_errors: int = 0
    """Errors of the last rule set that was offered; it is not in force when there is one."""
    features: tuple[Feature, ...] = ()
    costs: tuple[RuleCost, ...] = ()
    """The rules that cost most, at most ten."""
    sample: bool = False
    """True when it replays the recorded attack because no sensor can run here."""


class Report(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /agent/v1/reports``."""

    report: str
    """Id, unique for ever: what is acknowledged, and what makes a second delivery harmless."""
    agent: str
    host: str
    boot: str
    sent_ns: int
    detections: tuple[Detection, ...] = ()
    facts: tuple[Container, ...] = ()
    losses: tuple[Loss, ...] = ()
    status: AgentStatus | None = None
    """None when the report does not speak of it."""
    processes: tuple[Process, ...] | None = None
    """All living processes (parents by ``ppid``, their ``parent`` left out), now and then; None otherwise."""


class Acknowledgement(Struct, frozen=True):
    """Answer to a batch or report: it is durable, and the agent may forget it."""

    acknowledged: str


class RuleBundle(Struct, frozen=True, kw_only=True):
    """Answer of ``GET /agent/v1/rules``."""

    version: str
    """Hash over all that follows."""
    files: tuple[tuple[str, str], ...]
    """``(name, YAML)`` in load order."""
    disabled: tuple[str, ...] = ()
    """Ids (or names) of rules that are switched off."""


class Command(Struct, frozen=True, kw_only=True):
    """Answer of ``GET /agent/v1/commands``: what somebody asked this agent to do."""

    id: str
    what: str
    """``simulate``."""
    arguments: tuple[str, ...] = ()
    """Ids of simulations, to be performed one after another."""


class CommandResult(Struct, frozen=True, kw_only=True):
    """Body of ``POST /agent/v1/results``: one part of a command was done, or could not be."""

    command: str
    step: str = ""
    """The argument that this speaks of; empty when it only says that the command has ended."""
    ts_ns: int = 0
    """When the act began, UTC ns."""
    error: str = ""
    """Why it could not be done; empty when it was."""
    last: bool = False
    """True when nothing more follows for this command."""
