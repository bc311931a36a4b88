"""The flat relation of events: the names and types that an ``EventQuery`` is lowered onto, whatever the engine.

One row for each event. Columns come from three places, and a member joins only those that a query names:

* ``event``: :data:`phalanx.model.columns.EVENT_COLUMNS` under their own names (without ``proc``), with ``id``, ``agent``, ``host``, ``boot`` and ``tenant``;
* ``process``: :data:`phalanx.model.columns.PROCESS_COLUMNS` of the acting process as ``proc_*`` and of its parent as ``pproc_*``, ``*_args`` and
  ``*_cmdline`` derived from them, and the ancestors as lists in which index 0 is the parent (in SQL: ``aname[1]``);
* ``container``: what a runtime told of ``proc_container_id`` at the time of the event, as ``container_*`` and ``k8s_*``.

What NULL means depends on the column; :attr:`StoredColumn.unknown` names the boolean column that tells. Where that one is true the
value is UNKNOWN; where it is false NULL is *absent*. A column without it is never UNKNOWN.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from phalanx.model.columns import EVENT_COLUMNS, PROCESS_COLUMNS

__all__ = [
    "ANCESTOR_COLUMNS",
    "COLUMNS",
    "CONTAINER_COLUMNS",
    "PROCESSLESS_KINDS",
    "StoredColumn",
    "StoredType",
]

StoredType = Literal["bool", "u16", "u32", "i32", "u64", "i64", "text", "texts", "u32s", "bools"]
"""The types of :data:`phalanx.model.columns.ColumnType`, and lists of unsigned numbers and of booleans."""

Source = Literal["event", "process", "container"]

PROCESSLESS_KINDS: Final = ("loss", "record")
"""Kinds of events that no process did: their process is absent, never UNKNOWN."""


class StoredColumn(Struct, frozen=True, kw_only=True):
    """One column of the flat relation."""

    name: str
    type: StoredType
    source: Source
    """Which join brings it; ``event`` needs none."""
    field: str
    """The attribute of the model that it holds."""
    unknown: str | None = None
    """The boolean column, never NULL, that is true where this one is UNKNOWN. None: never UNKNOWN."""


def _event() -> list[StoredColumn]:
    own = [
        ("id", "text", "Event.id"),
        ("agent", "text", "Event.agent"),
        ("host", "text", "BatchHeader.host"),
        ("boot", "text", "BatchHeader.boot"),
        ("tenant", "text", "BatchHeader.tenant"),
        ("source", "text", "Event.source"),
        ("proc_unknown", "bool", "Event.process is UNKNOWN"),
    ]
    columns = [StoredColumn(name=name, type=kind, source="event", field=field) for name, kind, field in own]  # type: ignore[arg-type]
    columns += [
        StoredColumn(name=column.name, type=column.type, source="event", field=column.field)
        for column in EVENT_COLUMNS
        if column.name not in ("proc", "source")
    ]
    return columns


def _process(prefix: str, unknown: str) -> list[StoredColumn]:
    owner = "Event.process" if prefix == "proc_" else "Event.process.parent"
    columns = [
        StoredColumn(
            name=prefix + column.name,
            type=column.type,
            source="process",
            field=column.field.replace("Process", owner, 1),
            unknown=unknown,
        )
        for column in PROCESS_COLUMNS
        if column.name != "parent"
    ]
    columns += [
        StoredColumn(name=f"{prefix}{name}", type="text", source="process", field=f"{owner}.{name}", unknown=unknown)
        for name in ("args", "cmdline")
    ]
    return columns


ANCESTOR_COLUMNS: Final[tuple[StoredColumn, ...]] = tuple(
    StoredColumn(name=name, type=kind, source="process", field=field, unknown="lineage_unknown")  # type: ignore[arg-type]
    for name, kind, field in (
        ("aid", "texts", "ancestors: id"),
        ("apid", "u32s", "ancestors: pid"),
        ("aname", "texts", "ancestors: name"),
        ("aexe", "texts", "ancestors: exe; NULL inside where absent"),
        ("aexepath", "texts", "ancestors: exepath; NULL inside where absent"),
        ("acmdline", "texts", "ancestors: cmdline"),
    )
)
"""The ancestors, nearest first, as lists of one length (at most ``MAX_ANCESTORS``). The lists are never NULL where the process is known. An element
is UNKNOWN when ``lineage_unknown`` is true **and** its index is past the end of the list; without ``lineage_unknown`` it is absent there."""

CONTAINER_COLUMNS: Final[tuple[StoredColumn, ...]] = tuple(
    StoredColumn(name=name, type=kind, source="container", field=field, unknown="container_unknown")  # type: ignore[arg-type]
    for name, kind, field in (
        ("container_full_id", "text", "Container.full_id"),
        ("container_name", "text", "Container.name"),
        ("container_runtime", "text", "Container.runtime"),
        ("container_image", "text", "Container.image"),
        ("container_image_repository", "text", "Container.image_repository"),
        ("container_image_tag", "text", "Container.image_tag"),
        ("container_image_digest", "text", "Container.image_digest"),
        ("container_privileged", "bool", "Container.privileged"),
        ("container_start_ns", "i64", "Container.start_ns"),
        ("container_root_pid", "i64", "Container.root_pid"),
        ("container_mount_source", "texts", "Container.mounts: source"),
        ("container_mount_destination", "texts", "Container.mounts: destination"),
        ("container_mount_mode", "texts", "Container.mounts: mode"),
        ("container_mount_writable", "bools", "Container.mounts: writable"),
        ("container_mount_propagation", "texts", "Container.mounts: propagation"),
        ("k8s_pod_name", "text", "Container.pod.name"),
        ("k8s_pod_uid", "text", "Container.pod.uid"),
        ("k8s_ns_name", "text", "Container.pod.namespace"),
        ("k8s_service_account", "text", "Container.pod.service_account"),
        ("k8s_label_keys", "texts", "Container.pod.labels: keys"),
        ("k8s_label_values", "texts", "Container.pod.labels: values, in the order of the keys"),
    )
)
"""What a runtime told. On the host they are absent; in a container they are UNKNOWN until a fact covers the time of the event (``container_unknown``)."""

_FLAGS: Final = (
    StoredColumn(
        name="pproc_unknown", type="bool", source="process", field="the parent is UNKNOWN (or the process is)"
    ),
    StoredColumn(
        name="lineage_unknown", type="bool", source="process", field="the chain of ancestors ends at an UNKNOWN process"
    ),
    StoredColumn(
        name="container_unknown",
        type="bool",
        source="container",
        field="the process is UNKNOWN, or it is in a container of which no fact covers this time",
    ),
)

COLUMNS: Final[dict[str, StoredColumn]] = {
    column.name: column
    for column in (
        *_event(),
        *_process("proc_", "proc_unknown"),
        *_process("pproc_", "pproc_unknown"),
        *ANCESTOR_COLUMNS,
        *CONTAINER_COLUMNS,
        *_FLAGS,
    )
}
"""Every column by name. ``container.id`` is ``proc_container_id``."""
