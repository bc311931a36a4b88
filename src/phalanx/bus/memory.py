"""A bounded queue inside the process: for parts of one process, and where losing what waits at a crash is right."""

from __future__ import annotations

import threading
from collections import OrderedDict

from phalanx.bus.interface import MAX_IDENTITY_BYTES, MAX_RECORD_BYTES, Bus, BusStatistics, Entry
from phalanx.errors import LimitError, UnavailableError

__all__ = ["MemoryBus", "check_record"]


def check_record(identity: str, size: int, bound: int) -> bytes:
    """The id as bytes. LimitError when id or payload pass a bound."""
    raw = identity.encode("utf-8", "surrogatepass")
    if not raw or len(raw) > MAX_IDENTITY_BYTES:
        raise LimitError(f"the id of a record is empty or longer than {MAX_IDENTITY_BYTES} bytes")
    if size > min(MAX_RECORD_BYTES, bound):
        raise LimitError(f"a record of {size} bytes is larger than the bound of {min(MAX_RECORD_BYTES, bound)}")
    return raw


class MemoryBus(Bus):
    """A :class:`Bus` in memory; what it holds ends with the process."""

    def __init__(self, *, max_bytes: int = 64 * 1024 * 1024, max_records: int = 100_000) -> None:
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._condition = threading.Condition()
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._appended = self._duplicates = self._forgotten = self._dropped = self._dropped_bytes = self._refused = 0
        self._closed = False

    def append(self, identity: str, payload: bytes | bytearray | memoryview) -> None:
        """See :meth:`Bus.append`."""
        size = memoryview(payload).nbytes
        with self._condition:
            self._open()
            try:
                check_record(identity, size, self._max_bytes)
            except LimitError:
                self._refused += 1
                raise
            if identity in self._held:
                self._duplicates += 1
                return
            while self._held and (self._bytes + size > self._max_bytes or len(self._held) >= self._max_records):
                _, old = self._held.popitem(last=False)
                self._bytes -= len(old)
                self._dropped += 1
                self._dropped_bytes += len(old)
            self._held[identity] = bytes(payload)
            self._bytes += size
            self._appended += 1
            self._condition.notify_all()

    def first(self) -> Entry | None:
        """See :meth:`Bus.first`."""
        with self._condition:
            self._open()
            for identity, payload in self._held.items():
                return Entry(id=identity, payload=payload)
            return None

    def forget(self, identity: str) -> bool:
        """See :meth:`Bus.forget`."""
        with self._condition:
            self._open()
            payload = self._held.pop(identity, None)
            if payload is None:
                return False
            self._bytes -= len(payload)
            self._forgotten += 1
            return True

    def wait(self, timeout_s: float) -> bool:
        """See :meth:`Bus.wait`."""
        with self._condition:
            self._open()
            self._condition.wait_for(lambda: self._held or self._closed, timeout_s)
            return bool(self._held)

    def statistics(self) -> BusStatistics:
        """See :meth:`Bus.statistics`."""
        with self._condition:
            return BusStatistics(
                records=len(self._held),
                bytes=self._bytes,
                max_bytes=self._max_bytes,
                appended=self._appended,
                duplicates=self._duplicates,
                forgotten=self._forgotten,
                dropped=self._dropped,
                dropped_bytes=self._dropped_bytes,
                refused=self._refused,
            )

    def close(self) -> None:
        """See :meth:`Bus.close`."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _open(self) -> None:
        if self._closed:
            raise UnavailableError("the bus is closed")
