"""The estate: hosts, containers, processes, images, from what agents report."""

from __future__ import annotations

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.model.container import Container
from phalanx.model.process import Process
from phalanx.services.paging import Page

__all__ = ["ContainerRow", "Estate", "HostRow", "ImageRow", "ProcessDetail", "ProcessRow"]


class HostRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class ContainerRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container, running or gone."""

    host: str
    container: Container
    processes: int = 0
    """Running processes; 0 when it is gone."""
    running: bool = True
    findings: int = 0
    worst: str = ""


class ImageRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class ProcessRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Estate:
    """What exists."""

    async def hosts(self, actor: Actor) -> tuple[HostRow, ...]:
        """All hosts, silent ones first."""
        raise NotImplementedError

    async def host(self, actor: Actor, name: str) -> HostRow:
        """One host."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def container(self, actor: Actor, container_id: str) -> ContainerRow:
        """One container by its 12-character id."""
        raise NotImplementedError

    async def images(self, actor: Actor, *, text: str = "") -> tuple[ImageRow, ...]:
        """Images, those in use first; at most 1,000."""
        raise NotImplementedError

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
        """Running processes as the agents last told, in tree order or by pid."""
        raise NotImplementedError

    async def process(self, actor: Actor, process_id: str) -> ProcessDetail:
        """One running process by its id."""
        raise NotImplementedError
