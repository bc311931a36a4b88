"""Health: what can we not see, why, and what to do."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from markupsafe import Markup

from phalanx.api.access import PageSession, requires
from phalanx.console.hostile import hostile
from phalanx.console.view import AnyRequest, View, make_view, page
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.health import HealthView
from phalanx.services.hub import Services

__all__ = ["HANDLERS", "gaps"]


@get("/health", opt=requires(Permission.HEALTH_READ))
async def health(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """Agents, stores, and the gaps that follow from them."""
    view = await make_view(request, services, session)
    seen = await services.health.view(actor)
    missing = gaps(seen, view)
    headline = view.words("health.gaps.n", n=len(missing)) if missing else view.words("health.ok")
    return page(view, "health.html", active="health", h=seen, gaps=missing, headline=headline)


def gaps(seen: HealthView, view: View) -> list[tuple[Markup, Markup]]:
    """What cannot be seen, each with what to do; worst first."""
    words = view.words
    told: list[tuple[Markup, Markup]] = []
    nothing = Markup()
    if not seen.agents:
        told.append((words("health.gap.noagent"), words("health.noagent.text")))
    for agent in seen.agents:
        host = hostile(agent.host, 60)
        if agent.state in ("silent", "stale"):
            span = words.span(max(view.now_ns - agent.heard_ns, 0))
            told.append((words(f"health.gap.{agent.state}", host=host, span=span), nothing))
        for loss in agent.lost:
            cause = words.or_else(f"cause.{loss.cause}", loss.cause)
            if loss.count is None:
                told.append((words("health.gap.lostunknown", host=host, cause=cause), nothing))
            elif loss.count:
                told.append((words("health.gap.lost", host=host, n=loss.count, cause=cause), nothing))
        if agent.sample:
            told.append((words("health.gap.sample", host=host), nothing))
        if not agent.rules_current:
            told.append((words("health.gap.rules", host=host), nothing))
        told.extend(
            (words("health.gap.feature", host=host, feature=hostile(feature.name, 60)), hostile(feature.why, 400))
            for feature in agent.features
            if not feature.available
        )
    told.extend(
        (words("health.gap.store", store=words.or_else(f"store.{store.name}", store.name)), hostile(store.note, 400))
        for store in seen.stores
        if not store.ok
    )
    told.extend(
        (words("health.gap.dropped", n=n, queue=queue), nothing) for queue, n in sorted(seen.dropped.items()) if n
    )
    return told


HANDLERS = (health,)
