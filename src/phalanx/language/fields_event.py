"""Fields of class ``evt``: what every event has, and the arguments of system calls. Names and types are those of Falco's reference."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from typing import Any, Final

from phalanx.language.event_types import CATEGORY, kind_attributes
from phalanx.language.fields import Field, FieldType, Getter, Need, Ref, absent
from phalanx.model.event import Event
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN

__all__ = ["ARGUMENTS", "FIELDS", "event_argument_names", "result_text"]

_PROCESS: Final[frozenset[Need]] = frozenset({"process"})


def result_text(value: int | None) -> str | None:
    """``SUCCESS``, or the name of the error (``ENOENT``); None when the event has no result."""
    if value is None:
        return None
    return "SUCCESS" if value >= 0 else errno.errorcode.get(-value, str(-value))


def _clock(form: str) -> Getter:
    def text(event: Event) -> str:
        moment = datetime.fromtimestamp(event.ts_ns // 1_000_000_000, UTC)
        return moment.strftime(form).replace("NNNNNNNNN", f"{event.ts_ns % 1_000_000_000:09d}")

    return text


def _kind(event: Event) -> str:
    tag: str = event.__struct_config__.tag  # type: ignore[assignment]
    return tag


def _opened(name: str) -> Getter:
    def flag(event: Event) -> bool:
        return _kind(event) == "open" and bool(getattr(event, name))

    return flag


def _created(event: Event) -> bool:
    flags = getattr(event, "flags", None)
    return _kind(event) == "open" and (event.type == "creat" or (flags is not None and "O_CREAT" in flags))


def _failed(event: Event) -> bool | None:
    return None if event.ret is None else event.ret < 0


def _count_error(event: Event) -> int:
    return 1 if event.ret is not None and event.ret < 0 else 0


def _exe_flags(event: Event) -> Any:
    process = event.process
    if not isinstance(process, Process):
        return process
    flags = [
        name
        for name, held in (
            ("EXE_WRITABLE", process.exe_writable),
            ("EXE_UPPER_LAYER", process.exe_upper),
            ("EXE_FROM_MEMFD", process.exe_memfd),
            ("EXE_LOWER_LAYER", process.exe_upper is False),
        )
        if held
    ]
    return "|".join(flags) or "0"


_PROCESS_COLUMNS: Final[dict[Getter, str]] = {}
"""Getters of :data:`ARGUMENTS` that read the process → the column that holds the same."""


def _process_text(attribute: str) -> Getter:
    def value(event: Event) -> Any:
        process = event.process
        return getattr(process, attribute) if isinstance(process, Process) else process

    _PROCESS_COLUMNS[value] = f"proc_{attribute}"
    return value


_Source = str | Getter

ARGUMENTS: Final[dict[str, dict[str, _Source]]] = {
    "name": {"open": "name", "unlink": "name", "module": "name", "memfd": "name", "mount": "dir"},
    "filename": {"exec": "filename", "chmod": "filename", "open": "name"},
    "pathname": {"exec": "filename"},
    "path": {"mkdir": "path", "cgroup": "path", "namespace": "path", "unlink": "name"},
    "oldpath": {"rename": "oldpath", "link": "oldpath"},
    "newpath": {"rename": "newpath", "link": "newpath"},
    "target": {"link": "target"},
    "linkpath": {"link": "linkpath"},
    "flags": {
        "exec": _exe_flags,
        "fork": "flags",
        "open": "flags",
        "accept": "flags",
        "namespace": "flags",
        "mount": "flags",
        "module": "flags",
        "bpf": "flags",
        "rename": "flags",
        "unlink": "flags",
        "link": "flags",
        "memfd": "flags",
    },
    "mode": {"open": "mode", "mkdir": "mode", "chmod": "mode"},
    "addr": {"connect": "addr", "bind": "addr", "send": "addr", "ptrace": "addr"},
    "tuple": {
        kind: (lambda event: event.fd.name if event.fd is not None else None) for kind in ("connect", "accept", "send")
    },
    "domain": {"socket": "domain"},
    "type": {"socket": "socket_type", "mount": "fstype"},
    "proto": {"socket": "proto"},
    "size": {"send": "size"},
    "backlog": {"listen": "backlog"},
    "oldfd": {"dup": "oldfd"},
    "newfd": {"dup": "newfd"},
    "nstype": {"namespace": "nstype"},
    "dev": {"mount": "dev", "mkdir": "dev"},
    "special": {"mount": "dev"},
    "dir": {"mount": "dir"},
    "fstype": {"mount": "fstype"},
    "request": {"ptrace": "request"},
    "pid": {"ptrace": "target_pid", "exec": _process_text("pid"), "fork": _process_text("pid")},
    "cmd": {"bpf": "cmd"},
    "option": {"cred": "option"},
    "uid": {"cred": "uid", "chmod": "uid", "exec": _process_text("uid"), "fork": _process_text("uid")},
    "ruid": {"cred": "uid"},
    "euid": {"cred": "euid"},
    "gid": {"cred": "gid", "chmod": "gid", "exec": _process_text("gid"), "fork": _process_text("gid")},
    "cap_effective": {"cred": "capabilities"},
    "exe": {"exec": _process_text("exe"), "fork": _process_text("exe")},
    "args": {"exec": _process_text("args"), "fork": _process_text("args")},
    "comm": {"exec": _process_text("name"), "fork": _process_text("name")},
    "cwd": {"exec": _process_text("cwd"), "fork": _process_text("cwd")},
    "trusted_exepath": {"exec": _process_text("exepath")},
    "loginuid": {"exec": _process_text("loginuid")},
    "pgid": {"exec": _process_text("pgid")},
    "tty": {"exec": _process_text("tty")},
    "exe_ino": {"exec": _process_text("exe_ino")},
}
"""``evt.arg.NAME`` → kind of event → attribute of the event (or a getter) that holds it."""

_ARGUMENT_COLUMNS: Final = {
    "mount.dir": "dir",
    "socket.socket_type": "socket_type",
    "mount.fstype": "fstype",
    "ptrace.target_pid": "target_pid",
    "cred.uid": "arg_uid",
    "cred.gid": "arg_gid",
    "chmod.uid": "arg_uid",
    "chmod.gid": "arg_gid",
    "cred.euid": "euid",
}
_RESULT_NAMES: Final = ("res", "ret")


def event_argument_names(event: Event) -> list[tuple[str, Any]]:
    """``(name, value)`` of the arguments that this event has, in the order of :data:`ARGUMENTS`."""
    kind = _kind(event)
    pairs: list[tuple[str, Any]] = []
    for name, sources in ARGUMENTS.items():
        source = sources.get(kind)
        if source is None or (callable(source) and name != "flags"):
            continue
        value = source(event) if callable(source) else getattr(event, source)
        if value is not None and value is not UNKNOWN:
            pairs.append((name, value))
    return pairs


def _argument(name: str) -> Ref | None:
    field = _ARG
    if name in _RESULT_NAMES:
        getter: Getter = (lambda event: result_text(event.ret)) if name == "res" else (lambda event: event.ret)
        return Ref(field, name, get=getter, type="dynamic", kinds=tuple(CATEGORY), columns=("ret",))
    if name == "fd":
        return Ref(
            field,
            name,
            get=lambda event: None if event.fd is None else event.fd.num,
            columns=("fd_num",),
            kinds=tuple(CATEGORY),
        )
    sources = ARGUMENTS.get(name)
    if sources is None:
        return Ref(field, name, get=absent, kinds=(), columns=())
    pairs = argument_columns(name)
    columns = tuple(sorted({column for _, column in pairs})) if len(pairs) == len(sources) else ()
    if name == "flags":
        columns = ("flags", "kind", "proc_exe_writable", "proc_exe_upper", "proc_exe_memfd")

    def value(event: Event) -> Any:
        source = sources.get(_kind(event))
        if source is None:
            return None
        return source(event) if callable(source) else getattr(event, source)

    return Ref(
        field,
        name,
        get=value,
        kinds=tuple(sources),
        columns=columns,
        needs=_PROCESS if any(callable(sources[kind]) and name != "tuple" for kind in sources) else frozenset(),
    )


def _column(kind: str, attribute: str) -> str:
    return _ARGUMENT_COLUMNS.get(f"{kind}.{attribute}", attribute)


def argument_columns(name: str) -> list[tuple[str, str]]:
    """``(kind, column)`` of each kind that has the argument ``name`` in a column."""
    pairs = [
        (kind, _column(kind, source) if isinstance(source, str) else _PROCESS_COLUMNS.get(source))
        for kind, source in ARGUMENTS.get(name, {}).items()
    ]
    return [(kind, column) for kind, column in pairs if column is not None]


def _all_arguments(event: Event) -> str:
    pairs = [("res", result_text(event.ret))] if event.ret is not None else []
    pairs += event_argument_names(event)
    return " ".join(f"{name}={value}" for name, value in pairs)


def _type_is(name: str) -> Ref | None:
    return Ref(
        _TYPE_IS,
        name,
        get=lambda event: 1 if event.type == name else 0,
        kinds=None,
        columns=("type",),
        never_absent=True,
    )


def _around(argument: str) -> Ref | None:
    return Ref(_AROUND, argument, get=absent, kinds=(), columns=()) if argument.isdigit() else None


_PATH_SOURCE: Final = {"rename": "oldpath", "link": "oldpath"}
_PATH_TARGET: Final = {"rename": "newpath", "link": "newpath"}
_PAIR_COLUMNS: Final = ("kind", "oldpath", "newpath", "target", "linkpath")
_PATH_NAME: Final = {"unlink": "name", "mkdir": "path", "chmod": "filename", "mount": "dir"}


def _pathed(table: dict[str, str], *, descriptor: bool = False) -> Getter:
    def value(event: Event) -> Any:
        kind = _kind(event)
        if descriptor and kind == "open":
            return None if event.fd is None else event.fd.name
        name = table.get(kind)
        found = None if name is None else getattr(event, name)
        if found is None and name in ("oldpath", "newpath") and kind == "link":
            found = getattr(event, "target" if name == "oldpath" else "linkpath")
        return found

    return value


def _abspath(argument: str) -> Ref | None:
    if argument not in ("src", "dst"):
        return None
    return Ref(
        _ABSPATH,
        argument,
        get=_pathed(_PATH_SOURCE if argument == "src" else _PATH_TARGET),
        kinds=("rename", "link"),
        columns=_PAIR_COLUMNS,
    )


_ARG = Field(
    name="evt.arg",
    type="dynamic",
    argument="required",
    dotted=True,
    bind=_argument,
    doc="One argument of the event, by the name that the system call gives it: `evt.arg.path`, `evt.arg[flags]`.",
)
_TYPE_IS = Field(
    name="evt.type.is",
    type="int",
    argument="required",
    dotted=True,
    bind=_type_is,
    never_absent=True,
    doc="1 when the event is of the named type: `evt.type.is.open`.",
)
_AROUND = Field(
    name="evt.around",
    type="int",
    argument="required",
    index=True,
    bind=_around,
    kinds=(),
    doc="Near a moment of a capture; phalanx reads no captures.",
)
_ABSPATH = Field(
    name="evt.abspath",
    type="text",
    argument="optional",
    dotted=True,
    bind=_abspath,
    get=_pathed(_PATH_NAME),
    kinds=tuple(_PATH_NAME),
    columns=("kind", "name", "path", "filename", "dir"),
    doc="Resolved path of the call; `.src` and `.dst` where it takes two.",
)


def _simple(name: str, type_: FieldType, doc: str, get: Getter, *columns: str, **more: Any) -> Field:
    return Field(name=name, type=type_, doc=doc, get=get, columns=columns, **more)


def _unfilled(name: str, type_: FieldType, doc: str) -> Field:
    return Field(name=name, type=type_, doc=doc, kinds=())


FIELDS: Final[tuple[Field, ...]] = (
    Field(
        name="evt.num",
        type="int",
        doc="Number of the event at its agent.",
        access=("event", "seq"),
        columns=("seq",),
        never_absent=True,
    ),
    _simple("evt.time", "text", "Time of day, UTC, with nanoseconds.", _clock("%H:%M:%S.NNNNNNNNN"), never_absent=True),
    _simple("evt.time.s", "text", "Time of day, UTC.", _clock("%H:%M:%S"), never_absent=True),
    _simple(
        "evt.time.iso8601",
        "text",
        "Time in ISO 8601, UTC, with nanoseconds.",
        _clock("%Y-%m-%dT%H:%M:%S.NNNNNNNNN+0000"),
        never_absent=True,
    ),
    _simple(
        "evt.datetime",
        "text",
        "Date and time, UTC, with nanoseconds.",
        _clock("%Y-%m-%d %H:%M:%S.NNNNNNNNN"),
        never_absent=True,
    ),
    _simple("evt.datetime.s", "text", "Date and time, UTC.", _clock("%Y-%m-%d %H:%M:%S"), never_absent=True),
    Field(
        name="evt.rawtime",
        type="int",
        doc="Nanoseconds since 1970.",
        access=("event", "ts_ns"),
        columns=("ts_ns",),
        never_absent=True,
    ),
    _simple(
        "evt.rawtime.s", "int", "Seconds since 1970.", lambda e: e.ts_ns // 1_000_000_000, "ts_ns", never_absent=True
    ),
    _simple(
        "evt.rawtime.ns",
        "int",
        "Nanoseconds in the second.",
        lambda e: e.ts_ns % 1_000_000_000,
        "ts_ns",
        never_absent=True,
    ),
    _unfilled("evt.reltime", "int", "Nanoseconds since the start of a capture; phalanx reads no captures."),
    _unfilled("evt.reltime.s", "int", "Seconds of it."),
    _unfilled("evt.reltime.ns", "int", "Nanoseconds of it."),
    _unfilled("evt.pluginname", "text", "Name of the plugin that gave the event."),
    _unfilled("evt.plugininfo", "text", "The plugin's summary of the event."),
    Field(
        name="evt.source",
        type="text",
        doc="Source of the event: `syscall` …",
        access=("event", "source"),
        columns=("source",),
        never_absent=True,
    ),
    _simple("evt.is_async", "bool", "Always false: no event here is asynchronous.", lambda _: False, never_absent=True),
    _unfilled("evt.asynctype", "text", "Type of an asynchronous event."),
    _unfilled("evt.hostname", "text", "Name of the host; the agent's name stands beside each event, not in it."),
    _unfilled("evt.latency", "int", "Time between entering and leaving the call; only its return is recorded."),
    _unfilled("evt.latency.s", "int", "Seconds of it."),
    _unfilled("evt.latency.ns", "int", "Nanoseconds of it."),
    _unfilled("evt.latency.human", "text", "The same for people."),
    _unfilled("evt.deltatime", "int", "Time since the event before."),
    _unfilled("evt.deltatime.s", "int", "Seconds of it."),
    _unfilled("evt.deltatime.ns", "int", "Nanoseconds of it."),
    _unfilled("evt.outputtime", "text", "Time in the format of the command line; phalanx has none."),
    _simple(
        "evt.dir",
        "text",
        "Direction: always `<`, because events are recorded when calls return.",
        lambda _: "<",
        never_absent=True,
        values=("<",),
    ),
    Field(
        name="evt.type",
        type="text",
        doc="Name of the system call or of what else happened.",
        access=("event", "type"),
        columns=("type",),
        never_absent=True,
    ),
    _TYPE_IS,
    Field(
        name="syscall.type",
        type="text",
        doc="The same for system calls.",
        access=("event", "type"),
        columns=("type",),
        never_absent=True,
    ),
    _simple(
        "evt.category", "text", "`file`, `net`, `process`, `user`, `system`.", lambda e: CATEGORY.get(_kind(e)), "kind"
    ),
    Field(
        name="evt.cpu",
        type="int",
        doc="CPU it happened on.",
        access=("event", "cpu"),
        columns=("cpu",),
        never_absent=True,
    ),
    _simple("evt.args", "text", "All arguments as `name=value`.", _all_arguments, never_absent=True),
    _ARG,
    Field(
        name="evt.rawarg",
        type="dynamic",
        argument="required",
        dotted=True,
        bind=_argument,
        doc="One argument of the event, unconverted: here the same as `evt.arg`.",
    ),
    _simple("evt.info", "text", "The same as `evt.args`.", _all_arguments, never_absent=True),
    _unfilled("evt.buffer", "bytes", "Data of reads and writes; the sensor does not take it."),
    _unfilled("evt.buflen", "int", "Length of that data."),
    _simple("evt.res", "text", "`SUCCESS`, or the name of the error.", lambda e: result_text(e.ret), "ret"),
    Field(
        name="evt.rawres",
        type="int",
        doc="Return value; negative is -errno.",
        access=("event", "ret"),
        columns=("ret",),
    ),
    _simple("evt.failed", "bool", "True when the call returned an error.", _failed, "ret"),
    _simple(
        "evt.is_io",
        "bool",
        "True for calls that read or write.",
        lambda e: _kind(e) == "send",
        "kind",
        never_absent=True,
    ),
    _simple(
        "evt.is_io_read",
        "bool",
        "True for calls that read.",
        lambda e: e.type in ("recvfrom", "recvmsg"),
        "type",
        never_absent=True,
    ),
    _simple(
        "evt.is_io_write",
        "bool",
        "True for calls that write.",
        lambda e: e.type in ("sendto", "sendmsg"),
        "type",
        never_absent=True,
    ),
    _simple(
        "evt.io_dir",
        "text",
        "`r` or `w` for calls that read or write.",
        lambda e: {"recvfrom": "r", "recvmsg": "r", "sendto": "w", "sendmsg": "w"}.get(e.type),
        "type",
    ),
    _simple("evt.is_wait", "bool", "Always false: no waiting call is recorded.", lambda _: False, never_absent=True),
    _unfilled("evt.wait_latency", "int", "Time that a waiting call waited."),
    _unfilled("evt.is_syslog", "bool", "True for writes to /dev/log; writes are not recorded."),
    _simple("evt.count", "int", "Always 1.", lambda _: 1, never_absent=True),
    _simple("evt.count.error", "int", "1 for a call that returned an error.", _count_error, "ret", never_absent=True),
    _simple(
        "evt.count.error.file",
        "int",
        "The same for calls on files.",
        lambda e: _count_error(e) if CATEGORY.get(_kind(e)) == "file" else 0,
        never_absent=True,
    ),
    _simple(
        "evt.count.error.net",
        "int",
        "The same for calls on the network.",
        lambda e: _count_error(e) if CATEGORY.get(_kind(e)) == "net" else 0,
        never_absent=True,
    ),
    _simple(
        "evt.count.error.memory", "int", "Always 0: calls on memory are not recorded.", lambda _: 0, never_absent=True
    ),
    _simple(
        "evt.count.error.other",
        "int",
        "The same for other calls.",
        lambda e: _count_error(e) if CATEGORY.get(_kind(e)) not in ("file", "net") else 0,
        never_absent=True,
    ),
    _simple("evt.count.exit", "int", "1: events are recorded when calls return.", lambda _: 1, never_absent=True),
    _unfilled("evt.count.procinfo", "int", "1 for events that report on processes."),
    _unfilled("evt.count.threadinfo", "int", "1 for events that report on threads."),
    _AROUND,
    _ABSPATH,
    _simple(
        "evt.is_open_read",
        "bool",
        "True for an open for reading.",
        _opened("is_read"),
        "kind",
        "is_read",
        never_absent=True,
    ),
    _simple(
        "evt.is_open_write",
        "bool",
        "True for an open for writing.",
        _opened("is_write"),
        "kind",
        "is_write",
        never_absent=True,
    ),
    _simple(
        "evt.is_open_exec",
        "bool",
        "True when a file is created with a mode that lets it be executed.",
        _opened("is_exec"),
        "kind",
        "is_exec",
        never_absent=True,
    ),
    _simple(
        "evt.is_open_create",
        "bool",
        "True when an open may create the file.",
        _created,
        "kind",
        "flags",
        "type",
        never_absent=True,
    ),
    _simple(
        "fs.path.name",
        "text",
        "Resolved path that a call on a path works on.",
        _pathed(_PATH_NAME, descriptor=True),
        "kind",
        "fd_name",
        "name",
        "path",
        "filename",
        "dir",
        kinds=("open", *_PATH_NAME),
    ),
    _simple(
        "fs.path.nameraw",
        "text",
        "The path as the caller gave it, where that is recorded.",
        lambda e: getattr(e, "name", None) if _kind(e) == "open" else _pathed(_PATH_NAME)(e),
        "kind",
        "name",
        "path",
        "filename",
        "dir",
        kinds=("open", *_PATH_NAME),
    ),
    _simple(
        "fs.path.source",
        "text",
        "Resolved source of a call with two paths.",
        _pathed(_PATH_SOURCE),
        *_PAIR_COLUMNS,
        kinds=tuple(_PATH_SOURCE),
    ),
    _simple(
        "fs.path.sourceraw",
        "text",
        "The source as the caller gave it.",
        _pathed(_PATH_SOURCE),
        *_PAIR_COLUMNS,
        kinds=tuple(_PATH_SOURCE),
    ),
    _simple(
        "fs.path.target",
        "text",
        "Resolved target of a call with two paths.",
        _pathed(_PATH_TARGET),
        *_PAIR_COLUMNS,
        kinds=tuple(_PATH_TARGET),
    ),
    _simple(
        "fs.path.targetraw",
        "text",
        "The target as the caller gave it.",
        _pathed(_PATH_TARGET),
        *_PAIR_COLUMNS,
        kinds=tuple(_PATH_TARGET),
    ),
    *(
        _unfilled(f"fdlist.{part}", "text", "Descriptors of a poll; polls are not recorded.")
        for part in ("nums", "names", "cips", "sips", "cports", "sports")
    ),
    *(
        _unfilled(f"span.{part}", "text", "Tracer of sysdig; phalanx has none.")
        for part in ("id", "time", "ntags", "nargs", "tags", "args")
    ),
    *(
        _unfilled(f"syslog.{part}", "text", "Messages written to /dev/log; writes are not recorded.")
        for part in ("facility.str", "severity.str", "message")
    ),
    _unfilled("syslog.facility", "int", "Facility of such a message."),
    _unfilled("syslog.severity", "int", "Severity of such a message."),
)
"""All of them."""

for _name, _sources in ARGUMENTS.items():
    for _tag, _source in _sources.items():
        if isinstance(_source, str) and _source not in kind_attributes(_tag):
            raise AssertionError(f"evt.arg.{_name}: {_tag} has no {_source}")
del _name, _sources, _tag, _source
