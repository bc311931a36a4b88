"""Numbers of system calls as the text that rules compare: ``O_WRONLY|O_CREAT``, ``CLONE_NEWNS``, ``PTRACE_ATTACH``.

Values are Linux's own (include/uapi; x86_64). What has no name stays visible as a hexadecimal rest.
"""

from __future__ import annotations

import enum
from typing import Final

from phalanx.model.capabilities import CAPABILITIES

__all__ = ["Family", "render"]


class Family(enum.IntEnum):
    """What a number means."""

    OPEN = 1
    MODE = 2
    CLONE = 3
    UNLINK = 4
    AT = 5
    RENAME = 6
    MOUNT = 7
    UMOUNT = 8
    PTRACE = 9
    BPF = 10
    MEMFD = 11
    SOCKET_FLAGS = 12
    DOMAIN = 13
    SOCKET_TYPE = 14
    PRCTL = 15
    MODULE = 16
    CAPABILITIES = 17
    MOVE_MOUNT = 18


_OPEN: Final = (
    (0o20200000, "O_TMPFILE"),
    (0o4010000, "O_SYNC"),
    *((0o100, "O_CREAT"), (0o200, "O_EXCL"), (0o400, "O_NOCTTY"), (0o1000, "O_TRUNC"), (0o2000, "O_APPEND")),
    *(
        (0o4000, "O_NONBLOCK"),
        (0o10000, "O_DSYNC"),
        (0o20000, "O_ASYNC"),
        (0o40000, "O_DIRECT"),
        (0o100000, "O_LARGEFILE"),
    ),
    *(
        (0o200000, "O_DIRECTORY"),
        (0o400000, "O_NOFOLLOW"),
        (0o1000000, "O_NOATIME"),
        (0o2000000, "O_CLOEXEC"),
        (0o10000000, "O_PATH"),
    ),
)
_MODE: Final = (
    *((0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX")),
    *((0o400, "S_IRUSR"), (0o200, "S_IWUSR"), (0o100, "S_IXUSR")),
    *((0o040, "S_IRGRP"), (0o020, "S_IWGRP"), (0o010, "S_IXGRP")),
    *((0o004, "S_IROTH"), (0o002, "S_IWOTH"), (0o001, "S_IXOTH")),
)
_FILE_TYPES: Final = {
    0o10000: "S_IFIFO",
    0o20000: "S_IFCHR",
    0o40000: "S_IFDIR",
    0o60000: "S_IFBLK",
    0o100000: "S_IFREG",
    0o140000: "S_IFSOCK",
}
_CLONE: Final = (
    *(
        (0x80, "CLONE_NEWTIME"),
        (0x100, "CLONE_VM"),
        (0x200, "CLONE_FS"),
        (0x400, "CLONE_FILES"),
        (0x800, "CLONE_SIGHAND"),
    ),
    *(
        (0x1000, "CLONE_PIDFD"),
        (0x2000, "CLONE_PTRACE"),
        (0x4000, "CLONE_VFORK"),
        (0x8000, "CLONE_PARENT"),
        (0x10000, "CLONE_THREAD"),
    ),
    *(
        (0x20000, "CLONE_NEWNS"),
        (0x40000, "CLONE_SYSVSEM"),
        (0x80000, "CLONE_SETTLS"),
        (0x100000, "CLONE_PARENT_SETTID"),
    ),
    *((0x200000, "CLONE_CHILD_CLEARTID"), (0x800000, "CLONE_UNTRACED"), (0x1000000, "CLONE_CHILD_SETTID")),
    *(
        (0x2000000, "CLONE_NEWCGROUP"),
        (0x4000000, "CLONE_NEWUTS"),
        (0x8000000, "CLONE_NEWIPC"),
        (0x10000000, "CLONE_NEWUSER"),
    ),
    *((0x20000000, "CLONE_NEWPID"), (0x40000000, "CLONE_NEWNET"), (0x80000000, "CLONE_IO")),
)
_UNLINK: Final = ((0x200, "AT_REMOVEDIR"),)
_AT: Final = (
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
)
_RENAME: Final = ((1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT"))
_MOUNT: Final = (
    *(
        (1, "MS_RDONLY"),
        (2, "MS_NOSUID"),
        (4, "MS_NODEV"),
        (8, "MS_NOEXEC"),
        (16, "MS_SYNCHRONOUS"),
        (32, "MS_REMOUNT"),
    ),
    *((64, "MS_MANDLOCK"), (128, "MS_DIRSYNC"), (256, "MS_NOSYMFOLLOW"), (1024, "MS_NOATIME"), (2048, "MS_NODIRATIME")),
    *((4096, "MS_BIND"), (8192, "MS_MOVE"), (16384, "MS_REC"), (32768, "MS_SILENT"), (1 << 16, "MS_POSIXACL")),
    *(
        (1 << 17, "MS_UNBINDABLE"),
        (1 << 18, "MS_PRIVATE"),
        (1 << 19, "MS_SLAVE"),
        (1 << 20, "MS_SHARED"),
        (1 << 21, "MS_RELATIME"),
    ),
    *((1 << 24, "MS_STRICTATIME"), (1 << 25, "MS_LAZYTIME")),
)
_UMOUNT: Final = ((1, "MNT_FORCE"), (2, "MNT_DETACH"), (4, "MNT_EXPIRE"), (8, "UMOUNT_NOFOLLOW"))
_PTRACE: Final = {
    0: "PTRACE_TRACEME",
    1: "PTRACE_PEEKTEXT",
    2: "PTRACE_PEEKDATA",
    3: "PTRACE_PEEKUSR",
    4: "PTRACE_POKETEXT",
    5: "PTRACE_POKEDATA",
    6: "PTRACE_POKEUSR",
    7: "PTRACE_CONT",
    8: "PTRACE_KILL",
    9: "PTRACE_SINGLESTEP",
    12: "PTRACE_GETREGS",
    13: "PTRACE_SETREGS",
    14: "PTRACE_GETFPREGS",
    15: "PTRACE_SETFPREGS",
    16: "PTRACE_ATTACH",
    17: "PTRACE_DETACH",
    24: "PTRACE_SYSCALL",
    31: "PTRACE_SYSEMU",
    0x4200: "PTRACE_SETOPTIONS",
    0x4201: "PTRACE_GETEVENTMSG",
    0x4202: "PTRACE_GETSIGINFO",
    0x4203: "PTRACE_SETSIGINFO",
    0x4204: "PTRACE_GETREGSET",
    0x4205: "PTRACE_SETREGSET",
    0x4206: "PTRACE_SEIZE",
    0x4207: "PTRACE_INTERRUPT",
    0x4208: "PTRACE_LISTEN",
    0x4209: "PTRACE_PEEKSIGINFO",
    0x420A: "PTRACE_GETSIGMASK",
    0x420B: "PTRACE_SETSIGMASK",
    0x420C: "PTRACE_SECCOMP_GET_FILTER",
    0x420E: "PTRACE_GET_SYSCALL_INFO",
}
_BPF: Final = {
    0: "BPF_MAP_CREATE",
    5: "BPF_PROG_LOAD",
    6: "BPF_OBJ_PIN",
    7: "BPF_OBJ_GET",
    8: "BPF_PROG_ATTACH",
    9: "BPF_PROG_DETACH",
    17: "BPF_RAW_TRACEPOINT_OPEN",
    18: "BPF_BTF_LOAD",
    28: "BPF_LINK_CREATE",
}
_MEMFD: Final = (
    (1, "MFD_CLOEXEC"),
    (2, "MFD_ALLOW_SEALING"),
    (4, "MFD_HUGETLB"),
    (8, "MFD_NOEXEC_SEAL"),
    (16, "MFD_EXEC"),
)
_SOCKET_FLAGS: Final = ((0o2000000, "SOCK_CLOEXEC"), (0o4000, "SOCK_NONBLOCK"))
_DOMAIN: Final = {
    0: "AF_UNSPEC",
    1: "AF_UNIX",
    2: "AF_INET",
    3: "AF_AX25",
    10: "AF_INET6",
    15: "AF_KEY",
    16: "AF_NETLINK",
    17: "AF_PACKET",
    29: "AF_CAN",
    31: "AF_BLUETOOTH",
    38: "AF_ALG",
    40: "AF_VSOCK",
    44: "AF_XDP",
}
_SOCKET_TYPE: Final = {
    1: "SOCK_STREAM",
    2: "SOCK_DGRAM",
    3: "SOCK_RAW",
    4: "SOCK_RDM",
    5: "SOCK_SEQPACKET",
    6: "SOCK_DCCP",
    10: "SOCK_PACKET",
}
_PRCTL: Final = {
    1: "PR_SET_PDEATHSIG",
    4: "PR_SET_DUMPABLE",
    8: "PR_SET_KEEPCAPS",
    15: "PR_SET_NAME",
    22: "PR_SET_SECCOMP",
    24: "PR_CAPBSET_DROP",
    28: "PR_SET_SECUREBITS",
    35: "PR_SET_MM",
    36: "PR_SET_CHILD_SUBREAPER",
    38: "PR_SET_NO_NEW_PRIVS",
    47: "PR_CAP_AMBIENT",
    0x59616D61: "PR_SET_PTRACER",
}
_MODULE: Final = (
    (1, "MODULE_INIT_IGNORE_MODVERSIONS"),
    (2, "MODULE_INIT_IGNORE_VERMAGIC"),
    (4, "MODULE_INIT_COMPRESSED_FILE"),
)
_MOVE_MOUNT: Final = (
    (1, "MOVE_MOUNT_F_SYMLINKS"),
    (4, "MOVE_MOUNT_F_EMPTY_PATH"),
    (0x10, "MOVE_MOUNT_T_SYMLINKS"),
    (0x40, "MOVE_MOUNT_T_EMPTY_PATH"),
)
_CAPABILITIES: Final = tuple((1 << bit, f"CAP_{name}") for bit, name in enumerate(CAPABILITIES))

_BITS: Final = {
    Family.CLONE: _CLONE,
    Family.UNLINK: _UNLINK,
    Family.AT: _AT,
    Family.RENAME: _RENAME,
    Family.MOUNT: _MOUNT,
    Family.UMOUNT: _UMOUNT,
    Family.MEMFD: _MEMFD,
    Family.SOCKET_FLAGS: _SOCKET_FLAGS,
    Family.MODULE: _MODULE,
    Family.CAPABILITIES: _CAPABILITIES,
    Family.MOVE_MOUNT: _MOVE_MOUNT,
}
_ENUMS: Final = {
    Family.PTRACE: _PTRACE,
    Family.BPF: _BPF,
    Family.DOMAIN: _DOMAIN,
    Family.SOCKET_TYPE: _SOCKET_TYPE,
    Family.PRCTL: _PRCTL,
}


def _bits(value: int, names: tuple[tuple[int, str], ...]) -> list[str]:
    found = []
    for bits, name in names:
        if value & bits == bits:
            found.append(name)
            value &= ~bits
    if value:
        found.append(hex(value))
    return found


def render(family: int, value: int) -> str:
    """The text of ``value``; ``0`` when no bit is set, where that has no name of its own."""
    if family == Family.OPEN:
        access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[value & 3]
        return "|".join([access, *_bits(value & ~3 & 0xFFFFFFFF, _OPEN)])
    if family == Family.MODE:
        kind = _FILE_TYPES.get(value & 0o170000)
        names = _bits(value & 0o7777, _MODE)
        return "|".join([*([kind] if kind else []), *names]) or "0"
    if family in _ENUMS:
        return _ENUMS[Family(family)].get(value, str(value))
    if family == Family.CLONE:
        value &= ~0xFF | 0x80  # the lowest byte of clone's flags is the exit signal
    return "|".join(_bits(value, _BITS[Family(family)])) or "0"
