"""Which rights a process has and keeps: capabilities by name, dropped for good.

Numbers are those of Linux's ``include/uapi/linux/capability.h``; the calls those of capset(2) and prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from phalanx.errors import SensorError, UnavailableError
from phalanx.model.capabilities import CAPABILITIES

__all__ = ["AGENT_CAPABILITIES", "capabilities_of", "confine", "ensure_user", "keep_only", "names_of"]

_NAMES: Final = tuple(name.lower() for name in CAPABILITIES)

AGENT_CAPABILITIES: Final = frozenset(
    {
        "bpf",  # load programs and maps
        "perfmon",  # attach tracing programs, read kernel memory in them
        "sys_admin",  # iterators on kernels before 6.9, mount tracefs and bpffs where they are missing
        "sys_ptrace",  # /proc/PID/{exe,cwd,root,fd} of other users and containers
        "dac_read_search",  # passwd of a container, sockets of runtimes
        "sys_resource",  # locked memory on kernels before 5.11
    }
)
"""What the node agent keeps; everything else is dropped before it reads its first event."""

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_VERSION_3: Final = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int = 0) -> int:
    return int(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0))


def names_of(mask: int) -> frozenset[str]:
    """The capabilities in a bit mask; an unnamed bit is ``cap_<n>``."""
    return frozenset(_NAMES[bit] if bit < len(_NAMES) else f"cap_{bit}" for bit in range(64) if mask >> bit & 1)


def capabilities_of(pid: int | str = "self") -> dict[str, frozenset[str]]:
    """``permitted``, ``effective``, ``inheritable``, ``bounding`` and ``ambient`` capabilities of a process, from /proc."""
    keys = {
        "CapInh": "inheritable",
        "CapPrm": "permitted",
        "CapEff": "effective",
        "CapBnd": "bounding",
        "CapAmb": "ambient",
    }
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in keys:
            found[keys[key]] = names_of(int(value, 16))
    return found


def confine(keep: Iterable[str] = (), *, user: tuple[int, int] | None = None, die_with_parent: bool = True) -> None:
    """Empty the bounding and ambient sets but for ``keep``, become ``user``, forbid new privileges; for a child between fork and exec.

    It only makes system calls, so that it is safe there. A capability that the caller does not have is passed over.

    Args:
        keep: names of capabilities that stay in the bounding set.
        user: (uid, gid) to become, without supplementary groups; None to stay.
        die_with_parent: have TERM sent to this process when its parent ends.
    """
    kept = set(keep)
    for number, name in enumerate(_NAMES):
        if name not in kept:
            _prctl(_PR_CAPBSET_DROP, number)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    if user is not None:
        uid, gid = user
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if die_with_parent:  # last: a change of user clears it
        _prctl(_PR_SET_PDEATHSIG, 15)


def keep_only(keep: Iterable[str]) -> frozenset[str]:
    """Drop every capability of this process but those in ``keep``; returns what it has afterwards.

    Raises:
        SensorError: the kernel refused.
    """
    confine(keep, die_with_parent=False)
    permitted = capabilities_of()["permitted"]
    mask = 0
    for number, name in enumerate(_NAMES):
        if name in keep and name in permitted:
            mask |= 1 << number
    header = _Header(_VERSION_3, 0)
    data = (_Data * 2)()
    for half in (0, 1):
        bits = mask >> (32 * half) & 0xFFFFFFFF
        data[half].effective = data[half].permitted = bits
    if _libc.capset(ctypes.byref(header), data) != 0:
        raise SensorError(f"capabilities could not be dropped: {os.strerror(ctypes.get_errno())}")
    return capabilities_of()["permitted"]


def ensure_user(name: str) -> pwd.struct_passwd:
    """The system user ``name``, made when it is missing.

    Raises:
        UnavailableError: it is missing and could not be made.
    """
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    command = [
        "useradd",
        "--system",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/usr/sbin/nologin",
        name,
    ]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnavailableError(
            f"the system user {name!r} for the hub is missing and could not be made: {error}",
            hint="make a user without privileges and name it by --hub-user",
        ) from error
    if made.returncode != 0:
        raise UnavailableError(
            f"the system user {name!r} for the hub could not be made: {made.stderr.strip()[:200]}",
            hint="make a user without privileges and name it by --hub-user",
        )
    return pwd.getpwnam(name)
