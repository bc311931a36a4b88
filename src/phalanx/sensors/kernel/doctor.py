"""What the kernel sensor needs and what this machine lacks, in plain words."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from phalanx.errors import SensorError

__all__ = ["Check", "checks", "hint", "require"]


_OBJECT = Path(__file__).with_name("phalanx.bpf.o")
# os.path.exists throughout: Path.exists raises where a directory may not be entered


class Check(Struct, frozen=True, kw_only=True):
    """One thing that the sensor needs."""

    name: str
    ok: bool
    found: str
    """What was found, in a few words."""
    remedy: str | None = None
    """What a person can do; None when it is there."""
    required: bool = True
    """False for what only makes the sensor see more."""


def _capability(bit: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def _wsl() -> bool:
    return "microsoft" in os.uname().release.lower()


def _in_container() -> bool:
    """True when this process sees another pid namespace than the host's, where pid 2 is the kernel's ``kthreadd``."""
    try:
        return Path("/proc/2/comm").read_text() != "kthreadd\n"
    except OSError:
        return True


def checks() -> list[Check]:
    """Everything that the sensor needs, with what was found here."""
    release = os.uname().release
    version = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in release.split(".")[:2])
    root = os.geteuid() == 0
    may_load = _capability(21) or (_capability(39) and _capability(38))  # SYS_ADMIN, or BPF and PERFMON
    btf = Path("/sys/kernel/btf/vmlinux")
    found = [
        Check(
            name="Linux",
            ok=version >= (5, 17),
            found=f"kernel {release}",
            remedy=None
            if version >= (5, 17)
            else "Linux 5.17 or newer is needed (Debian 12 has 6.1, Ubuntu 24.04 has 6.8)",
        ),
        Check(
            name="rights",
            ok=may_load,
            found=("root" if root else f"user id {os.geteuid()}")
            + ("" if may_load else " without CAP_BPF and CAP_PERFMON"),
            remedy=None
            if may_load
            else "give this container CAP_BPF and CAP_PERFMON"
            if root
            else "run the agent as root: only root may load programs into the kernel",
        ),
        Check(
            name="type information",
            ok=os.path.exists(btf),
            found=str(btf) if os.path.exists(btf) else "no BTF",
            remedy=None
            if os.path.exists(btf)
            else "the kernel of WSL has no BTF by default: run phalanx on a Linux machine or virtual machine"
            if _wsl()
            else "a kernel built with CONFIG_DEBUG_INFO_BTF is needed (those of Debian 12 and Ubuntu 24.04 are)",
        ),
        Check(
            name="kernel object",
            ok=os.path.exists(_OBJECT),
            found="phalanx.bpf.o",
            remedy=None if os.path.exists(_OBJECT) else "build it: make bpf",
        ),
        Check(
            name="host",
            ok=not _in_container(),
            found="inside a container" if _in_container() else "on the host",
            remedy="share the host's pid namespace (--pid=host) and its /sys, and give CAP_BPF and CAP_PERFMON"
            if _in_container()
            else None,
            required=False,
        ),
    ]
    return found


def hint() -> str:
    """What to do about the first thing that is missing; general advice when nothing is."""
    for check in checks():
        if not check.ok and check.remedy is not None:
            return check.remedy
    return "`phalanx status` tells which programs the kernel refuses"


def require() -> None:
    """SensorError naming what is missing, unless everything required is there."""
    for check in checks():
        if check.required and not check.ok:
            raise SensorError(f"the kernel sensor cannot run here: {check.found}", hint=check.remedy)
