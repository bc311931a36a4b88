"""What a field of the language is: its type, where its value comes from, and when it is absent or UNKNOWN.

The fields themselves stand in the ``fields_*`` modules, one for each class of Falco's reference; :mod:`phalanx.language.catalogue` gathers them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from phalanx.model.event import Event
from phalanx.model.values import UNKNOWN

__all__ = ["ABSENT_KINDS", "PROCESS_KINDS", "Access", "Field", "FieldType", "Getter", "Multi", "Need", "Ref", "absent"]

FieldType = Literal["text", "int", "float", "bool", "ip", "net", "port", "bytes", "dynamic"]
"""``dynamic`` is text or number, as the event has it: compared as text by operators of texts, as number by operators of numbers."""

Multi = Literal["", "any", "either", "list"]
"""How a field with several values compares: ``any`` one of them (ancestors); ``either`` end of a connection (one of them, but all for ``!=``);
``list`` a set (only ``in``: all are, ``intersects``: one is, ``exists``)."""

Need = Literal["process", "lineage", "container"]
"""What of an event may be UNKNOWN: then a field that needs it is, too."""

Getter: TypeAlias = Callable[[Event], Any]
"""An event's value of a field: None when absent, UNKNOWN, a scalar, or a tuple of scalars for a field with several values."""

Access: TypeAlias = tuple[Literal["event", "process", "parent", "fd", "container"], str]
"""Owner and attribute, when a value is nothing but that: the matcher then reads it without a call."""


def absent(_: Event) -> None:
    """The getter of a field that no sensor fills."""
    return


class Field(Struct, frozen=True, kw_only=True):
    """One field of the language."""

    name: str
    type: FieldType
    doc: str
    """One sentence, for the reference."""
    argument: Literal["none", "optional", "required"] = "none"
    dotted: bool = False
    """True when the argument may also follow a dot: ``evt.arg.path``."""
    index: bool = False
    """True when the argument must be a number."""
    multi: Multi = ""
    """Without argument."""
    needs: frozenset[Need] = frozenset()
    kinds: tuple[str, ...] | None = None
    """Kinds of events that can fill it; None: all that a process does. Empty: no sensor fills it."""
    access: Access | None = None
    get: Getter = absent
    """Without argument; unused when ``access`` is given."""
    bind: Callable[[str], Ref | None] | None = None
    """The field with an argument; None when the argument means nothing."""
    never_absent: bool = False
    """True when the value is never absent once what it needs is known."""
    columns: tuple[str, ...] = ()
    """Columns of the event store that hold it (:mod:`phalanx.store.events.schema`); empty: it cannot be asked of the past."""
    list_type: bool = False
    """True when ``join`` and ``getopt`` take it as a list."""
    get_list: Getter | None = None
    """Its values as a tuple, for ``join`` and ``getopt``."""
    values: tuple[str, ...] = ()
    """All values it can have, when they are few."""

    @property
    def filled(self) -> bool:
        """False when no sensor fills it."""
        return self.kinds is None or bool(self.kinds)


class Ref:
    """A field as a condition uses it: with its argument, ready to read."""

    __slots__ = (
        "access",
        "argument",
        "columns",
        "field",
        "get",
        "get_list",
        "key",
        "kinds",
        "multi",
        "needs",
        "never_absent",
        "type",
    )

    def __init__(
        self,
        field: Field,
        argument: str | None = None,
        *,
        get: Getter | None = None,
        access: Access | None = None,
        multi: Multi | None = None,
        type: FieldType | None = None,
        kinds: tuple[str, ...] | None = None,
        columns: tuple[str, ...] | None = None,
        needs: frozenset[Need] | None = None,
        never_absent: bool | None = None,
        get_list: Getter | None = None,
    ) -> None:
        self.field: Final = field
        self.argument: Final = argument
        self.key: Final = (
            field.name
            if argument is None
            else f"{field.name}.{argument}"
            if field.dotted
            else f"{field.name}[{argument}]"
        )
        self.access: Final = access if access is not None else (field.access if get is None else None)
        self.get: Final[Getter] = get if get is not None else (owner_getter(self.access) if self.access else field.get)
        self.multi: Final[Multi] = field.multi if multi is None else multi
        self.type: Final[FieldType] = field.type if type is None else type
        self.kinds: Final = field.kinds if kinds is None else kinds
        self.columns: Final = field.columns if columns is None else columns
        self.needs: Final = field.needs if needs is None else needs
        self.never_absent: Final = (field.never_absent and argument is None) if never_absent is None else never_absent
        self.get_list: Final = get_list or field.get_list

    @property
    def filled(self) -> bool:
        """False when no sensor fills it."""
        return self.kinds is None or bool(self.kinds)

    def __repr__(self) -> str:
        return f"Ref({self.key})"


ABSENT_KINDS: Final = ("record", "loss")
"""Kinds of events that no process does."""

PROCESS_KINDS: Final = None


def owner_getter(access: Access) -> Getter:
    """A getter that reads one attribute of the event, its process, parent, descriptor or container."""
    owner, name = access
    if owner == "event":

        def of_event(event: Event) -> Any:
            return getattr(event, name, None)

        return of_event
    if owner == "fd":

        def of_fd(event: Event) -> Any:
            fd = event.fd
            return None if fd is None else getattr(fd, name)

        return of_fd
    if owner == "process":

        def of_process(event: Event) -> Any:
            process = event.process
            return process if process is None or process is UNKNOWN else getattr(process, name)

        return of_process
    if owner == "parent":

        def of_parent(event: Event) -> Any:
            process = event.process
            if process is None or process is UNKNOWN:
                return process
            parent = process.parent
            return parent if parent is None or parent is UNKNOWN else getattr(parent, name)

        return of_parent

    def of_container(event: Event) -> Any:
        container = container_of(event)
        return container if container is None or container is UNKNOWN else getattr(container, name)

    return of_container


def container_of(event: Event) -> Any:
    """The event's container: None on the host, UNKNOWN until a runtime has told."""
    container = event.container
    if container is UNKNOWN:
        process = event.process
        if process is None or (process is not UNKNOWN and process.container_id == "host"):
            return None
    return container
