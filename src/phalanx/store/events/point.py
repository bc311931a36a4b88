"""One event with its process and all its recorded ancestors; and batches on their own, for the live view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from phalanx.model.columns import PROCESS_COLUMNS
from phalanx.model.event import Event
from phalanx.model.process import MAX_ANCESTORS, Process
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.store.events.flatten import to_event, to_process
from phalanx.store.events.hot import HotBatch
from phalanx.store.events.relation import HOT_EVENT_SCHEMA, PROCESS_RELATION, event_rows, process_rows
from phalanx.store.events.schema import PROCESSLESS_KINDS
from phalanx.store.events.sql import Sources, union

if TYPE_CHECKING:
    import duckdb

__all__ = ["event", "tables"]

_OWN = tuple(column.name for column in PROCESS_COLUMNS if column.name != "parent")


def event(cursor: duckdb.DuckDBPyConnection, sources: Sources, ts_ns: int, agent: str, seq: int) -> Event | None:
    """The event that ``agent`` numbered ``seq`` at ``ts_ns``; None when ``sources`` do not hold it."""
    names = [name for name in HOT_EVENT_SCHEMA.names if name not in ("host", "boot", "tenant")]
    inner = union(names, sources.events, sources.hot_events)
    # The id carries the low 48 bits of the number.
    text = f"SELECT * FROM ({inner}) WHERE ts_ns = {int(ts_ns)} AND agent = ? AND seq & 281474976710655 = {int(seq)} LIMIT 1"
    rows = cursor.sql(text, params=[agent]).to_arrow_table().to_pylist()
    if not rows:
        return None
    row = rows[0]
    process: Maybe[Process]
    if row["proc"] is not None:
        process = _lineage(cursor, sources, row["proc"])
    else:
        process = None if row["kind"] in PROCESSLESS_KINDS else UNKNOWN
    return to_event(row, agent=agent, process=process)


def _lineage(cursor: duckdb.DuckDBPyConnection, sources: Sources, key: int) -> Maybe[Process]:
    """The process with this key, its parent, and so on."""
    # All states that a batch refers to have keys of the same segment or part.
    first = key >> 32 << 32
    keys = union(["proc", "proc_parent"], sources.processes, sources.hot_processes)
    chain = cursor.execute(
        f"WITH RECURSIVE near AS MATERIALIZED (SELECT proc, proc_parent FROM ({keys}) WHERE proc >= {first} AND proc < {first + 2**32}), "
        f"chain(proc, up, depth) AS (SELECT proc, proc_parent, 0 FROM near WHERE proc = {key} UNION ALL "
        f"SELECT near.proc, near.proc_parent, depth + 1 FROM near JOIN chain ON near.proc = chain.up WHERE depth < {MAX_ANCESTORS}) "
        "SELECT proc, up FROM chain ORDER BY depth",
    ).fetchall()
    if not chain:
        return UNKNOWN
    names = ["proc", *(f"proc_{name}" for name in _OWN)]
    listed = ", ".join(str(proc) for proc, _ in chain)
    found = cursor.sql(
        f"SELECT * FROM ({union(names, sources.processes, sources.hot_processes)}) WHERE proc IN ({listed})",
    ).to_arrow_table()
    rows: dict[int, dict[str, Any]] = {row["proc"]: row for row in found.to_pylist()}
    node: Maybe[Process] = UNKNOWN if chain[-1][1] is not None and chain[-1][1] < 0 else None
    for proc, _ in reversed(chain):
        row = rows[proc]
        node = to_process({name: row[f"proc_{name}"] for name in _OWN}, node)
    return node


def tables(batches: Sequence[HotBatch]) -> tuple[pa.Table, pa.Table]:
    """The events and process relation of some batches of any segments, under keys of their own."""
    events = [event_rows(hot.batch, hot.base) for hot in batches]
    processes = [process_rows([(hot.batch, hot.base)]) for hot in batches]
    return pa.Table.from_batches(events, schema=HOT_EVENT_SCHEMA), pa.Table.from_batches(
        processes, schema=PROCESS_RELATION
    )
