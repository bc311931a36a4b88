"""What waits for the hub: two spools and the threads that deliver them, oldest first, until each is acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from phalanx.app.agent.link import HubLink
from phalanx.bus.spool import Spool
from phalanx.errors import CorruptError, LimitError, UnavailableError

__all__ = ["Delivery", "Outbox", "outboxes"]

_BATCH_SPOOL_BYTES: Final = 512 << 20
_REPORT_SPOOL_BYTES: Final = 64 << 20
_RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Delivery:
    """How one outbox stands; written by its thread, read by others."""

    def __init__(self) -> None:
        self.delivered = 0
        self.refused = 0
        """Records that the hub will never take; set aside and counted."""
        self.last_error = ""
        """Empty while the hub answers."""
        self.last_ack_ns = 0


class Outbox:
    """A spool and the thread that empties it into one route of the hub."""

    def __init__(
        self,
        spool: Spool,
        link: HubLink,
        route: str,
        content_type: str,
        complain: Callable[[str], None],
        *,
        tell_absence: bool = True,
    ) -> None:
        """``tell_absence`` False: another outbox says already that the hub is away."""
        self.spool = spool
        self.state = Delivery()
        self._link = link
        self._route = route
        self._content_type = content_type
        self._complain = complain
        self._tell_absence = tell_absence
        self._stop = threading.Event()

    def put(self, identity: str, body: bytes | memoryview) -> None:
        """Keep ``body`` under ``identity`` until the hub acknowledges it; durable when this returns."""
        self.spool.append(identity, body)

    def run(self) -> None:
        """Deliver until :meth:`stop`; then whatever the hub still takes at once."""
        failures = 0
        while True:
            entry = self.spool.first()
            if entry is None:
                if self._stop.is_set():
                    return
                self.spool.wait(0.5)
                continue
            try:
                self._link.deliver(self._route, entry.id, entry.payload, self._content_type)
            except (UnavailableError, CorruptError) as error:
                if self._stop.is_set():
                    return  # it stays in the spool for the next start
                if not self.state.last_error and self._tell_absence:
                    self._complain(f"{error.message}; keeping what is seen until it does")
                self.state.last_error = error.message
                self._stop.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
                continue
            except LimitError as error:
                self.state.refused += 1
                self._complain(f"a record of {len(entry.payload)} bytes was refused and set aside: {error.message}")
            else:
                self.state.delivered += 1
                self.state.last_ack_ns = time.time_ns()
            if self.state.last_error and self._tell_absence:
                self._complain("the hub answers again")
            self.state.last_error = ""
            failures = 0
            self.spool.forget(entry.id)

    @property
    def hub_pid(self) -> int | None:
        """Pid of the hub that it delivers to; None while there is none."""
        return self._link.hub_pid

    def stop(self) -> None:
        """Ask the thread to end once the spool is empty or the hub does not answer."""
        self._stop.set()

    def close(self) -> None:
        """Close link and spool, after :meth:`run` has returned."""
        self._link.close()
        self.spool.close()


def outboxes(state: Path, socket: Path, complain: Callable[[str], None]) -> tuple[Outbox, Outbox]:
    """The agent's two: batches of events, and reports, which never wait behind them."""
    batches = Outbox(
        Spool(state / "batches", max_bytes=_BATCH_SPOOL_BYTES),
        HubLink(socket),
        "/agent/v1/batches",
        "application/octet-stream",
        complain,
    )
    reports = Outbox(
        Spool(state / "reports", max_bytes=_REPORT_SPOOL_BYTES),
        HubLink(socket),
        "/agent/v1/reports",
        "application/json",
        complain,
        tell_absence=False,
    )
    return batches, reports
