"""Search over names: findings, assets, rules; and the fields of the language for completion."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from phalanx.api.access import PageSession, requires
from phalanx.console.condition import quote
from phalanx.console.routes.rules import rule_path
from phalanx.console.view import AnyRequest, local_target, make_view, page, see_other
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.findings import FindingFilter
from phalanx.services.hub import Services

__all__ = ["HANDLERS"]

Found = tuple[str, str, str, str]
"""Address, icon, title, note."""


@get("/search", opt=requires(Permission.FINDINGS_READ))
async def search(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """What has this name. A finding's id goes straight to it."""
    view = await make_view(request, services, session)
    query = view.query.get("q", "").strip()[:400]
    if query.upper().startswith("F-") and query[2:].isdecimal():
        return see_other(view, local_target(f"/findings/{query.upper()}"))
    groups: list[tuple[str, list[Found]]] = []
    if query:
        groups = [pair for pair in await _find(services, actor, query, view.root, view.words) if pair[1]]
    words = query.split()
    event_where = (
        f"proc.cmdline contains {quote(query)}" if len(words) > 1 or "/" in query else f"proc.name = {quote(query)}"
    )
    return page(
        view, "search.html", active="search", query=query, groups=groups, event_where=event_where if query else ""
    )


async def _find(services: Services, actor: Actor, query: str, root: str, words: Any) -> list[tuple[str, list[Found]]]:
    found: list[Found] = [
        (f"{root}/findings/{row.id}", "list-filter", row.title, f"{row.id} · {words('state.' + row.state.value)}")
        for row in (await services.findings.list(actor, FindingFilter(text=query), limit=20)).rows
    ]
    assets: list[Found] = []
    if actor.may(Permission.ESTATE_READ):
        low = query.lower()
        assets += [
            (f"{root}/assets/host/{host.name}", "server", host.name, str(words("asset.host")))
            for host in await services.estate.hosts(actor)
            if low in host.name.lower()
        ]
        containers = await services.estate.containers(actor, text=query, limit=20)
        assets += [
            (
                f"{root}/assets/container/{row.container.id}",
                "box",
                row.container.name or row.container.id,
                row.container.image,
            )
            for row in containers.rows
        ]
    rules: list[Found] = []
    if actor.may(Permission.RULES_READ):
        rules = [
            (root + rule_path(row.id), "scroll-text", row.name, row.id)
            for row in (await services.rules.list(actor, text=query))[:20]
        ]
    return [("findings", found), ("assets", assets[:20]), ("rules", rules)]


HANDLERS = (search,)
