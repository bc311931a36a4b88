"""Fields of classes ``proc`` and ``thread``: who acted. Names and types are those of Falco's reference."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from phalanx.language.fields import Access, Field, FieldType, Getter, Need, Ref, absent
from phalanx.model.capabilities import CAPABILITIES
from phalanx.model.event import Event
from phalanx.model.process import MAX_ANCESTORS, Process
from phalanx.model.values import UNKNOWN

__all__ = ["FIELDS", "boot_time", "capability_names", "register_boot"]

_PROCESS: Final[frozenset[Need]] = frozenset({"process"})
_LINEAGE: Final[frozenset[Need]] = frozenset({"process", "lineage"})

_CAPABILITY_TEXT: dict[int, str] = {}


def capability_names(mask: int) -> str:
    """``CAP_CHOWN CAP_KILL …`` for a bit mask; empty for none."""
    text = _CAPABILITY_TEXT.get(mask)
    if text is None:
        text = " ".join(f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1)
        if len(_CAPABILITY_TEXT) < 4096:
            _CAPABILITY_TEXT[mask] = text
    return text


_BOOTS: dict[str, int] = {}


def register_boot(boot: str, wall_ns: int) -> None:
    """Tell when the machine with this boot id started, UTC ns: only then have ``proc.duration`` and ``proc.pid.ts`` a value."""
    if len(_BOOTS) < 4096:
        _BOOTS[boot[:8]] = wall_ns


def boot_time(process: Process) -> int | None:
    """When the machine of a process started, UTC ns; None when it was not registered."""
    return _BOOTS.get(process.id[:8])


def _of(read: Callable[[Process], Any]) -> Getter:
    def value(event: Event) -> Any:
        process = event.process
        return read(process) if isinstance(process, Process) else process

    return value


def _of_parent(read: Callable[[Process], Any]) -> Getter:
    def value(event: Event) -> Any:
        process = event.process
        if not isinstance(process, Process):
            return process
        parent = process.parent
        return read(parent) if isinstance(parent, Process) else parent

    return value


def _ancestor(process: Process, level: int) -> Any:
    """The ancestor of that level (0 the process itself), None past the root, UNKNOWN past what is known."""
    at: Any = process
    for _ in range(level):
        at = at.parent
        if not isinstance(at, Process):
            return at
    return at


def _lineage(read: Callable[[Process], Any]) -> Getter:
    """The ancestors' values as a tuple, nearest first; UNKNOWN last when the chain is cut by something unknown."""

    def values(event: Event) -> Any:
        process = event.process
        if not isinstance(process, Process):
            return process
        found: list[Any] = []
        at: Any = process.parent
        while at.__class__ is Process and len(found) < MAX_ANCESTORS:
            found.append(read(at))
            at = at.parent
        if at is UNKNOWN:
            found.append(UNKNOWN)
        return tuple(found)

    return values


def _ancestor_field(
    name: str,
    type_: FieldType,
    doc: str,
    read: Callable[[Process], Any],
    own: Access | None,
    stored: str | None,
    own_column: str,
) -> Field:
    columns = (stored,) if stored else ()
    if own is not None:
        read = attrgetter(own[1])

    def bind(argument: str) -> Ref | None:
        if not argument.isdigit() or len(argument) > 3:
            return None
        level = int(argument)
        if level == 0:
            return Ref(
                field,
                argument,
                get=_of(read),
                access=own,
                multi="",
                needs=_PROCESS,
                columns=(own_column,) if own_column else (),
            )
        if level == 1 and own is not None:
            return Ref(
                field,
                argument,
                get=_of_parent(read),
                access=("parent", own[1]),
                multi="",
                needs=_LINEAGE,
                columns=columns,
            )
        if level > MAX_ANCESTORS:
            return Ref(field, argument, get=absent, multi="", kinds=(), columns=())

        def value(event: Event) -> Any:
            process = event.process
            if not isinstance(process, Process):
                return process
            found = _ancestor(process, level)
            return read(found) if isinstance(found, Process) else found

        return Ref(field, argument, get=value, multi="", needs=_LINEAGE, columns=columns)

    field = Field(
        name=name,
        type=type_,
        doc=doc,
        argument="optional",
        index=True,
        multi="any",
        needs=_LINEAGE,
        get=_lineage(read),
        bind=bind,
        columns=columns,
    )
    return field


def _environment(argument: str) -> Ref | None:
    prefix = argument + "="

    def value(process: Process) -> str | None:
        for entry in process.env:
            if entry.startswith(prefix):
                return entry[len(prefix) :]
        return None

    return Ref(_ENV, argument, get=_of(value), columns=("proc_env",), get_list=lambda _: None)


def _ancestor_environment(argument: str) -> Ref | None:
    if argument.isdigit():
        level = int(argument)

        def at_level(event: Event) -> Any:
            process = event.process
            if not isinstance(process, Process):
                return process
            found = _ancestor(process, min(level, MAX_ANCESTORS + 1))
            return " ".join(found.env) if isinstance(found, Process) else found

        return Ref(_AENV, argument, get=at_level, multi="", columns=())
    prefix = argument + "="

    def first(event: Event) -> Any:
        process = event.process
        if not isinstance(process, Process):
            return process
        at: Any = process.parent
        for _ in range(MAX_ANCESTORS):
            if not isinstance(at, Process):
                break
            for entry in at.env:
                if entry.startswith(prefix):
                    return entry[len(prefix) :]
            at = at.parent
        return UNKNOWN if at is UNKNOWN else None

    return Ref(_AENV, argument, get=first, multi="", columns=())


def _argument_at(argument: str) -> Ref | None:
    if not argument.isdigit() or len(argument) > 6:
        return None
    index = int(argument)
    return Ref(
        _ARGS,
        argument,
        get=_of(lambda p: p.argv[index] if index < len(p.argv) else None),
        never_absent=False,
        columns=("proc_argv",),
        get_list=lambda _: None,
    )


def _leader(same: Callable[[Process, Process], bool], read: Callable[[Process], Any]) -> Getter:
    """The eldest of the unbroken line of ancestors that share a session or group with the process (itself included)."""

    def value(event: Event) -> Any:
        process = event.process
        if not isinstance(process, Process):
            return process
        eldest = process
        at: Any = process
        for _ in range(MAX_ANCESTORS):
            at = at.parent
            if not isinstance(at, Process) or not same(process, at):
                break
            eldest = at
        return read(eldest)

    return value


def _sid(a: Process, b: Process) -> bool:
    return a.sid is not None and a.sid == b.sid


def _vpgid(a: Process, b: Process) -> bool:
    return a.vpgid is not None and a.vpgid == b.vpgid


def _pgid(a: Process, b: Process) -> bool:
    return a.pgid is not None and a.pgid == b.pgid


def _login_shell(event: Event) -> Any:
    process = event.process
    if not isinstance(process, Process):
        return process
    found: int | None = None
    at: Any = process
    for _ in range(MAX_ANCESTORS + 1):
        if not isinstance(at, Process):
            break
        if at.name.endswith("sh") and len(at.name) >= 2:
            found = at.pid
        at = at.parent
    return found


def _started(process: Process) -> int | None:
    boot = boot_time(process)
    return None if boot is None else boot + process.start_ns


def _duration(event: Event) -> Any:
    process = event.process
    if not isinstance(process, Process):
        return process
    lived = getattr(event, "duration_ns", None)
    if lived is not None:
        return lived
    started = _started(process)
    return None if started is None else max(0, event.ts_ns - started)


def _parent_duration(event: Event) -> Any:
    process = event.process
    if not isinstance(process, Process):
        return process
    parent = process.parent
    if not isinstance(parent, Process):
        return parent
    started = _started(parent)
    return None if started is None else max(0, event.ts_ns - started)


def _ctime_to_start(process: Process) -> int | None:
    started = _started(process)
    return None if started is None or process.exe_ctime_ns is None else started - process.exe_ctime_ns


def _equal(first: str, second: str) -> Callable[[Process], bool | None]:
    def same(process: Process) -> bool | None:
        a, b = getattr(process, first), getattr(process, second)
        return None if a is None or b is None else a == b

    return same


def _own(name: str, type_: FieldType, doc: str, attribute: str, *, never: bool = False, **more: Any) -> Field:
    return Field(
        name=name,
        type=type_,
        doc=doc,
        needs=_PROCESS,
        access=("process", attribute),
        columns=(f"proc_{attribute}",),
        never_absent=never,
        **more,
    )


def _derived(
    name: str,
    type_: FieldType,
    doc: str,
    read: Callable[[Process], Any],
    *columns: str,
    never: bool = False,
    **more: Any,
) -> Field:
    return Field(
        name=name, type=type_, doc=doc, needs=_PROCESS, get=_of(read), columns=columns, never_absent=never, **more
    )


def _unfilled(name: str, type_: FieldType, doc: str, **more: Any) -> Field:
    return Field(name=name, type=type_, doc=doc, kinds=(), **more)


def _cgroup(argument: str) -> Ref | None:
    return Ref(_CGROUP, argument, get=_of(lambda p: p.cgroup), columns=("proc_cgroup",))


_ARGS = Field(
    name="proc.args",
    type="text",
    argument="optional",
    index=True,
    needs=_PROCESS,
    get=_of(lambda p: p.args),
    bind=_argument_at,
    columns=("proc_args",),
    never_absent=True,
    list_type=True,
    get_list=_of(lambda p: p.argv),
    doc="Arguments without the first (`argv[1:]`), joined by blanks; `[n]` is one of them, from 0.",
)
_ENV = Field(
    name="proc.env",
    type="text",
    argument="optional",
    needs=_PROCESS,
    get=_of(lambda p: " ".join(p.env)),
    bind=_environment,
    columns=("proc_env",),
    never_absent=True,
    list_type=True,
    get_list=_of(lambda p: p.env),
    doc="Environment as `NAME=value` joined by blanks; `[NAME]` is one value. Values of names that look secret are masked.",
)
_AENV = Field(
    name="proc.aenv",
    type="text",
    argument="optional",
    multi="any",
    needs=_LINEAGE,
    get=_lineage(lambda p: " ".join(p.env)),
    bind=_ancestor_environment,
    doc="Environment of the ancestors; `[n]` of one of them, `[NAME]` the nearest value of a name.",
)
_CGROUP = Field(
    name="thread.cgroup",
    type="text",
    argument="required",
    dotted=True,
    needs=_PROCESS,
    bind=_cgroup,
    doc="Its cgroup; there is one hierarchy, so every subsystem gives the same.",
)
_FD_NAMES: Final = ("stdin", "stdout", "stderr")

FIELDS: Final[tuple[Field, ...]] = (
    _own("proc.exe", "text", "First argument (`argv[0]`), as the caller gave it.", "exe"),
    Field(
        name="proc.pexe",
        type="text",
        doc="`proc.exe` of the parent.",
        needs=_LINEAGE,
        access=("parent", "exe"),
        columns=("pproc_exe",),
    ),
    _ancestor_field(
        "proc.aexe",
        "text",
        "`proc.exe` of an ancestor; without a level, of any.",
        lambda p: p.exe,
        ("process", "exe"),
        "aexe",
        "proc_exe",
    ),
    _own("proc.exepath", "text", "The executed file, resolved.", "exepath"),
    Field(
        name="proc.pexepath",
        type="text",
        doc="`proc.exepath` of the parent.",
        needs=_LINEAGE,
        access=("parent", "exepath"),
        columns=("pproc_exepath",),
    ),
    _ancestor_field(
        "proc.aexepath",
        "text",
        "`proc.exepath` of an ancestor; without a level, of any.",
        lambda p: p.exepath,
        ("process", "exepath"),
        "aexepath",
        "proc_exepath",
    ),
    _own("proc.name", "text", "Name of the process (`comm`), at most 15 bytes.", "name", never=True),
    Field(
        name="proc.pname",
        type="text",
        doc="`proc.name` of the parent.",
        needs=_LINEAGE,
        access=("parent", "name"),
        columns=("pproc_name",),
    ),
    _ancestor_field(
        "proc.aname",
        "text",
        "`proc.name` of an ancestor; without a level, of any.",
        lambda p: p.name,
        ("process", "name"),
        "aname",
        "proc_name",
    ),
    _ARGS,
    _ancestor_field(
        "proc.aargs",
        "text",
        "`proc.args` of an ancestor; without a level, of any.",
        lambda p: p.args,
        None,
        None,
        "proc_args",
    ),
    _derived(
        "proc.cmdline", "text", "Name and arguments joined by blanks.", lambda p: p.cmdline, "proc_cmdline", never=True
    ),
    Field(
        name="proc.pcmdline",
        type="text",
        doc="`proc.cmdline` of the parent.",
        needs=_LINEAGE,
        get=_of_parent(lambda p: p.cmdline),
        columns=("pproc_cmdline",),
    ),
    _ancestor_field(
        "proc.acmdline",
        "text",
        "`proc.cmdline` of an ancestor; without a level, of any.",
        lambda p: p.cmdline,
        None,
        "acmdline",
        "proc_cmdline",
    ),
    _derived(
        "proc.cmdnargs", "int", "Number of arguments without the first.", lambda p: len(p.argv), "proc_argv", never=True
    ),
    _derived(
        "proc.cmdlenargs",
        "int",
        "Characters of these arguments, blanks between them not counted.",
        lambda p: sum(map(len, p.argv)),
        "proc_argv",
        never=True,
    ),
    _derived(
        "proc.exeline",
        "text",
        "First argument and arguments joined by blanks.",
        lambda p: " ".join((p.exe or "", *p.argv)),
        "proc_exe",
        "proc_args",
        never=True,
    ),
    _ENV,
    _AENV,
    _own("proc.cwd", "text", "Working directory.", "cwd"),
    Field(
        name="proc.loginshellid",
        type="int",
        doc="Pid of the oldest shell among the process and its ancestors.",
        needs=_LINEAGE,
        get=_login_shell,
    ),
    _own("proc.tty", "int", "Device number of the controlling terminal; 0 is none.", "tty", never=True),
    _own("proc.pid", "int", "Pid on the host.", "pid", never=True),
    _own("proc.ppid", "int", "Pid of the parent on the host.", "ppid"),
    _ancestor_field(
        "proc.apid",
        "int",
        "Pid of an ancestor; without a level, of any.",
        lambda p: p.pid,
        ("process", "pid"),
        "apid",
        "proc_pid",
    ),
    _own("proc.vpid", "int", "Pid as the process itself sees it.", "vpid"),
    Field(
        name="proc.pvpid",
        type="int",
        doc="`proc.vpid` of the parent.",
        needs=_LINEAGE,
        access=("parent", "vpid"),
        columns=("pproc_vpid",),
    ),
    _own("proc.sid", "int", "Session id.", "sid"),
    Field(
        name="proc.sname",
        type="text",
        doc="`proc.name` of the session's leader, or of its eldest known member.",
        needs=_LINEAGE,
        get=_leader(_sid, lambda p: p.name),
    ),
    Field(
        name="proc.sid.exe", type="text", doc="`proc.exe` of it.", needs=_LINEAGE, get=_leader(_sid, lambda p: p.exe)
    ),
    Field(
        name="proc.sid.exepath",
        type="text",
        doc="`proc.exepath` of it.",
        needs=_LINEAGE,
        get=_leader(_sid, lambda p: p.exepath),
    ),
    _own("proc.vpgid", "int", "Process group as the process itself sees it.", "vpgid"),
    Field(
        name="proc.vpgid.name",
        type="text",
        doc="`proc.name` of the group's leader, or of its eldest known member.",
        needs=_LINEAGE,
        get=_leader(_vpgid, lambda p: p.name),
    ),
    Field(
        name="proc.vpgid.exe",
        type="text",
        doc="`proc.exe` of it.",
        needs=_LINEAGE,
        get=_leader(_vpgid, lambda p: p.exe),
    ),
    Field(
        name="proc.vpgid.exepath",
        type="text",
        doc="`proc.exepath` of it.",
        needs=_LINEAGE,
        get=_leader(_vpgid, lambda p: p.exepath),
    ),
    _own("proc.pgid", "int", "Process group on the host.", "pgid"),
    Field(
        name="proc.pgid.name",
        type="text",
        doc="`proc.name` of that group's leader, or of its eldest known member.",
        needs=_LINEAGE,
        get=_leader(_pgid, lambda p: p.name),
    ),
    Field(
        name="proc.pgid.exe", type="text", doc="`proc.exe` of it.", needs=_LINEAGE, get=_leader(_pgid, lambda p: p.exe)
    ),
    Field(
        name="proc.pgid.exepath",
        type="text",
        doc="`proc.exepath` of it.",
        needs=_LINEAGE,
        get=_leader(_pgid, lambda p: p.exepath),
    ),
    Field(
        name="proc.duration", type="int", doc="Nanoseconds since the process started.", needs=_PROCESS, get=_duration
    ),
    Field(
        name="proc.ppid.duration",
        type="int",
        doc="Nanoseconds since the parent started.",
        needs=_LINEAGE,
        get=_parent_duration,
    ),
    _derived("proc.pid.ts", "int", "Start of the process, nanoseconds since 1970.", _started),
    Field(
        name="proc.ppid.ts",
        type="int",
        doc="Start of the parent, nanoseconds since 1970.",
        needs=_LINEAGE,
        get=_of_parent(_started),
    ),
    _own("proc.is_exe_writable", "bool", "The process can write the file it executes.", "exe_writable", never=True),
    _derived(
        "proc.is_exe_upper_layer",
        "bool",
        "The executed file lies in the upper layer of an overlay: not in the image, or changed since.",
        lambda p: bool(p.exe_upper),
        "proc_exe_upper",
        never=True,
    ),
    _derived(
        "proc.is_exe_lower_layer",
        "bool",
        "It lies in a lower layer of an overlay.",
        lambda p: p.exe_upper is False,
        "proc_exe_upper",
        never=True,
    ),
    _own("proc.is_exe_from_memfd", "bool", "It is an anonymous memory file.", "exe_memfd", never=True),
    _derived(
        "proc.is_sid_leader", "bool", "The process leads its session.", _equal("sid", "vpid"), "proc_sid", "proc_vpid"
    ),
    _derived(
        "proc.is_vpgid_leader",
        "bool",
        "The process leads its group, as it sees it itself.",
        _equal("vpgid", "vpid"),
        "proc_vpgid",
        "proc_vpid",
    ),
    _derived(
        "proc.is_pgid_leader", "bool", "The process leads its group.", _equal("pgid", "pid"), "proc_pgid", "proc_pid"
    ),
    _own("proc.exe_ino", "int", "Inode of the executed file.", "exe_ino"),
    _own("proc.exe_ino.ctime", "int", "Status change of that inode, nanoseconds since 1970.", "exe_ctime_ns"),
    _own("proc.exe_ino.mtime", "int", "Content change of that inode, nanoseconds since 1970.", "exe_mtime_ns"),
    _derived(
        "proc.exe_ino.ctime_duration_proc_start",
        "int",
        "Nanoseconds from that status change to the start of the process.",
        _ctime_to_start,
    ),
    _unfilled(
        "proc.exe_ino.ctime_duration_pidns_start",
        "int",
        "Nanoseconds from the start of the pid namespace to that status change.",
    ),
    _unfilled("proc.pidns_init_start_ts", "int", "Start of the pid namespace."),
    _derived(
        "thread.cap_permitted",
        "text",
        "Permitted capabilities: `CAP_CHOWN CAP_KILL …`.",
        lambda p: capability_names(p.cap_permitted),
        "proc_cap_permitted",
        never=True,
    ),
    _derived(
        "thread.cap_inheritable",
        "text",
        "Inheritable capabilities.",
        lambda p: capability_names(p.cap_inheritable),
        "proc_cap_inheritable",
        never=True,
    ),
    _derived(
        "thread.cap_effective",
        "text",
        "Effective capabilities.",
        lambda p: capability_names(p.cap_effective),
        "proc_cap_effective",
        never=True,
    ),
    _unfilled("proc.fdopencount", "int", "Open descriptors."),
    _unfilled("proc.fdlimit", "int", "Most descriptors it may open."),
    _unfilled("proc.fdusage", "float", "Ratio of the two."),
    *(
        _unfilled(f"proc.{name}", "int", "Memory; a matter of metrics, not of events.")
        for name in ("vmsize", "vmrss", "vmswap")
    ),
    *(
        _unfilled(f"thread.{name}", "int", "Memory; a matter of metrics, not of events.")
        for name in ("pfmajor", "pfminor", "vmsize", "vmrss")
    ),
    Field(
        name="thread.tid",
        type="int",
        doc="Thread id on the host.",
        access=("event", "tid"),
        columns=("tid",),
        never_absent=True,
    ),
    Field(
        name="thread.ismain",
        type="bool",
        doc="The thread is the first of its process.",
        needs=_PROCESS,
        get=lambda e: e.tid == e.process.pid if isinstance(e.process, Process) else e.process,
        columns=("tid", "proc_pid"),
        never_absent=True,
    ),
    _unfilled("thread.vtid", "int", "Thread id as the process sees it."),
    _unfilled("thread.nametid", "text", "Name and thread id."),
    _unfilled("thread.vnametid", "text", "Name and thread id as the process sees it."),
    *(
        _unfilled(f"thread.{name}", "int", "CPU time; switches are not recorded.")
        for name in ("exectime", "totexectime")
    ),
    _derived("thread.cgroups", "text", "Its cgroup.", lambda p: p.cgroup, "proc_cgroup", never=True),
    _CGROUP,
    _unfilled("proc.nthreads", "int", "Threads of the process."),
    _unfilled("proc.nchilds", "int", "Threads without the first."),
    *(
        _unfilled(f"thread.{name}", "float", "CPU use; a matter of metrics, not of events.")
        for name in ("cpu", "cpu.user", "cpu.system")
    ),
    *(_unfilled(f"proc.{name}.type", "text", f"Type of {name}.") for name in _FD_NAMES),
    *(_unfilled(f"proc.{name}.name", "text", f"What {name} stands for.") for name in _FD_NAMES),
)
"""All of them."""
