"""Simulations: harmless attacks, started here and detected here."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from phalanx.api.access import PageSession, requires
from phalanx.console.routes.session import FORM
from phalanx.console.view import AnyRequest, form_list, form_text, make_view, page, see_other
from phalanx.errors import PhalanxError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services

__all__ = ["HANDLERS"]


@get("/simulations", opt=requires(Permission.FINDINGS_READ))
async def simulations(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """What can be run, and how the last runs went."""
    view = await make_view(request, services, session)
    return page(
        view,
        "simulations.html",
        active="simulations",
        scenarios=await services.simulate.scenarios(actor),
        runs=await services.simulate.runs(actor),
        problem=None,
    )


@post("/simulations", opt=requires(Permission.SIMULATE_RUN), status_code=303)
async def start(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Start the selected ones, or all."""
    view = await make_view(request, services, session)
    known = await services.simulate.scenarios(actor)
    ids = tuple(row.id for row in known) if form_text(data, "act", 10) == "all" else form_list(data, "id")
    if not ids:
        return see_other(view, "/simulations", said="nothing")
    try:
        await services.simulate.start(actor, ids)
    except PhalanxError as error:
        runs = await services.simulate.runs(actor)
        return page(
            view,
            "simulations.html",
            status=error.status,
            active="simulations",
            scenarios=known,
            runs=runs,
            problem=error,
        )
    return see_other(view, "/simulations", said="started")


HANDLERS = (simulations, start)
