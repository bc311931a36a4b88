"""Estate: what exists, and one of it."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from markupsafe import Markup

from phalanx.api.access import PageSession, requires
from phalanx.console.condition import quote
from phalanx.console.content import titles
from phalanx.console.hostile import hostile, middle
from phalanx.console.tree import connectors
from phalanx.console.view import AnyRequest, View, make_view, page
from phalanx.console.words import Words
from phalanx.errors import NotFoundError, PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.estate import ContainerRow, HostRow, ProcessDetail
from phalanx.services.findings import FindingFilter
from phalanx.services.hub import Services

__all__ = ["HANDLERS"]

_LEVELS = ("hosts", "containers", "processes", "images")
_HOUR_NS = 3600 * 1_000_000_000

Fact = tuple[Markup, object, str]
"""Label, value, css class."""


@get("/estate", opt=requires(Permission.ESTATE_READ))
async def estate(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """One level of the estate."""
    view = await make_view(request, services, session)
    level = view.query.get("level", "") or "hosts"
    if level not in _LEVELS:
        raise UsageError("the estate has no such level", hint=f"one of {', '.join(_LEVELS)}")
    text, host, cursor = view.query.get("text", "")[:200], view.query.get("host", ""), view.query.get("cursor") or None
    rows: Any
    following: str | None = None
    lines: list[tuple[str, ...]] = []
    if level == "hosts":
        rows = await services.estate.hosts(actor)
        count, capped = len(rows), False
    elif level == "images":
        rows = await services.estate.images(actor, text=text)
        count, capped = len(rows), False
    elif level == "containers":
        listed = await services.estate.containers(actor, host=host, text=text, cursor=cursor)
        rows, following, count, capped = listed.rows, listed.next, listed.count.value, listed.count.capped
    else:
        container = view.query.get("container", "")
        processes = await services.estate.processes(
            actor, host=host, container=container, text=text, cursor=cursor, tree=not text
        )
        rows, following = processes.rows, processes.next
        count, capped = processes.count.value, processes.count.capped
        lines = connectors([min(row.depth, 24) for row in rows]) if not text else [() for _ in rows]
    return page(
        view,
        "estate.html",
        active="estate",
        level=level,
        rows=rows,
        lines=lines,
        next=following,
        title=Markup("{}{}").format(view.words(f"estate.title.{level}", n=count), "+" if capped else ""),
    )


@get("/assets/{kind:str}/{key:path}", opt=requires(Permission.ESTATE_READ))
async def asset(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, kind: str, key: str
) -> Response[Any]:
    """One host, container or process."""
    view = await make_view(request, services, session)
    key = key.removeprefix("/")
    words = view.words
    where: str | None
    lineage: tuple[Any, ...] = ()
    mounts: tuple[Any, ...] = ()
    if kind == "host":
        host = await services.estate.host(actor, key)
        # no stored field names the host: with one agent the whole history is its own, with more it cannot be told apart here
        name, where = host.name, "" if len(await services.estate.hosts(actor)) == 1 else None
        sentence = words("asset.sentence.host", n=host.processes, containers=words.num(host.containers))
        facts = _host_facts(host, words)
    elif kind == "container":
        row = await services.estate.container(actor, key)
        name, where = row.container.name or row.container.id, f"container.id = {quote(row.container.id)}"
        sentence = words("asset.sentence.container", image=hostile(row.container.image or "–"), host=hostile(row.host))
        facts, mounts = _container_facts(row, view), row.container.mounts
    elif kind == "process":
        detail = await services.estate.process(actor, key)
        name, where = detail.row.cmdline or detail.row.name, f"proc.pid = {detail.row.pid}"
        sentence = words("asset.sentence.process", pid=detail.row.pid, host=hostile(detail.row.host))
        facts, lineage = _process_facts(detail, view), detail.lineage
    else:
        raise NotFoundError(f"the estate holds no {kind[:40]}")
    events = events_error = None
    if where is not None and actor.may(Permission.EVENTS_READ):
        try:
            events = await services.events.search(
                actor, where=where, since_ns=view.now_ns - _HOUR_NS, until_ns=view.now_ns, limit=30
            )
        except PhalanxError as error:
            events_error = error
    found: tuple[Any, ...] = ()
    if kind != "process" and actor.may(Permission.FINDINGS_READ):
        found = (await services.findings.list(actor, FindingFilter(asset=(key,)), limit=20)).rows
    return page(
        view,
        "asset.html",
        active="estate",
        kind=kind,
        key=key,
        name=name,
        sentence=sentence,
        where=where,
        facts=facts,
        lineage=lineage,
        mounts=mounts,
        findings=found,
        title=titles(services.rules.index, view.language),
        events=events,
        events_error=events_error,
    )


def _text(value: object, limit: int = 400) -> Markup:
    return hostile(value, limit) if value not in (None, "") else Markup("–")


def _host_facts(host: HostRow, words: Words) -> list[Fact]:
    return [
        (words("fact.system"), _text(host.system), ""),
        (words("fact.kernel"), _text(host.kernel), "mono"),
        (words("fact.agent"), _text(host.agent), "mono"),
        (words("fact.boot"), _text(middle(host.boot, 24)), "mono"),
        (words("fact.findings"), words.num(host.findings), "num"),
    ]


def _container_facts(row: ContainerRow, view: View) -> list[Fact]:
    container, words = row.container, view.words
    facts: list[Fact] = [
        (words("fact.id"), _text(container.full_id or container.id), "mono"),
        (words("fact.state"), words("running" if row.running else "gone"), ""),
        (words("fact.host"), _text(row.host), ""),
        (words("fact.image"), _text(container.image), "mono"),
        (words("fact.digest"), _text(container.image_digest), "mono"),
        (words("fact.runtime"), _text(container.runtime), ""),
        (
            words("fact.privileged"),
            Markup("–") if container.privileged is None else words("yes" if container.privileged else "no"),
            "",
        ),
        (
            words("fact.since"),
            f"{words.day(container.since_ns, view.zone)} {words.clock(container.since_ns, view.zone)}",
            "num",
        ),
    ]
    if container.pod is not None:
        facts.append((words("fact.pod"), _text(f"{container.pod.namespace}/{container.pod.name}"), ""))
    return facts


def _process_facts(detail: ProcessDetail, view: View) -> list[Fact]:
    row, process, words = detail.row, detail.process, view.words
    return [
        (words("fact.pid"), str(row.pid), "num"),
        (words("fact.parent"), "–" if row.ppid is None else str(row.ppid), "num"),
        (words("fact.user"), _text(process.user if process.user is not None else process.uid), "mono"),
        (words("fact.login"), _text(process.loginuser), "mono"),
        (words("fact.exe"), _text(process.exepath), "mono"),
        (words("fact.cwd"), _text(process.cwd), "mono"),
        (words("fact.container"), _text(row.container_id), "mono"),
        (
            words("fact.started"),
            "–"
            if row.started_ns is None
            else f"{words.day(row.started_ns, view.zone)} {words.clock(row.started_ns, view.zone)}",
            "num",
        ),
    ]


HANDLERS = (estate, asset)
