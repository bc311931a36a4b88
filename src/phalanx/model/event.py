"""Events: what was seen. One struct per kind, told apart by ``kind`` (a tagged union).

Names are those of the system calls' own arguments, which are also the ``evt.arg.*`` of Falco's rules; flags and modes are the
symbolic text (``O_WRONLY|O_CREAT``), because rules compare text. OCSF classes: :data:`OCSF_CLASS`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from phalanx.model.container import Container
from phalanx.model.ids import EventId, event_id
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN, Maybe

__all__ = [
    "OCSF_CLASS",
    "Accept",
    "Bind",
    "Bpf",
    "Cgroup",
    "Chmod",
    "Connect",
    "Cred",
    "Dup",
    "Event",
    "EventBase",
    "Exec",
    "Exit",
    "Fork",
    "Link",
    "Listen",
    "Loss",
    "Memfd",
    "Mkdir",
    "Module",
    "Mount",
    "Namespace",
    "Open",
    "Ptrace",
    "Record",
    "Rename",
    "Send",
    "Socket",
    "Unlink",
    "decode_event",
    "encode_event",
]


class EventBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every event carries."""

    ts_ns: int
    """When it happened: the kernel's clock at the call's return, as UTC nanoseconds."""
    agent: str
    """Id of the agent that saw it."""
    seq: int
    """Number of the event at its agent since boot; grows without gaps except where a ``Loss`` says so."""
    type: str
    """Name of the system call or of what else happened: ``execve``, ``openat``, ``connect`` (Falco's ``evt.type``)."""
    source: str = "syscall"
    """Falco's source: ``syscall``, ``k8s_audit``, ``log`` …"""
    cpu: int = 0
    tid: int = 0
    """Thread in the root pid namespace."""
    ret: int | None = None
    """Return value; negative is ``-errno``. None when there is none."""
    flags_truncated: bool = False
    """True when text of this event was cut at its bound."""
    compat32: bool = False
    """True for a 32-bit system call on a 64-bit kernel."""
    process: Maybe[Process] = UNKNOWN
    """Who did it, in the state after the event. None where no process did (``Loss``); UNKNOWN when its birth was lost."""
    container: Maybe[Container] = UNKNOWN
    """None on the host, UNKNOWN until a runtime has told. Never stored with the event: joined at query time."""
    fd: Descriptor | None = None
    """The descriptor that the call was about; None when it was about none."""

    @property
    def id(self) -> EventId:
        """Id of the event; see :data:`phalanx.model.ids.EventId`."""
        return event_id(self.ts_ns, self.agent, self.seq)


class Exec(EventBase, frozen=True, kw_only=True, tag="exec"):
    """A process replaced its program (``execve``, ``execveat``); ``process`` is the state after it."""

    filename: str | None = None
    """The path as the caller gave it."""
    interpreter: str | None = None
    """The interpreter that the kernel took for a script; None for a binary."""
    flags: str | None = None
    """Flags of ``execveat``."""


class Fork(EventBase, frozen=True, kw_only=True, tag="fork"):
    """``process`` is the new one, its ``parent`` the one that called ``clone``, ``fork``, ``vfork`` or ``clone3``."""

    flags: str | None = None


class Exit(EventBase, frozen=True, kw_only=True, tag="exit"):
    """The last thread of a process ended; ``ret`` is the exit code, or minus the signal."""

    duration_ns: int | None = None
    """Life of the process."""


class Open(EventBase, frozen=True, kw_only=True, tag="open"):
    """``open``, ``openat``, ``openat2``, ``creat``, ``open_by_handle_at``; ``fd.name`` is the path that the kernel resolved."""

    name: str | None = None
    """The path as the caller gave it."""
    flags: str | None = None
    """``O_RDONLY|O_CLOEXEC`` …"""
    mode: str | None = None
    is_read: bool = False
    is_write: bool = False
    is_exec: bool = False
    """Created with an executable mode (Falco's ``evt.is_open_exec``)."""


class Connect(EventBase, frozen=True, kw_only=True, tag="connect"):
    """``connect``; ``ret`` 0 or -EINPROGRESS is under way."""

    addr: str | None = None
    """What was asked for, ``address:port`` or a Unix path."""


class Accept(EventBase, frozen=True, kw_only=True, tag="accept"):
    """``accept``, ``accept4``: a peer was taken."""

    flags: str | None = None


class Bind(EventBase, frozen=True, kw_only=True, tag="bind"):
    """``bind`` of a socket to an address."""

    addr: str | None = None


class Listen(EventBase, frozen=True, kw_only=True, tag="listen"):
    """``listen``."""

    backlog: int | None = None


class Socket(EventBase, frozen=True, kw_only=True, tag="socket"):
    """``socket``, ``socketpair``."""

    domain: str | None = None
    """``AF_INET`` …"""
    socket_type: str | None = None
    """``SOCK_STREAM`` …"""
    proto: int | None = None


class Send(EventBase, frozen=True, kw_only=True, tag="send"):
    """``sendto``, ``sendmsg``, ``recvfrom``, ``recvmsg`` that rules or DNS recording want."""

    size: int | None = None
    addr: str | None = None
    dns_name: str | None = None
    """Name asked for when the payload is a DNS question."""


class Dup(EventBase, frozen=True, kw_only=True, tag="dup"):
    """``dup``, ``dup2``, ``dup3``, ``fcntl(F_DUPFD)``; ``fd`` is the new descriptor and what it now stands for."""

    oldfd: int | None = None
    newfd: int | None = None


class Namespace(EventBase, frozen=True, kw_only=True, tag="namespace"):
    """``setns``, ``unshare``, ``chroot``, ``pivot_root``."""

    nstype: str | None = None
    """``CLONE_NEWNS|CLONE_NEWPID`` … for ``setns``."""
    flags: str | None = None
    """The same for ``unshare``."""
    path: str | None = None


class Mount(EventBase, frozen=True, kw_only=True, tag="mount"):
    """``mount``, ``umount2``, ``move_mount``, ``fsopen``."""

    dev: str | None = None
    dir: str | None = None
    fstype: str | None = None
    flags: str | None = None


class Ptrace(EventBase, frozen=True, kw_only=True, tag="ptrace"):
    """``ptrace``, ``process_vm_writev``, ``process_vm_readv``."""

    request: str | None = None
    """``PTRACE_ATTACH`` …"""
    target_pid: int | None = None
    addr: str | None = None


class Module(EventBase, frozen=True, kw_only=True, tag="module"):
    """``init_module``, ``finit_module``, ``delete_module``."""

    name: str | None = None
    flags: str | None = None


class Bpf(EventBase, frozen=True, kw_only=True, tag="bpf"):
    """``bpf``, also ``perf_event_open``, ``userfaultfd``, ``io_uring_setup``: doors into the kernel."""

    cmd: str | None = None
    """``BPF_PROG_LOAD`` …"""
    flags: str | None = None


class Cgroup(EventBase, frozen=True, kw_only=True, tag="cgroup"):
    """A cgroup was made or removed: the first sign of a container."""

    path: str | None = None


class Rename(EventBase, frozen=True, kw_only=True, tag="rename"):
    """``rename``, ``renameat``, ``renameat2``."""

    oldpath: str | None = None
    newpath: str | None = None
    flags: str | None = None


class Unlink(EventBase, frozen=True, kw_only=True, tag="unlink"):
    """``unlink``, ``unlinkat``, ``rmdir``."""

    name: str | None = None
    """Resolved path."""
    flags: str | None = None


class Link(EventBase, frozen=True, kw_only=True, tag="link"):
    """``link``, ``linkat``, ``symlink``, ``symlinkat``."""

    target: str | None = None
    """What a symbolic link points to."""
    linkpath: str | None = None
    """The symbolic link."""
    oldpath: str | None = None
    newpath: str | None = None
    flags: str | None = None


class Mkdir(EventBase, frozen=True, kw_only=True, tag="mkdir"):
    """``mkdir``, ``mkdirat``, ``mknod``, ``mknodat``."""

    path: str | None = None
    mode: str | None = None
    dev: int | None = None


class Chmod(EventBase, frozen=True, kw_only=True, tag="chmod"):
    """``chmod``, ``fchmod``, ``fchmodat``, ``chown`` family, ``setxattr`` of capabilities."""

    filename: str | None = None
    mode: str | None = None
    uid: int | None = None
    gid: int | None = None


class Cred(EventBase, frozen=True, kw_only=True, tag="cred"):
    """``setuid``, ``setgid``, ``setresuid``, ``capset``, ``prctl``: rights changed."""

    uid: int | None = None
    euid: int | None = None
    gid: int | None = None
    capabilities: str | None = None
    option: str | None = None


class Memfd(EventBase, frozen=True, kw_only=True, tag="memfd"):
    """``memfd_create``."""

    name: str | None = None
    flags: str | None = None


class Record(EventBase, frozen=True, kw_only=True, tag="record"):
    """A line of a log or of another tool's output; ``fields`` holds what it says."""

    fields: dict[str, str | int | float | bool | None] = {}
    message: str = ""


class Loss(EventBase, frozen=True, kw_only=True, tag="loss"):
    """What was *not* seen: how many, why, in which time. ``count`` None means unknown."""

    count: int | None = None
    cause: str = ""
    """``ring_full``, ``spool_full``, ``rate_guard``, ``table_full``, ``agent_restart``, ``clock_step`` …"""
    since_ns: int | None = None
    """From when, UTC ns; ``ts_ns`` is the end."""
    by_cpu: dict[str, int] = {}


Event: TypeAlias = (
    Exec
    | Fork
    | Exit
    | Open
    | Connect
    | Accept
    | Bind
    | Listen
    | Socket
    | Send
    | Dup
    | Namespace
    | Mount
    | Ptrace
    | Module
    | Bpf
    | Cgroup
    | Rename
    | Unlink
    | Link
    | Mkdir
    | Chmod
    | Cred
    | Memfd
    | Record
    | Loss
)
"""Any event."""

OCSF_CLASS: Final[dict[str, int]] = {
    "exec": 1007,
    "fork": 1007,
    "exit": 1007,
    "open": 1001,
    "rename": 1001,
    "unlink": 1001,
    "link": 1001,
    "mkdir": 1001,
    "chmod": 1001,
    "connect": 4001,
    "accept": 4001,
    "bind": 4001,
    "listen": 4001,
    "socket": 4001,
    "send": 4001,
    "module": 1005,
    "memfd": 1004,
    "dup": 1003,
    "namespace": 1003,
    "mount": 1003,
    "ptrace": 1003,
    "bpf": 1003,
    "cgroup": 1003,
    "cred": 1003,
}
"""OCSF 1.8 class of each kind; a kind that is not here has none (``record`` names its own, ``loss`` is ours)."""

_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_ENCODER = msgspec.json.Encoder()


def encode_event(event: Event) -> bytes:
    """One line of JSON without its newline."""
    return _ENCODER.encode(event)


def decode_event(line: bytes | str) -> Event:
    """An event from :func:`encode_event`; msgspec.ValidationError names the path of what is wrong."""
    return _DECODER.decode(line)
