"""Batches as the engine sees them: the event table with its batch's constants and a process key, and the process relation with parents and ancestors laid out.

A **process key** is ``segment << 32 | row of the process in its segment``: it joins the two tables, is unique over all that is stored, and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from phalanx.model.columns import EVENT_COLUMNS, PROCESS_COLUMNS
from phalanx.model.process import MAX_ANCESTORS, Process
from phalanx.store.events.arrow import TYPES, one_text
from phalanx.store.events.schema import COLUMNS
from phalanx.store.events.wrap import Batch

__all__ = ["HOT_EVENT_SCHEMA", "PROCESS_RELATION", "event_rows", "process_key", "process_rows", "raw_processes"]

_EVENT_NAMES: Final = tuple(column.name for column in EVENT_COLUMNS if column.name not in ("proc", "source"))
_CONSTANT: Final = pa.dictionary(pa.int8(), pa.string())
_EVENT_DEFAULTS: Final = {"cpu": 0, "tid": 0, "truncated": False, "compat32": False}
"""What NULL stands for in columns that are never absent."""

HOT_EVENT_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, _CONSTANT) for name in ("agent", "host", "boot", "tenant")),
        pa.field("source", pa.string()),
        *(pa.field(name, TYPES[COLUMNS[name].type]) for name in _EVENT_NAMES),
        pa.field("proc", pa.int64()),
    ],
)
"""Of :func:`event_rows`; parts have the same columns, the constants as text."""

_PROCESS_NAMES: Final = tuple(column.name for column in PROCESS_COLUMNS if column.name != "parent")
_DERIVED: Final = ("args", "cmdline")
_ANCESTORS: Final = (
    ("aid", "id"),
    ("apid", "pid"),
    ("aname", "name"),
    ("aexe", "exe"),
    ("aexepath", "exepath"),
    ("acmdline", "cmdline"),
)


def _process_default(name: str) -> Any:
    for field in msgspec.structs.fields(Process):
        if field.name == name:
            return None if field.default in (msgspec.NODEFAULT, ()) else field.default
    return None


_PROCESS_DEFAULTS: Final = {name: _process_default(name) for name in _PROCESS_NAMES}

PROCESS_RELATION: Final = pa.schema(
    [
        pa.field("proc", pa.int64()),
        pa.field("proc_parent", pa.int64()),
        *(
            pa.field(prefix + name, pa.string() if name in _DERIVED else TYPES[COLUMNS[prefix + name].type])
            for prefix in ("proc_", "pproc_")
            for name in (*_PROCESS_NAMES, *_DERIVED)
        ),
        *(pa.field(name, TYPES[COLUMNS[name].type]) for name, _ in _ANCESTORS),
        pa.field("pproc_unknown", pa.bool_()),
        pa.field("lineage_unknown", pa.bool_()),
    ],
)
"""Of :func:`process_rows`: one row for each process state. ``proc_parent`` is the key of its parent, -1 when that is UNKNOWN, NULL when there is none."""


def process_key(segment: int, row: int) -> int:
    """Key of the process at ``row`` of ``segment``."""
    return segment << 32 | row


def event_rows(batch: Batch, base: int) -> pa.RecordBatch:
    """The events of ``batch``, whose processes begin at key ``base``; columns without nulls or defaults are not copied."""
    header = batch.header
    rows = batch.event.num_rows
    zeros = _zeros(rows)
    arrays: list[pa.Array] = [
        pa.DictionaryArray.from_arrays(zeros, one_text(text))
        for text in (header.agent, header.host, header.boot, header.tenant)
    ]
    source = batch.event.column("source")
    arrays.append(pc.fill_null(source, "syscall") if source.null_count else source)
    for name in _EVENT_NAMES:
        column = batch.event.column(name)
        default = _EVENT_DEFAULTS.get(name)
        arrays.append(pc.fill_null(column, default) if default is not None and column.null_count else column)
    arrays.append(pc.add(pc.cast(batch.event.column("proc"), pa.int64()), base))
    return pa.RecordBatch.from_arrays(arrays, schema=HOT_EVENT_SCHEMA)


_ZEROS: list[pa.Array] = [pa.array([0] * 4096, pa.int8())]


def _zeros(rows: int) -> pa.Array:
    held = _ZEROS[0]
    while len(held) < rows:
        held = pa.concat_arrays([held, held])
        _ZEROS[0] = held
    return held.slice(0, rows)


def raw_processes(batches: Sequence[tuple[Batch, int]], first: int) -> pa.RecordBatch:
    """The process tables of ``(batch, base)`` as one, parents as row numbers of the result; bases must follow each other from ``first``."""
    parents = []
    for batch, base in batches:
        parent = batch.process.column("parent")
        shift = base - first
        if shift:
            parent = pc.if_else(pc.less(parent, 0), parent, pc.cast(pc.add(parent, shift), pa.int32()))
        parents.append(parent)
    columns = {
        name: _filled(pa.concat_arrays([batch.process.column(name) for batch, _ in batches]), _PROCESS_DEFAULTS[name])
        for name in _PROCESS_NAMES
    }
    columns["parent"] = pa.concat_arrays(parents)
    return pa.RecordBatch.from_pydict(columns)


def _filled(column: pa.Array, default: Any) -> pa.Array:
    return pc.fill_null(column, default) if default is not None and column.null_count else column


def process_rows(batches: Sequence[tuple[Batch, int]]) -> pa.RecordBatch:
    """The process relation of ``(batch, first key)`` pairs; the keys must follow each other."""
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=PROCESS_RELATION)
    first = batches[0][1]
    raw = raw_processes(batches, first)
    rows = raw.num_rows
    own = {name: raw.column(name) for name in _PROCESS_NAMES}
    own |= _derived(own)
    parent = raw.column("parent")
    level = _known(parent)
    by_name: dict[str, pa.Array] = {
        "proc": pa.arange(first, first + rows, 1) if rows else pa.array([], pa.int64()),
        "proc_parent": pc.if_else(
            pc.less(parent, 0), pc.cast(parent, pa.int64()), pc.add(pc.cast(parent, pa.int64()), first)
        ),
        "pproc_unknown": _is_unknown(parent),
    }
    for name, column in own.items():
        by_name["proc_" + name] = column
        by_name["pproc_" + name] = column.take(level)
    levels = []
    unknown = _is_unknown(parent)
    for _ in range(MAX_ANCESTORS):
        if level.null_count == rows:
            break
        levels.append(level)
        above = parent.take(level)
        unknown = pc.or_(unknown, _is_unknown(above))
        level = _known(above)
    by_name["lineage_unknown"] = unknown
    order, offsets = _interleave(levels, rows)
    for name, source in _ANCESTORS:
        by_name[name] = pa.ListArray.from_arrays(offsets, own[source].take(order))
    return pa.RecordBatch.from_arrays([by_name[field.name] for field in PROCESS_RELATION], schema=PROCESS_RELATION)


def _known(parent: pa.Array) -> pa.Array:
    return pc.if_else(pc.less(parent, 0), pa.scalar(None, pa.int32()), parent)


def _is_unknown(parent: pa.Array) -> pa.Array:
    return pc.fill_null(pc.less(parent, 0), False)


def _derived(own: dict[str, pa.Array]) -> dict[str, pa.Array]:
    args = pc.fill_null(pc.binary_join(own["argv"], " "), "")
    some = pc.greater(pc.fill_null(pc.list_value_length(own["argv"]), 0), 0)
    cmdline = pc.if_else(some, pc.binary_join_element_wise(own["name"], args, " "), own["name"])
    return {"args": args, "cmdline": cmdline}


def _interleave(levels: list[pa.Array], rows: int) -> tuple[pa.Array, pa.Array]:
    """``(row numbers, list offsets)``: for each row its known entries of ``levels``, in the order of the levels."""
    if not levels:
        return pa.array([], pa.int32()), pa.array([0] * (rows + 1), pa.int32())
    # Row-major order of a rows x levels grid: entry (r, k) stands at k * rows + r of the levels put one after the other.
    depth = len(levels)
    flat = pa.concat_arrays(levels)
    at = pa.arange(0, rows * depth, 1)
    row = pc.divide(at, depth)
    place = pc.add(pc.multiply(pc.subtract(at, pc.multiply(row, depth)), rows), row)
    grid = flat.take(place)
    order = grid.drop_null()
    counts = None
    for level in levels:
        one = pc.cast(pc.is_valid(level), pa.int32())
        counts = one if counts is None else pc.add(counts, one)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cast(pc.cumulative_sum(counts), pa.int32())])
    return order, offsets
