"""The estate: hosts, containers, processes, images, from what agents report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Row

from phalanx.errors import NotFoundError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.container import Container
from phalanx.model.process import MAX_ANCESTORS, Process
from phalanx.model.severity import Severity
from phalanx.risk.fingerprint import workload_of
from phalanx.services.base import State
from phalanx.services.paging import COUNT_CAP, Count, Page, bounded_limit, decode_cursor, encode_cursor
from phalanx.services.presence import Known, Presence
from phalanx.store.state import estate as store
from phalanx.store.state import findings as findings_store
from phalanx.text.hostile import show

__all__ = ["ContainerRow", "Estate", "HostRow", "ImageRow", "ProcessDetail", "ProcessRow"]


class HostRow(Struct, frozen=True, kw_only=True):
    """One host."""

    name: str
    agent: str
    boot: str = ""
    kernel: str = ""
    system: str = ""
    """Distribution as it calls itself."""
    containers: int = 0
    processes: int = 0
    findings: int = 0
    """Open findings."""
    worst: str = ""
    """Severity of the worst open finding; empty when there is none."""
    heard_ns: int
    first_seen_ns: int


class ContainerRow(Struct, frozen=True, kw_only=True):
    """One container, running or gone."""

    host: str
    container: Container
    processes: int = 0
    """Running processes; 0 when it is gone."""
    running: bool = True
    findings: int = 0
    worst: str = ""


class ImageRow(Struct, frozen=True, kw_only=True):
    """One image that containers run or ran."""

    image: str
    digest: str = ""
    running: int = 0
    """Running containers."""
    seen: int = 0
    """Containers ever seen."""
    hosts: tuple[str, ...] = ()
    first_seen_ns: int
    last_seen_ns: int


class ProcessRow(Struct, frozen=True, kw_only=True):
    """One running process. Text is hostile."""

    host: str
    id: str
    pid: int
    ppid: int | None = None
    name: str
    cmdline: str = ""
    exepath: str = ""
    user: str = ""
    container_id: str = ""
    """Empty on the host."""
    started_ns: int | None = None
    """UTC ns; None when the boot time is not known."""
    depth: int = 0
    """Depth in the tree of its host, for indenting."""
    children: int = 0


class ProcessDetail(Struct, frozen=True, kw_only=True):
    """One process with its ancestors."""

    row: ProcessRow
    process: Process
    lineage: tuple[Process, ...]
    """The process and its ancestors, nearest first."""


_WORD_OF_RANK: Final = {severity.rank: severity.value for severity in Severity}
_MAX_IMAGES: Final = 1_000
_MAX_COMMAND: Final = 1_024


class Estate:
    """What exists."""

    def __init__(self, state: State, presence: Presence) -> None:
        self._state = state
        self._presence = presence

    async def _open(self) -> dict[tuple[str, str], tuple[int, int]]:
        rows = await self._state.read(findings_store.open_by_asset)
        return {(kind, key): (count, worst) for kind, key, count, worst in rows}

    async def hosts(self, actor: Actor) -> tuple[HostRow, ...]:
        """All hosts, those that were not heard for the longest time first."""
        actor.require(Permission.ESTATE_READ)
        found = await self._open()
        rows = []
        for known in self._presence.all():
            host = known.host
            running = await self._state.read(
                lambda connection, host=host: store.count_containers(connection, host=host, running=True, cap=COUNT_CAP)  # type: ignore[misc]
            )
            rows.append(self._host(known, found, running))
        return tuple(sorted(rows, key=lambda row: (row.heard_ns // (15 * 10**9), row.name)))

    def _host(self, known: Known, found: dict[tuple[str, str], tuple[int, int]], running: int) -> HostRow:
        ours = [
            value
            for (kind, key), value in found.items()
            if (kind == "host" and key == known.host) or (kind == "container" and key.startswith(f"{known.host}/"))
        ]
        worst = max((rank for _, rank in ours), default=None)
        return HostRow(
            name=known.host,
            agent=known.agent,
            boot=known.boot,
            kernel=known.status.kernel if known.status is not None else "",
            containers=running,
            processes=len(known.processes) + known.cut,
            findings=sum(count for count, _ in ours),
            worst="" if worst is None else _WORD_OF_RANK[worst],
            heard_ns=known.heard_ns,
            first_seen_ns=known.first_seen_ns,
        )

    async def host(self, actor: Actor, name: str) -> HostRow:
        """One host."""
        for row in await self.hosts(actor):
            if row.name == name:
                return row
        raise NotFoundError(f"there is no host {show(name, 80)}")

    async def containers(
        self,
        actor: Actor,
        *,
        host: str = "",
        text: str = "",
        running: bool | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[ContainerRow]:
        """Containers, running ones first."""
        actor.require(Permission.ESTATE_READ)
        limit = bounded_limit(limit)
        after = None
        if cursor is not None:
            gone, since, identifier = decode_cursor(cursor, "containers", (int, int, str))
            after = (int(gone), int(since), str(identifier))

        def work(connection: Connection) -> tuple[Sequence[Row[Any]], int]:
            rows = store.containers_page(
                connection, host=host, text=text, running=running, after=after, limit=limit + 1
            )
            return rows, store.count_containers(connection, host=host, text=text, running=running, cap=COUNT_CAP)

        rows, total = await self._state.read(work)
        found = await self._open()
        shown = tuple(self._container(row, found) for row in rows[:limit])
        following = None
        if len(rows) > limit:
            last = rows[limit - 1]
            following = encode_cursor("containers", (int(last.until_ns is not None), last.since_ns, last.id))
        return Page(rows=shown, next=following, count=Count(value=total, capped=total >= COUNT_CAP))

    def _container(self, row: Row[Any], found: dict[tuple[str, str], tuple[int, int]]) -> ContainerRow:
        container = store.fact_of(row)
        asset = workload_of(row.host, container.id, container)
        count, rank = found.get((asset.kind, asset.key), (0, -1))
        processes = sum(
            1
            for known in self._presence.all()
            if known.host == row.host
            for process in known.processes
            if process.container_id == container.id
        )
        return ContainerRow(
            host=row.host,
            container=container,
            processes=processes,
            running=row.until_ns is None,
            findings=count,
            worst=_WORD_OF_RANK.get(rank, ""),
        )

    async def container(self, actor: Actor, container_id: str) -> ContainerRow:
        """One container by its 12-character id."""
        actor.require(Permission.ESTATE_READ)
        row = await self._state.read(lambda connection: store.container_by_id(connection, container_id[:12]))
        if row is None:
            raise NotFoundError(f"there is no container {show(container_id, 64)}")
        return self._container(row, await self._open())

    async def images(self, actor: Actor, *, text: str = "") -> tuple[ImageRow, ...]:
        """Images, those in use first; at most 1,000."""
        actor.require(Permission.ESTATE_READ)
        rows = await self._state.read(lambda connection: store.images(connection, text=text, limit=_MAX_IMAGES))
        return tuple(
            ImageRow(
                image=image,
                running=running,
                seen=seen,
                hosts=tuple(sorted(hosts.split(","))),
                first_seen_ns=first,
                last_seen_ns=last,
            )
            for image, running, seen, first, last, hosts in rows
        )

    async def processes(
        self,
        actor: Actor,
        *,
        host: str = "",
        container: str = "",
        text: str = "",
        tree: bool = True,
        cursor: str | None = None,
        limit: int = 200,
    ) -> Page[ProcessRow]:
        """Running processes as the agents last told, in tree order or by pid; restricting by text or container gives them by pid."""
        actor.require(Permission.ESTATE_READ)
        limit = bounded_limit(limit)
        rows: list[ProcessRow] = []
        wanted = text.lower()
        for known in self._presence.all():
            if host and known.host != host:
                continue
            told = (
                in_tree_order(known)
                if tree and not wanted and not container
                else tuple((process, 0, 0) for process in known.processes)
            )
            rows += [
                _process_row(known, process, depth, children)
                for process, depth, children in told
                if (not container or process.container_id == container)
                and (
                    not wanted
                    or wanted in process.name.lower()
                    or wanted in process.cmdline.lower()
                    or wanted == str(process.pid)
                )
            ]
        start = 0
        if cursor is not None:
            where, identifier = decode_cursor(cursor, "processes", (str, str))
            # the list is a snapshot that an agent may replace meanwhile; a process that ended in between does not stop the paging
            start = next((index + 1 for index, row in enumerate(rows) if (row.host, row.id) == (where, identifier)), 0)
        shown = rows[start : start + limit]
        following = encode_cursor("processes", (shown[-1].host, shown[-1].id)) if start + limit < len(rows) else None
        return Page(rows=tuple(shown), next=following, count=Count(value=len(rows)))

    async def process(self, actor: Actor, process_id: str) -> ProcessDetail:
        """One running process by its id."""
        actor.require(Permission.ESTATE_READ)
        for known in self._presence.all():
            process = known.index.get(process_id)
            if process is not None:
                return ProcessDetail(
                    row=_process_row(known, process, 0, 0), process=process, lineage=_lineage(known, process)
                )
        raise NotFoundError("this process does not run (any more)", hint="its events are in the history")


def in_tree_order(known: Known) -> tuple[tuple[Process, int, int], ...]:
    """``(process, depth, number of children)``, parents before their children, by pid among siblings; a loop cannot keep us here."""
    by_pid = {process.pid: process for process in known.processes}
    children: dict[int, list[Process]] = {}
    roots = []
    for process in sorted(known.processes, key=lambda process: process.pid):
        if process.ppid is None or process.ppid not in by_pid or process.ppid == process.pid:
            roots.append(process)
        else:
            children.setdefault(process.ppid, []).append(process)
    ordered: list[tuple[Process, int, int]] = []
    seen: set[int] = set()
    pending = [(process, 0) for process in reversed(roots)]
    while pending:
        process, depth = pending.pop()
        if process.pid in seen:
            continue
        seen.add(process.pid)
        below = children.get(process.pid, [])
        ordered.append((process, depth, len(below)))
        pending += [(child, depth + 1) for child in reversed(below)]
    # what hangs in a loop of parents has no root; it is listed all the same
    ordered += [(process, 0, 0) for process in known.processes if process.pid not in seen]
    return tuple(ordered)


def _lineage(known: Known, process: Process) -> tuple[Process, ...]:
    by_pid = {other.pid: other for other in known.processes}
    found = [process]
    while len(found) <= MAX_ANCESTORS:
        parent = by_pid.get(found[-1].ppid or -1)
        if parent is None or parent in found:
            break
        found.append(parent)
    return tuple(found)


def _process_row(known: Known, process: Process, depth: int, children: int) -> ProcessRow:
    began = boot_time_ns(known.boot)
    return ProcessRow(
        host=known.host,
        id=process.id,
        pid=process.pid,
        ppid=process.ppid,
        name=process.name,
        cmdline=process.cmdline[:_MAX_COMMAND],
        exepath=process.exepath or "",
        user=process.user or "",
        container_id="" if process.container_id == "host" else process.container_id,
        started_ns=None if began is None else began + process.start_ns,
        depth=depth,
        children=children,
    )


@lru_cache(maxsize=64)
def boot_time_ns(boot: str) -> int | None:
    """When this machine was started, UTC ns; None for the boot of another machine."""
    try:
        own = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
    if not boot or own.replace("-", "")[:8] != boot.replace("-", "")[:8]:
        return None
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
