"""The agent where no kernel sensor can run: it says why, and tells what /proc shows."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from phalanx.app.agent.identity import Identity
from phalanx.app.agent.outbox import outboxes
from phalanx.app.agent.runtime import alone
from phalanx.app.agent.status import memory_bytes
from phalanx.model.report import AgentStatus, Feature, Report
from phalanx.sensors.kernel import doctor
from phalanx.sensors.kernel.inventory import inventory
from phalanx.version import VERSION

__all__ = ["InventoryRuntime"]

_STATUS_EVERY_S: Final = 5.0
_PROCESSES_EVERY_S: Final = 30.0


class InventoryRuntime:
    """Reports the missing features and the living processes. :meth:`run` blocks until :meth:`stop`."""

    def __init__(self, *, state: Path, socket: Path, identity: Identity, say: Callable[[str], None]) -> None:
        self._identity = identity
        self._started_ns = time.time_ns()
        self._stopping = threading.Event()
        batches, self._reports = outboxes(state, socket, say)
        batches.close()

    def run(self) -> None:
        """Report until :meth:`stop`."""
        deliver = threading.Thread(target=self._reports.run, name="deliver-reports")
        deliver.start()
        encoder = msgspec.json.Encoder()
        next_processes = 0.0
        try:
            while not self._stopping.is_set():
                processes = None
                if time.monotonic() >= next_processes:
                    next_processes = time.monotonic() + _PROCESSES_EVERY_S
                    processes = tuple(alone(inventory(self._identity.boot)))
                report = Report(
                    report=uuid.uuid4().hex,
                    agent=self._identity.agent,
                    host=self._identity.host,
                    boot=self._identity.boot,
                    sent_ns=time.time_ns(),
                    status=self._status(),
                    processes=processes,
                )
                self._reports.put(report.report, encoder.encode(report))
                self._stopping.wait(_STATUS_EVERY_S)
        finally:
            self._reports.stop()
            deliver.join()
            self._reports.close()

    def stop(self) -> None:
        """Ask :meth:`run` to end."""
        self._stopping.set()

    def _status(self) -> AgentStatus:
        return AgentStatus(
            version=VERSION,
            started_ns=self._started_ns,
            kernel=self._identity.kernel,
            memory_bytes=memory_bytes(),
            features=tuple(
                Feature(
                    name=check.name,
                    available=check.ok,
                    why=" — ".join(filter(None, (check.found, check.remedy))) if not check.ok else "",
                )
                for check in doctor.checks()
            ),
        )
