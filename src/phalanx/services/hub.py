"""All services together, as the application wires them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow
from anyio import to_thread
from sqlalchemy import Connection

from phalanx.errors import PhalanxError
from phalanx.services.accounts import Accounts
from phalanx.services.audit import Audit
from phalanx.services.base import State
from phalanx.services.estate import Estate
from phalanx.services.events import Events
from phalanx.services.findings import Findings
from phalanx.services.health import Health
from phalanx.services.ingest import Ingest
from phalanx.services.overview import Overview
from phalanx.services.rules import Rules
from phalanx.services.settings import Settings
from phalanx.services.simulate import Simulate
from phalanx.store.events.interface import EventStore
from phalanx.store.state import accounts as accounts_store
from phalanx.store.state import estate as estate_store
from phalanx.store.state import findings as findings_store

__all__ = ["Services"]

_LOG: Final = logging.getLogger("phalanx.services")
_HOUSEKEEPING_S: Final = 30.0
_DELIVERY_PAUSE_S: Final = 5.0
"""Deliveries begin again after so long when the state store failed them."""
_S: Final = 10**9


@dataclass(frozen=True, kw_only=True)
class Services:
    """What API and console call; a route handler receives it as the dependency ``services``."""

    accounts: Accounts
    audit: Audit
    estate: Estate
    events: Events
    findings: Findings
    health: Health
    ingest: Ingest
    overview: Overview
    rules: Rules
    settings: Settings
    simulate: Simulate
    state: State
    event_store: EventStore
    keep_s: int
    """How long detections, losses and gone containers are remembered, seconds."""
    session_idle_s: int

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What the hub does on its own, while the block runs; afterwards the stores are closed."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._always(self.housekeeping, _HOUSEKEEPING_S)),
                    group.create_task(self._always(self.settings.deliver, _DELIVERY_PAUSE_S)),
                ]
                try:
                    yield
                finally:
                    self.stop_streams()
                    for task in tasks:
                        task.cancel()
        finally:
            await to_thread.run_sync(self.close)

    def close(self) -> None:
        """Close both stores; what was acknowledged stays."""
        self.event_store.close()
        self.state.store.close()

    async def _always(self, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        failed = ""
        while True:
            try:
                await work()
                failed = ""
            except PhalanxError as error:  # a full disk must not end the hub; it is told once, and on the health page
                if error.message != failed:
                    _LOG.warning("%s", error)
                failed = error.message
            await asyncio.sleep(seconds)

    async def housekeeping(self) -> None:
        """End acceptances, forget what is too old."""
        now = self.state.clock()
        await self.findings.expire()
        before = now - self.keep_s * _S

        def work(connection: Connection) -> None:
            accounts_store.drop_dead(
                connection,
                now_ns=now,
                idle_before_ns=now - self.session_idle_s * _S,
                answers_before_ns=now - 86_400 * _S,
            )
            estate_store.drop_old(connection, before_ns=before)
            findings_store.drop_detections(connection, before_ns=before)

        await self.state.write(work)
        await to_thread.run_sync(give_back_memory)

    def stop_streams(self) -> None:
        """End all live streams and long polls, so that requests end; a second call does nothing."""
        with contextlib.suppress(RuntimeError):
            self.findings.updates.close()
            self.events.stop()
            self.rules.stop()
            self.simulate.stop()


def give_back_memory() -> None:
    """Return what questions have freed to the system: Arrow's pool and the C library keep it otherwise, and the hub must stay small when idle."""
    pyarrow.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has malloc_trim(3)
        ctypes.CDLL(None).malloc_trim(0)
