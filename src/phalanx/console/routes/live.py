"""Live: what happens this second. The first rows come with the page, later ones by the stream, into the list only when nobody reads."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from litestar import Response, get
from litestar.response import Stream

from phalanx.api import sse
from phalanx.api.access import PageSession, requires
from phalanx.console.charts import chart
from phalanx.console.condition import quote
from phalanx.console.hostile import middle, slots
from phalanx.console.icons import kind_icon
from phalanx.console.routes.overview import freshness
from phalanx.console.streams import merged
from phalanx.console.view import AnyRequest, View, make_view, page
from phalanx.errors import PhalanxError, RuleError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.process import Process
from phalanx.services.events import EventDetail, EventRow, LiveBatch
from phalanx.services.hub import Services

__all__ = ["HANDLERS", "detail_of", "place", "row_data", "side"]

_WINDOW_NS = 300 * 1_000_000_000
_FIRST_ROWS = 100
_EVENT_ID = re.compile(r"[0-9a-f]{16}-[\w.-]{1,64}-[0-9a-f]{12}")


@get("/live", opt=requires(Permission.EVENTS_READ))
async def live(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """The last five minutes, newest first; the page goes on from there."""
    view = await make_view(request, services, session)
    where = view.query.get("where", "")
    now = time.time_ns()
    since = now - _WINDOW_NS
    if request.headers.get("x-part") == "drawer":
        return await side(services, actor, view)
    error: RuleError | None = None
    found = drawn = None
    facets: tuple[Any, ...] = ()
    try:
        found, drawn, facets = await asyncio.gather(
            services.events.search(actor, where=where, since_ns=since, until_ns=now, limit=_FIRST_ROWS),
            services.events.histogram(actor, where=where, since_ns=since, until_ns=now, buckets=75),
            services.events.facets(actor, where=where, since_ns=since, until_ns=now),
        )
    except RuleError as wrong:
        error = wrong
    detail, detail_error = await detail_of(services, actor, view)
    newest = found.rows[0].id if found and found.rows else ""
    return page(
        view,
        "stream.html",
        status=200,
        active="live",
        live=True,
        where=where,
        error=error,
        found=found,
        facets=facets,
        chart=chart(drawn, view.words, view.zone) if drawn else None,
        rate=None,
        newest=newest,
        sel=view.query.get("sel", ""),
        detail=detail,
        detail_error=detail_error,
        lineage=lineage_of(detail),
        quote=quote,
        cli=_cli(where, "5m"),
    )


async def side(services: Services, actor: Actor, view: View) -> Response[Any]:
    """Only the drawer of the selected event: opening one asks for nothing else."""
    detail, failed = await detail_of(services, actor, view)
    return page(
        view,
        "side.html",
        detail=detail,
        detail_error=failed,
        lineage=lineage_of(detail),
        where=view.query.get("where", ""),
        quote=quote,
    )


async def detail_of(services: Services, actor: Actor, view: View) -> tuple[EventDetail | None, PhalanxError | None]:
    """The selected event, or why it cannot be shown."""
    selected = view.query.get("sel", "")
    if not selected or not _EVENT_ID.fullmatch(selected):
        return None, None
    try:
        return await services.events.get(actor, selected), None
    except PhalanxError as error:
        return None, error


def lineage_of(detail: EventDetail | None) -> tuple[Process, ...]:
    """The process of an event and its ancestors, nearest first."""
    if detail is None or not isinstance(detail.event.process, Process):
        return ()
    return (detail.event.process, *detail.event.process.ancestors())


def _cli(where: str, since: str) -> str:
    return f"phalanx events query --since {since}" + (f" {shell(where)}" if where else "")


def shell(text: str) -> str:
    """``text`` as one word of a POSIX shell; control characters as ``$'\\x1b'``."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+=,-]+", text):
        return text
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        inner = "".join(
            f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else {"'": "\\'", "\\": "\\\\"}.get(c, c) for c in text
        )
        return f"$'{inner}'"
    return "'" + text.replace("'", "'\\''") + "'"


def place(row: EventRow) -> str:
    """Where it was seen, as short as people say it."""
    name = row.pod or row.container_name or row.container_id or row.host or row.agent
    return f"{row.namespace}/{name}" if row.namespace else name


def row_data(row: EventRow, view: View) -> dict[str, Any]:
    """A row for the island: texts as pieces, tags apart, so that it only makes text nodes."""
    words = view.words
    data: dict[str, Any] = {
        "id": row.id,
        "time": words.clock(row.ts_ns, view.zone, ms=True),
        "ms": row.ts_ns // 1_000_000,
        "kind": row.kind,
    }
    if row.kind == "loss":
        cause = words.or_else(f"cause.{row.cause}", row.cause)
        told = {"where": row.host or row.agent, "cause": cause}
        text = words("loss.unknown", **told) if row.lost is None else words("loss.row", n=row.lost, **told)
        data["what"] = slots(text.unescape())
        return data
    head, _, rest = row.what.partition(" ")
    data.update(
        icon=kind_icon(row.kind),
        word=words.or_else(f"kind.{row.kind}", row.kind).unescape(),
        type=row.type,
        place=slots(middle(place(row), 30)),
        head=slots(head if row.kind == "exec" else "" if row.what.startswith(row.process) else row.process),
        bold=row.kind == "exec",
        what=slots(rest if row.kind == "exec" else row.what),
    )
    if row.severity:
        data["severity"] = row.severity
    if row.finding:
        data["finding"] = row.finding
    return data


@get("/live/stream", opt=requires(Permission.EVENTS_READ))
async def live_stream(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Stream:
    """The one stream of Live: rows as they come (at most four times a second), the rate, loss, freshness."""
    view = await make_view(request, services, session)
    where = view.query.get("where", "")
    after = request.headers.get("last-event-id") or view.query.get("after") or None
    batches = services.events.subscribe(actor, where=where, after=after)

    def packed(batch: LiveBatch) -> bytes:
        data = {
            "rows": [row_data(row, view) for row in batch.rows],
            "more": batch.more,
            "rate": round(batch.rate),
            "lost": batch.lost,
        }
        return sse.message("events", data, id=batch.id or None)

    async def rows() -> AsyncIterator[bytes]:
        async for batch in batches:
            yield packed(batch)

    return sse.stream(merged(rows(), freshness(services, actor)))


HANDLERS = (live, live_stream)
