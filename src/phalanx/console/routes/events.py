"""Events: has this ever happened. Every answer says which time it covers."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, get

from phalanx.api.access import PageSession, requires
from phalanx.console.charts import chart
from phalanx.console.condition import quote
from phalanx.console.routes.live import detail_of, lineage_of, shell, side
from phalanx.console.times import rfc3339, window
from phalanx.console.view import AnyRequest, make_view, page
from phalanx.errors import RuleError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services

__all__ = ["HANDLERS"]

_PAGE = 100


@get("/events", opt=requires(Permission.EVENTS_READ))
async def events(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """A page of the history, its histogram and its commonest values."""
    view = await make_view(request, services, session)
    where = view.query.get("where", "")
    asked = window(view.query, view.now_ns)
    if request.headers.get("x-part") == "drawer":
        return await side(services, actor, view)
    error: RuleError | None = None
    found = drawn = None
    facets: tuple[Any, ...] = ()
    try:
        since, until = asked.since_ns, asked.until_ns
        found, drawn, facets = await asyncio.gather(
            services.events.search(
                actor, where=where, cursor=view.query.get("cursor") or None, limit=_PAGE, since_ns=since, until_ns=until
            ),
            services.events.histogram(actor, where=where, buckets=90, since_ns=since, until_ns=until),
            services.events.facets(actor, where=where, since_ns=since, until_ns=until),
        )
    except RuleError as wrong:
        error = wrong
    detail, detail_error = await detail_of(services, actor, view)
    when = (
        f"--since {asked.name}"
        if asked.name
        else f"--since {rfc3339(asked.since_ns)} --until {rfc3339(asked.until_ns)}"
    )
    return page(
        view,
        "stream.html",
        active="events",
        live=False,
        window=asked,
        where=where,
        error=error,
        found=found,
        facets=facets,
        chart=chart(drawn, view.words, view.zone) if drawn else None,
        rate=None,
        newest="",
        sel=view.query.get("sel", ""),
        detail=detail,
        detail_error=detail_error,
        lineage=lineage_of(detail),
        quote=quote,
        cli=f"phalanx events query {when}" + (f" {shell(where)}" if where else ""),
    )


HANDLERS = (events,)
