"""The Arrow types of the event store, made from the one description of the columns."""

from __future__ import annotations

import struct
from typing import Final

import pyarrow as pa

from phalanx.model.columns import EVENT_COLUMNS, PROCESS_COLUMNS, Column

__all__ = [
    "BATCH_SCHEMA",
    "EVENT_SCHEMA",
    "EVENT_TYPE",
    "PROCESS_SCHEMA",
    "PROCESS_TYPE",
    "TYPES",
    "null_array",
    "one_list_offsets",
    "one_number",
    "one_text",
]

TYPES: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "i32": pa.int32(),
    "u64": pa.uint64(),
    "i64": pa.int64(),
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "u32s": pa.list_(pa.uint32()),
    "bools": pa.list_(pa.bool_()),
}
"""Arrow type of each type of :data:`phalanx.store.events.schema.StoredType`."""


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(column.name, TYPES[column.type]) for column in columns])


EVENT_SCHEMA: Final = _schema(EVENT_COLUMNS)
"""Of the ``event`` table of a batch; ``proc`` is a row number of its ``process`` table."""

PROCESS_SCHEMA: Final = _schema(PROCESS_COLUMNS)
"""Of the ``process`` table of a batch."""

EVENT_TYPE: Final = pa.struct(list(EVENT_SCHEMA))
PROCESS_TYPE: Final = pa.struct(list(PROCESS_SCHEMA))

BATCH_SCHEMA: Final = pa.schema(
    [
        pa.field("batch", pa.string(), nullable=False),
        pa.field("agent", pa.string(), nullable=False),
        pa.field("host", pa.string(), nullable=False),
        pa.field("boot", pa.string(), nullable=False),
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("received_ns", pa.int64(), nullable=False),
        pa.field("coverage", pa.string(), nullable=False),
        pa.field("event", pa.list_(EVENT_TYPE), nullable=False),
        pa.field("process", pa.list_(PROCESS_TYPE), nullable=False),
    ],
)
"""Of a hot segment: one row is one batch, with its two tables as lists of structs, so that a batch is one message of the stream and no buffer is copied
to make it. ``coverage`` is the JSON of ``BatchHeader.coverage``."""


def null_array(kind: pa.DataType, rows: int) -> pa.Array:
    """``rows`` nulls of ``kind``; the memory is shared by all that ask."""
    held = _NULLS.get(kind)
    if held is None or len(held) < rows:
        held = _NULLS[kind] = pa.nulls(max(rows, 4096), kind)
    return held.slice(0, rows)


# ``pa.array`` looks for pandas at every call where that is not installed, which costs more than all else here.


def one_text(text: str) -> pa.Array:
    """An array of one text."""
    raw = text.encode("utf-8")
    return pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, len(raw))), pa.py_buffer(raw)], 0
    )


def one_number(number: int) -> pa.Array:
    """An array of one 64-bit integer."""
    return pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(struct.pack("<q", number))], 0)


def one_list_offsets(length: int) -> pa.Array:
    """The offsets of one list of ``length`` elements."""
    return pa.Array.from_buffers(pa.int32(), 2, [None, pa.py_buffer(struct.pack("<ii", 0, length))], 0)


_NULLS: Final[dict[pa.DataType, pa.Array]] = {}
