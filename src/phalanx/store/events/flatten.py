"""``Event`` structs as a column batch, and rows as ``Event`` structs again.

The kernel sensor writes batches natively; this is the way in for other sources and for tests, and the way out for everyone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from phalanx.errors import UsageError
from phalanx.model.columns import (
    EVENT_COLUMNS,
    PROCESS_COLUMNS,
    BatchHeader,
    Column,
    ColumnBuffers,
    Coverage,
    encode_header,
)
from phalanx.model.event import Event, EventBase
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.store.events.arrow import TYPES

__all__ = ["flatten", "to_event", "to_process"]

_RENAMED: Final = {
    ("cred", "uid"): "arg_uid",
    ("cred", "gid"): "arg_gid",
    ("chmod", "uid"): "arg_uid",
    ("chmod", "gid"): "arg_gid",
}
"""(kind, field of the struct) → column, where the two names differ."""

_BASE_FIELDS: Final = frozenset(EventBase.__struct_fields__)
_EXTRA_FIELDS: Final = {"record": ("fields", "message"), "loss": ("by_cpu",)}
_BASE_COLUMNS: Final = {
    "ts_ns": "ts_ns",
    "seq": "seq",
    "type": "type",
    "ret": "ret",
    "cpu": "cpu",
    "tid": "tid",
    "flags_truncated": "truncated",
    "compat32": "compat32",
}
"""Field of ``EventBase`` → column."""

_KIND_CLASS: Final[dict[str, type[EventBase]]] = {
    str(member.__struct_config__.tag): member for member in Event.__args__
}
_KIND_FIELDS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    kind: tuple(
        (field, _RENAMED.get((kind, field), field))
        for field in member.__struct_fields__
        if field not in _BASE_FIELDS and field not in _EXTRA_FIELDS.get(kind, ())
    )
    for kind, member in _KIND_CLASS.items()
}
"""kind → ((field, column) …) of its own fields that have a column."""

_DESCRIPTOR_FIELDS: Final = Descriptor.__struct_fields__
_FIELD_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    kind: {field.name: field.default for field in msgspec.structs.fields(member)}
    for kind, member in _KIND_CLASS.items()
}
_PROCESS_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in msgspec.structs.fields(Process)}
_PROCESS_FIELDS: Final = tuple(column.name for column in PROCESS_COLUMNS if column.name != "parent")


def flatten(
    events: Sequence[Event],
    *,
    batch: str,
    host: str,
    boot: str,
    agent: str | None = None,
    coverage: Sequence[Coverage] = (),
    tenant: str = "default",
) -> bytes:
    """A column batch of ``events``, all of one agent.

    Args:
        events: in any order; their containers are not kept (they are facts, joined when asked).
        agent: id of the agent; that of the events when None. Needed for a batch without events.

    Raises:
        UsageError: the events are of several agents, or there is none and ``agent`` is None.
    """
    agents = {event.agent for event in events} | ({agent} if agent is not None else set())
    if len(agents) != 1:
        raise UsageError(f"a batch holds the events of one agent, not of {len(agents)}")
    processes = _Processes()
    event_rows = [_event_row(event, processes) for event in events]
    pieces = _Pieces()
    places = _columns("event", EVENT_COLUMNS, event_rows, pieces) + _columns(
        "process", PROCESS_COLUMNS, processes.rows, pieces
    )

    def header(shift: int) -> bytes:
        return encode_header(
            BatchHeader(
                batch=batch,
                agent=agents.copy().pop(),
                host=host,
                boot=boot,
                rows=len(event_rows),
                processes=len(processes.rows),
                columns=tuple(_shifted(place, shift) for place in places),
                coverage=tuple(coverage),
                tenant=tenant,
            ),
        )

    # The offsets stand in the header and depend on its length: widen until it fits.
    shift = 0
    while len(head := header(shift)) > shift:
        shift = len(head)
    return b"".join((head, bytes(shift - len(head)), *pieces.pieces))


class _Processes:
    """The process table under construction: each state once, by identity."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._known: dict[int, int] = {}

    def row(self, process: Process) -> int:
        chain: list[Process] = []
        node: Maybe[Process] = process
        while isinstance(node, Process) and id(node) not in self._known:
            chain.append(node)
            node = node.parent
        for link in reversed(chain):
            row = {name: getattr(link, name) for name in _PROCESS_FIELDS}
            parent = link.parent
            row["parent"] = (
                self._known[id(parent)] if isinstance(parent, Process) else (-1 if parent is UNKNOWN else None)
            )
            self._known[id(link)] = len(self.rows)
            self.rows.append(row)
        return self._known[id(process)]


def _event_row(event: Event, processes: _Processes) -> dict[str, Any]:
    kind = str(event.__struct_config__.tag)
    row: dict[str, Any] = {column: getattr(event, field) for field, column in _BASE_COLUMNS.items()}
    row["kind"] = kind
    if event.source != "syscall":
        row["source"] = event.source
    if isinstance(event.process, Process):
        row["proc"] = processes.row(event.process)
    if event.fd is not None:
        for name in _DESCRIPTOR_FIELDS:
            row["fd_" + name] = getattr(event.fd, name)
    for field, column in _KIND_FIELDS[kind]:
        value = getattr(event, field)
        row[column] = str(value) if column == "dev" and isinstance(value, int) else value
    extra = {name: getattr(event, name) for name in _EXTRA_FIELDS.get(kind, ())}
    if any(extra.values()):
        row["extra"] = msgspec.json.encode(extra).decode()
    return row


class _Pieces:
    """Buffers one after the other, each at a multiple of 64."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    def add(self, buffer: pa.Buffer | None, length: int) -> tuple[int, int]:
        raw = b"" if buffer is None else buffer.to_pybytes()[:length]
        raw += bytes(length - len(raw))
        place = (self.size, len(raw))
        padded = raw + bytes(-len(raw) % 64)
        self.pieces.append(padded)
        self.size += len(padded)
        return place


def _columns(
    table: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], pieces: _Pieces
) -> list[ColumnBuffers]:
    places = []
    count = len(rows)
    for column in columns:
        values = [row.get(column.name) for row in rows]
        if all(value is None for value in values):
            continue
        array = pa.array(values, TYPES[column.type])
        buffers = array.buffers()
        place: dict[str, Any] = {}
        if array.null_count:
            place["validity"] = pieces.add(buffers[0], (count + 7) // 8)
        if column.type == "texts":
            children = array.offsets[count].as_py()
            place["list_offsets"] = pieces.add(buffers[1], 4 * (count + 1))
            place["offsets"] = pieces.add(buffers[3], 4 * (children + 1))
            place["data"] = pieces.add(buffers[4], buffers[4].size if buffers[4] is not None else 0)
        elif column.type == "text":
            place["offsets"] = pieces.add(buffers[1], 4 * (count + 1))
            place["data"] = pieces.add(buffers[2], buffers[2].size if buffers[2] is not None else 0)
        elif column.type == "bool":
            place["data"] = pieces.add(buffers[1], (count + 7) // 8)
        else:
            place["data"] = pieces.add(buffers[1], count * array.type.byte_width)
        places.append(ColumnBuffers(table=table, name=column.name, **place))  # type: ignore[arg-type]
    return places


def _shifted(place: ColumnBuffers, shift: int) -> ColumnBuffers:
    def move(where: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if where is None else (where[0] + shift, where[1])

    return msgspec.structs.replace(
        place,
        data=(place.data[0] + shift, place.data[1]),
        validity=move(place.validity),
        offsets=move(place.offsets),
        list_offsets=move(place.list_offsets),
    )


def to_process(row: Mapping[str, Any], parent: Maybe[Process]) -> Process:
    """The process of a row under the names of ``PROCESS_COLUMNS``; what is null there is the field's default."""
    values = {name: _value(row.get(name), _PROCESS_DEFAULTS[name]) for name in _PROCESS_FIELDS}
    values["argv"] = tuple(values["argv"])
    values["env"] = tuple(values["env"])
    return Process(**values, parent=parent)


def to_event(row: Mapping[str, Any], *, agent: str, process: Maybe[Process]) -> Event:
    """The event of a row under the names of ``EVENT_COLUMNS``; its container stays UNKNOWN.

    Raises:
        KeyError: ``row["kind"]`` is no kind.
    """
    kind = row["kind"]
    defaults = _FIELD_DEFAULTS[kind]
    values: dict[str, Any] = {
        field: _value(row.get(column), defaults[field]) for field, column in _BASE_COLUMNS.items()
    }
    values["agent"] = agent
    values["source"] = row.get("source") or "syscall"
    values["process"] = process
    if row.get("fd_num") is not None:
        values["fd"] = Descriptor(
            **{
                field.name: _value(row.get("fd_" + field.name), field.default)
                for field in msgspec.structs.fields(Descriptor)
            },
        )
    for field, column in _KIND_FIELDS[kind]:
        value = _value(row.get(column), defaults[field])
        values[field] = int(value) if kind == "mkdir" and field == "dev" and value is not None else value
    if row.get("extra"):
        values.update(msgspec.json.decode(row["extra"]))
    return _KIND_CLASS[kind](**values)  # type: ignore[return-value]


def _value(stored: Any, default: Any) -> Any:
    if stored is not None:
        return stored
    return None if default is msgspec.NODEFAULT else default
