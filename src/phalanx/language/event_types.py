"""Event types (Falco's ``evt.type``), the kind of event each one becomes, and which of them phalanx's sensors give."""

from __future__ import annotations

from typing import Final

import msgspec

from phalanx.model.event import Event

__all__ = ["CATEGORY", "KINDS", "KIND_OF", "SENSED_SOURCES", "TYPES_OF", "attribute_type", "kind_attributes"]

TYPES_OF: Final[dict[str, tuple[str, ...]]] = {
    "exec": ("execve", "execveat"),
    "fork": ("clone", "fork", "vfork", "clone3"),
    "exit": ("procexit",),
    "open": ("open", "openat", "openat2", "creat", "open_by_handle_at"),
    "connect": ("connect",),
    "accept": ("accept", "accept4"),
    "bind": ("bind",),
    "listen": ("listen",),
    "socket": ("socket", "socketpair"),
    "send": ("sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg"),
    "dup": ("dup", "dup2", "dup3", "fcntl"),
    "namespace": ("setns", "unshare", "chroot", "pivot_root"),
    "mount": ("mount", "umount2", "move_mount", "fsopen"),
    "ptrace": ("ptrace", "process_vm_writev", "process_vm_readv"),
    "module": ("init_module", "finit_module", "delete_module"),
    "bpf": ("bpf", "perf_event_open", "userfaultfd", "io_uring_setup"),
    "cgroup": ("cgroup_mkdir", "cgroup_rmdir"),
    "rename": ("rename", "renameat", "renameat2"),
    "unlink": ("unlink", "unlinkat", "rmdir"),
    "link": ("link", "linkat", "symlink", "symlinkat"),
    "mkdir": ("mkdir", "mkdirat", "mknod", "mknodat"),
    "chmod": (
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "chown",
        "lchown",
        "fchown",
        "fchownat",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
    ),
    "cred": (
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setfsuid",
        "setfsgid",
        "capset",
        "prctl",
    ),
    "memfd": ("memfd_create",),
    "record": (),
    "loss": (),
}
"""Kind (tag of the event's struct) → the event types that become it. A rule that wants another type is *dormant*."""

KIND_OF: Final[dict[str, str]] = {name: kind for kind, names in TYPES_OF.items() for name in names}
"""Event type → kind."""

KINDS: Final = tuple(TYPES_OF)

SENSED_SOURCES: Final = frozenset({"syscall"})
"""Sources of events that a sensor of phalanx fills; rules of other sources load and are dormant."""

CATEGORY: Final[dict[str, str]] = {
    "exec": "process",
    "fork": "process",
    "exit": "process",
    "open": "file",
    "rename": "file",
    "unlink": "file",
    "link": "file",
    "mkdir": "file",
    "chmod": "file",
    "memfd": "file",
    "mount": "file",
    "dup": "file",
    "connect": "net",
    "accept": "net",
    "bind": "net",
    "listen": "net",
    "socket": "net",
    "send": "net",
    "cred": "user",
    "namespace": "process",
    "ptrace": "process",
    "module": "system",
    "bpf": "system",
    "cgroup": "system",
}
"""Falco's ``evt.category`` of each kind."""

_STRUCTS: Final = {struct.__struct_config__.tag: struct for struct in Event.__args__}


def kind_attributes(kind: str) -> frozenset[str]:
    """Names of the attributes of an event of this kind."""
    return frozenset(field.name for field in msgspec.structs.fields(_STRUCTS[kind]))


def attribute_type(kind: str, name: str) -> str:
    """``text`` or ``int`` for an attribute of an event of this kind; empty for another type."""
    for field in msgspec.structs.fields(_STRUCTS[kind]):
        if field.name == name:
            arguments = set(getattr(field.type, "__args__", (field.type,))) - {type(None)}
            return "text" if arguments == {str} else "int" if arguments == {int} else ""
    return ""
