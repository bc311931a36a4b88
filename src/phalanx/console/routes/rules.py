"""Rules: what is detected, what is dormant and why, what one rule says, when it would have fired."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from msgspec import Struct

from phalanx.api.access import PageSession, requires
from phalanx.console.charts import chart
from phalanx.console.condition import coloured
from phalanx.console.content import titles
from phalanx.console.routes.live import shell
from phalanx.console.routes.session import FORM
from phalanx.console.view import AnyRequest, form_text, make_view, page, see_other
from phalanx.errors import PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services
from phalanx.services.rules import RuleRow

__all__ = ["HANDLERS", "rule_path"]

_STATES = ("", "live", "dormant", "off")
_TABS = ("", "expanded", "text", "backtest")


class Cells(Struct, kw_only=True):
    """Rules of one technique by state."""

    live: int = 0
    dormant: int = 0
    off: int = 0


def rule_path(rule_id: str) -> str:
    """Path of a rule's page; its id may be any text."""
    return f"/rules/{quote(rule_id, safe='')}"


@get("/rules", opt=requires(Permission.RULES_READ))
async def rules(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """The list."""
    view = await make_view(request, services, session)
    state = view.query.get("state", "")
    if state not in _STATES:
        raise UsageError("rules have no such state", hint="live, dormant or off")
    rows = await services.rules.list(
        actor,
        text=view.query.get("text", "")[:200],
        state=state,
        tag=view.query.get("tag", ""),
        technique=view.query.get("technique", ""),
    )
    return page(
        view,
        "rules.html",
        active="rules",
        page="list",
        rows=rows,
        techniques=(),
        drafts=(),
        title=titles(services.rules.index, view.language),
        **_counts(rows),
    )


def _counts(rows: tuple[RuleRow, ...]) -> dict[str, int]:
    return {name: sum(1 for row in rows if row.state == name) for name in ("live", "dormant", "off")}


@get("/rules/coverage", opt=requires(Permission.RULES_READ))
async def coverage(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """ATT&CK techniques and the rules that speak of them."""
    view = await make_view(request, services, session)
    rows = await services.rules.list(actor)
    table: dict[str, tuple[Cells, list[str]]] = {}
    for row in rows:
        for technique in row.techniques:
            cells, names = table.setdefault(technique, (Cells(), []))
            setattr(cells, row.state, getattr(cells, row.state) + 1)
            names.append(row.name)
    listed = [(technique, cells, names[:5]) for technique, (cells, names) in sorted(table.items())]
    return page(
        view, "rules.html", active="rules", page="coverage", rows=rows, techniques=listed, drafts=(), **_counts(rows)
    )


@get(["/rules/{rule_id:str}", "/rules/{rule_id:str}/{tab:str}"], opt=requires(Permission.RULES_READ))
async def rule(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, rule_id: str, tab: str = ""
) -> Response[Any]:
    """One rule; the back-test is a tab of it."""
    view = await make_view(request, services, session)
    if tab not in _TABS:
        raise UsageError("a rule has no such tab", hint="expanded, text or backtest")
    found = await services.rules.get(actor, rule_id)
    tested = failed = None
    if tab == "backtest":
        try:
            tested = await services.rules.back_test(actor, "", rule=rule_id)
        except PhalanxError as error:
            failed = error
    return page(
        view,
        "rule.html",
        active="rules",
        r=found,
        tab=tab,
        condition_html=coloured(found.expanded if tab == "expanded" else found.condition),
        bt=tested,
        bt_error=failed,
        bt_chart=chart(tested.histogram, view.words, view.zone) if tested and tested.histogram else None,
        cli_id=shell(found.row.id),
    )


@post("/rules/{rule_id:str}/switch", opt=requires(Permission.RULES_APPLY), status_code=303)
async def switch(
    request: AnyRequest,
    services: Services,
    session: PageSession,
    actor: Actor,
    rule_id: str,
    data: dict[str, Any] = FORM,
) -> Response[Any]:
    """Switch a rule on or off."""
    view = await make_view(request, services, session)
    await services.rules.switch(actor, rule_id, on=form_text(data, "on", 1) == "1")
    return see_other(view, rule_path(rule_id), said="switched")


HANDLERS = (rules, coverage, rule, switch)
