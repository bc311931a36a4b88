"""The estate, the overview and health over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from phalanx.api.access import requires
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.estate import ContainerRow, HostRow, ImageRow, ProcessDetail, ProcessRow
from phalanx.services.health import Freshness, HealthView
from phalanx.services.hub import Services
from phalanx.services.overview import OverviewView
from phalanx.services.paging import Page

__all__ = ["ESTATE_ROUTES"]

Text = Annotated[str, Parameter(max_length=200)]
Limit = Annotated[int, Parameter(ge=1, le=1000)]


@get("/api/v1/hosts", opt=requires(Permission.ESTATE_READ), tags=["estate"])
async def list_hosts(services: Services, actor: Actor) -> tuple[HostRow, ...]:
    """All hosts."""
    return await services.estate.hosts(actor)


@get("/api/v1/containers", opt=requires(Permission.ESTATE_READ), tags=["estate"])
async def list_containers(
    services: Services,
    actor: Actor,
    host: Text = "",
    text: Text = "",
    running: bool | None = None,
    cursor: str | None = None,
    limit: Limit = 100,
) -> Page[ContainerRow]:
    """Containers, running ones first."""
    return await services.estate.containers(actor, host=host, text=text, running=running, cursor=cursor, limit=limit)


@get("/api/v1/containers/{container_id:str}", opt=requires(Permission.ESTATE_READ), tags=["estate"])
async def get_container(services: Services, actor: Actor, container_id: str) -> ContainerRow:
    """One container."""
    return await services.estate.container(actor, container_id)


@get("/api/v1/images", opt=requires(Permission.ESTATE_READ), tags=["estate"])
async def list_images(services: Services, actor: Actor, text: Text = "") -> tuple[ImageRow, ...]:
    """Images that containers run or ran."""
    return await services.estate.images(actor, text=text)


@get("/api/v1/processes", opt=requires(Permission.ESTATE_READ), tags=["estate"])
async def list_processes(
    services: Services,
    actor: Actor,
    host: Text = "",
    container: Text = "",
    text: Text = "",
    tree: bool = True,
    cursor: str | None = None,
    limit: Limit = 200,
) -> Page[ProcessRow]:
    """Running processes, as the agents last told."""
    return await services.estate.processes(
        actor, host=host, container=container, text=text, tree=tree, cursor=cursor, limit=limit
    )


@get("/api/v1/processes/{process_id:str}", opt=requires(Permission.ESTATE_READ), tags=["estate"])
async def get_process(services: Services, actor: Actor, process_id: str) -> ProcessDetail:
    """One running process with its ancestors."""
    return await services.estate.process(actor, process_id)


@get("/api/v1/overview", opt=requires(Permission.FINDINGS_READ), tags=["system"])
async def overview(services: Services, actor: Actor, since_ns: int | None = None) -> OverviewView:
    """What needs a decision, the loop, what changed."""
    return await services.overview.view(actor, since_ns=since_ns)


@get("/api/v1/health", opt=requires(Permission.HEALTH_READ), tags=["system"])
async def health(services: Services, actor: Actor) -> HealthView:
    """What cannot be seen, and why."""
    return await services.health.view(actor)


@get("/api/v1/freshness", opt=requires(Permission.HEALTH_READ), tags=["system"])
async def freshness(services: Services, actor: Actor) -> Freshness:
    """How fresh the data are."""
    return await services.health.freshness(actor)


ESTATE_ROUTES = (
    list_hosts,
    list_containers,
    get_container,
    list_images,
    list_processes,
    get_process,
    overview,
    health,
    freshness,
)
"""Registered by the application."""
