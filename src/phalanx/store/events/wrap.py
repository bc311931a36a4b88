"""An agent's column batch as Arrow tables, without copying its buffers.

What comes in is not trusted: a batch whose buffers point outside of it, whose text is not UTF-8, whose rows refer to processes that it does
not hold, or that is larger than the bounds below is refused with ``CorruptError`` or ``LimitError``; nothing of it is kept.
"""

from __future__ import annotations

from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from phalanx.errors import CorruptError, LimitError
from phalanx.model.columns import EVENT_COLUMNS, MAGIC, PROCESS_COLUMNS, BatchHeader, ColumnBuffers
from phalanx.model.event import Event
from phalanx.store.events.arrow import EVENT_SCHEMA, PROCESS_SCHEMA, TYPES, null_array

__all__ = ["KINDS", "MAX_BATCH_BYTES", "MAX_BATCH_ROWS", "Batch", "read_header", "wrap"]

MAX_BATCH_BYTES: Final = 64 * 1024 * 1024
"""No batch is larger; an agent sends 0.1 to 4 MiB."""

MAX_BATCH_ROWS: Final = 1_000_000
"""Neither table of a batch has more rows."""

_MAX_HEADER_BYTES: Final = 1024 * 1024
_MAX_NAME: Final = 256
_MAX_COVERAGE: Final = 4096

KINDS: Final = frozenset(str(member.__struct_config__.tag) for member in Event.__args__)
"""Tags of all kinds of events."""

_REQUIRED: Final = ("ts_ns", "seq", "kind", "type")
_DECODER: Final = msgspec.json.Decoder(BatchHeader)
_WIDTH: Final = {"u16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8}


class Batch(Struct, frozen=True, kw_only=True):
    """A batch as Arrow tables; the buffers are those of the block that it came in."""

    header: BatchHeader
    event: pa.RecordBatch
    """Layout :data:`~phalanx.store.events.arrow.EVENT_SCHEMA`."""
    process: pa.RecordBatch
    """Layout :data:`~phalanx.store.events.arrow.PROCESS_SCHEMA`."""
    kinds: frozenset[str]
    """Kinds of events that it holds."""
    nbytes: int
    """Size of the block that it was wrapped from, in bytes."""


def read_header(block: bytes | bytearray | memoryview | pa.Buffer) -> BatchHeader:
    """The header of a batch. CorruptError when it is none, LimitError when it is too large."""
    view = memoryview(block)
    if len(view) > MAX_BATCH_BYTES:
        raise LimitError(f"a batch of {len(view)} bytes is larger than {MAX_BATCH_BYTES}")
    if len(view) < 16 or bytes(view[:7]) != MAGIC[:7]:
        raise CorruptError("this is not a column batch: its first bytes are not PHXCOL")
    if view[7] != MAGIC[7]:
        raise CorruptError(
            f"this column batch has layout {view[7]}, this hub reads layout {MAGIC[7]}",
            hint="run the same version of phalanx on hub and agent",
        )
    size = int.from_bytes(view[8:16], "little")
    if size > _MAX_HEADER_BYTES or 16 + size > len(view):
        raise CorruptError(f"the header of the batch says {size} bytes, the batch has {len(view)}")
    try:
        header = _DECODER.decode(view[16 : 16 + size])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptError(f"the header of the batch is not readable: {error}") from error
    _check_header(header)
    return header


def _check_header(header: BatchHeader) -> None:
    for name in ("batch", "agent", "host", "boot", "tenant"):
        text = getattr(header, name)
        if not text or len(text) > _MAX_NAME:
            raise CorruptError(f"{name} of the batch is empty or longer than {_MAX_NAME} characters")
    if not (0 <= header.rows <= MAX_BATCH_ROWS and 0 <= header.processes <= MAX_BATCH_ROWS):
        raise LimitError(
            f"a batch holds at most {MAX_BATCH_ROWS} rows, this one says {header.rows} and {header.processes}"
        )
    if len(header.coverage) > _MAX_COVERAGE:
        raise LimitError(f"a batch tells at most {_MAX_COVERAGE} intervals, this one {len(header.coverage)}")
    for interval in header.coverage:
        if interval.since_ns > interval.until_ns or interval.kind not in KINDS | {"*"}:
            raise CorruptError("an interval of the batch ends before it begins, or is of no known kind")


def wrap(block: bytes | bytearray | memoryview | pa.Buffer, *, header: BatchHeader | None = None) -> Batch:
    """The two tables of a batch, over the memory of ``block``, which must not change afterwards.

    Args:
        block: header and buffers, layout of :mod:`phalanx.model.columns`.
        header: what :func:`read_header` gave for this block, to read it once.

    Raises:
        CorruptError: a buffer, an offset, a text or a reference between the tables is wrong.
        LimitError: a bound of this module is passed.
    """
    header = read_header(block) if header is None else header
    whole = block if isinstance(block, pa.Buffer) else pa.py_buffer(block)
    named: dict[tuple[str, str], ColumnBuffers] = {}
    for place in header.columns:
        key = (place.table, place.name)
        if key in named:
            raise CorruptError(f"column {place.table}.{place.name} is there twice")
        named[key] = place
    try:
        event = _table("event", header.rows, whole, named)
        process = _table("process", header.processes, whole, named)
    except (pa.ArrowInvalid, pa.ArrowIndexError, OverflowError) as error:
        raise CorruptError(f"a column of the batch is broken: {str(error)[:200]}") from error
    if named:
        first = ".".join(next(iter(named)))
        raise CorruptError(
            f"the batch has a column {first[:80]} that this version does not know",
            hint="update the hub before its agents",
        )
    kinds = _check_references(event, process)
    return Batch(header=header, event=event, process=process, kinds=kinds, nbytes=whole.size)


def _table(table: str, rows: int, whole: pa.Buffer, named: dict[tuple[str, str], ColumnBuffers]) -> pa.RecordBatch:
    columns = EVENT_COLUMNS if table == "event" else PROCESS_COLUMNS
    arrays = []
    for column in columns:
        place = named.pop((table, column.name), None)
        kind = TYPES[column.type]
        if place is None:
            arrays.append(null_array(kind, rows))
            continue
        array = _array(place, column.type, rows, whole)
        if column.type in ("text", "texts"):
            # Offsets in order and inside, text valid UTF-8; of the other types every bit pattern is a value.
            array.validate(full=True)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA if table == "event" else PROCESS_SCHEMA)


def _array(place: ColumnBuffers, kind: str, rows: int, whole: pa.Buffer) -> pa.Array:
    validity = None if place.validity is None else _slice(whole, place.validity, (rows + 7) // 8, place.name)
    nulls = 0 if validity is None else -1
    if kind == "bool":
        data = _slice(whole, place.data, (rows + 7) // 8, place.name)
        return pa.Array.from_buffers(pa.bool_(), rows, [validity, data], nulls)
    if kind in _WIDTH:
        data = _slice(whole, place.data, rows * _WIDTH[kind], place.name)
        return pa.Array.from_buffers(TYPES[kind], rows, [validity, data], nulls)
    data = _slice(whole, place.data, 0, place.name)
    if kind == "text":
        offsets = _slice(whole, place.offsets, 4 * (rows + 1), place.name)
        return pa.Array.from_buffers(pa.string(), rows, [validity, offsets, data], nulls)
    outer = _slice(whole, place.list_offsets, 4 * (rows + 1), place.name)
    ends = pa.Array.from_buffers(pa.int32(), rows + 1, [None, outer], 0)
    children = ends[rows].as_py()
    if not 0 <= children <= whole.size:
        raise CorruptError(f"the lists of column {place.name} end outside of it")
    inner = _slice(whole, place.offsets, 4 * (children + 1), place.name)
    child = pa.Array.from_buffers(pa.string(), children, [None, inner, data], 0)
    return pa.Array.from_buffers(pa.list_(pa.string()), rows, [validity, outer], nulls, children=[child])


def _slice(whole: pa.Buffer, place: tuple[int, int] | None, need: int, name: str) -> pa.Buffer:
    if place is None:
        raise CorruptError(f"column {name} misses a buffer")
    offset, length = place
    if offset < 0 or length < need or offset + length > whole.size or offset % 8:
        raise CorruptError(f"a buffer of column {name} lies outside of the batch or is too short")
    return whole.slice(offset, length)


def _check_references(event: pa.RecordBatch, process: pa.RecordBatch) -> frozenset[str]:
    """The kinds of the events, once everything in the two tables that refers to something is right."""
    for name in _REQUIRED:
        if event.column(name).null_count:
            raise CorruptError(f"column {name} of a batch is null in a row")
    if process.num_rows and (process.column("id").null_count or process.column("pid").null_count):
        raise CorruptError("a process of the batch has no id or no pid")
    for array, least, what in ((event.column("proc"), 0, "event"), (process.column("parent"), -1, "process")):
        bounds = pc.min_max(array).as_py()
        if bounds["min"] is not None and (bounds["min"] < least or bounds["max"] >= process.num_rows):
            raise CorruptError(f"an {what} of the batch refers to a process that the batch does not hold")
    kinds = frozenset(pc.unique(event.column("kind")).to_pylist())
    if not kinds <= KINDS:
        raise CorruptError(
            f"the batch holds an event of the unknown kind {min(kinds - KINDS)[:40]!r}",
            hint="update the hub before its agents",
        )
    return kinds
