"""What all services share: the state store in threads, the clock, the trail."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection

from phalanx.identity.actor import Actor
from phalanx.identity.audit import GENESIS, bounded_detail, entry_hash
from phalanx.store.state import StateStore, ledger

__all__ = ["Clock", "State", "record"]

T = TypeVar("T")
Clock = Callable[[], int]
"""UTC nanoseconds."""

_READERS: Final = 4


def record(
    connection: Connection,
    actor: Actor,
    action: str,
    object: str,
    *,
    now_ns: int,
    refused: bool = False,
    detail: Mapping[str, str] | None = None,
) -> None:
    """Write one entry of the operators' trail, in the transaction of the act itself: no act without its entry, no entry without its act."""
    content: dict[str, Any] = {
        "ts_ns": now_ns,
        "actor": actor.name[:64],
        "via": actor.via,
        "credential": actor.credential,
        "source": actor.source[:64],
        "action": action,
        "object": object[:256],
        "outcome": "refused" if refused else "done",
        "detail": bounded_detail({key: value for key, value in (detail or {}).items() if value}),
    }
    ledger.append(connection, content, genesis=GENESIS, seal=entry_hash)


class State:
    """The state store for coroutines: each call runs in a thread, writers one after another."""

    def __init__(self, store: StateStore, *, clock: Clock = time.time_ns) -> None:
        self.store = store
        self.clock = clock
        self._readers = CapacityLimiter(_READERS)
        self._writers = CapacityLimiter(1)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """``work`` in a reading transaction."""

        def run() -> T:
            with self.store.read() as connection:
                return work(connection)

        return await to_thread.run_sync(run, limiter=self._readers)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """``work`` in a writing transaction; durable when this returns."""

        def run() -> T:
            with self.store.write() as connection:
                return work(connection)

        return await to_thread.run_sync(run, limiter=self._writers)
