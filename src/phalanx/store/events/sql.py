"""The flat relation as SQL over the parts and hot tables of one moment, joining only what a question names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa
from msgspec import Struct

from phalanx.errors import UsageError
from phalanx.store.events.engine import text_literal
from phalanx.store.events.relation import HOT_EVENT_SCHEMA, PROCESS_RELATION
from phalanx.store.events.schema import COLUMNS, PROCESSLESS_KINDS

__all__ = ["MAX_TEXT_PROCESSES", "TEXT_COLUMNS", "Sources", "flat", "text_condition", "text_processes", "union"]

_STORED_EVENT: Final = frozenset(HOT_EVENT_SCHEMA.names)
_STORED_PROCESS: Final = frozenset(PROCESS_RELATION.names)
_EVENT_COLUMN: Final = re.compile(r"\be\.(\w+)")
_PROCESSLESS: Final = ", ".join(text_literal(kind) for kind in PROCESSLESS_KINDS)
_PROC_UNKNOWN: Final = f"(e.proc IS NULL AND e.kind NOT IN ({_PROCESSLESS}))"

TEXT_COLUMNS: Final = {
    "event": (
        "fd_name",
        "name",
        "filename",
        "interpreter",
        "path",
        "oldpath",
        "newpath",
        "target",
        "linkpath",
        "addr",
        "dns_name",
        "dir",
        "dev",
        "extra",
    ),
    "process": ("proc_cmdline", "proc_exepath", "proc_user", "proc_cwd", "proc_container_id"),
}
"""Where a text is looked for."""


MAX_TEXT_PROCESSES: Final = 2000
"""So many processes with the text are named one by one; it spares a join over all events."""


class Sources(Struct, frozen=True, kw_only=True):
    """What a question is asked of; the Arrow tables are registered under their keys."""

    events: tuple[str, ...] = ()
    """Paths of Parquet files."""
    processes: tuple[str, ...] = ()
    hot_events: dict[str, pa.Table] = {}
    hot_processes: dict[str, pa.Table] = {}
    facts: pa.Table | None = None
    rows: int = 0
    """Events in all of it."""
    text_processes: tuple[int, ...] = ()
    """Keys of processes with the text that is looked for."""


def union(columns: Sequence[str], files: Sequence[str], tables: Iterable[str]) -> str:
    """``SELECT`` of stored columns from Parquet files and registered tables, one after the other."""
    names = ", ".join(columns)
    pieces = [f"SELECT {names} FROM {table}" for table in tables]
    if files:
        listed = ", ".join(text_literal(path) for path in files)
        pieces.insert(0, f"SELECT {names} FROM read_parquet([{listed}])")
    return " UNION ALL ".join(pieces)


def flat(
    sources: Sources,
    columns: Iterable[str],
    where: Sequence[str],
    *,
    process_keys: Sequence[int] | None = None,
    with_key: bool = False,
    joined: str = "",
) -> str:
    """``SELECT`` of ``columns`` of the flat relation, restricted by ``where``.

    Args:
        columns: names of ``COLUMNS``; ``seq``, ``agent`` and ``ts_ns`` are always there. UsageError for another name.
        where: conditions on stored event columns, as ``e.…``, which the engine can push into its scans.
        process_keys: the only processes that are needed, when that is known.
        with_key: give the key of the process too, as ``proc_key``.
        joined: a further join on ``e``.
    """
    wanted = {"ts_ns", "agent", "seq", *columns}
    for name in wanted - COLUMNS.keys():
        raise UsageError(f"there is no column {name!r} in the history of events")
    by_source = {
        source: sorted(name for name in wanted if COLUMNS[name].source == source)
        for source in ("event", "process", "container")
    }
    event_columns = {name for name in by_source["event"] if name in _STORED_EVENT}
    outputs = {name: f"e.{name}" for name in event_columns}
    if "id" in wanted:
        outputs["id"] = "format('{:016x}-{}-{:012x}', e.ts_ns, e.agent, e.seq)"
    if with_key:
        event_columns.add("proc")
        outputs["proc_key"] = "e.proc"
    joins_process = bool(by_source["process"] or by_source["container"])
    if joins_process or "proc_unknown" in wanted:
        event_columns |= {"proc", "kind"}
    if "proc_unknown" in wanted:
        outputs["proc_unknown"] = _PROC_UNKNOWN
    text = ""
    if joins_process:
        process_columns = {name for name in by_source["process"] if name in _STORED_PROCESS} | {"proc"}
        outputs |= {name: f"p.{name}" for name in process_columns if name != "proc"}
        for flag in {"pproc_unknown", "lineage_unknown"} & wanted:
            outputs[flag] = f"coalesce(p.{flag}, {_PROC_UNKNOWN})"
        if by_source["container"]:
            process_columns.add("proc_container_id")
        inner = union(sorted(process_columns), sources.processes, sources.hot_processes)
        if process_keys is not None:
            listed = ", ".join(map(str, process_keys)) or "NULL"
            inner = f"SELECT * FROM ({inner}) WHERE proc IN ({listed})"
        text += f" LEFT JOIN ({inner}) p ON p.proc = e.proc"
    if by_source["container"]:
        event_columns.add("host")
        outputs |= {name: f"f.{name}" for name in by_source["container"]}
        if "container_unknown" in wanted:
            outputs["container_unknown"] = (
                f"({_PROC_UNKNOWN} OR coalesce(p.proc_container_id <> 'host' AND f.fact_since_ns IS NULL, false))"
            )
        text += (
            " LEFT JOIN facts f ON f.fact_host = e.host AND f.fact_container = p.proc_container_id"
            " AND e.ts_ns >= f.fact_since_ns AND e.ts_ns < f.fact_until_ns"
        )
    events = union(sorted(event_columns | _named([*where, joined])), sources.events, sources.hot_events)
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    selected = ", ".join(f"{expression} AS {name}" for name, expression in sorted(outputs.items()))
    return f"SELECT {selected} FROM ({events}) e{joined}{text}{condition}"


def _named(where: Sequence[str]) -> set[str]:
    """Stored event columns that the conditions name as ``e.column``."""
    return {name for text in where for name in _EVENT_COLUMN.findall(text)} & _STORED_EVENT


def text_processes(sources: Sources, text: str) -> tuple[str, list[Any]]:
    """SQL for the keys of at most :data:`MAX_TEXT_PROCESSES` + 1 processes in whose texts ``text`` occurs, and its parameters."""
    columns = TEXT_COLUMNS["process"]
    found = " OR ".join(f"contains(lower({name}), ?)" for name in columns)
    inner = union(sorted({"proc", *columns}), sources.processes, sources.hot_processes)
    return f"SELECT proc FROM ({inner}) WHERE {found} LIMIT {MAX_TEXT_PROCESSES + 1}", [text.lower()] * len(columns)


def text_condition(sources: Sources, text: str, processes: Sequence[int]) -> tuple[str, list[Any]]:
    """Condition on ``e`` that is true for events in which ``text`` occurs, whatever its case, and its parameters.

    Args:
        processes: what :func:`text_processes` gave; a long list is asked for again inside.
    """
    low = text.lower()
    pieces = []
    parameters: list[Any] = []
    for name in TEXT_COLUMNS["event"]:
        # The path as the caller gave it is mostly the path that was resolved: comparing is cheaper than searching again.
        once = "e.name IS DISTINCT FROM e.fd_name AND " if name == "name" else ""
        pieces.append(f"({once}contains(lower(e.{name}), ?))")
        parameters.append(low)
    if len(processes) > MAX_TEXT_PROCESSES:
        inner, more = text_processes(sources, text)
        pieces.append(f"e.proc IN ({inner.rpartition(' LIMIT ')[0]})")
        parameters += more
    elif processes:
        pieces.append(f"e.proc IN ({', '.join(map(str, processes))})")
    return f"coalesce({' OR '.join(pieces)}, false)", parameters
