"""A bus on the disk: what an agent keeps for its hub, through restarts, crashes and full disks, within a bound of bytes.

A directory of segment files (layout: :mod:`phalanx.bus.frames`). A record is durable (fsynced) when :meth:`Spool.append` returns. That a record was
forgotten is written without waiting, so after a crash some come again; its receiver recognises them by their ids. A segment
whose records are all forgotten is deleted. When the bound is reached the oldest segment is deleted with what it still holds, counted in
``dropped``, a number that is itself kept on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from phalanx.bus.frames import FORGOTTEN, RECORD, TOTALS, Frame, Scan, encode_frame, read_payload
from phalanx.bus.interface import Bus, BusStatistics, Entry
from phalanx.bus.memory import check_record
from phalanx.errors import LimitError, UnavailableError

__all__ = ["Spool"]

_SUFFIX: Final = ".spool"
_TOTALS: Final = struct.Struct("<QQ")
_SEGMENTS: Final = 16
"""The bound is divided into about so many segments; one of them is what is dropped at once."""
_KEEP_BYTES: Final = 64 * 1024
"""The last file is cut to nothing when it is larger and holds nothing any more."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Segment:
    """One file."""

    def __init__(self, number: int, path: Path, fd: int) -> None:
        self.number = number
        self.path = path
        self.fd = fd
        self.size = 0
        self.live: set[str] = set()
        """Ids of its records that are not forgotten."""


class Spool(Bus):
    """A :class:`Bus` in a directory. One process has it open at a time."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 512 * 1024 * 1024,
        max_records: int = 200_000,
        segment_bytes: int | None = None,
        sync: bool = True,
    ) -> None:
        """Opens the spool, recovering what a sudden end has left.

        Args:
            directory: its own; made when it is not there.
            max_bytes: bound of all its files together, at least 64 KiB.
            segment_bytes: size at which a new file is begun; None: a sixteenth of the bound, at most 16 MiB.
            sync: fsync each record; False only where losing the last ones in a power cut is right.

        Raises:
            UnavailableError: another process has it open, or the directory cannot be written.
        """
        self._max_bytes = max(max_bytes, 64 * 1024)
        self._max_records = max_records
        self._segment_bytes = segment_bytes or min(self._max_bytes // _SEGMENTS, 16 * 1024 * 1024)
        self._sync = sync
        self._directory = directory
        self._condition = threading.Condition()
        self._segments: OrderedDict[int, _Segment] = OrderedDict()
        self._index: OrderedDict[str, tuple[_Segment, Frame]] = OrderedDict()
        self._number = 0
        self._closed = False
        self._appended = self._duplicates = self._forgotten = self._dropped = self._dropped_bytes = self._refused = 0
        self._corrupt = self._cut_bytes = 0
        self._totals_due = False
        """The numbers of dropped records are written with the next record."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock_fd = self._take_lock()
            self._recover()
        except OSError as error:
            raise UnavailableError(f"the spool {directory} cannot be opened: {error.strerror or error}") from error

    def _take_lock(self) -> int:
        fd = os.open(self._directory / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise UnavailableError(
                f"another process has the spool {self._directory} open",
                hint="one agent runs on a host; stop the other one",
            ) from error
        return fd

    def _recover(self) -> None:
        numbers = sorted(int(path.stem) for path in self._directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())
        for number in numbers:
            path = self._directory / f"{number:012d}{_SUFFIX}"
            segment = _Segment(number, path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
            self._segments[number] = segment
            scan = Scan(segment.fd)
            for frame in scan.frames():
                self._replay(segment, frame)
            self._corrupt += scan.corrupt
            if scan.good_end < scan.size:
                self._cut_bytes += scan.size - scan.good_end
                os.ftruncate(segment.fd, scan.good_end)
                os.fsync(segment.fd)
            segment.size = scan.good_end
        self._number = max(numbers, default=0)
        self._delete_done()

    def _replay(self, segment: _Segment, frame: Frame) -> None:
        identity = frame.identity.decode("utf-8", "surrogatepass")
        if frame.kind == RECORD and identity not in self._index:
            self._index[identity] = (segment, frame)
            segment.live.add(identity)
        elif frame.kind == FORGOTTEN:
            self._drop_from_index(identity)
        elif frame.kind == TOTALS:
            raw = read_payload(segment.fd, frame)
            if raw is not None and len(raw) == _TOTALS.size:
                records, size = _TOTALS.unpack(raw)
                self._dropped = max(self._dropped, records)
                self._dropped_bytes = max(self._dropped_bytes, size)

    # --- the interface ---------------------------------------------------------------------------------------------

    def append(self, identity: str, payload: bytes | bytearray | memoryview) -> None:
        """See :meth:`Bus.append`; durable when it returns."""
        size = memoryview(payload).nbytes
        with self._condition:
            self._open()
            try:
                raw = check_record(identity, size, self._max_bytes // 2)
            except LimitError:
                self._refused += 1
                raise
            if identity in self._index:
                self._duplicates += 1
                return
            pieces = encode_frame(RECORD, raw, payload)
            need = sum(len(piece) for piece in pieces)
            self._make_room(need)
            while True:
                try:
                    segment, offset = self._write(pieces, need, sync=self._sync)
                    break
                except OSError as error:
                    # A full disk: the oldest records go first, as at the bound; the present one matters more.
                    if error.errno in _FULL and self._drop_oldest_segment():
                        continue
                    self._refused += 1
                    raise UnavailableError(
                        f"the spool cannot keep a record: {error.strerror or error}",
                        hint=f"free space on the file system of {self._directory}",
                    ) from error
            self._index[identity] = (segment, Frame(RECORD, raw, offset, size))
            segment.live.add(identity)
            self._appended += 1
            self._condition.notify_all()

    def first(self) -> Entry | None:
        """See :meth:`Bus.first`."""
        with self._condition:
            self._open()
            while self._index:
                identity, (segment, frame) = next(iter(self._index.items()))
                try:
                    payload = read_payload(segment.fd, frame)
                except OSError:
                    payload = None
                if payload is not None:
                    return Entry(id=identity, payload=payload)
                # The disk changed it under us: it cannot be delivered any more.
                self._corrupt += 1
                self._drop_from_index(identity)
            self._delete_done()
            return None

    def forget(self, identity: str) -> bool:
        """See :meth:`Bus.forget`."""
        with self._condition:
            self._open()
            if identity not in self._index:
                return False
            home = self._index[identity][0]
            self._drop_from_index(identity)
            self._forgotten += 1
            # A segment that is deleted at once needs no mark.
            if home.live or home.number != next(iter(self._segments)) or len(self._segments) == 1:
                pieces = encode_frame(FORGOTTEN, identity.encode("utf-8", "surrogatepass"))
                try:
                    self._write(pieces, sum(len(piece) for piece in pieces), sync=False)
                except OSError:
                    # Not written down: it comes again after a restart and is recognised by its receiver then.
                    self._refused += 1
            self._delete_done()
            return True

    def wait(self, timeout_s: float) -> bool:
        """See :meth:`Bus.wait`."""
        with self._condition:
            self._open()
            self._condition.wait_for(lambda: self._index or self._closed, timeout_s)
            return bool(self._index)

    def statistics(self) -> BusStatistics:
        """See :meth:`Bus.statistics`."""
        with self._condition:
            return BusStatistics(
                records=len(self._index),
                bytes=self._total(),
                max_bytes=self._max_bytes,
                appended=self._appended,
                duplicates=self._duplicates,
                forgotten=self._forgotten,
                dropped=self._dropped,
                dropped_bytes=self._dropped_bytes,
                refused=self._refused,
                corrupt=self._corrupt,
                cut_bytes=self._cut_bytes,
            )

    def close(self) -> None:
        """See :meth:`Bus.close`; what is held stays on the disk."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            for segment in self._segments.values():
                os.close(segment.fd)
            self._segments.clear()
            self._index.clear()
            os.close(self._lock_fd)
            self._condition.notify_all()

    # --- inside; the lock is held ----------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._closed:
            raise UnavailableError("the spool is closed")

    def _total(self) -> int:
        return sum(segment.size for segment in self._segments.values())

    def _make_room(self, need: int) -> None:
        while self._total() + need > self._max_bytes or len(self._index) >= self._max_records:
            if not self._drop_oldest_segment():
                return

    def _drop_oldest_segment(self) -> bool:
        """Deletes the oldest file with what it holds; False when there is none."""
        for number, segment in self._segments.items():
            for identity in list(segment.live):
                _, frame = self._index[identity]
                self._dropped += 1
                self._dropped_bytes += frame.payload_bytes
                self._drop_from_index(identity)
            del self._segments[number]
            self._unlink(segment)
            self._totals_due = True
            return True
        return False

    def _drop_from_index(self, identity: str) -> None:
        held = self._index.pop(identity, None)
        if held is not None:
            held[0].live.discard(identity)

    def _delete_done(self) -> None:
        """Deletes segments without live records, from the oldest on: a mark that a record was forgotten lies in the same segment or a later one."""
        while self._segments:
            number, segment = next(iter(self._segments.items()))
            if segment.live:
                return
            if len(self._segments) == 1:
                if segment.size > _KEEP_BYTES:
                    os.ftruncate(segment.fd, 0)
                    segment.size = 0
                    self._totals_due = True
                return
            del self._segments[number]
            self._unlink(segment)

    def _unlink(self, segment: _Segment) -> None:
        os.close(segment.fd)
        segment.path.unlink(missing_ok=True)

    def _write(self, pieces: list[bytes | memoryview], need: int, *, sync: bool) -> tuple[_Segment, int]:
        """Appends to the newest segment, beginning another one when it is full. OSError: nothing of it remains."""
        segment = next(reversed(self._segments.values()), None)
        if segment is None or segment.size + need > self._segment_bytes:
            segment = self._begin()
        start = at = segment.size
        if self._totals_due and self._dropped:
            pieces = [*encode_frame(TOTALS, b"", _TOTALS.pack(self._dropped, self._dropped_bytes)), *pieces]
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    written = os.pwrite(segment.fd, rest, at)
                    at += written
                    rest = rest[written:]
            if sync:
                os.fdatasync(segment.fd)
        except OSError:
            os.ftruncate(segment.fd, start)
            raise
        if sync:
            self._totals_due = False
        segment.size = at
        return segment, at - need

    def _begin(self) -> _Segment:
        self._number += 1
        path = self._directory / f"{self._number:012d}{_SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        segment = self._segments[self._number] = _Segment(self._number, path, fd)
        self._totals_due = True
        return segment
