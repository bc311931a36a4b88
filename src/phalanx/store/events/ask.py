"""From an ``EventQuery`` to SQL, and from its result to an ``Answer``."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
from msgspec import Struct

from phalanx.errors import UsageError
from phalanx.language.query import EventQuery
from phalanx.store.events.engine import text_literal
from phalanx.store.events.lowered import Lowered
from phalanx.store.events.schema import COLUMNS
from phalanx.store.events.sql import Sources, flat, text_condition, text_processes

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "MAX_LIMIT",
    "ROW_COLUMNS",
    "Plan",
    "count_plan",
    "empty_counts",
    "empty_rows",
    "key_plan",
    "plan_of",
    "register",
    "row_plan",
    "undecided_sql",
    "windows",
    "write_cursor",
]

MAX_LIMIT: Final = 10_000
"""No answer has more rows; further ones come by cursor."""

MAX_TEXT: Final = 1024
"""Characters of a text that is looked for."""

MAX_GROUP_FIELDS: Final = 4

ROW_COLUMNS: Final = (
    "id",
    "ts_ns",
    "seq",
    "kind",
    "type",
    "agent",
    "host",
    "ret",
    "truncated",
    "proc_unknown",
    "proc_id",
    "proc_pid",
    "proc_name",
    "proc_exepath",
    "proc_cmdline",
    "proc_user",
    "proc_uid",
    "proc_cwd",
    "proc_container_id",
    "pproc_name",
    "pproc_pid",
    "fd_type",
    "fd_name",
    "name",
    "filename",
    "path",
    "oldpath",
    "newpath",
    "linkpath",
    "addr",
    "dns_name",
    "flags",
    "nstype",
    "dir",
    "fstype",
    "request",
    "target_pid",
    "cmd",
    "option",
    "duration_ns",
    "count",
    "cause",
    "since_ns",
    "container_unknown",
    "container_name",
    "container_image",
    "k8s_pod_name",
    "k8s_ns_name",
)
"""Columns of a row when the question names no fields."""

_WINDOW_GROWTH: Final = 8
_ONE_WINDOW_ROWS: Final = 100_000
"""So many events are looked through at once; there is nothing to win by asking for less."""


class Plan(Struct, frozen=True, kw_only=True):
    """A question, lowered as far as it does not depend on the data."""

    query: EventQuery
    where: Lowered | None
    kinds: tuple[str, ...]
    """The only kinds that can be in the answer; empty: any."""
    outputs: tuple[tuple[str, Lowered], ...]
    """(name in the answer, expression)."""
    after: tuple[int, str, int] | None
    """Where the cursor stands."""


def _column(name: str) -> Lowered:
    return Lowered(sql=name, columns=frozenset({name}))


def plan_of(query: EventQuery) -> Plan:
    """Checks and lowers ``query``. UsageError (RuleError for the condition) when something in it is wrong."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise UsageError(f"the limit is {query.limit}", hint=f"1 to {MAX_LIMIT}")
    if query.bucket_ns < 0 or query.top_n < 0:
        raise UsageError("bucket and number of groups cannot be negative")
    if len(query.group_by) > MAX_GROUP_FIELDS:
        raise UsageError(f"at most {MAX_GROUP_FIELDS} fields make a group, not {len(query.group_by)}")
    if query.since_ns is not None and query.until_ns is not None and query.since_ns > query.until_ns:
        raise UsageError("the time asked for ends before it begins")
    if len(query.text) > MAX_TEXT:
        raise UsageError(f"the text looked for is longer than {MAX_TEXT} characters")
    if not _is_unicode(query.text):
        raise UsageError("the text looked for is not valid Unicode")
    condition = query.condition()
    where = None if condition is None else _lower_condition(condition)
    kinds = set(query.kinds)
    if where is not None and where.kinds is not None and not query.undecided:
        kinds = kinds & where.kinds if kinds else set(where.kinds)
        kinds = kinds or {"none"}
    counting = bool(query.group_by or query.bucket_ns)
    if counting:
        outputs = [(field, _lower_field(field)) for field in query.group_by]
    elif query.fields:
        outputs = [("id", _column("id")), ("ts_ns", _column("ts_ns"))]
        outputs += [(field, _lower_field(field)) for field in query.fields if field not in ("id", "ts_ns")]
    else:
        outputs = [(name, _column(name)) for name in ROW_COLUMNS]
    after = None if counting or not query.cursor else _read_cursor(query.cursor)
    return Plan(query=query, where=where, kinds=tuple(sorted(kinds)), outputs=tuple(outputs), after=after)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _lower_condition(condition: Any) -> Lowered:
    from phalanx.store.events.lowering import lower_condition

    return lower_condition(condition)


def _lower_field(field: str) -> Lowered:
    if field in COLUMNS:
        return _column(field)
    from phalanx.store.events.lowering import lower_field

    return lower_field(field)


def windows(plan: Plan, spans: Sequence[tuple[int, int, int]], since: int, until: int) -> Iterator[tuple[int, int]]:
    """Stretches of ``[since, until)`` in the order of the answer, growing, that hold something of ``spans`` (time range and number
    of events of what is stored). The first is as wide as usually holds a page; a rare thing is looked for in ever wider ones."""
    newest = plan.query.order == "newest"
    held = [(max(low, since), min(high, until)) for low, high, _ in spans]
    held = [span for span in held if span[0] < span[1]]
    if plan.after is not None:
        cut = plan.after[0]
        held = (
            [(low, min(high, cut + 1)) for low, high in held]
            if newest
            else [(max(low, cut), high) for low, high in held]
        )
        held = [span for span in held if span[0] < span[1]]
    if not held:
        return
    width = max(span[1] for span in held) - min(span[0] for span in held)
    rows = sum(count for low, high, count in spans if low < until and high > since)
    if rows > _ONE_WINDOW_ROWS:
        width = max(1_000_000, width * _ONE_WINDOW_ROWS // rows)
    if newest:
        while held:
            high = max(span[1] for span in held)
            low = max(high - width, min(span[0] for span in held))
            yield low, high
            held = [(start, min(end, low)) for start, end in held if start < low]
            width *= _WINDOW_GROWTH
        return
    while held:
        low = min(span[0] for span in held)
        high = min(low + width, max(span[1] for span in held))
        yield low, high
        held = [(max(start, high), end) for start, end in held if end > high]
        width *= _WINDOW_GROWTH


def register(cursor: duckdb.DuckDBPyConnection, sources: Sources, text: str = "") -> Sources:
    """Makes the hot tables of ``sources`` known to ``cursor``; with ``text`` the answer also knows the processes in which it occurs."""
    for name, table in (*sources.hot_events.items(), *sources.hot_processes.items()):
        cursor.register(name, table)
    if sources.facts is not None:
        cursor.register("facts", sources.facts)
    if not text:
        return sources
    keys = cursor.execute(*text_processes(sources, text)).fetchall()
    return msgspec.structs.replace(sources, text_processes=tuple(sorted(key for (key,) in keys)))


def _restriction(plan: Plan, sources: Sources, since: int, until: int) -> tuple[list[str], list[Any]]:
    where = [f"e.ts_ns >= {since}", f"e.ts_ns < {until}"]
    parameters: list[Any] = []
    if plan.kinds:
        where.append(f"e.kind IN ({', '.join(map(text_literal, plan.kinds))})")
    if plan.query.agents:
        where.append(f"e.agent IN ({', '.join('?' * len(plan.query.agents))})")
        parameters += plan.query.agents
    if plan.after is not None:
        sign = "<" if plan.query.order == "newest" else ">"
        where.append(f"(e.ts_ns, e.agent, e.seq) {sign} (?::BIGINT, ?, ?::UBIGINT)")
        parameters += plan.after
    if plan.query.text:
        text, more = text_condition(sources, plan.query.text, sources.text_processes)
        where.append(text)
        parameters += more
    return where, parameters


def _filtered(
    plan: Plan, sources: Sources, since: int, until: int, columns: Iterable[str], *, undecided: bool
) -> tuple[str, list[Any]]:
    """``flat`` restricted by the whole question, and its parameters."""
    names = set(columns) | (set(plan.where.columns) if plan.where is not None else set())
    where, parameters = _restriction(plan, sources, since, until)
    text = f"SELECT * FROM ({flat(sources, names, where, with_key=True)})"
    if plan.where is not None:
        text += f" WHERE ({plan.where.sql})" + (" IS NULL" if undecided else "")
        parameters += plan.where.parameters
    elif undecided:
        text += " WHERE false"
    return text, parameters


def key_plan(plan: Plan, sources: Sources, since: int, until: int, limit: int) -> tuple[str, list[Any]]:
    """SQL for which rows of ``[since, until)`` are the answer, at most ``limit``: their times, agents, numbers and process keys, in order.

    Only the columns of the condition are read for it; :func:`row_plan` reads the rest for the rows that were found.
    """
    inner, parameters = _filtered(plan, sources, since, until, (), undecided=plan.query.undecided)
    direction = _direction(plan)
    text = f"SELECT ts_ns, agent, seq, proc_key FROM ({inner}) ORDER BY ts_ns {direction}, agent {direction}, seq {direction} LIMIT {limit}"
    return text, parameters


def row_plan(plan: Plan, sources: Sources, keys: pa.Table) -> tuple[str, list[Any]]:
    """SQL for the rows of ``keys`` (from :func:`key_plan`, registered under ``found``)."""
    columns = {name for _, output in plan.outputs for name in output.columns}
    times = sorted(set(keys.column("ts_ns").to_pylist()))
    where = [f"e.ts_ns >= {times[0]}", f"e.ts_ns <= {times[-1]}", f"e.ts_ns IN ({', '.join(map(str, times))})"]
    processes = sorted({key for key in keys.column("proc_key").to_pylist() if key is not None})
    inner = flat(
        sources,
        columns,
        where,
        process_keys=processes,
        joined=" JOIN found ON found.ts_ns = e.ts_ns AND found.agent = e.agent AND found.seq = e.seq",
    )
    selected, parameters = _selected(plan.outputs)
    direction = _direction(plan)
    return (
        f"SELECT {selected} FROM ({inner}) ORDER BY ts_ns {direction}, agent {direction}, seq {direction}",
        parameters,
    )


def _direction(plan: Plan) -> str:
    return "DESC" if plan.query.order == "newest" else "ASC"


def _selected(outputs: Sequence[tuple[str, Lowered]]) -> tuple[str, list[Any]]:
    parameters = [value for _, output in outputs for value in output.parameters]
    return ", ".join(f"{output.sql} AS {_quoted(name)}" for name, output in outputs), parameters


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def count_plan(plan: Plan, sources: Sources, since: int, until: int) -> tuple[str, list[Any]]:
    """SQL for groups, a histogram, or a histogram for each of the commonest groups."""
    query = plan.query
    columns = {name for _, output in plan.outputs for name in output.columns}
    inner, parameters = _filtered(plan, sources, since, until, columns, undecided=query.undecided)
    names = [_quoted(name) for name, _ in plan.outputs]
    selected, before = _selected(plan.outputs)
    bucket = f"ts_ns - ts_ns % {query.bucket_ns}" if query.bucket_ns else ""
    columns_sql = ", ".join(filter(None, [selected, f"{bucket} AS bucket_ns" if bucket else ""]))
    found = f"WITH found AS (SELECT {columns_sql} FROM ({inner}))"
    groups = query.top_n or query.limit
    limit = min(query.top_n or query.limit, query.limit)
    if not bucket:
        listed = ", ".join(names)
        text = f"{found} SELECT {listed}, count(*) AS count FROM found GROUP BY ALL ORDER BY count DESC, {listed} LIMIT {limit}"
    elif not names:
        direction = "DESC" if query.order == "newest" else "ASC"
        text = f"{found} SELECT bucket_ns, count(*) AS count FROM found GROUP BY bucket_ns ORDER BY bucket_ns {direction} LIMIT {query.limit}"
    else:
        listed = ", ".join(names)
        same = " AND ".join(f"found.{name} IS NOT DISTINCT FROM top.{name}" for name in names)
        chosen = ", ".join(f"found.{name}" for name in names)
        direction = "DESC" if query.order == "newest" else "ASC"
        text = (
            f"{found}, top AS (SELECT {listed} FROM found GROUP BY ALL ORDER BY count(*) DESC, {listed} LIMIT {groups}) "
            f"SELECT {chosen}, bucket_ns, count(*) AS count FROM found JOIN top ON {same} GROUP BY ALL "
            f"ORDER BY bucket_ns {direction}, {chosen} LIMIT {query.limit}"
        )
    return text, before + parameters


def undecided_sql(plan: Plan, sources: Sources, since: int, until: int) -> tuple[str, list[Any]] | None:
    """SQL that counts the events for which the condition is UNKNOWN; None when that cannot be."""
    if plan.where is None or not any(
        name in COLUMNS and (COLUMNS[name].unknown or name.endswith("_unknown")) for name in plan.where.columns
    ):
        return None
    inner, parameters = _filtered(plan, sources, since, until, (), undecided=True)
    return f"SELECT count(*) FROM ({inner})", parameters


def write_cursor(row: Sequence[Any]) -> str:
    """The cursor after the row with ``(ts_ns, agent, seq)``."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(row))).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[int, str, int]:
    try:
        raw = base64.urlsafe_b64decode(text[:512] + "=" * (-len(text[:512]) % 4))
        return msgspec.json.decode(raw, type=tuple[int, str, int])
    except (ValueError, msgspec.MsgspecError) as error:
        raise UsageError("this is not a cursor of a former answer", hint="ask again from the beginning") from error


def empty_rows(plan: Plan) -> pa.Table:
    """A table without rows and with the columns of the answer."""
    return pa.table({name: pa.array([], pa.string()) for name, _ in plan.outputs})


def empty_counts(plan: Plan) -> pa.Table:
    """A table without groups and with the columns of the answer."""
    columns = {name: pa.array([], pa.string()) for name, _ in plan.outputs}
    if plan.query.bucket_ns:
        columns["bucket_ns"] = pa.array([], pa.int64())
    return pa.table(columns | {"count": pa.array([], pa.int64())})
