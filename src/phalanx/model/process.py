"""A process as a sensor knows it, and what it holds open."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from phalanx.model.ids import ProcessId
from phalanx.model.values import UNKNOWN, Maybe

__all__ = ["MAX_ANCESTORS", "Descriptor", "Process"]

MAX_ANCESTORS = 16
"""How many ancestors of a process are kept and reported; a longer chain is cut at its root's side."""


class Process(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process between two of its changes (exec, chdir, set*id, capset): immutable, shared by the events of that time.

    ``None`` is absent, ``UNKNOWN`` not known yet. Text comes from the kernel by :func:`phalanx.text.hostile.decode`.
    """

    id: ProcessId
    """(boot, pid, start time); the key of every join."""
    pid: int
    """Process id (thread group id) in the root pid namespace."""
    start_ns: int
    """Start of the thread group leader, nanoseconds since boot (``task_struct.start_boottime``)."""
    vpid: int | None = None
    """The pid as the process itself sees it; equal to ``pid`` on the host. None when it was not readable."""
    ppid: int | None = None
    """Pid of the parent in the root namespace; None for the first process."""
    sid: int | None = None
    """Session id; None when not readable."""
    pgid: int | None = None
    """Process group id."""
    vpgid: int | None = None
    """Process group id inside the pid namespace."""
    name: str = ""
    """``comm``: at most 15 bytes, set at exec, changeable by the process itself."""
    exe: str | None = None
    """``argv[0]`` as given by the caller. None for a kernel thread."""
    exepath: str | None = None
    """The file that was executed, as an absolute path in the mount namespace of the process. None for a kernel thread."""
    argv: tuple[str, ...] = ()
    """``argv[1:]``, cut at 4 KiB in all (``args_cut`` says so)."""
    args_cut: bool = False
    """True when ``argv`` or ``env`` is not whole."""
    env: tuple[str, ...] = ()
    """Environment as ``NAME=value``, bounded; values of names that look secret are masked by the sensor."""
    cwd: str | None = None
    """Working directory; None when it was not readable."""
    tty: int = 0
    """Device number of the controlling terminal; 0 is none."""
    uid: int | None = None
    """Effective user id in the root user namespace."""
    gid: int | None = None
    """Effective group id."""
    user: str | None = None
    """Name of ``uid`` in the container's or host's passwd; ``<NA>`` when it has none, as Falco writes it."""
    group: str | None = None
    """Name of ``gid``; ``<NA>`` when it has none."""
    homedir: str | None = None
    """Home of ``uid`` in passwd; ``<NA>`` when it has none."""
    shell: str | None = None
    """Login shell of ``uid`` in passwd; ``<NA>`` when it has none."""
    loginuid: int | None = None
    """Audit login uid; -1 when the process belongs to no login."""
    loginuser: str | None = None
    """Name of ``loginuid``; ``<NA>`` when it has none."""
    cap_permitted: int = 0
    """Permitted capabilities, bit n for capability n of ``capability.h``."""
    cap_effective: int = 0
    """Effective capabilities."""
    cap_inheritable: int = 0
    """Inheritable capabilities."""
    exe_ino: int | None = None
    """Inode of the executed file."""
    exe_ctime_ns: int | None = None
    """Status change of that inode, nanoseconds since 1970."""
    exe_mtime_ns: int | None = None
    """Content change of that inode, nanoseconds since 1970."""
    exe_upper: bool | None = None
    """True when the executed file lies in the upper layer of an overlay: it is not in the image (or was changed since). None
    when the file is on no overlay."""
    exe_memfd: bool = False
    """True when an anonymous memory file was executed."""
    exe_writable: bool = False
    """True when the process could write the file it executes."""
    container_id: str = "host"
    """First 12 characters of the container's id; ``host`` outside of containers."""
    cgroup: str = ""
    """Path of its cgroup (v2 where there is one)."""
    parent: Maybe[Process] = UNKNOWN
    """The parent as it was when this state began. None at the root, or where the chain was cut; UNKNOWN when an event was lost."""

    @property
    def args(self) -> str:
        """``argv[1:]`` joined by spaces (Falco's ``proc.args``)."""
        return " ".join(self.argv)

    @property
    def cmdline(self) -> str:
        """Name and arguments joined by spaces (Falco's ``proc.cmdline``)."""
        return " ".join((self.name, *self.argv))

    def ancestors(self) -> Iterator[Process]:
        """The parent, its parent … at most :data:`MAX_ANCESTORS`."""
        parent = self.parent
        for _ in range(MAX_ANCESTORS):
            if not isinstance(parent, Process):
                return
            yield parent
            parent = parent.parent


class Descriptor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file descriptor stands for at the time of an event."""

    num: int
    """Number in the process's table; -1 when the call gave none."""
    type: str = "?"
    """Falco's ``fd.typechar``: ``f`` file, ``d`` directory, ``4``/``6`` IP socket, ``u`` Unix socket, ``p`` pipe, ``e`` eventfd,
    ``s`` signalfd, ``l`` eventpoll, ``i`` inotify, ``t`` timerfd, ``b`` bpf, ``m`` memfd, ``r`` io_uring, ``o`` other, ``?`` not known."""
    name: str | None = None
    """Full path; ``client:port->server:port`` for a connected IP socket, ``address:port`` for an unconnected one; path or ``->`` pair of a Unix one."""
    ino: int | None = None
    """Inode number."""
    l4proto: str | None = None
    """``tcp``, ``udp``, ``icmp``, ``raw``; None for what is no IP socket."""
    cip: str | None = None
    """Client address as text."""
    cport: int | None = None
    """Client port."""
    sip: str | None = None
    """Server address as text."""
    sport: int | None = None
    """Server port."""
    is_server: bool = False
    """True when this process is the server's side; tells local from remote."""
    connected: bool = False
    """True once a connection stands (for ``connect``: it succeeded)."""
    name_changed: bool = False
    """True when a later call gave the descriptor another peer (UDP)."""
