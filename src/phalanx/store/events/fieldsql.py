"""Each stored field of the language as an SQL expression over the flat relation: its value, and when that is UNKNOWN."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final

from phalanx.language.event_types import CATEGORY
from phalanx.language.fields import Ref
from phalanx.language.fields_event import ARGUMENTS, argument_columns
from phalanx.language.fields_fd import TYPES
from phalanx.model.capabilities import CAPABILITIES
from phalanx.store.events.schema import COLUMNS

__all__ = ["Fragment", "column_fragment", "field_fragment"]


class Fragment:
    """A piece of SQL with its parameters."""

    __slots__ = ("columns", "either", "is_list", "parameters", "sql", "unknown")

    def __init__(
        self,
        sql: str,
        parameters: tuple[Any, ...] = (),
        columns: frozenset[str] = frozenset(),
        *,
        unknown: Fragment | None = None,
        is_list: bool = False,
        either: tuple[Fragment, Fragment] | None = None,
    ) -> None:
        self.sql = sql
        """NULL where the value is absent or UNKNOWN."""
        self.parameters = parameters
        self.columns: frozenset[str] = columns | (unknown.columns if unknown is not None else frozenset())
        self.unknown = unknown
        """True where the value is UNKNOWN (of a list: where it may go on), never NULL; None: never."""
        self.is_list = is_list
        """True for a list of which any element may satisfy a comparison."""
        self.either = either
        """The two ends of a connection, for a field that means either."""


def column_fragment(name: str) -> Fragment:
    """A column as it is."""
    flag = COLUMNS[name].unknown
    unknown = Fragment(flag, (), frozenset({flag})) if flag is not None else None
    return Fragment(name, (), frozenset({name}), unknown=unknown)


def _made(sql: str, *columns: str, parameters: tuple[Any, ...] = (), flag: str | None = "") -> Fragment:
    """An expression over columns; UNKNOWN where one of them is."""
    flags = sorted({found for column in columns if (found := COLUMNS[column].unknown) is not None})
    unknown = Fragment(f"({' OR '.join(flags)})", (), frozenset(flags)) if flags and flag == "" else None
    return Fragment(sql, parameters, frozenset(columns), unknown=unknown)


def _process(sql: str, *columns: str, parameters: tuple[Any, ...] = (), prefix: str = "proc_") -> Fragment:
    """An expression over columns of a process that is never absent where there is a process."""
    return _made(f"(CASE WHEN {prefix}id IS NOT NULL THEN {sql} END)", f"{prefix}id", *columns, parameters=parameters)


def _named(column: str) -> Fragment:
    """A name of a user or group: the text ``<NA>`` when there is none."""
    return _process(f"coalesce({column}, '<NA>')", column)


def _flag(column: str, sql: str) -> Fragment:
    return _process(sql, column)


_ERRNO_SIZE: Final = max(errno.errorcode) + 1
_ERRNO: Final = (
    "[" + ", ".join(f"'{errno.errorcode[n]}'" if n in errno.errorcode else "NULL" for n in range(1, _ERRNO_SIZE)) + "]"
)
_RESULT: Final = f"(CASE WHEN ret IS NULL THEN NULL WHEN ret >= 0 THEN 'SUCCESS' ELSE coalesce(({_ERRNO})[-ret], (-ret)::VARCHAR) END)"

_DIRECTORY: Final = (
    "(CASE fd_type WHEN 'd' THEN fd_name WHEN 'f' THEN "
    "CASE WHEN contains(fd_name, '/') THEN coalesce(nullif(regexp_replace(fd_name, '/[^/]*$', ''), ''), '/') WHEN fd_name IS NOT NULL THEN '/' END END)"
)
_FILENAME: Final = "(CASE WHEN fd_type = 'f' AND fd_name IS NOT NULL THEN coalesce(nullif(regexp_extract(fd_name, '[^/]*$'), ''), '/') END)"
_FD_TYPE: Final = "(CASE fd_type " + " ".join(f"WHEN '{char}' THEN '{word}'" for char, word in TYPES.items()) + " END)"
_CATEGORY: Final = "(CASE kind " + " ".join(f"WHEN '{kind}' THEN '{word}'" for kind, word in CATEGORY.items()) + " END)"
_EXE_FLAGS: Final = (
    "coalesce(nullif(concat_ws('|', CASE WHEN proc_exe_writable THEN 'EXE_WRITABLE' END, CASE WHEN proc_exe_upper THEN 'EXE_UPPER_LAYER' END, "
    "CASE WHEN proc_exe_memfd THEN 'EXE_FROM_MEMFD' END, CASE WHEN proc_exe_upper = FALSE THEN 'EXE_LOWER_LAYER' END), ''), '0')"
)


def _capabilities(column: str) -> Fragment:
    names = ", ".join(
        f"CASE WHEN ({column} >> {bit}) & 1 = 1 THEN 'CAP_{name}' END" for bit, name in enumerate(CAPABILITIES)
    )
    return _process(f"coalesce(concat_ws(' ', {names}), '')", column)


def _kinds(**by_kind: str) -> Fragment:
    cases = " ".join(f"WHEN '{kind}' THEN {column}" for kind, column in by_kind.items())
    return _made(f"(CASE kind {cases} END)", "kind", *{part for column in by_kind.values() for part in _plain(column)})


def _plain(sql: str) -> list[str]:
    return [
        part for part in sql.replace("coalesce(", "").replace(")", "").replace(" ", "").split(",") if part in COLUMNS
    ]


def _local(client: str, server: str, *, local: bool) -> Fragment:
    first, second = (server, client) if local else (client, server)
    return _made(
        f"(CASE WHEN fd_num IS NULL THEN NULL WHEN coalesce(fd_is_server, FALSE) THEN {first} ELSE {second} END)",
        "fd_num",
        "fd_is_server",
        client,
        server,
    )


def _either(first: str, second: str) -> Fragment:
    ends = column_fragment(first), column_fragment(second)
    return Fragment("", (), ends[0].columns | ends[1].columns, either=ends)


def _descriptor(column: str) -> Fragment:
    """A boolean of a descriptor: false where it is not told, absent without a descriptor."""
    return _made(f"(CASE WHEN fd_num IS NOT NULL THEN coalesce({column}, FALSE) END)", "fd_num", column)


def _constant(sql: str) -> Callable[[Ref], Fragment]:
    return lambda _: Fragment(sql)


def _argument(ref: Ref) -> Fragment | None:
    name = ref.argument or ""
    if name in ("res", "ret"):
        return _made(_RESULT if name == "res" else "ret", "ret")
    if name == "fd":
        return column_fragment("fd_num")
    pairs = argument_columns(name)
    if name == "flags":
        cases = " ".join(f"WHEN '{kind}' THEN {column}" for kind, column in pairs)
        unknown = Fragment("(kind = 'exec' AND proc_unknown)", (), frozenset({"kind", "proc_unknown"}))
        columns = frozenset({"kind", "flags", "proc_id", "proc_exe_writable", "proc_exe_upper", "proc_exe_memfd"})
        return Fragment(
            f"(CASE kind WHEN 'exec' THEN CASE WHEN proc_id IS NOT NULL THEN {_EXE_FLAGS} END {cases} END)",
            (),
            columns,
            unknown=unknown,
        )
    if not pairs or len(pairs) != len(ARGUMENTS.get(name, {})):
        return None
    cases = " ".join(f"WHEN '{kind}' THEN {column}::VARCHAR" for kind, column in pairs)
    columns = frozenset({"kind", *(column for _, column in pairs)})
    of_process = [f"'{kind}'" for kind, column in pairs if column.startswith("proc_")]
    held: Fragment | None = (
        Fragment(f"(proc_unknown AND kind IN ({', '.join(of_process)}))", (), frozenset({"kind", "proc_unknown"}))
        if of_process
        else None
    )
    return Fragment(f"(CASE kind {cases} END)", (), columns, unknown=held)


def _ancestor(column: str, own: Callable[[], Fragment]) -> Callable[[Ref], Fragment]:
    def fragment(ref: Ref) -> Fragment:
        flag = frozenset({"lineage_unknown"})
        if ref.argument is None:
            return Fragment(
                column, (), frozenset({column}), unknown=Fragment("lineage_unknown", (), flag), is_list=True
            )
        level = int(ref.argument)
        if level == 0:
            return own()
        unknown = Fragment(f"(lineage_unknown AND coalesce(len({column}), 0) < {level})", (), flag | {column})
        return Fragment(f"({column})[{level}]", (), frozenset({column}), unknown=unknown)

    return fragment


def _word(ref: Ref) -> Fragment:
    if ref.argument is None:
        return _process("coalesce(proc_args, '')", "proc_args")
    return _made(f"(proc_argv)[{int(ref.argument) + 1}]", "proc_argv")


def _environment(ref: Ref) -> Fragment:
    if ref.argument is None:
        return _process("coalesce(array_to_string(proc_env, ' '), '')", "proc_env")
    prefix = ref.argument + "="
    sql = f"substr(list_filter(proc_env, lambda x: starts_with(x, ?))[1], {len(prefix) + 1})"
    return _made(sql, "proc_env", parameters=(prefix,))


def _label(ref: Ref) -> Fragment:
    return _made(
        "k8s_label_values[list_position(k8s_label_keys, ?)]",
        "k8s_label_keys",
        "k8s_label_values",
        parameters=(ref.argument,),
    )


_MOUNT_VALUES: Final = {
    "container.mount.source": "container_mount_source",
    "container.mount.dest": "container_mount_destination",
    "container.mount.mode": "container_mount_mode",
    "container.mount.rdwr": "container_mount_writable",
    "container.mount.propagation": "container_mount_propagation",
}


def _mount(ref: Ref) -> Fragment | None:
    argument = ref.argument or ""
    if any(char in argument for char in "*?["):
        return None
    key = "container_mount_destination" if ref.field.name == "container.mount.source" else "container_mount_source"
    parameters: tuple[Any, ...]
    if argument.isdigit():
        place, parameters = str(int(argument) + 1), ()
    else:
        place, parameters = f"list_position({key}, ?)", (argument,)
    if ref.field.name in _MOUNT_VALUES:
        column = _MOUNT_VALUES[ref.field.name]
        sql = f"{column}[{place}]"
        if ref.field.name.endswith("rdwr"):
            sql = f"(CASE {sql} WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END)"
        return _made(sql, column, key, parameters=parameters)
    parts = " || ':' || ".join(
        f"{column}[{place}]"
        if not column.endswith("writable")
        else f"CASE WHEN {column}[{place}] THEN 'true' ELSE 'false' END"
        for column in _MOUNT_VALUES.values()
    )
    sql = f"(CASE WHEN container_full_id IS NOT NULL THEN coalesce({parts}, 'none') END)"
    return _made(sql, "container_full_id", *_MOUNT_VALUES.values(), parameters=parameters * 5)


def _told(column: str) -> Fragment:
    return _made(f"nullif({column}, '')", column)


def _container_name() -> Fragment:
    columns = frozenset({"proc_container_id", "container_name"})
    unknown = Fragment(
        "(container_unknown AND coalesce(proc_container_id, '') <> 'host')",
        (),
        frozenset({"container_unknown", "proc_container_id"}),
    )
    return Fragment(
        "(CASE WHEN proc_container_id = 'host' THEN 'host' ELSE nullif(container_name, '') END)",
        (),
        columns,
        unknown=unknown,
    )


_PATHS: Final[dict[str, Fragment]] = {
    "fs.path.source": _kinds(rename="oldpath", link="coalesce(oldpath, target)"),
    "fs.path.target": _kinds(rename="newpath", link="coalesce(newpath, linkpath)"),
}

_EXPRESSIONS: Final[dict[str, Callable[[Ref], Fragment | None]]] = {
    "evt.arg": _argument,
    "evt.rawarg": _argument,
    "evt.type.is": lambda ref: _made("(type = ?)::INTEGER", "type", parameters=(ref.argument,)),
    "evt.rawtime.s": lambda _: _made("(ts_ns // 1000000000)", "ts_ns"),
    "evt.rawtime.ns": lambda _: _made("(ts_ns % 1000000000)", "ts_ns"),
    "evt.dir": _constant("'<'"),
    "evt.is_async": _constant("FALSE"),
    "evt.is_wait": _constant("FALSE"),
    "evt.count": _constant("1"),
    "evt.count.exit": _constant("1"),
    "evt.count.error.memory": _constant("0"),
    "evt.category": lambda _: _made(_CATEGORY, "kind"),
    "evt.res": lambda _: _made(_RESULT, "ret"),
    "evt.failed": lambda _: _made("(ret < 0)", "ret"),
    "evt.count.error": lambda _: _made("coalesce(ret < 0, FALSE)::INTEGER", "ret"),
    "evt.is_io": lambda _: _made("(kind = 'send')", "kind"),
    "evt.is_io_read": lambda _: _made("(type IN ('recvfrom', 'recvmsg'))", "type"),
    "evt.is_io_write": lambda _: _made("(type IN ('sendto', 'sendmsg'))", "type"),
    "evt.io_dir": lambda _: _made(
        "(CASE WHEN type IN ('recvfrom', 'recvmsg') THEN 'r' WHEN type IN ('sendto', 'sendmsg') THEN 'w' END)", "type"
    ),
    "evt.is_open_read": lambda _: _made("(kind = 'open' AND coalesce(is_read, FALSE))", "kind", "is_read"),
    "evt.is_open_write": lambda _: _made("(kind = 'open' AND coalesce(is_write, FALSE))", "kind", "is_write"),
    "evt.is_open_exec": lambda _: _made("(kind = 'open' AND coalesce(is_exec, FALSE))", "kind", "is_exec"),
    "evt.is_open_create": lambda _: _made(
        "(kind = 'open' AND (type = 'creat' OR coalesce(contains(flags, 'O_CREAT'), FALSE)))", "kind", "type", "flags"
    ),
    "evt.abspath": lambda ref: (
        _kinds(unlink="name", mkdir="path", chmod="filename", mount="dir")
        if ref.argument is None
        else _PATHS["fs.path.source" if ref.argument == "src" else "fs.path.target"]
    ),
    "fd.type": lambda _: _made(_FD_TYPE, "fd_type"),
    "fd.typechar": lambda _: _made(
        "(CASE WHEN fd_num IS NOT NULL THEN coalesce(fd_type, '?') END)", "fd_num", "fd_type"
    ),
    "fd.directory": lambda _: _made(_DIRECTORY, "fd_type", "fd_name"),
    "fd.filename": lambda _: _made(_FILENAME, "fd_type", "fd_name"),
    "fd.ip": lambda _: _either("fd_cip", "fd_sip"),
    "fd.net": lambda _: _either("fd_cip", "fd_sip"),
    "fd.port": lambda _: _either("fd_cport", "fd_sport"),
    "fd.lip": lambda _: _local("fd_cip", "fd_sip", local=True),
    "fd.lnet": lambda _: _local("fd_cip", "fd_sip", local=True),
    "fd.rip": lambda _: _local("fd_cip", "fd_sip", local=False),
    "fd.rnet": lambda _: _local("fd_cip", "fd_sip", local=False),
    "fd.lport": lambda _: _local("fd_cport", "fd_sport", local=True),
    "fd.rport": lambda _: _local("fd_cport", "fd_sport", local=False),
    "fd.sockfamily": lambda _: _made(
        "(CASE WHEN fd_type IN ('4', '6') THEN 'ip' WHEN fd_type = 'u' THEN 'unix' END)", "fd_type"
    ),
    "fd.is_server": lambda _: _descriptor("fd_is_server"),
    "fd.connected": lambda _: _descriptor("fd_connected"),
    "fd.name_changed": lambda _: _descriptor("fd_name_changed"),
    "fd.uid": lambda _: _made("(coalesce(tid, 0)::VARCHAR || fd_num::VARCHAR)", "tid", "fd_num"),
    "fd.nameraw": lambda _: _kinds(open="name"),
    "fd.containername": lambda _: _descriptor_of_process("fd_name"),
    "fd.containerdirectory": lambda _: _descriptor_of_process(_DIRECTORY),
    "proc.args": _word,
    "proc.env": _environment,
    "proc.cmdline": lambda _: column_fragment("proc_cmdline"),
    "proc.pcmdline": lambda _: column_fragment("pproc_cmdline"),
    "proc.cmdnargs": lambda _: _process("coalesce(len(proc_argv), 0)", "proc_argv"),
    "proc.cmdlenargs": lambda _: _process("coalesce(length(array_to_string(proc_argv, '')), 0)", "proc_argv"),
    "proc.exeline": lambda _: _process(
        "coalesce(proc_exe, '') || CASE WHEN coalesce(len(proc_argv), 0) > 0 THEN ' ' || array_to_string(proc_argv, ' ') ELSE '' END",
        "proc_exe",
        "proc_argv",
    ),
    "proc.tty": lambda _: _process("coalesce(proc_tty, 0)", "proc_tty"),
    "proc.name": lambda _: column_fragment("proc_name"),
    "proc.aname": _ancestor("aname", lambda: column_fragment("proc_name")),
    "proc.aexe": _ancestor("aexe", lambda: column_fragment("proc_exe")),
    "proc.aexepath": _ancestor("aexepath", lambda: column_fragment("proc_exepath")),
    "proc.acmdline": _ancestor("acmdline", lambda: column_fragment("proc_cmdline")),
    "proc.apid": _ancestor("apid", lambda: column_fragment("proc_pid")),
    "proc.aargs": lambda ref: _process("coalesce(proc_args, '')", "proc_args") if ref.argument == "0" else None,
    "proc.aenv": lambda _: None,
    "proc.is_exe_writable": lambda _: _flag("proc_exe_writable", "coalesce(proc_exe_writable, FALSE)"),
    "proc.is_exe_from_memfd": lambda _: _flag("proc_exe_memfd", "coalesce(proc_exe_memfd, FALSE)"),
    "proc.is_exe_upper_layer": lambda _: _flag("proc_exe_upper", "coalesce(proc_exe_upper, FALSE)"),
    "proc.is_exe_lower_layer": lambda _: _flag("proc_exe_upper", "coalesce(NOT proc_exe_upper, FALSE)"),
    "proc.is_sid_leader": lambda _: _made("(proc_sid = proc_vpid)", "proc_sid", "proc_vpid"),
    "proc.is_vpgid_leader": lambda _: _made("(proc_vpgid = proc_vpid)", "proc_vpgid", "proc_vpid"),
    "proc.is_pgid_leader": lambda _: _made("(proc_pgid = proc_pid)", "proc_pgid", "proc_pid"),
    "thread.ismain": lambda _: _process("(coalesce(tid, 0) = proc_pid)", "tid", "proc_pid"),
    "thread.tid": lambda _: _made("coalesce(tid, 0)", "tid"),
    "evt.cpu": lambda _: _made("coalesce(cpu, 0)", "cpu"),
    "thread.cgroups": lambda _: _process("coalesce(proc_cgroup, '')", "proc_cgroup"),
    "thread.cgroup": lambda _: _process("coalesce(proc_cgroup, '')", "proc_cgroup"),
    "thread.cap_permitted": lambda _: _capabilities("proc_cap_permitted"),
    "thread.cap_effective": lambda _: _capabilities("proc_cap_effective"),
    "thread.cap_inheritable": lambda _: _capabilities("proc_cap_inheritable"),
    "user.name": lambda _: _named("proc_user"),
    "user.homedir": lambda _: _named("proc_homedir"),
    "user.shell": lambda _: _named("proc_shell"),
    "user.loginname": lambda _: _named("proc_loginuser"),
    "group.name": lambda _: _named("proc_group"),
    "container.id": lambda _: column_fragment("proc_container_id"),
    "container.name": lambda _: _container_name(),
    "container.image": lambda _: _told("container_image"),
    "container.type": lambda _: _told("container_runtime"),
    "container.duration": lambda _: _made(
        "(CASE WHEN ts_ns > container_start_ns THEN ts_ns - container_start_ns WHEN container_start_ns IS NOT NULL THEN 0 END)",
        "ts_ns",
        "container_start_ns",
    ),
    "container.mount": _mount,
    "container.mount.source": _mount,
    "container.mount.dest": _mount,
    "container.mount.mode": _mount,
    "container.mount.rdwr": _mount,
    "container.mount.propagation": _mount,
    "k8s.pod.uid": lambda _: _told("k8s_pod_uid"),
    "k8s.pod.id": lambda _: _told("k8s_pod_uid"),
    "k8s.pod.label": _label,
    "fs.path.name": lambda _: _kinds(open="fd_name", unlink="name", mkdir="path", chmod="filename", mount="dir"),
    "fs.path.nameraw": lambda _: _kinds(open="name", unlink="name", mkdir="path", chmod="filename", mount="dir"),
    "fs.path.source": lambda _: _PATHS["fs.path.source"],
    "fs.path.sourceraw": lambda _: _PATHS["fs.path.source"],
    "fs.path.target": lambda _: _PATHS["fs.path.target"],
    "fs.path.targetraw": lambda _: _PATHS["fs.path.target"],
}
"""By name of the field; one that is not here is its column when it has exactly one."""


def _descriptor_of_process(sql: str) -> Fragment:
    flag = frozenset({"proc_unknown", "fd_num"})
    unknown = Fragment("(proc_unknown AND fd_num IS NOT NULL)", (), flag)
    return Fragment(
        f"(proc_container_id || ':' || {sql})",
        (),
        frozenset({"proc_container_id", "fd_name", "fd_type"}),
        unknown=unknown,
    )


def field_fragment(ref: Ref) -> Fragment | None:
    """The SQL of a field; None when it is not stored."""
    if not ref.filled:
        return None
    special = _EXPRESSIONS.get(ref.field.name)
    if special is not None:
        return special(ref)
    if len(ref.columns) != 1:
        return None
    return column_fragment(ref.columns[0])
