"""How the agent is, as it tells the hub every few seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from phalanx.app.agent.identity import Identity
from phalanx.app.agent.outbox import Outbox
from phalanx.detect.statistics import EngineStatistics
from phalanx.model.report import AgentStatus, Feature, LossCount, RuleCost
from phalanx.sensors.kernel import Capability, Statistics
from phalanx.version import VERSION

__all__ = ["StatusKeeper", "memory_bytes"]

_LAGS: Final = 512
"""So many harvests are remembered for the lag's 95th percentile: at ten a second under load, the last minute."""


class StatusKeeper:
    """Gathers what a status tells; the sensing thread writes, nobody else."""

    def __init__(self, identity: Identity, rules_version: str) -> None:
        self.rules_version = rules_version
        self.rules_errors = 0
        self.detections = 0
        self.features: Sequence[Capability] = ()
        self._identity = identity
        self._started_ns = time.time_ns()
        self._lags: deque[int] = deque(maxlen=_LAGS)
        self._lost: dict[str, tuple[int, int]] = {}

    def decided(self, lag_ns: int, events: int) -> None:
        """The oldest of ``events`` candidates was decided ``lag_ns`` after it happened."""
        self._lags.append(lag_ns)

    def snapshot(self, sensor: Statistics, engine: EngineStatistics, *, outboxes: Sequence[Outbox]) -> AgentStatus:
        """Everything, now."""
        lags = sorted(self._lags)
        spools = [outbox.spool.statistics() for outbox in outboxes]
        return AgentStatus(
            version=VERSION,
            started_ns=self._started_ns,
            kernel=self._identity.kernel,
            lag_p95_ms=lags[int(len(lags) * 0.95)] / 1e6 if lags else None,
            events_per_s=sensor.events_per_s,
            events_total=sensor.events,
            candidates_total=sensor.candidates,
            detections_total=self.detections,
            undecided=engine.undecided,
            waiting=engine.waiting,
            lost=self._losses(sensor.lost),
            truncated=sensor.truncated,
            spool_bytes=sum(spool.bytes for spool in spools),
            spool_dropped=sum(spool.dropped for spool in spools) + sum(outbox.state.refused for outbox in outboxes),
            memory_bytes=memory_bytes(),
            rules_version=self.rules_version,
            rules_errors=self.rules_errors,
            features=tuple(
                Feature(name=one.program, available=one.runs, why=one.reason or "") for one in self.features
            ),
            costs=tuple(
                RuleCost(
                    rule=one.rule, evaluated=one.evaluated, matched=one.matched, undecided=one.undecided, ns=one.ns
                )
                for one in sorted(engine.rules, key=lambda one: -one.ns)[:10]
            ),
        )

    def _losses(self, lost: dict[str, int]) -> tuple[LossCount, ...]:
        now = time.time_ns()
        for cause, count in lost.items():
            before, last = self._lost.get(cause, (0, 0))
            if count:
                self._lost[cause] = (count, now if count > before else last)
        return tuple(LossCount(cause=cause, count=count, last_ns=last) for cause, (count, last) in self._lost.items())


def memory_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
