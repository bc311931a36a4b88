"""The editor of rules: errors as one types, a back-test before anything is in force, Undo after."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, get, post
from msgspec import Struct

from phalanx.api.access import PageSession, requires
from phalanx.console.charts import chart
from phalanx.console.routes.rules import rule_path
from phalanx.console.routes.session import FORM
from phalanx.console.view import AnyRequest, View, form_text, make_view, page, see_other
from phalanx.errors import PhalanxError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services
from phalanx.services.rules import BackTest, Draft

__all__ = ["HANDLERS"]

_MAX_TEXT = 200_000
_NEW = """- rule: A shell talks to the network
  desc: What it sees, and why that matters here.
  condition: evt.type = connect and proc.name in (bash, sh) and fd.sip != "127.0.0.1"
  output: "%proc.cmdline connects to %fd.name (user=%user.name)"
  priority: WARNING
  tags: [T1059.004]
"""


class CheckText(Struct, frozen=True, forbid_unknown_fields=True):
    """What the editor asks."""

    text: str


@get("/rules/new", opt=requires(Permission.RULES_WRITE))
async def new(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """An empty editor with an example that works."""
    view = await make_view(request, services, session)
    return await _editor(view, services, actor, rule_id="", text=_NEW, draft=None)


@get("/rules/{rule_id:str}/edit", opt=requires(Permission.RULES_WRITE))
async def edit(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, rule_id: str
) -> Response[Any]:
    """The editor, starting from the rule in force."""
    view = await make_view(request, services, session)
    found = await services.rules.get(actor, rule_id)
    return await _editor(view, services, actor, rule_id=rule_id, text=_item(found.text), draft=None)


@get("/rules/drafts", opt=requires(Permission.RULES_READ))
async def drafts(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """All drafts."""
    view = await make_view(request, services, session)
    rows = await services.rules.list(actor)
    counts = {name: sum(1 for row in rows if row.state == name) for name in ("live", "dormant", "off")}
    listed = await services.rules.drafts(actor)
    return page(view, "rules.html", active="rules", page="drafts", rows=rows, techniques=(), drafts=listed, **counts)


@get("/rules/drafts/{draft_id:str}", opt=requires(Permission.RULES_READ))
async def draft_page(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, draft_id: str
) -> Response[Any]:
    """The editor on a draft, with what its last back-test said."""
    view = await make_view(request, services, session)
    found = await services.rules.draft(actor, draft_id)
    return await _editor(view, services, actor, rule_id=found.rule, text=found.text, draft=found)


def _item(text: str) -> str:
    """A rule's text as an item of a file's list, which is what an editor edits."""
    return text if text.lstrip().startswith("-") else f"- {text}"


async def _editor(
    view: View,
    services: Services,
    actor: Actor,
    *,
    rule_id: str,
    text: str,
    draft: Draft | None,
    tested: BackTest | None = None,
    failed: PhalanxError | None = None,
) -> Response[Any]:
    checked = draft.check if draft is not None and draft.check is not None else await services.rules.check(actor, text)
    tested = tested or (draft.back_test if draft is not None else None)
    return page(
        view,
        "editor.html",
        active="rules",
        rule_id=rule_id,
        text=text,
        draft=draft,
        check=checked,
        can_apply=checked.ok and tested is not None and not tested.refused,
        bt=tested,
        bt_error=failed,
        bt_chart=chart(tested.histogram, view.words, view.zone) if tested and tested.histogram else None,
    )


@post("/rules/check", opt=requires(Permission.RULES_READ), status_code=200)
async def check(services: Services, actor: Actor, data: CheckText) -> Response[Any]:
    """Errors and warnings of a text, with their places; nothing changes. JSON for the island."""
    result = await services.rules.check(actor, data.text[:_MAX_TEXT])
    return Response(
        {
            "problems": [
                {
                    "level": p.level,
                    "message": p.message[:600],
                    "hint": p.hint[:400],
                    "line": p.line,
                    "column": p.column,
                    "source": p.source[:400],
                }
                for p in result.problems[:100]
            ],
            "rules": result.rules,
            "macros": result.macros,
            "lists": result.lists,
            "live": result.live,
            "dormant": result.dormant,
        },
        media_type=MediaType.JSON,
    )


@post("/rules/draft", opt=requires(Permission.RULES_READ), status_code=303)
async def act(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """What the editor's buttons do; each needs its own permission, which the service asks for."""
    view = await make_view(request, services, session)
    what, draft_id = form_text(data, "act", 20), form_text(data, "draft", 80)
    rule_id, text = form_text(data, "rule", 512), form_text(data, "text", _MAX_TEXT)
    if what == "discard" and draft_id:
        await services.rules.discard(actor, draft_id)
        return see_other(view, rule_path(rule_id) if rule_id else "/rules", said="deleted")
    if what == "undo" and draft_id:
        undone = await services.rules.undo(actor, draft_id)
        return see_other(view, f"/rules/drafts/{undone.id}", said="undone")
    if what == "apply" and draft_id:
        if text:
            saved = await services.rules.draft(actor, draft_id)
            if saved.text.replace("\r\n", "\n") != text.replace("\r\n", "\n"):
                changed = await services.rules.save_draft(
                    actor, text.replace("\r\n", "\n"), rule=rule_id, draft=draft_id
                )
                return see_other(view, f"/rules/drafts/{changed.id}", said="draft")
        applied = await services.rules.apply(actor, draft_id)
        return see_other(view, f"/rules/drafts/{applied.id}", said="applied")
    saved = await services.rules.save_draft(actor, text.replace("\r\n", "\n"), rule=rule_id, draft=draft_id)
    if what == "test":
        try:
            await services.rules.back_test(actor, saved.text, rule=rule_id)
        except PhalanxError as error:
            return await _editor(view, services, actor, rule_id=rule_id, text=saved.text, draft=saved, failed=error)
    return see_other(view, f"/rules/drafts/{saved.id}", said="draft")


HANDLERS = (new, edit, drafts, draft_page, check, act)
