"""The system calls that the sensor knows: described once, for the kernel programs and for the decoder.

Numbers are those of x86_64 and, for 32-bit programs, of i386 (arch/x86/entry/syscalls). An argument is named by its place, 0 to 5.
"""

from __future__ import annotations

import enum
from typing import Final

from msgspec import Struct

__all__ = ["ALIASES32", "BY_NAME", "CALLS", "CWD", "NONE", "RET", "Call", "Handler", "When"]

NONE: Final = 255
"""No such argument."""
RET: Final = 254
"""The return value."""
CWD: Final = 253
"""A name is relative to the working directory."""


class Handler(enum.IntEnum):
    """The kernel program that reads the call (``enum ph_handler``)."""

    PLAIN = 1
    OPEN = 2
    SOCKET = 3
    DUP = 4
    STATE = 5
    MESSAGE = 6


class When(enum.IntEnum):
    """When a call is recorded though no rule wants it."""

    RULES = 0
    """Only when a rule wants it."""
    ALWAYS = 1
    WRITES = 2
    """Opens that can write."""
    DNS = 3
    """Messages that ask a name server."""
    SOCKETS = 4
    """Descriptors that stand for a socket."""
    STATE = 5
    """Never an event: it keeps the process table true."""


class Call(Struct, frozen=True):
    """One system call."""

    kind: str
    """Tag of the event it becomes; ``state`` for none."""
    name: str
    """``evt.type``."""
    nr: int
    nr32: int | None
    """Number for 32-bit programs; None when they have no such call."""
    handler: Handler = Handler.PLAIN
    fd: int = NONE
    """The descriptor that the call is about."""
    name_arg: int = NONE
    """First path or name."""
    base: int = NONE
    """The directory that it is relative to."""
    name2: int = NONE
    base2: int = NONE
    word: int = NONE
    """A third string."""
    when: When = When.RULES
    failed: bool = False
    """Also when it returned an error: the attempt tells."""
    only_failed: bool = False
    """Only then (a successful exec is seen by its own hook)."""
    bulk: bool = False
    """Gives way to the others when the ring fills."""


CALLS: Final[tuple[Call, ...]] = (
    Call("open", "open", 2, 5, handler=Handler.OPEN, fd=RET, name_arg=0, base=CWD, when=When.WRITES, bulk=True),
    Call("open", "openat", 257, 295, handler=Handler.OPEN, fd=RET, name_arg=1, base=0, when=When.WRITES, bulk=True),
    Call("open", "openat2", 437, 437, handler=Handler.OPEN, fd=RET, name_arg=1, base=0, when=When.WRITES, bulk=True),
    Call("open", "creat", 85, 8, handler=Handler.OPEN, fd=RET, name_arg=0, base=CWD, when=When.WRITES, bulk=True),
    Call("open", "open_by_handle_at", 304, 342, handler=Handler.OPEN, fd=RET, when=When.WRITES, bulk=True),
    Call("connect", "connect", 42, 362, handler=Handler.SOCKET, fd=0, when=When.ALWAYS, failed=True),
    Call("accept", "accept", 43, None, handler=Handler.SOCKET, fd=RET, when=When.ALWAYS),
    Call("accept", "accept4", 288, 364, handler=Handler.SOCKET, fd=RET, when=When.ALWAYS),
    Call("bind", "bind", 49, 361, handler=Handler.SOCKET, fd=0, when=When.ALWAYS),
    Call("listen", "listen", 50, 363, handler=Handler.SOCKET, fd=0, when=When.ALWAYS),
    Call("socket", "socket", 41, 359, fd=RET, when=When.RULES, bulk=True),
    Call("socket", "socketpair", 53, 360, bulk=True),
    Call("send", "sendto", 44, 369, handler=Handler.MESSAGE, fd=0, when=When.DNS, bulk=True),
    Call("send", "sendmsg", 46, 370, handler=Handler.MESSAGE, fd=0, when=When.DNS, bulk=True),
    Call("send", "sendmmsg", 307, 345, handler=Handler.MESSAGE, fd=0, when=When.DNS, bulk=True),
    Call("send", "recvfrom", 45, 371, handler=Handler.MESSAGE, fd=0, when=When.RULES, bulk=True),
    Call("send", "recvmsg", 47, 372, handler=Handler.MESSAGE, fd=0, when=When.RULES, bulk=True),
    Call("dup", "dup", 32, 41, handler=Handler.DUP, fd=RET, when=When.SOCKETS, bulk=True),
    Call("dup", "dup2", 33, 63, handler=Handler.DUP, fd=RET, when=When.SOCKETS, bulk=True),
    Call("dup", "dup3", 292, 330, handler=Handler.DUP, fd=RET, when=When.SOCKETS, bulk=True),
    Call("dup", "fcntl", 72, 55, handler=Handler.DUP, fd=RET, when=When.SOCKETS, bulk=True),
    Call("namespace", "setns", 308, 346, fd=0, when=When.ALWAYS, failed=True),
    Call("namespace", "unshare", 272, 310, when=When.ALWAYS, failed=True),
    Call("namespace", "chroot", 161, 61, name_arg=0, base=CWD, when=When.ALWAYS),
    Call("namespace", "pivot_root", 155, 217, name_arg=0, base=CWD, name2=1, base2=CWD, when=When.ALWAYS),
    Call("mount", "mount", 165, 21, name_arg=0, name2=1, base2=CWD, word=2, when=When.ALWAYS, failed=True),
    Call("mount", "umount2", 166, 52, name2=0, base2=CWD, when=When.ALWAYS),
    Call("mount", "move_mount", 429, 429, name_arg=1, base=0, name2=3, base2=2, when=When.ALWAYS, failed=True),
    Call("mount", "fsopen", 430, 430, word=0, fd=RET, when=When.ALWAYS),
    Call("ptrace", "ptrace", 101, 26, when=When.ALWAYS, failed=True),
    Call("ptrace", "process_vm_readv", 310, 347, when=When.ALWAYS, failed=True),
    Call("ptrace", "process_vm_writev", 311, 348, when=When.ALWAYS, failed=True),
    Call("module", "init_module", 175, 128, when=When.ALWAYS, failed=True),
    Call("module", "finit_module", 313, 350, fd=0, when=When.ALWAYS, failed=True),
    Call("module", "delete_module", 176, 129, name_arg=0, when=When.ALWAYS, failed=True),
    Call("bpf", "bpf", 321, 357, when=When.ALWAYS, failed=True),
    Call("bpf", "perf_event_open", 298, 336, fd=RET, when=When.RULES),
    Call("bpf", "userfaultfd", 323, 374, fd=RET, when=When.ALWAYS, failed=True),
    Call("bpf", "io_uring_setup", 425, 425, fd=RET, when=When.ALWAYS),
    Call("rename", "rename", 82, 38, name_arg=0, base=CWD, name2=1, base2=CWD, when=When.RULES, bulk=True),
    Call("rename", "renameat", 264, 302, name_arg=1, base=0, name2=3, base2=2, when=When.RULES, bulk=True),
    Call("rename", "renameat2", 316, 353, name_arg=1, base=0, name2=3, base2=2, when=When.RULES, bulk=True),
    Call("unlink", "unlink", 87, 10, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("unlink", "unlinkat", 263, 301, name_arg=1, base=0, when=When.RULES, bulk=True),
    Call("unlink", "rmdir", 84, 40, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("link", "link", 86, 9, name_arg=0, base=CWD, name2=1, base2=CWD, when=When.RULES, bulk=True),
    Call("link", "linkat", 265, 303, name_arg=1, base=0, name2=3, base2=2, when=When.RULES, bulk=True),
    Call("link", "symlink", 88, 83, name_arg=0, name2=1, base2=CWD, when=When.RULES, bulk=True),
    Call("link", "symlinkat", 266, 304, name_arg=0, name2=2, base2=1, when=When.RULES, bulk=True),
    Call("mkdir", "mkdir", 83, 39, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("mkdir", "mkdirat", 258, 296, name_arg=1, base=0, when=When.RULES, bulk=True),
    Call("mkdir", "mknod", 133, 14, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("mkdir", "mknodat", 259, 297, name_arg=1, base=0, when=When.RULES, bulk=True),
    Call("chmod", "chmod", 90, 15, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("chmod", "fchmod", 91, 94, fd=0, when=When.RULES, bulk=True),
    Call("chmod", "fchmodat", 268, 306, name_arg=1, base=0, when=When.RULES, bulk=True),
    Call("chmod", "fchmodat2", 452, 452, name_arg=1, base=0, when=When.RULES, bulk=True),
    Call("chmod", "chown", 92, 182, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("chmod", "lchown", 94, 16, name_arg=0, base=CWD, when=When.RULES, bulk=True),
    Call("chmod", "fchown", 93, 95, fd=0, when=When.RULES, bulk=True),
    Call("chmod", "fchownat", 260, 298, name_arg=1, base=0, when=When.RULES, bulk=True),
    Call("chmod", "setxattr", 188, 226, name_arg=0, base=CWD, word=1, when=When.RULES, bulk=True),
    Call("chmod", "lsetxattr", 189, 227, name_arg=0, base=CWD, word=1, when=When.RULES, bulk=True),
    Call("chmod", "fsetxattr", 190, 228, fd=0, word=1, when=When.RULES, bulk=True),
    Call("cred", "setuid", 105, 23, when=When.ALWAYS),
    Call("cred", "setgid", 106, 46, when=When.ALWAYS),
    Call("cred", "setreuid", 113, 70, when=When.ALWAYS),
    Call("cred", "setregid", 114, 71, when=When.ALWAYS),
    Call("cred", "setresuid", 117, 164, when=When.ALWAYS),
    Call("cred", "setresgid", 119, 170, when=When.ALWAYS),
    Call("cred", "setfsuid", 122, 138),
    Call("cred", "setfsgid", 123, 139),
    Call("cred", "capset", 126, 185, when=When.ALWAYS),
    Call("cred", "prctl", 157, 172, when=When.ALWAYS),
    Call("memfd", "memfd_create", 319, 356, fd=RET, name_arg=0, when=When.ALWAYS),
    Call("exec", "execve", 59, 11, name_arg=0, base=CWD, when=When.ALWAYS, only_failed=True),
    Call("exec", "execveat", 322, 358, name_arg=1, base=0, when=When.ALWAYS, only_failed=True),
    Call("state", "chdir", 80, 12, handler=Handler.STATE, when=When.STATE),
    Call("state", "fchdir", 81, 133, handler=Handler.STATE, when=When.STATE),
    Call("state", "setsid", 112, 66, handler=Handler.STATE, when=When.STATE),
    Call("state", "setpgid", 109, 57, handler=Handler.STATE, when=When.STATE),
)
"""All of them."""

BY_NAME: Final = {call.name: call for call in CALLS}

ALIASES32: Final[dict[int, str]] = {
    23: "setuid",
    213: "setuid",
    46: "setgid",
    214: "setgid",
    70: "setreuid",
    203: "setreuid",
    71: "setregid",
    204: "setregid",
    164: "setresuid",
    208: "setresuid",
    170: "setresgid",
    210: "setresgid",
    182: "chown",
    212: "chown",
    16: "lchown",
    198: "lchown",
    95: "fchown",
    207: "fchown",
    55: "fcntl",
    221: "fcntl",
    22: "umount2",
    215: "setfsuid",
    216: "setfsgid",
}
"""Further numbers of 32-bit programs: calls that i386 has twice, for 16-bit and for 32-bit user ids."""
