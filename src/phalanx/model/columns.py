"""The column layout of events: one table that the sensor writes, the hub wraps as Arrow without copying, and the store keeps.

A **batch** is the agent's unit of recording: header and buffers in one block of bytes::

    0   8  magic "PHXCOL\\0\\1"
    8   8  length of the header in bytes, unsigned little endian
    16  …  header, JSON (:class:`BatchHeader`)
    …      zeros up to a multiple of 64
    …      the buffers, each at a multiple of 64 from the start of the block, at the offsets that the header names

A buffer has the layout that Arrow's columnar format prescribes for its type (little endian; validity bitmaps least significant bit
first; text as 32-bit offsets and valid UTF-8 by :func:`phalanx.text.hostile.decode`). A column that the header does not name is null in all rows.

Two tables: ``event`` has a row for each event; ``process`` a row for each process state that those events (and their ancestors) refer to. ``event.proc`` is a
row number of ``process``, ``process.parent`` too. The hub lays the process columns over the events as dictionary
arrays that share ``event.proc`` as their index, so nothing is copied.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct

__all__ = ["EVENT_COLUMNS", "MAGIC", "PROCESS_COLUMNS", "BatchHeader", "Column", "ColumnBuffers", "Coverage"]

MAGIC: Final = b"PHXCOL\x00\x01"
"""First bytes of a batch; the last one is the version of the layout."""

ColumnType = Literal["bool", "u16", "u32", "i32", "u64", "i64", "text", "texts"]
"""``texts`` is a list of text: 32-bit list offsets over a text child."""


class Column(Struct, frozen=True):
    """One column of the layout."""

    name: str
    type: ColumnType
    field: str
    """What it means: the attribute of the model (``Event`` or ``Process``) that it holds."""


EVENT_COLUMNS: Final[tuple[Column, ...]] = (
    Column("ts_ns", "i64", "Event.ts_ns"),
    Column("seq", "u64", "Event.seq"),
    Column("kind", "text", "tag of the event's struct"),
    Column("type", "text", "Event.type"),
    Column("ret", "i64", "Event.ret"),
    Column("cpu", "u16", "Event.cpu"),
    Column("tid", "u32", "Event.tid"),
    Column("truncated", "bool", "Event.flags_truncated"),
    Column("compat32", "bool", "Event.compat32"),
    Column("proc", "i32", "Event.process as a row of the process table; null when UNKNOWN"),
    # the descriptor
    Column("fd_num", "i64", "Event.fd.num"),
    Column("fd_type", "text", "Event.fd.type"),
    Column("fd_name", "text", "Event.fd.name"),
    Column("fd_ino", "u64", "Event.fd.ino"),
    Column("fd_l4proto", "text", "Event.fd.l4proto"),
    Column("fd_cip", "text", "Event.fd.cip"),
    Column("fd_cport", "u16", "Event.fd.cport"),
    Column("fd_sip", "text", "Event.fd.sip"),
    Column("fd_sport", "u16", "Event.fd.sport"),
    Column("fd_is_server", "bool", "Event.fd.is_server"),
    Column("fd_connected", "bool", "Event.fd.connected"),
    Column("fd_name_changed", "bool", "Event.fd.name_changed"),
    # arguments that several kinds share, under the name that the system call gives them
    Column("name", "text", "Open.name, Unlink.name, Module.name, Memfd.name"),
    Column("filename", "text", "Exec.filename, Chmod.filename"),
    Column("interpreter", "text", "Exec.interpreter"),
    Column("path", "text", "Mkdir.path, Cgroup.path, Namespace.path"),
    Column("oldpath", "text", "Rename.oldpath, Link.oldpath"),
    Column("newpath", "text", "Rename.newpath, Link.newpath"),
    Column("target", "text", "Link.target"),
    Column("linkpath", "text", "Link.linkpath"),
    Column("flags", "text", "flags of any kind, symbolic"),
    Column("mode", "text", "Open.mode, Mkdir.mode, Chmod.mode, symbolic"),
    Column("is_read", "bool", "Open.is_read"),
    Column("is_write", "bool", "Open.is_write"),
    Column("is_exec", "bool", "Open.is_exec"),
    Column("addr", "text", "Connect.addr, Bind.addr, Send.addr, Ptrace.addr"),
    Column("domain", "text", "Socket.domain"),
    Column("socket_type", "text", "Socket.socket_type"),
    Column("proto", "i64", "Socket.proto"),
    Column("dns_name", "text", "Send.dns_name"),
    Column("size", "i64", "Send.size"),
    Column("backlog", "i64", "Listen.backlog"),
    Column("oldfd", "i64", "Dup.oldfd"),
    Column("newfd", "i64", "Dup.newfd"),
    Column("nstype", "text", "Namespace.nstype"),
    Column("dev", "text", "Mount.dev, Mkdir.dev"),
    Column("dir", "text", "Mount.dir"),
    Column("fstype", "text", "Mount.fstype"),
    Column("request", "text", "Ptrace.request"),
    Column("target_pid", "i64", "Ptrace.target_pid"),
    Column("cmd", "text", "Bpf.cmd"),
    Column("arg_uid", "i64", "Cred.uid, Chmod.uid"),
    Column("arg_gid", "i64", "Cred.gid, Chmod.gid"),
    Column("euid", "i64", "Cred.euid"),
    Column("capabilities", "text", "Cred.capabilities"),
    Column("option", "text", "Cred.option"),
    Column("duration_ns", "i64", "Exit.duration_ns"),
    Column("count", "i64", "Loss.count"),
    Column("cause", "text", "Loss.cause"),
    Column("since_ns", "i64", "Loss.since_ns"),
    Column("extra", "text", "JSON object of what has no column: Record.fields, Record.message, Loss.by_cpu"),
    Column("source", "text", "Event.source; null is ``syscall``"),
)
"""Columns of the ``event`` table."""

PROCESS_COLUMNS: Final[tuple[Column, ...]] = (
    Column("id", "text", "Process.id"),
    Column("pid", "u32", "Process.pid"),
    Column("start_ns", "i64", "Process.start_ns"),
    Column("parent", "i32", "Process.parent as a row of this table; null when there is none, -1 when it is UNKNOWN"),
    Column("vpid", "i64", "Process.vpid"),
    Column("ppid", "i64", "Process.ppid"),
    Column("sid", "i64", "Process.sid"),
    Column("pgid", "i64", "Process.pgid"),
    Column("vpgid", "i64", "Process.vpgid"),
    Column("name", "text", "Process.name"),
    Column("exe", "text", "Process.exe"),
    Column("exepath", "text", "Process.exepath"),
    Column("argv", "texts", "Process.argv"),
    Column("args_cut", "bool", "Process.args_cut"),
    Column("env", "texts", "Process.env"),
    Column("cwd", "text", "Process.cwd"),
    Column("tty", "i64", "Process.tty"),
    Column("uid", "i64", "Process.uid"),
    Column("gid", "i64", "Process.gid"),
    Column("user", "text", "Process.user"),
    Column("group", "text", "Process.group"),
    Column("homedir", "text", "Process.homedir"),
    Column("shell", "text", "Process.shell"),
    Column("loginuid", "i64", "Process.loginuid"),
    Column("loginuser", "text", "Process.loginuser"),
    Column("cap_permitted", "u64", "Process.cap_permitted"),
    Column("cap_effective", "u64", "Process.cap_effective"),
    Column("cap_inheritable", "u64", "Process.cap_inheritable"),
    Column("exe_ino", "u64", "Process.exe_ino"),
    Column("exe_ctime_ns", "i64", "Process.exe_ctime_ns"),
    Column("exe_mtime_ns", "i64", "Process.exe_mtime_ns"),
    Column("exe_upper", "bool", "Process.exe_upper"),
    Column("exe_memfd", "bool", "Process.exe_memfd"),
    Column("exe_writable", "bool", "Process.exe_writable"),
    Column("container_id", "text", "Process.container_id"),
    Column("cgroup", "text", "Process.cgroup"),
)
"""Columns of the ``process`` table."""


class ColumnBuffers(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the buffers of one column lie: ``[offset, length]`` in bytes from the start of the block."""

    table: Literal["event", "process"]
    name: str
    data: tuple[int, int]
    """Values; for text the bytes; for ``texts`` the bytes of the child."""
    validity: tuple[int, int] | None = None
    """None when no row is null."""
    offsets: tuple[int, int] | None = None
    """Text offsets (of the child, for ``texts``)."""
    list_offsets: tuple[int, int] | None = None
    """Only for ``texts``."""


class Coverage(Struct, frozen=True, kw_only=True):
    """An interval for which this batch speaks: every event of ``kind`` in ``[since_ns, until_ns)`` is recorded, but for the losses told."""

    kind: str
    """Tag of the event's struct, or ``*`` for the whole recording profile."""
    since_ns: int
    until_ns: int


class BatchHeader(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The header of a batch."""

    batch: str
    """Id of the batch, unique for ever; what is acknowledged, and what makes a second delivery harmless."""
    agent: str
    """Id of the agent."""
    host: str
    """Name of the host, as it calls itself."""
    boot: str
    """Boot id of the kernel."""
    rows: int
    processes: int
    columns: tuple[ColumnBuffers, ...]
    coverage: tuple[Coverage, ...] = ()
    tenant: str = "default"


def encode_header(header: BatchHeader) -> bytes:
    """Magic, length, header and padding: the start of a batch."""
    raw = msgspec.json.encode(header)
    end = 16 + len(raw)
    return MAGIC + len(raw).to_bytes(8, "little") + raw + bytes(-end % 64)
