"""Audit: who did what to phalanx and through it, and whether the trail is whole."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from phalanx.api.access import PageSession, requires
from phalanx.console.view import AnyRequest, make_view, page
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services

__all__ = ["HANDLERS"]


@get("/audit", opt=requires(Permission.AUDIT_READ))
async def audit(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """The trail, newest first."""
    view = await make_view(request, services, session)
    rows = await services.audit.list(actor, who=view.query.get("who", "")[:64], cursor=view.query.get("cursor") or None)
    return page(view, "audit.html", active="audit", rows=rows, v=await services.audit.verify(actor))


HANDLERS = (audit,)
