"""Search over names: findings, assets, rules; and the fields of the language for completion."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from litestar import MediaType, Response, get

from phalanx.api.access import PageSession, requires
from phalanx.console.condition import quote
from phalanx.console.routes.rules import rule_path
from phalanx.console.view import AnyRequest, local_target, make_view, page, see_other
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.language.catalogue import CATALOGUE
from phalanx.language.parser import NUMBER_OPERATORS, TEXT_OPERATORS
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
    results: list[tuple[str, list[Found]]] = []
    if query:
        results = [pair for pair in await _find(services, actor, query, view.root, view.words) if pair[1]]
    words = query.split()
    event_where = (
        f"proc.cmdline contains {quote(query)}" if len(words) > 1 or "/" in query else f"proc.name = {quote(query)}"
    )
    return page(
        view, "search.html", active="search", query=query, results=results, event_where=event_where if query else ""
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


@functools.cache
def _fields() -> bytes:
    """The catalogue for completion: fields that some sensor fills, with the operators that fit their type."""
    known = []
    for field in CATALOGUE.values():
        if field.kinds == ():
            continue
        if field.type == "bool":
            operators = ["=", "!="]
        elif field.type in ("int", "float", "port", "bytes"):
            operators = ["=", "!=", *NUMBER_OPERATORS, "in", "exists"]
        elif field.type in ("ip", "net"):
            operators = ["=", "!=", "in", "exists"]
        else:
            operators = ["=", "!=", "in", "exists", *TEXT_OPERATORS, "intersects", "pmatch"]
        argument = {"none": "", "optional": "", "required": "[]"}[field.argument]
        known.append({"name": field.name + argument, "type": field.type, "what": field.doc, "operators": operators})
    return msgspec.json.encode(sorted(known, key=lambda field: str(field["name"])))


@get("/language/fields", opt=requires(Permission.RULES_READ), media_type=MediaType.JSON)
async def fields() -> Response[bytes]:
    """The fields of the condition language, for the completion of the condition bar."""
    return Response(_fields(), media_type=MediaType.JSON, headers={"cache-control": "private, max-age=3600"})


HANDLERS = (search, fields)
