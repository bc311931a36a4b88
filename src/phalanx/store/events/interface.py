"""What every event store offers, and what it answers."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from phalanx.language.query import EventQuery
from phalanx.model.container import Container
from phalanx.model.event import Event

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Ack", "Answer", "Cancel", "Completeness", "EventStore", "FactSource", "Gap", "StoreStatistics"]

FactSource = Callable[[int, int], Iterable[tuple[str, Container]]]
"""``(since_ns, until_ns)`` → ``(host, container)`` of every fact that holds at some time in between."""


class Ack(Struct, frozen=True, kw_only=True):
    """A batch is durable."""

    batch: str
    """Id of the batch."""
    rows: int
    """Events that it holds."""
    duplicate: bool = False
    """True when it was stored before; nothing was stored again."""


class Gap(Struct, frozen=True, kw_only=True):
    """A time for which an agent recorded nothing of a kind, or what it recorded is lost."""

    agent: str
    kind: str
    since_ns: int
    until_ns: int


class Completeness(Struct, frozen=True, kw_only=True):
    """Whether the history that was asked is whole: every answer about the past carries it."""

    complete: bool
    """True when every agent in question recorded every kind in question for the whole time asked, as far as it has reported, and lost nothing."""
    recorded_since_ns: int | None = None
    """From when the record reaches without a gap to its end, for all agents in question: "not recorded before". None when nothing is recorded."""
    recorded_until_ns: int | None = None
    """Up to when every agent in question has reported; events after it may still come. None when nothing is recorded."""
    gaps: tuple[Gap, ...] = ()
    """Oldest first, at most 100."""
    lost: int = 0
    """Events that ``Loss`` events of the time report as lost."""
    lost_unknown: bool = False
    """True when a ``Loss`` could not say how many."""
    undecided: int | None = None
    """Events of the time for which the condition rests on something UNKNOWN; they are not in the answer. Counted for groups and histograms; None for rows."""


class Answer(Struct, frozen=True, kw_only=True):
    """What the store says to an :class:`~phalanx.language.query.EventQuery`."""

    table: pa.Table
    """Rows in the order asked; with groups the group columns, ``count`` and, with a bucket, ``bucket_ns``."""
    completeness: Completeness
    cursor: str | None = None
    """Pass it on for the next page; None when this is the end."""
    scanned: int = 0
    """Events in the parts that were looked at."""
    took_ns: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """The table as dictionaries."""
        return self.table.to_pylist()  # type: ignore[no-any-return]


class StoreStatistics(Struct, frozen=True, kw_only=True):
    """How the store is, since it was opened unless said otherwise."""

    events: int
    """Stored now."""
    hot_events: int
    """Of these, in segments that are not sealed yet."""
    segments: int
    parts: int
    bytes_on_disk: int
    oldest_ns: int | None
    newest_ns: int | None
    batches: int
    """Acknowledged."""
    duplicates: int
    """Delivered again and not stored again."""
    refused: int
    """Not acknowledged: broken, too large, or the disk was full."""
    syncs: int
    """fsync calls of the hot path; ``batches / syncs`` is the size of a group."""
    cut_bytes: int
    """Cut from torn tails when the store was opened."""
    corrupt_batches: int
    """Batches whose checksum was wrong; their time is a gap."""
    corrupt_parts: int
    """Parts set aside because their bytes are not what their manifest says; their time is a gap."""
    sealed: int
    compacted: int
    dropped_parts: int
    """By retention."""
    clock_steps: int
    """Times the clock was seen to jump; retention by age rests for a day then."""
    failures: int
    """Maintenance rounds that failed; the last one in ``last_failure``."""
    last_failure: str = ""


class Cancel:
    """Ends a running query from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self.cancelled = False

    def cancel(self) -> None:
        """The query raises ``LimitError`` soon; harmless when it has ended."""
        with self._lock:
            self.cancelled = True
            actions = list(self._actions)
        for action in actions:
            action()

    def on_cancel(self, action: Callable[[], None]) -> None:
        """For stores: run ``action`` when cancelled, at once when that has happened."""
        with self._lock:
            self._actions.append(action)
            now = self.cancelled
        if now:
            action()


class EventStore(ABC):
    """Append-only history of events. Safe to use from any thread."""

    @abstractmethod
    def submit(self, block: bytes | bytearray | memoryview) -> Future[Ack]:
        """Takes a column batch; the future is done when it is durable. Waits while the queue is full.

        Raises:
            CorruptError, LimitError: the batch is not what :mod:`phalanx.model.columns` says; at once, not by the future.
            UnavailableError: from the future: the disk is full or fails. Nothing of the batch is kept; send it again later.
        """

    def append(self, block: bytes | bytearray | memoryview) -> Ack:
        """:meth:`submit`, and waits until the batch is durable."""
        return self.submit(block).result()

    @abstractmethod
    def query(self, query: EventQuery, *, time_limit_s: float = 10.0, cancel: Cancel | None = None) -> Answer:
        """Answers ``query``; blocks, releases the GIL while the engine works.

        A row has the fields that the query names (and ``id`` and ``ts_ns``), or the store's list columns when it names none.

        Raises:
            UsageError: a column, cursor or limit is wrong, or the condition uses a field that is not stored.
            LimitError: the time limit has passed, or ``cancel`` was called.
        """

    @abstractmethod
    def get(self, event_id: str) -> Event:
        """The event with its process and all its recorded ancestors. NotFoundError when it is not (or no longer) stored."""

    @abstractmethod
    def tail(self, after: int, *, columns: Sequence[str] = (), limit: int = 1000) -> tuple[pa.Table, int, int]:
        """What was stored since position ``after``, in the order it came: ``(table, position, skipped)``.

        Pass ``position`` to the next call; 0 or less means "from now on" and gives an empty table. ``skipped`` counts events that are no longer in the
        hot part or did not fit into ``limit`` (the newest are given).
        """

    @abstractmethod
    def wait(self, after: int, timeout_s: float) -> bool:
        """Waits until something is stored after position ``after``; False when the time has passed."""

    @abstractmethod
    def completeness(self, query: EventQuery) -> Completeness:
        """What :meth:`query` would say of its completeness, without the rows."""

    @abstractmethod
    def statistics(self) -> StoreStatistics:
        """Counters and sizes; cheap."""

    @abstractmethod
    def verify(self) -> list[str]:
        """Reads everything that is stored against its checksums; a sentence for each thing that is wrong (and now set aside)."""

    @abstractmethod
    def close(self) -> None:
        """Ends what runs; what was acknowledged stays. Harmless when called twice."""

    def __enter__(self) -> EventStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
