"""What every bus offers: records kept in order, under an id, until they are forgotten; bounded; nothing is lost without being counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from msgspec import Struct

__all__ = ["MAX_IDENTITY_BYTES", "MAX_RECORD_BYTES", "Bus", "BusStatistics", "Entry"]

MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
"""No payload is larger; a batch of events has at most as many."""

MAX_IDENTITY_BYTES: Final = 512
"""Of an id as UTF-8."""


class Entry(Struct, frozen=True, kw_only=True):
    """One record."""

    id: str
    """What its sender named it; unique among those that are held."""
    payload: bytes


class BusStatistics(Struct, frozen=True, kw_only=True):
    """How loaded a bus is; counters count since it was opened, but for ``dropped`` of a bus that outlives its process, which counts for ever."""

    records: int
    """Held now."""
    bytes: int
    """Space that they take, of ``max_bytes``."""
    max_bytes: int
    appended: int
    duplicates: int
    """Appended under an id that was held; nothing was kept twice."""
    forgotten: int
    dropped: int
    """Oldest records that had to go because the bound was reached: they were never forgotten by their receiver."""
    dropped_bytes: int
    refused: int
    """Not taken: too large, or the disk was full even after dropping."""
    corrupt: int = 0
    """Records whose checksum was wrong, left out."""
    cut_bytes: int = 0
    """Cut from a torn end when it was opened: a write that was never acknowledged."""


class Bus(ABC):
    """First in, first out, at least once. Safe to use from any thread."""

    @abstractmethod
    def append(self, identity: str, payload: bytes | bytearray | memoryview) -> None:
        """Keeps ``payload`` until ``forget(identity)``; when this returns it is as durable as the member promises.

        A record under an id that is held already is not kept again. When the bound is reached the oldest records go, counted.

        Raises:
            LimitError: it is larger than :data:`MAX_RECORD_BYTES` or than the whole bound, or the id is empty or too long.
            UnavailableError: it cannot be kept (disk full or broken, closed).
        """

    @abstractmethod
    def first(self) -> Entry | None:
        """The oldest record, which stays; None when there is none."""

    @abstractmethod
    def forget(self, identity: str) -> bool:
        """The record is done with; False when it is not held (any more). A record may come again after a crash, never one too few."""

    @abstractmethod
    def wait(self, timeout_s: float) -> bool:
        """Waits until a record is held; False when the time has passed."""

    @abstractmethod
    def statistics(self) -> BusStatistics:
        """Counters and sizes; cheap."""

    @abstractmethod
    def close(self) -> None:
        """Ends it; further calls raise ``UnavailableError``. Harmless when called twice."""

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
