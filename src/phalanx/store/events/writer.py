"""The hot path: batches wait in a bounded queue, one thread writes them in groups, and one fsync acknowledges a group."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from msgspec import Struct

from phalanx.errors import UnavailableError
from phalanx.store.events.hot import HotSegment
from phalanx.store.events.interface import Ack
from phalanx.store.events.live import Live
from phalanx.store.events.options import LogOptions
from phalanx.store.events.seal import known_name
from phalanx.store.events.segment import MessageEncoder, SegmentWriter, segment_name
from phalanx.store.events.wrap import Batch

__all__ = ["HotWriter"]


_HELD_BACK_S: Final = 0.02
"""How long the writer rests when sealing has fallen behind, before it looks again."""


class _Waiting(Struct, kw_only=True):
    batch: Batch
    future: Future[Ack]
    nbytes: int


class HotWriter:
    """Owns the open segment. ``submit`` may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        live: Live,
        options: LogOptions,
        next_number: Callable[[], int],
        *,
        clock: Callable[[], int],
        on_closed: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._live = live
        self._options = options
        self._next_number = next_number
        self._clock = clock
        self._on_closed = on_closed
        self._lock = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._inflight: dict[str, Future[Ack]] = {}
        self._known: OrderedDict[str, int] = OrderedDict()
        self._closing = False
        self._rotate_now = False
        self._arrived = threading.Condition()
        self.position = 0
        """Batches that were made durable or recovered since the store was opened."""
        self.closed_segments: deque[HotSegment] = deque()
        """Segments that nothing is appended to any more and that wait to be sealed."""
        self.batches = 0
        self.duplicates = 0
        self.refused = 0
        self.syncs = 0
        self.held_back = 0
        self._encoder = MessageEncoder()
        self._segment: HotSegment | None = None
        self._file: SegmentWriter | None = None
        self._thread = threading.Thread(target=self._run, name="event-store-writer", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def know(self, name: str, rows: int) -> bool:
        """Remembers a batch that is stored; False when it was known already."""
        with self._lock:
            if name in self._known:
                return False
            self._known[name] = rows
            while len(self._known) > self._options.known_batches:
                self._known.popitem(last=False)
            return True

    def submit(self, batch: Batch) -> Future[Ack]:
        """Queues a batch; see :meth:`phalanx.store.events.interface.EventStore.submit`."""
        name = known_name(batch.header)
        known = self._look(name)
        if known is not None:
            return known
        nbytes = batch.nbytes
        waiting = _Waiting(batch=batch, future=Future(), nbytes=nbytes)
        with self._lock:
            while self._queued_bytes and self._queued_bytes + nbytes > self._options.queue_bytes and not self._closing:
                self._lock.wait()
            if self._closing:
                raise UnavailableError("the event store is closed")
            again = self._seen(name)
            if again is not None:
                return again
            self._inflight[name] = waiting.future
            self._queue.append(waiting)
            self._queued_bytes += nbytes
            self._lock.notify_all()
        return waiting.future

    def _look(self, name: str) -> Future[Ack] | None:
        with self._lock:
            return self._seen(name)

    def _seen(self, name: str) -> Future[Ack] | None:
        """For a batch that is stored or on its way: what to answer. The lock is held."""
        if name in self._inflight:
            self.duplicates += 1
            return self._inflight[name]
        rows = self._known.get(name)
        if rows is None:
            return None
        self.duplicates += 1
        done: Future[Ack] = Future()
        done.set_result(Ack(batch=name.partition("/")[2], rows=rows, duplicate=True))
        return done

    def rotate(self) -> None:
        """Closes the open segment soon, whatever its size; for tests and for a hub that ends in peace."""
        with self._lock:
            self._rotate_now = True
            self._lock.notify_all()

    def wait(self, after: int, timeout_s: float) -> bool:
        """Waits until :attr:`position` is past ``after``."""
        with self._arrived:
            return (
                self._arrived.wait_for(lambda: self.position > after or self._closing, timeout_s)
                and self.position > after
            )

    def close(self) -> None:
        """Writes what waits and ends."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        if self._file is not None:
            self._file.close()
            self._file = None
        with self._arrived:
            self._arrived.notify_all()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._queue or self._closing or self._rotate_now, timeout=self._patience())
                while self._queue and self._hot_bytes() > self._options.hot_bytes and not self._closing:
                    self.held_back += 1
                    self._lock.wait(_HELD_BACK_S)
                group: list[_Waiting] = []
                size = 0
                while self._queue and (not group or size + self._queue[0].nbytes <= self._options.group_bytes):
                    waiting = self._queue.popleft()
                    group.append(waiting)
                    size += waiting.nbytes
                self._queued_bytes -= size
                ending = self._closing and not group
                self._lock.notify_all()
            if group:
                self._write(group)
            self._rotate_if_due()
            if ending:
                return

    def _hot_bytes(self) -> int:
        """Of the segments that wait to be sealed."""
        return sum(segment.bytes for segment in tuple(self.closed_segments))

    def _patience(self) -> float | None:
        segment = self._segment
        if segment is None or not segment.opened_ns:
            return None
        return max(0.05, self._options.seal_age_s - (time.monotonic_ns() - segment.opened_ns) / 1e9)

    def _write(self, group: list[_Waiting]) -> None:
        try:
            file, segment = self._open()
            now = self._clock()
            for waiting in group:
                file.append(self._encoder.encode(waiting.batch, now))
            file.sync()
        except OSError as error:
            self._give_back(group, error)
            return
        self.syncs += 1
        if not segment.opened_ns:
            segment.opened_ns = time.monotonic_ns()
        acks = []
        for waiting in group:
            name = known_name(waiting.batch.header)
            rows = waiting.batch.header.rows
            hot = segment.add(waiting.batch, self.position + 1, now)
            self._live.add_batch(hot)
            self.position += 1
            self.batches += 1
            self.know(name, rows)
            acks.append((waiting.future, Ack(batch=waiting.batch.header.batch, rows=rows)))
            with self._lock:
                self._inflight.pop(name, None)
        for future, ack in acks:
            future.set_result(ack)
        with self._arrived:
            self._arrived.notify_all()

    def _open(self) -> tuple[SegmentWriter, HotSegment]:
        if self._file is None or self._segment is None:
            number = self._next_number()
            path = self._directory / segment_name(number)
            self._file = SegmentWriter(path, number)
            self._segment = HotSegment(number, path)
            self._live.add_segment(self._segment)
        return self._file, self._segment

    def _give_back(self, group: list[_Waiting], error: OSError) -> None:
        """Nothing of ``group`` is acknowledged; what was written of it is cut off, and the next group goes to a new segment."""
        if self._file is not None:
            try:
                self._file.undo()
            except OSError as second:
                # The file keeps its valid beginning; recovery recognises by their ids what comes again.
                error.add_note(f"and it could not be cut back: {second}")
            self._close_segment()
        failure = UnavailableError(
            f"the event store cannot write: {error.strerror or error}",
            hint=f"free space on the file system of {self._directory.parent}; the agent keeps its batches and sends them again",
        )
        failure.__cause__ = error
        for waiting in group:
            self.refused += 1
            with self._lock:
                self._inflight.pop(known_name(waiting.batch.header), None)
            waiting.future.set_exception(failure)

    def _rotate_if_due(self) -> None:
        segment = self._segment
        with self._lock:
            now, self._rotate_now = self._rotate_now, False
        if segment is None or self._file is None or not segment.opened_ns:
            return
        age = (time.monotonic_ns() - segment.opened_ns) / 1e9
        options = self._options
        if (
            now
            or segment.rows >= options.seal_rows
            or self._file.size >= options.seal_bytes
            or age >= options.seal_age_s
        ):
            self._close_segment()

    def _close_segment(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._segment is not None:
            self.closed_segments.append(self._segment)
            self._segment = None
            self._on_closed()
