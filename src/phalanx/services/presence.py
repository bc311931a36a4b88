"""Which agents are there and how they are, as they last told: in memory for every page's indicator, in the state store for the next start."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection

from phalanx.errors import UnavailableError
from phalanx.model.process import Process
from phalanx.model.report import AgentStatus, Report
from phalanx.store.state import estate as store

__all__ = ["MAX_PROCESSES", "Known", "Presence"]

MAX_PROCESSES = 50_000
"""Processes of one agent that are kept; more are not listed."""
_STATUS = msgspec.json.Decoder(AgentStatus)


@dataclass(kw_only=True)
class Known:
    """One agent."""

    agent: str
    host: str
    boot: str
    first_seen_ns: int
    heard_ns: int
    status: AgentStatus | None = None
    processes: tuple[Process, ...] = ()
    processes_ns: int | None = None
    """When ``processes`` was told; None when never."""
    cut: int = 0
    """Processes beyond the bound."""
    index: dict[str, Process] = field(default_factory=dict)
    """``processes`` by id."""


class Presence:
    """All agents that were ever heard."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self.batches = 0
        self.reports = 0

    def load(self, connection: Connection) -> None:
        """What was known before a restart."""
        for row in store.agents_all(connection):
            status = None if row.status is None else _STATUS.decode(row.status)
            self._known[row.agent] = Known(
                agent=row.agent,
                host=row.host,
                boot=row.boot,
                first_seen_ns=row.first_seen_ns,
                heard_ns=row.heard_ns,
                status=status,
            )

    def all(self) -> tuple[Known, ...]:
        """Every agent, by id."""
        return tuple(self._known[agent] for agent in sorted(self._known))

    def get(self, agent: str) -> Known | None:
        """One agent; None when it was never heard."""
        return self._known.get(agent)

    def host_of(self, agent: str) -> str:
        """Name of an agent's host; empty when the agent is not known."""
        known = self._known.get(agent)
        return known.host if known is not None else ""

    def only(self) -> Known:
        """The one agent there is; UnavailableError when there is none or more than one."""
        if len(self._known) != 1:
            raise UnavailableError(
                "no agent was heard yet" if not self._known else "there is more than one agent",
                hint="name the agent" if self._known else None,
            )
        return next(iter(self._known.values()))

    def beat(self, agent: str, now_ns: int) -> None:
        """A batch of a known agent came."""
        self.batches += 1
        known = self._known.get(agent)
        if known is not None:
            known.heard_ns = max(known.heard_ns, now_ns)

    def hear(self, report: Report, now_ns: int) -> None:
        """A report came."""
        self.reports += 1
        known = self._known.get(report.agent)
        if known is None:
            known = Known(agent=report.agent, host=report.host, boot=report.boot, first_seen_ns=now_ns, heard_ns=now_ns)
            self._known[report.agent] = known
        known.host, known.boot = report.host, report.boot
        known.heard_ns = max(known.heard_ns, now_ns)
        if report.status is not None:
            known.status = report.status
        if report.processes is not None:
            known.processes = report.processes[:MAX_PROCESSES]
            known.cut = max(len(report.processes) - MAX_PROCESSES, 0)
            known.processes_ns = report.sent_ns
            known.index = {process.id: process for process in known.processes}
