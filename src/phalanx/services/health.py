"""Health: what can we not see, and why; and the facts for the freshness indicator of every page."""

from __future__ import annotations

from msgspec import Struct

from phalanx.identity.actor import Actor

__all__ = ["AgentHealth", "Freshness", "Health", "HealthView", "KernelFeature", "LossCause", "StoreHealth"]


class LossCause(Struct, frozen=True, kw_only=True):
    """Events that were not seen."""

    cause: str
    """``ring_full``, ``spool_full``, ``rate_guard`` …"""
    count: int | None
    """None when not known."""
    last_ns: int | None = None


class KernelFeature(Struct, frozen=True, kw_only=True):
    """One thing the sensor can or cannot do on a node."""

    name: str
    available: bool
    why: str = ""
    """Why not, in a sentence with what to do."""


class AgentHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent."""

    agent: str
    host: str
    version: str = ""
    heard_ns: int
    state: str
    """``live`` (heard within 15 s), ``stale`` (60 s), ``silent``."""
    lag_ms: float | None = None
    """95th percentile of the time from kernel to hub, as the agent told; None when it has not."""
    events_per_s: float | None = None
    lost: tuple[LossCause, ...] = ()
    """In the last 24 hours."""
    spool_bytes: int = 0
    memory_bytes: int | None = None
    rules_version: str = ""
    rules_current: bool = True
    """False when it runs another rule set than the hub serves."""
    features: tuple[KernelFeature, ...] = ()
    undecided: int = 0
    """Rules undecided for want of metadata, since its start."""
    sample: bool = False
    """True for the recorded attack that is replayed where no sensor can run."""


class StoreHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One store of the hub."""

    name: str
    ok: bool
    rows: int | None = None
    bytes: int | None = None
    since_ns: int | None = None
    """Oldest row."""
    free_bytes: int | None = None
    note: str = ""
    """What is wrong, and what to do."""


class Freshness(Struct, frozen=True, kw_only=True):
    """The top bar of every page."""

    newest_ns: int | None
    """Time of the newest event; None when there is none."""
    agents_live: int
    agents: int
    lost: int
    """Events known to be lost in the last hour."""
    now_ns: int


class HealthView(Struct, frozen=True, kw_only=True):
    """The health page."""

    sentence: str
    """English; the console makes its own from the rest."""
    agents: tuple[AgentHealth, ...]
    """Worst first."""
    stores: tuple[StoreHealth, ...]
    dropped: dict[str, int]
    """What the hub's own bounded queues dropped, by queue."""
    memory_bytes: int
    started_ns: int
    version: str


class Health:
    """How the parts are."""

    async def view(self, actor: Actor) -> HealthView:
        """Everything of the health page."""
        raise NotImplementedError

    async def freshness(self, actor: Actor) -> Freshness:
        """The indicator; answered from memory."""
        raise NotImplementedError
