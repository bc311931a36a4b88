"""Overview: what needs a decision, and can I trust what I see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from litestar import Response, get
from litestar.response import Stream

from phalanx.api import sse
from phalanx.api.access import PageSession, requires
from phalanx.console.charts import chart
from phalanx.console.content import titles
from phalanx.console.streams import merged
from phalanx.console.view import AnyRequest, make_view, page
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services

__all__ = ["HANDLERS", "freshness"]


@get("/", opt=requires(Permission.FINDINGS_READ))
async def overview(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """The first page, over the last 24 hours."""
    view = await make_view(request, services, session)
    seen = await services.overview.view(actor)
    agents = (await services.health.view(actor)).agents if actor.may(Permission.HEALTH_READ) else ()
    return page(
        view,
        "overview.html",
        active="overview",
        o=seen,
        agents=agents,
        chart=chart(seen.detections, view.words, view.zone),
        span="24h",
        title=titles(services.rules.index, view.language),
    )


async def freshness_data(services: Services, actor: Actor) -> dict[str, Any]:
    """What the indicator in the top bar shows, as data; times in milliseconds because browsers count so."""
    fresh = await services.health.freshness(actor)
    return {
        "newest": None if fresh.newest_ns is None else fresh.newest_ns // 1_000_000,
        "live": fresh.agents_live,
        "agents": fresh.agents,
        "lost": fresh.lost,
        "now": fresh.now_ns // 1_000_000,
    }


async def freshness(services: Services, actor: Actor) -> AsyncIterator[bytes]:
    """The indicator, now and every five seconds; it also tells a browser that the stream lives."""
    while True:
        yield sse.message("fresh", await freshness_data(services, actor))
        await anyio.sleep(5)


@get("/stream", opt=requires(Permission.FINDINGS_READ))
async def stream(request: AnyRequest, services: Services, actor: Actor) -> Stream:
    """The one stream of every page but Live: changes of findings as they happen, freshness every five seconds."""
    after = request.headers.get("last-event-id") or None

    async def findings() -> AsyncIterator[bytes]:
        async for updates in services.findings.subscribe(actor, after=after):
            data = [
                {
                    "id": update.finding.id,
                    "what": update.what,
                    "severity": update.finding.severity.value,
                    "last": update.finding.last_seen_ns // 1_000_000,
                }
                for update in updates
            ]
            yield sse.message("findings", data, id=updates[-1].id)

    return sse.stream(merged(findings(), freshness(services, actor)))


HANDLERS = (overview, stream)
