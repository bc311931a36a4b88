"""Fields of class ``fd``: the descriptor that an event is about. Names and types are those of Falco's reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from phalanx.language.fields import Field, FieldType, Getter, Need
from phalanx.model.event import Event
from phalanx.model.process import Descriptor, Process

__all__ = ["FIELDS", "TYPES", "directory_of", "filename_of"]

TYPES: Final = {
    "f": "file",
    "d": "directory",
    "4": "ipv4",
    "6": "ipv6",
    "u": "unix",
    "p": "pipe",
    "e": "event",
    "s": "signalfd",
    "l": "eventpoll",
    "i": "inotify",
    "t": "timerfd",
    "b": "bpf",
    "m": "memfd",
    "r": "io_uring",
    "o": "other",
}
"""``fd.typechar`` → ``fd.type``."""

_INET: Final = ("4", "6")


def _of(read: Callable[[Descriptor], Any]) -> Getter:
    def value(event: Event) -> Any:
        fd = event.fd
        return None if fd is None else read(fd)

    return value


def directory_of(fd: Descriptor) -> str | None:
    """The directory of a file, a directory itself; None for what is neither."""
    name = fd.name
    if name is None or fd.type not in ("f", "d"):
        return None
    if fd.type == "d":
        return name
    head, slash, _ = name.rpartition("/")
    return head if head and slash else "/"


def filename_of(fd: Descriptor) -> str | None:
    """The last part of a file's path; None for what is no file."""
    name = fd.name
    if name is None or fd.type != "f":
        return None
    return name.rpartition("/")[2] or "/"


def _either(first: str, second: str) -> Getter:
    def values(event: Event) -> Any:
        fd = event.fd
        if fd is None:
            return None
        found = tuple(value for value in (getattr(fd, first), getattr(fd, second)) if value is not None)
        return found or None

    return values


def _local(client: str, server: str) -> Callable[[Descriptor], Any]:
    return lambda fd: getattr(fd, server if fd.is_server else client)


def _remote(client: str, server: str) -> Callable[[Descriptor], Any]:
    return lambda fd: getattr(fd, client if fd.is_server else server)


def _chained(read: Callable[[Descriptor], Any]) -> Getter:
    def value(event: Event) -> Any:
        if event.fd is None:
            return None
        process = event.process
        if not isinstance(process, Process):
            return process
        name = read(event.fd)
        return None if name is None else f"{process.container_id}:{name}"

    return value


def _own(name: str, type_: FieldType, doc: str, attribute: str) -> Field:
    return Field(name=name, type=type_, doc=doc, access=("fd", attribute), columns=(f"fd_{attribute}",))


def _derived(name: str, type_: FieldType, doc: str, get: Getter, *columns: str, **more: Any) -> Field:
    return Field(name=name, type=type_, doc=doc, get=get, columns=columns, **more)


def _unfilled(name: str, type_: FieldType, doc: str, **more: Any) -> Field:
    return Field(name=name, type=type_, doc=doc, kinds=(), **more)


_PROCESS: Final[frozenset[Need]] = frozenset({"process"})
_LOCAL: Final = ("fd_is_server", "fd_cip", "fd_sip")
_LOCAL_PORT: Final = ("fd_is_server", "fd_cport", "fd_sport")

FIELDS: Final[tuple[Field, ...]] = (
    _own("fd.num", "int", "Number of the descriptor; -1 when the call gave none.", "num"),
    _derived(
        "fd.type",
        "text",
        "Its type as a word: `file`, `ipv4` …",
        _of(lambda fd: TYPES.get(fd.type)),
        "fd_type",
        values=tuple(TYPES.values()),
    ),
    _own("fd.typechar", "text", "Its type as a letter: `f` file, `d` directory, `4` and `6` IP, `u` Unix …", "type"),
    _own("fd.name", "text", "Full path, or the two ends of a connection.", "name"),
    _derived(
        "fd.directory", "text", "Directory of a file; a directory itself.", _of(directory_of), "fd_name", "fd_type"
    ),
    _derived("fd.filename", "text", "Last part of a file's path.", _of(filename_of), "fd_name", "fd_type"),
    _derived("fd.ip", "ip", "Address of either end.", _either("cip", "sip"), "fd_cip", "fd_sip", multi="either"),
    _own("fd.cip", "ip", "Address of the client.", "cip"),
    _own("fd.sip", "ip", "Address of the server.", "sip"),
    _derived("fd.lip", "ip", "Address of this end.", _of(_local("cip", "sip")), *_LOCAL),
    _derived("fd.rip", "ip", "Address of the other end.", _of(_remote("cip", "sip")), *_LOCAL),
    _derived(
        "fd.port", "port", "Port of either end.", _either("cport", "sport"), "fd_cport", "fd_sport", multi="either"
    ),
    _own("fd.cport", "port", "Port of the client.", "cport"),
    _own("fd.sport", "port", "Port of the server.", "sport"),
    _derived("fd.lport", "port", "Port of this end.", _of(_local("cport", "sport")), *_LOCAL_PORT),
    _derived("fd.rport", "port", "Port of the other end.", _of(_remote("cport", "sport")), *_LOCAL_PORT),
    _own("fd.l4proto", "text", "`tcp`, `udp`, `icmp`, `raw`.", "l4proto"),
    _derived(
        "fd.sockfamily",
        "text",
        "`ip` or `unix`.",
        _of(lambda fd: "ip" if fd.type in _INET else "unix" if fd.type == "u" else None),
        "fd_type",
        values=("ip", "unix"),
    ),
    _own("fd.is_server", "bool", "This process is the server's end.", "is_server"),
    _derived(
        "fd.uid",
        "text",
        "Thread id and number of the descriptor, one after the other.",
        lambda e: None if e.fd is None else f"{e.tid}{e.fd.num}",
        "tid",
        "fd_num",
    ),
    _derived(
        "fd.containername",
        "text",
        "Container id, `:`, name of the descriptor.",
        _chained(lambda fd: fd.name),
        "proc_container_id",
        "fd_name",
        needs=_PROCESS,
    ),
    _derived(
        "fd.containerdirectory",
        "text",
        "Container id, `:`, directory.",
        _chained(directory_of),
        "proc_container_id",
        "fd_name",
        "fd_type",
        needs=_PROCESS,
    ),
    *(
        _unfilled(f"fd.{end}proto", "text", "Name of the service by its port; write the port.")
        for end in ("", "c", "s", "l", "r")
    ),
    _derived("fd.net", "net", "Network of either end.", _either("cip", "sip"), "fd_cip", "fd_sip", multi="either"),
    Field(name="fd.cnet", type="net", doc="Network of the client.", access=("fd", "cip"), columns=("fd_cip",)),
    Field(name="fd.snet", type="net", doc="Network of the server.", access=("fd", "sip"), columns=("fd_sip",)),
    _derived("fd.lnet", "net", "Network of this end.", _of(_local("cip", "sip")), *_LOCAL),
    _derived("fd.rnet", "net", "Network of the other end.", _of(_remote("cip", "sip")), *_LOCAL),
    _own("fd.connected", "bool", "A connection stands.", "connected"),
    _own("fd.name_changed", "bool", "This call gave the descriptor another peer.", "name_changed"),
    *(
        _unfilled(
            f"fd.{end}ip.name",
            "text",
            "Name by DNS; names are not resolved, because whoever holds an address chooses its name.",
        )
        for end in ("c", "s", "l", "r")
    ),
    _unfilled("fd.dev", "int", "Device of the file."),
    _unfilled("fd.dev.major", "int", "Its major number."),
    _unfilled("fd.dev.minor", "int", "Its minor number."),
    _own("fd.ino", "int", "Inode number.", "ino"),
    Field(
        name="fd.nameraw",
        type="text",
        doc="Path of a file as the caller gave it.",
        kinds=("open",),
        get=lambda e: getattr(e, "name", None) if e.__struct_config__.tag == "open" else None,
        columns=("kind", "name"),
    ),
    _unfilled("fd.types", "text", "Types of the descriptors in use.", argument="optional", index=True, multi="list"),
    _unfilled("fd.is_upper_layer", "bool", "The file lies in the upper layer of an overlay."),
    _unfilled("fd.is_lower_layer", "bool", "The file lies in a lower layer of an overlay."),
)
"""All of them."""
