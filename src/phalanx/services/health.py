"""Health: what can we not see, and why; and the facts for the freshness indicator of every page."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from anyio import to_thread
from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.report import RuleCost
from phalanx.services.base import State
from phalanx.services.presence import Known, Presence
from phalanx.store.events.interface import EventStore
from phalanx.store.state import estate as estate_store
from phalanx.version import VERSION

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


class AgentHealth(Struct, frozen=True, kw_only=True):
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
    kernel: str = ""
    """Release of the kernel."""
    truncated: int = 0
    """Events whose text was cut, since its start."""
    spool_dropped: int = 0
    """Records that its spool had to drop."""
    rules_errors: int = 0
    """Errors of the last rule set that it was offered; it keeps the former one then."""
    costs: tuple[RuleCost, ...] = ()
    """The rules that cost most."""
    sample: bool = False
    """True for the recorded attack that is replayed where no sensor can run."""


class StoreHealth(Struct, frozen=True, kw_only=True):
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


_S: Final = 10**9
_DAY_NS: Final = 86_400 * _S
_HOUR_NS: Final = 3_600 * _S
_LIVE_NS: Final = 15 * _S
_REMEMBER_S: Final = 2.0
"""The indicator of every page is computed at most so often."""
_ORDER: Final = {"silent": 0, "stale": 1, "live": 2}


class Health:
    """How the parts are."""

    def __init__(
        self,
        state: State,
        store: EventStore,
        presence: Presence,
        *,
        rules_version: Callable[[], str],
        dropped: Callable[[], dict[str, int]],
        directory: Path,
        silent_after_s: int,
    ) -> None:
        self._state = state
        self._store = store
        self._presence = presence
        self._rules_version = rules_version
        self._dropped = dropped
        self._directory = directory
        self._silent_ns = silent_after_s * _S
        self._started_ns = state.clock()
        self._fresh: tuple[float, Freshness] | None = None

    def state_of(self, heard_ns: int, now_ns: int) -> str:
        """``live``, ``stale`` or ``silent``."""
        age = now_ns - heard_ns
        return "live" if age < _LIVE_NS else "stale" if age < self._silent_ns else "silent"

    async def view(self, actor: Actor) -> HealthView:
        """Everything of the health page."""
        actor.require(Permission.HEALTH_READ)
        now = self._state.clock()
        losses = await self._state.read(
            lambda connection: estate_store.losses_by_cause(connection, since_ns=now - _DAY_NS)
        )
        by_agent: dict[str, list[LossCause]] = {}
        for agent, cause, count, last in losses:
            by_agent.setdefault(agent, []).append(LossCause(cause=cause, count=count, last_ns=last))
        agents = [self._agent(known, tuple(by_agent.get(known.agent, ())), now) for known in self._presence.all()]
        agents.sort(key=lambda row: (_ORDER[row.state], -sum(loss.count or 1 for loss in row.lost), row.host))
        stores = await to_thread.run_sync(self._stores)
        return HealthView(
            sentence=_sentence(agents, stores),
            agents=tuple(agents),
            stores=stores,
            dropped=self._dropped(),
            memory_bytes=_resident(),
            started_ns=self._started_ns,
            version=VERSION,
        )

    def _agent(self, known: Known, lost: tuple[LossCause, ...], now: int) -> AgentHealth:
        status = known.status
        state = self.state_of(known.heard_ns, now)
        if status is None:
            return AgentHealth(agent=known.agent, host=known.host, heard_ns=known.heard_ns, state=state, lost=lost)
        return AgentHealth(
            agent=known.agent,
            host=known.host,
            version=status.version,
            heard_ns=known.heard_ns,
            state=state,
            lag_ms=status.lag_p95_ms,
            events_per_s=status.events_per_s,
            lost=lost,
            spool_bytes=status.spool_bytes,
            memory_bytes=status.memory_bytes,
            rules_version=status.rules_version,
            rules_current=status.rules_version == self._rules_version(),
            features=tuple(
                KernelFeature(name=item.name, available=item.available, why=item.why) for item in status.features
            ),
            undecided=status.undecided,
            sample=status.sample,
            kernel=status.kernel,
            truncated=status.truncated,
            spool_dropped=status.spool_dropped,
            rules_errors=status.rules_errors,
            costs=status.costs,
        )

    def _stores(self) -> tuple[StoreHealth, ...]:
        free = shutil.disk_usage(self._directory).free
        told = self._store.statistics()
        note = told.last_failure if told.failures else ""
        if told.corrupt_parts or told.corrupt_batches:
            broken = f"{told.corrupt_parts} parts and {told.corrupt_batches} batches were damaged and set aside; their time is a gap."
            note = f"{note} {broken}".strip()
        if free < 1 << 30:
            note = f"{note} Less than 1 GiB is free on the disk: make room, or lower events_max_bytes.".strip()
        sizes = self._state.store.sizes()
        return (
            StoreHealth(
                name="events",
                ok=not note,
                rows=told.events,
                bytes=told.bytes_on_disk,
                since_ns=told.oldest_ns,
                free_bytes=free,
                note=note,
            ),
            StoreHealth(name="state", ok=True, rows=sizes["findings"], bytes=sizes["bytes"], free_bytes=free),
        )

    async def freshness(self, actor: Actor) -> Freshness:
        """The indicator; computed at most every two seconds."""
        actor.require(Permission.HEALTH_READ)
        moment = time.monotonic()
        if self._fresh is not None and moment - self._fresh[0] < _REMEMBER_S:
            return msgspec.structs.replace(self._fresh[1], now_ns=self._state.clock())
        now = self._state.clock()
        lost = await self._state.read(
            lambda connection: estate_store.loss_total(connection, since_ns=now - _HOUR_NS, until_ns=now + 1)
        )
        told = await to_thread.run_sync(self._store.statistics)
        known = self._presence.all()
        fresh = Freshness(
            newest_ns=told.newest_ns,
            agents_live=sum(1 for agent in known if self.state_of(agent.heard_ns, now) == "live"),
            agents=len(known),
            lost=lost,
            now_ns=now,
        )
        self._fresh = (moment, fresh)
        return fresh


def _resident() -> int:
    """Resident memory of this process in bytes (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _sentence(agents: Sequence[AgentHealth], stores: Sequence[StoreHealth]) -> str:
    gaps = [f"{agent.host} is silent" for agent in agents if agent.state == "silent"]
    gaps += [f"{agent.host} lost events" for agent in agents if agent.lost]
    gaps += [f"the {store.name} store says: {store.note}" for store in stores if not store.ok]
    if not agents:
        return "No agent was heard yet."
    if not gaps:
        return "Everything is seen."
    more = f", and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    return f"{len(gaps)} {'gap' if len(gaps) == 1 else 'gaps'}: {'; '.join(gaps[:3])}{more}."
