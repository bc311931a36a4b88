"""A process to be killed: appends batches to an event store or records to a spool, and tells each acknowledgement on its standard output.

``python appender.py store|spool ROOT FIRST KILL``: FIRST is the number of its first batch, KILL ``never`` or ``CALL:before|after:N``: it kills itself
with SIGKILL before or after its N-th call of ``os.CALL`` (``fdatasync``, ``fsync``, ``rename``, ``unlink`` …), which are the instants between write,
fsync and rename.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 25
"""Events of one batch."""


def arm(kill: str) -> None:
    """Arranges the end."""
    if kill == "never":
        return
    name, moment, number = kill.split(":")
    real: Callable[..., Any] = getattr(os, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if moment == "before" and calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if moment == "after" and calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, name, deadly)


def tell(number: int) -> None:
    """One acknowledged batch, into the ledger outside."""
    os.write(1, b"%d\n" % number)


def append_to_store(root: Path, first: int, kill: str) -> None:
    from tests.conformance.event_samples import HOUR, T0, batch_of, samples

    from phalanx.store.events.log import LogEventStore
    from phalanx.store.events.options import LogOptions

    options = LogOptions(seal_rows=150, retention_s=1e9, maintenance_s=0.02, compact_after=3)
    store = LogEventStore(root, options=options)
    # Some of what was sent before is sent again, as an agent does that heard no answer.
    numbers = [*range(max(0, first - 10), first), *range(first, first + 100_000)]
    arm(kill)
    for number in numbers:
        # Steps of three minutes: a segment holds more than one hour.
        events = samples(
            ROWS, start=T0 + (number % 40) * HOUR // 20, step=1_000_000_000, first_seq=number * ROWS, seed=number
        )
        if store.append(batch_of(events, f"batch-{number}")).rows == ROWS or number < first:
            tell(number)


def append_to_spool(root: Path, first: int, kill: str) -> None:
    from phalanx.bus.spool import Spool

    spool = Spool(root, max_bytes=1024 * 1024, segment_bytes=8192)
    arm(kill)
    for number in range(first, first + 1_000_000):
        spool.append(f"record-{number}", b"%d " % number * 50)
        tell(number)
        if number % 3 == 0:
            entry = spool.first()
            if entry is not None:
                os.write(1, b"-%s\n" % entry.id.removeprefix("record-").encode())
                spool.forget(entry.id)


if __name__ == "__main__":
    _, what, root, first, kill = sys.argv
    (append_to_store if what == "store" else append_to_spool)(Path(root), int(first), kill)
