"""Findings and one finding: what is wrong, worst first; what happened, why we say so, what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get, post
from msgspec import structs

from phalanx.api.access import PageSession, requires
from phalanx.console.charts import chart
from phalanx.console.condition import coloured
from phalanx.console.content import advice_of, titles
from phalanx.console.routes.live import shell
from phalanx.console.routes.session import FORM
from phalanx.console.story import host_of, story
from phalanx.console.tree import acting_process, process_tree
from phalanx.console.view import AnyRequest, View, form_list, form_text, local_target, make_view, page, see_other
from phalanx.errors import PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.evidence import RuleMatch
from phalanx.model.finding import TRANSITIONS, FindingKind, Proof, State
from phalanx.model.severity import Severity
from phalanx.services.events import EventPage
from phalanx.services.findings import FindingChange, FindingFacet, FindingFilter
from phalanx.services.hub import Services

__all__ = ["HANDLERS"]

_ACTIVE = (State.OPEN, State.CONFIRMED, State.IN_PROGRESS)
_CLOSED = (State.FIXED, State.VERIFIED, State.ACCEPTED, State.FALSE_POSITIVE)
_SHOWN = (Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
_PRESETS = ("open", "mine", "critical", "closed", "any")
_SORTS = ("risk", "last_seen", "first_seen", "severity", "count", "title")
_TABS = ("tree", "timeline", "network", "evidence", "history")
_AROUND_NS = 60 * 1_000_000_000


def _chosen(view: View, name: str) -> tuple[str, ...]:
    return tuple(part for part in view.query.get(name, "").split(",") if part)


def _filter(view: View, actor: Actor) -> tuple[FindingFilter, str, str, bool]:
    """Filter, preset, sort and whether noise is left out, from the address. UsageError for a word that is none."""
    preset = view.query.get("state", "") or "open"
    states: tuple[State, ...] = _ACTIVE
    if preset not in _PRESETS:
        states, preset = (_word(State, preset),), "any"
    elif preset == "closed":
        states = _CLOSED
    elif preset == "any":
        states = ()
    severity = tuple(_word(Severity, text) for text in _chosen(view, "severity"))
    if preset == "critical":
        severity = severity or (Severity.CRITICAL, Severity.HIGH)
    quiet = preset in ("open", "mine") and not severity and view.query.get("all") != "1"
    owners = ("",) if view.query.get("owner") == "nobody" else _chosen(view, "owner")
    sort = view.query.get("sort", "") or "-risk"
    if sort.lstrip("-") not in _SORTS:
        raise UsageError("no such order", hint=f"one of {', '.join(_SORTS)}")
    made = FindingFilter(
        kind=tuple(_word(FindingKind, text) for text in _chosen(view, "kind")),
        severity=severity or (_SHOWN if quiet else ()),
        state=states,
        proof=tuple(_word(Proof, text) for text in _chosen(view, "proof")),
        owner=(actor.name,) if preset == "mine" else owners,
        asset=(view.query["asset"],) if view.query.get("asset") else (),
        rule=(view.query["rule"],) if view.query.get("rule") else (),
        technique=(view.query["technique"],) if view.query.get("technique") else (),
        text=view.query.get("text", "")[:200],
    )
    return made, preset, sort, quiet


def _ordered(facet: FindingFacet) -> FindingFacet:
    """Severities worst first; the others as they come, commonest first."""
    if facet.field != "severity":
        return facet
    values = sorted(facet.values, key=lambda pair: -Severity(pair[0]).rank)
    return structs.replace(facet, values=tuple(values))


def _word(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"no such value: {text[:40]}", hint="remove it from the address") from error


@get("/findings", opt=requires(Permission.FINDINGS_READ))
async def findings(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """A page of the list with its facets."""
    view = await make_view(request, services, session)
    where, preset, sort, quiet = _filter(view, actor)
    listed = await services.findings.list(actor, where, sort=sort, cursor=view.query.get("cursor") or None, limit=50)
    facets = await services.findings.facets(actor, where)
    hidden = 0
    if quiet:
        noise = structs.replace(where, severity=(Severity.INFO, Severity.LOW))
        hidden = (await services.findings.list(actor, noise, limit=1)).count.value
    chosen = {name: _chosen(view, name) for name in ("kind", "severity", "proof", "owner")}
    chosen["rule"] = where.rule
    chosen["state"] = (view.query["state"],) if preset == "any" and view.query.get("state") else ()
    narrowed = bool(where.text or where.asset or where.rule or where.technique or any(chosen.values()))
    without = 0
    if narrowed and not listed.rows:
        without = (await services.findings.list(actor, FindingFilter(state=where.state), limit=1)).count.value
    return page(
        view,
        "findings.html",
        active="findings",
        listed=listed,
        title=titles(services.rules.index, view.language),
        facets=tuple(_ordered(facet) for facet in facets),
        chosen=chosen,
        preset=preset,
        sort=sort,
        hidden=hidden,
        narrowed=narrowed,
        without=without,
        filter_text=where.text,
        keep={k: v for k, v in view.query.items() if k not in ("text", "cursor", "said", "count", "undo")},
        cli="phalanx findings list" + (f" --text {shell(where.text)}" if where.text else ""),
    )


@get(["/findings/{finding_id:str}", "/findings/{finding_id:str}/{tab:str}"], opt=requires(Permission.FINDINGS_READ))
async def finding(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, finding_id: str, tab: str = "tree"
) -> Response[Any]:
    """One finding; the tab is part of the address."""
    view = await make_view(request, services, session)
    if tab == "narrow":
        return await _narrow(view, services, actor, finding_id, tuple(request.query_params.getall("field", [])))
    if tab not in _TABS:
        raise UsageError("a finding has no such tab", hint=f"one of {', '.join(_TABS)}")
    found = await services.findings.get(actor, finding_id)
    where, _, sort, _ = _filter(view, actor)
    near = await services.findings.neighbours(actor, finding_id, where, sort=sort)
    words = view.words
    title = titles(services.rules.index, view.language)
    lineage = acting_process(found)
    span = (found.last_seen_ns - _AROUND_NS, found.last_seen_ns + _AROUND_NS)
    around: EventPage | None = None
    around_where = ""
    started: tuple[Any, ...] = ()
    if lineage and actor.may(Permission.EVENTS_READ):
        around_where = f"proc.pid = {lineage[0].pid}"
        if tab == "network":
            around_where += " and evt.type in (connect, accept, accept4, bind, listen)"
        if tab in ("timeline", "network"):
            around = await services.events.search(
                actor, where=around_where, since_ns=span[0], until_ns=span[1], limit=200
            )
        elif tab == "tree":
            started = await _children(services, actor, lineage[0].pid, span)
    match = next((e for e in found.evidence if isinstance(e, RuleMatch)), None)
    today = datetime.now(UTC).date()
    return page(
        view,
        "finding.html",
        active="findings",
        f=found,
        near=near,
        title=title,
        advice=advice_of(services.rules.index, view.language, found.rule, found.advice),
        tab=tab,
        tabs=[
            ("tree", None),
            *([("timeline", None), ("network", None)] if lineage else []),
            ("evidence", len(found.evidence)),
            ("history", len(found.history)),
        ],
        story=story(found, words, title(found.title)),
        tree=process_tree(found, started, words, host_of(found), title=title(found.title)),
        around=around,
        around_where=around_where,
        around_span=span,
        followers=[s.value for s in TRANSITIONS[found.state] if s is not State.VERIFIED],
        dates=((today + timedelta(days=1)).isoformat(), (today + timedelta(days=365)).isoformat()),
        condition_html=coloured(match.condition) if match else "",
        listq={
            k: v
            for k, v in view.query.items()
            if k in ("state", "severity", "kind", "sort", "text", "asset", "rule", "all")
        },
    )


async def _children(services: Services, actor: Actor, pid: int, span: tuple[int, int]) -> tuple[Any, ...]:
    """What the process started around the act; nothing when the store cannot say."""
    try:
        found = await services.events.search(
            actor,
            where=f"evt.type in (execve, execveat) and proc.ppid = {pid}",
            since_ns=span[0],
            until_ns=span[1],
            limit=200,
        )
    except PhalanxError:
        return ()
    return found.rows


async def _narrow(
    view: View, services: Services, actor: Actor, finding_id: str, fields: tuple[str, ...]
) -> Response[Any]:
    actor.require(Permission.RULES_WRITE)
    found = await services.findings.get(actor, finding_id)
    drafted = await services.rules.narrow(actor, finding_id, fields=fields)
    tested = drafted.draft.back_test
    return page(
        view,
        "narrow.html",
        active="findings",
        f=found,
        n=drafted,
        bt=tested,
        bt_error=None,
        bt_chart=chart(tested.histogram, view.words, view.zone) if tested and tested.histogram else None,
    )


@post("/findings/{finding_id:str}/change", opt=requires(Permission.FINDINGS_TRIAGE), status_code=303)
async def change(
    request: AnyRequest,
    services: Services,
    session: PageSession,
    actor: Actor,
    finding_id: str,
    data: dict[str, Any] = FORM,
) -> Response[Any]:
    """Judge one finding."""
    view = await make_view(request, services, session)
    state = form_text(data, "state", 40)
    version = form_text(data, "version", 20)
    made = FindingChange(
        state=_word(State, state) if state else None,
        reason=form_text(data, "reason", 2000),
        expires_ns=_day(form_text(data, "expires", 20)) if state == State.ACCEPTED.value else None,
        owner=form_text(data, "owner", 64) if "owner" in data else None,
        due_ns=_day(form_text(data, "due", 20)) or (0 if "due" in data else None),
    )
    await services.findings.change(actor, finding_id, made, version=int(version) if version.isdecimal() else None)
    return _back(view, data, f"/findings/{finding_id}", said="changed")


def _day(text: str) -> int | None:
    """The end of a day as UTC nanoseconds; None when ``text`` is empty."""
    if not text:
        return None
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageError(f"not a date: {text[:20]}", hint="write it as 2026-12-31") from error
    return int((day + timedelta(days=1)).timestamp()) * 1_000_000_000 - 1_000_000_000


def _back(view: View, data: dict[str, Any], fallback: str, **said: object) -> Response[Any]:
    """To where the form stood, with what to say."""
    target = local_target(form_text(data, "back"), fallback)
    path, _, rest = target.partition("?")
    pairs = [pair for pair in rest.split("&") if pair and pair.split("=")[0] not in ("said", "count", "undo")]
    made = see_other(view, (path.removeprefix(view.root) if view.root else path), **said)
    if pairs:
        made.url = made.url.replace("?", "?" + "&".join(pairs) + "&", 1) if "?" in made.url else made.url
    return made


@post("/findings/bulk", opt=requires(Permission.FINDINGS_TRIAGE), status_code=303)
async def bulk(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """The same judgement for the selected rows, with one Undo."""
    view = await make_view(request, services, session)
    ids = form_list(data, "id")
    if not ids:
        return _back(view, data, "/findings", said="nothing")
    if form_text(data, "act", 20) == "assign":
        made = FindingChange(owner=actor.name)
    else:
        made = FindingChange(state=_word(State, form_text(data, "state", 40)))
    result = await services.findings.bulk(actor, made, ids=ids)
    return _back(view, data, "/findings", said="bulk", count=len(result.changed), undo=result.undo)


@post("/findings/undo", opt=requires(Permission.FINDINGS_TRIAGE), status_code=303)
async def undo(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Take back one's own bulk change."""
    view = await make_view(request, services, session)
    await services.findings.undo(actor, form_text(data, "undo", 200))
    return _back(view, data, "/findings", said="undone")


HANDLERS = (findings, finding, change, bulk, undo)
