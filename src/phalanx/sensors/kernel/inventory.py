"""Processes as /proc tells them: for machines where the sensor cannot run, and for what the kernel's iterator leaves out."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from phalanx.model.ids import process_id
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.sensors.kernel.groups import container_of_cgroup
from phalanx.sensors.kernel.names import Names
from phalanx.text import hostile

__all__ = ["Facts", "facts", "inventory"]

MAX_BYTES: Final = 4096
"""Arguments and environment are read no further."""
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Facts(Struct, frozen=True, kw_only=True):
    """What /proc/PID says, one reading."""

    pid: int
    ppid: int
    start_ns: int
    """Since boot, to a clock tick (10 ms): the kernel tells /proc no better."""
    name: bytes
    uid: int
    gid: int
    vpid: int
    pgid: int
    vpgid: int
    sid: int
    tty: int
    loginuid: int
    """4294967295 when the process belongs to no login."""
    cap_permitted: int
    cap_effective: int
    cap_inheritable: int
    cgroup: str
    """Path in the v2 hierarchy, or where that is empty in the first v1 hierarchy that names a container."""


def read(path: str, most: int = MAX_BYTES) -> bytes:
    """The first ``most`` bytes of a file of /proc; empty when the process is gone or may not be looked at."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(most) or b""
    except OSError:
        return b""


def link(path: str) -> str | None:
    """Target of a link of /proc; None when it is gone or may not be looked at."""
    try:
        return hostile.decode(os.readlink(os.fsencode(path)))
    except OSError:
        return None


def _cgroup(pid: int) -> str:
    unified, container = "", ""
    for line in read(f"/proc/{pid}/cgroup").split(b"\n"):
        parts = line.split(b":", 2)
        if len(parts) != 3:
            continue
        path = hostile.decode(parts[2])
        if parts[0] == b"0":
            unified = path
        elif not container and container_of_cgroup(path) != "host":
            container = path
    return container if container and container_of_cgroup(unified) == "host" else unified


def facts(pid: int) -> Facts | None:
    """What /proc says of ``pid``; None when it is gone or /proc is not as proc(5) describes it."""
    try:
        status = dict(line.split(b":\t", 1) for line in read(f"/proc/{pid}/status").split(b"\n") if b":\t" in line)
        # the name may hold spaces and parentheses: what follows it starts after the last one
        stat = read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()
        return Facts(
            pid=pid,
            ppid=int(status[b"PPid"]),
            start_ns=int(stat[19]) * _TICK_NS,
            name=read(f"/proc/{pid}/comm", 64).rstrip(b"\n")[:15],
            uid=int(status[b"Uid"].split()[1]),
            gid=int(status[b"Gid"].split()[1]),
            vpid=int(status[b"NSpid"].split()[-1]),
            pgid=int(stat[2]),
            vpgid=int(status[b"NSpgid"].split()[-1]),
            sid=int(stat[3]),
            tty=int(stat[4]) & 0xFFFFFFFF,
            loginuid=int(read(f"/proc/{pid}/loginuid") or b"4294967295"),
            cap_permitted=int(status[b"CapPrm"], 16),
            cap_effective=int(status[b"CapEff"], 16),
            cap_inheritable=int(status[b"CapInh"], 16),
            cgroup=_cgroup(pid),
        )
    except (KeyError, IndexError, ValueError):
        return None


def inventory(boot: str) -> list[Process]:
    """Every process that /proc shows, by pid, with its ancestors; ``boot`` is the kernel's boot id.

    Environments are not read. Needs no rights; what only root may see (the program of another user's process) is None.
    """
    names = Names()
    found = {
        fact.pid: fact for entry in os.listdir("/proc") if entry.isdigit() and (fact := facts(int(entry))) is not None
    }
    made: dict[int, Process] = {}
    for start in sorted(found):
        # parents first, without recursion: a chain may be long
        chain, pid = [], start
        while pid in found and pid not in made and pid not in chain:
            chain.append(pid)
            pid = found[pid].ppid
        for number in reversed(chain):
            made[number] = _process(boot.replace("-", ""), found[number], made.get(found[number].ppid), names)
    return [made[pid] for pid in sorted(made)]


def _process(boot: str, fact: Facts, parent: Process | None, names: Names) -> Process:
    argv = read(f"/proc/{fact.pid}/cmdline").removesuffix(b"\0").split(b"\0")
    container = container_of_cgroup(fact.cgroup)
    login = -1 if fact.loginuid == 0xFFFFFFFF else fact.loginuid
    user, home, shell, group, loginuser = names.lookup(container, fact.uid, fact.gid, login, fact.pid)
    above: Maybe[Process] = parent if parent is not None or fact.ppid == 0 else UNKNOWN
    return Process(
        id=process_id(boot, fact.pid, fact.start_ns),
        pid=fact.pid,
        start_ns=fact.start_ns,
        vpid=fact.vpid,
        ppid=fact.ppid or None,
        sid=fact.sid,
        pgid=fact.pgid,
        vpgid=fact.vpgid,
        name=hostile.decode(fact.name),
        exe=hostile.decode(argv[0]) if argv != [b""] else None,
        exepath=link(f"/proc/{fact.pid}/exe"),
        argv=tuple(hostile.decode(some) for some in argv[1:]),
        cwd=link(f"/proc/{fact.pid}/cwd"),
        tty=fact.tty,
        uid=fact.uid,
        gid=fact.gid,
        user=user,
        group=group,
        homedir=home,
        shell=shell,
        loginuid=login,
        loginuser=loginuser,
        cap_permitted=fact.cap_permitted,
        cap_effective=fact.cap_effective,
        cap_inheritable=fact.cap_inheritable,
        container_id=container,
        cgroup=fact.cgroup,
        parent=above,
    )
