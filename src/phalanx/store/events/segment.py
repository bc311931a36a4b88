"""Hot segments: append-only Arrow IPC streams, one batch a message, each with a checksum in its metadata.

A segment is an ordinary Arrow IPC stream without an end mark (any Arrow library reads it up to its end). The metadata entry ``phalanx`` of a
message is ``crc32:`` and eight hexadecimal digits: the CRC-32 of the whole message in which those digits are zeros. A stream
that was cut in the middle of a message ends before it; a message with a wrong checksum is skipped, and the next one looked for.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from phalanx.errors import CorruptError
from phalanx.model.columns import BatchHeader, Coverage
from phalanx.store.events.arrow import (
    BATCH_SCHEMA,
    EVENT_SCHEMA,
    PROCESS_SCHEMA,
    one_list_offsets,
    one_number,
    one_text,
)
from phalanx.store.events.wrap import Batch

__all__ = ["MessageEncoder", "Recovered", "SegmentReader", "SegmentWriter", "segment_name", "segment_number"]

_TOKEN: Final = b"crc32:00000000"
_PREFIX: Final = b"crc32:"
_MARK: Final = b"\xff\xff\xff\xff"
_OPTIONS: Final = pa.ipc.IpcWriteOptions(allow_64bit=False)
_COVERAGE: Final = msgspec.json.Decoder(tuple[Coverage, ...])
MAX_MESSAGE_BYTES: Final = 512 * 1024 * 1024


def segment_name(number: int) -> str:
    """File name of the segment ``number``."""
    return f"{number:012d}.arrows"


def segment_number(path: Path) -> int | None:
    """The number of a segment file; None for another file."""
    stem = path.name.removesuffix(".arrows")
    return int(stem) if stem != path.name and stem.isdigit() else None


def _schema_message() -> bytes:
    sink = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(sink, BATCH_SCHEMA, options=_OPTIONS)
    writer.write_batch(pa.RecordBatch.from_pylist([], schema=BATCH_SCHEMA))
    raw: bytes = sink.getvalue().to_pybytes()
    length = int.from_bytes(raw[4:8], "little") + 8
    return raw[:length]


SCHEMA_MESSAGE: Final = _schema_message()
"""How every segment begins; without it a file is no segment."""


class MessageEncoder:
    """Makes messages in one buffer that it keeps, so that none is allocated for each batch. Used by one thread."""

    def __init__(self) -> None:
        self._buffer = pa.allocate_buffer(1024 * 1024)

    def encode(self, batch: Batch, received_ns: int) -> list[memoryview | bytes]:
        """The message of one batch, in pieces that are written one after the other before the next call."""
        header = batch.header
        row = pa.RecordBatch.from_arrays(
            [
                one_text(header.batch),
                one_text(header.agent),
                one_text(header.host),
                one_text(header.boot),
                one_text(header.tenant),
                one_number(received_ns),
                one_text(msgspec.json.encode(header.coverage).decode()),
                _one_list(batch.event),
                _one_list(batch.process),
            ],
            schema=BATCH_SCHEMA,
        )
        # Metadata (about 100 bytes a column) and the schema come on top of the body.
        need = pa.ipc.get_record_batch_size(row) + len(SCHEMA_MESSAGE) + 4096
        if need > self._buffer.size:
            self._buffer = pa.allocate_buffer(need + need // 4)
        sink = pa.FixedSizeBufferWriter(self._buffer)
        writer = pa.ipc.new_stream(sink, BATCH_SCHEMA, options=_OPTIONS)
        writer.write_batch(row, custom_metadata={"phalanx": _TOKEN.decode()})
        whole = memoryview(self._buffer)[len(SCHEMA_MESSAGE) : sink.tell()]
        place = _token_place(whole)
        digits = f"{zlib.crc32(whole):08x}".encode()
        return [whole[:place], digits, whole[place + 8 :]]


def _one_list(table: pa.RecordBatch) -> pa.Array:
    struct = pa.StructArray.from_arrays(table.columns, fields=list(table.schema))
    return pa.ListArray.from_arrays(one_list_offsets(table.num_rows), struct)


def _token_place(message: memoryview) -> int:
    """Where the eight digits of the checksum stand; CorruptError when there are none."""
    size = int.from_bytes(message[4:8], "little")
    if not 0 < size <= 64 * 1024 * 1024:
        raise CorruptError("a message of a segment has no metadata")
    place = bytes(message[8 : 8 + size]).find(_PREFIX)
    if place < 0:
        raise CorruptError("a message of a segment has no checksum")
    return 8 + place + len(_PREFIX)


class SegmentWriter:
    """Appends messages to a new segment. Used by one thread."""

    def __init__(self, path: Path, number: int) -> None:
        """Makes the file, durable with its name. OSError when it exists or cannot be made."""
        self.path = path
        self.number = number
        self.batches = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self.size = 0
        """Bytes that are durable."""
        self._end = 0
        try:
            self._write_all([SCHEMA_MESSAGE])
            os.fsync(self._fd)
            sync_directory(path.parent)
            self.size = self._end
        except OSError:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    def append(self, pieces: Sequence[memoryview | bytes]) -> None:
        """Writes a message; it is durable after :meth:`sync`. OSError: see :meth:`undo`."""
        self._write_all(pieces)
        self.batches += 1

    def sync(self) -> None:
        """Makes everything written durable."""
        os.fdatasync(self._fd)
        self.size = self._end

    def undo(self) -> None:
        """Cuts what is not known to be durable, after an error in :meth:`append` or :meth:`sync`."""
        os.ftruncate(self._fd, self.size)
        os.lseek(self._fd, self.size, os.SEEK_SET)
        self._end = self.size
        os.fsync(self._fd)

    def close(self) -> None:
        """Closes the file; what was not synced may be lost."""
        os.close(self._fd)

    @property
    def pending(self) -> int:
        """Bytes written, durable or not."""
        return self._end

    def _write_all(self, pieces: Sequence[memoryview | bytes]) -> None:
        rest = [memoryview(piece) for piece in pieces]
        while rest:
            written = os.writev(self._fd, rest[:64])
            self._end += written
            while rest and written >= len(rest[0]):
                written -= len(rest[0])
                rest.pop(0)
            if rest and written:
                rest[0] = rest[0][written:]


class Recovered(Struct, frozen=True, kw_only=True):
    """One batch that was read back."""

    batch: Batch
    received_ns: int


class SegmentReader:
    """Reads a segment from the disk, over a memory map that its batches keep alive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_bytes = 0
        """Bytes at the end that are no whole message: a write that was never acknowledged."""
        self.corrupt = 0
        """Messages with a wrong checksum or layout; further valid ones follow."""
        self.good_end = 0
        """Offset after the last valid message."""

    def read(self) -> Iterator[Recovered]:
        """The valid batches in order; afterwards the counters of this object are complete."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < len(SCHEMA_MESSAGE) or file.read(len(SCHEMA_MESSAGE)) != SCHEMA_MESSAGE:
                self.cut_bytes = size if size <= len(SCHEMA_MESSAGE) else 0
                self.corrupt = 1 if size > len(SCHEMA_MESSAGE) else 0
                if size <= len(SCHEMA_MESSAGE):
                    return
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        whole = pa.py_buffer(mapped)
        at = self.good_end = len(SCHEMA_MESSAGE)
        bad_since = -1
        while at + 8 <= size:
            found = self._message(whole, at)
            if found is None:
                bad_since = at if bad_since < 0 else bad_since
                at = _next_mark(mapped, at + 8)
                continue
            if bad_since >= 0:
                self.corrupt += 1
                bad_since = -1
            recovered, at = found
            self.good_end = at
            yield recovered
        self.cut_bytes = size - self.good_end

    def _message(self, whole: pa.Buffer, at: int) -> tuple[Recovered, int] | None:
        source = pa.BufferReader(whole)
        source.seek(at)
        try:
            message = pa.ipc.read_message(source)
            if message.type != "record batch":
                return None
            end = source.tell()
            raw = memoryview(whole)[at:end]
            place = _token_place(raw)
            crc = zlib.crc32(raw[place + 8 :], zlib.crc32(b"00000000", zlib.crc32(raw[:place])))
            if bytes(raw[place : place + 8]) != f"{crc:08x}".encode():
                return None
            row = pa.ipc.read_record_batch(message, BATCH_SCHEMA)
            return _recovered(row, end - at), end
        except (pa.ArrowException, OSError, ValueError, EOFError, CorruptError, OverflowError, MemoryError):
            # Whatever the bytes are, they are not a message of ours; the caller counts it.
            return None


def _next_mark(mapped: mmap.mmap, at: int) -> int:
    """The next place at which a message can begin (multiple of 8 after the schema); the end when there is none."""
    base = len(SCHEMA_MESSAGE) % 8
    place = mapped.find(_MARK, at)
    while place >= 0 and place % 8 != base:
        place = mapped.find(_MARK, place + 1)
    return place if place >= 0 else len(mapped)


def _recovered(row: pa.RecordBatch, nbytes: int) -> Recovered:
    def one(name: str) -> str:
        return str(row.column(name)[0].as_py())

    event = _table(row.column("event"), EVENT_SCHEMA)
    process = _table(row.column("process"), PROCESS_SCHEMA)
    header = BatchHeader(
        batch=one("batch"),
        agent=one("agent"),
        host=one("host"),
        boot=one("boot"),
        tenant=one("tenant"),
        rows=event.num_rows,
        processes=process.num_rows,
        columns=(),
        coverage=_COVERAGE.decode(one("coverage")),
    )
    kinds = frozenset(pc.unique(event.column("kind")).to_pylist())
    batch = Batch(header=header, event=event, process=process, kinds=kinds, nbytes=nbytes)
    return Recovered(batch=batch, received_ns=row.column("received_ns")[0].as_py())


def _table(column: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
    struct = column.values
    return pa.RecordBatch.from_arrays([struct.field(index) for index in range(len(schema))], schema=schema)


def sync_directory(path: Path) -> None:
    """Makes names in ``path`` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
