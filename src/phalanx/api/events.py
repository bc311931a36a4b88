"""The history of events and the live stream over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.params import Parameter
from litestar.response import Stream

from phalanx.api.access import requires
from phalanx.api.sse import message, stream
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.event_types import EventDetail, EventPage, Facet, Histogram
from phalanx.services.hub import Services

__all__ = ["EVENT_ROUTES"]

Where = Annotated[str, Parameter(max_length=20_000, description="A condition, as in rules; empty for every event.")]
Time = Annotated[int | None, Parameter(description="UTC nanoseconds since 1970; the last hour when no time is given.")]


@get("/api/v1/events", opt=requires(Permission.EVENTS_READ), tags=["events"])
async def search_events(
    services: Services,
    actor: Actor,
    where: Where = "",
    since_ns: Time = None,
    until_ns: Time = None,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> EventPage:
    """Events that satisfy a condition, newest first, with what the answer rests on."""
    return await services.events.search(
        actor, where=where, since_ns=since_ns, until_ns=until_ns, cursor=cursor, limit=limit
    )


@get("/api/v1/events/histogram", opt=requires(Permission.EVENTS_READ), tags=["events"])
async def event_histogram(
    services: Services,
    actor: Actor,
    where: Where = "",
    since_ns: Time = None,
    until_ns: Time = None,
    buckets: Annotated[int, Parameter(ge=1, le=400)] = 60,
    by: Literal["kind", "none"] = "kind",
) -> Histogram:
    """The same events counted over time."""
    return await services.events.histogram(
        actor, where=where, since_ns=since_ns, until_ns=until_ns, buckets=buckets, by=by
    )


@get("/api/v1/events/facets", opt=requires(Permission.EVENTS_READ), tags=["events"])
async def event_facets(
    services: Services,
    actor: Actor,
    where: Where = "",
    since_ns: Time = None,
    until_ns: Time = None,
    field: Annotated[Sequence[str] | None, Parameter(max_items=12)] = None,
    top: Annotated[int, Parameter(ge=1, le=100)] = 8,
) -> tuple[Facet, ...]:
    """The commonest values of fields among the same events."""
    fields = tuple(field or ("evt.type", "proc.name", "container.id", "user.name"))
    return await services.events.facets(
        actor, where=where, since_ns=since_ns, until_ns=until_ns, fields=fields, top=top
    )


@get("/api/v1/events/stream", opt=requires(Permission.EVENTS_READ), tags=["events"])
async def stream_events(
    request: Request[Any, Any, Any],
    services: Services,
    actor: Actor,
    where: Where = "",
    after: Annotated[str | None, Parameter(max_length=64)] = None,
) -> Stream:
    """Events as they come, as server-sent events `events`; resumes after `Last-Event-ID` (or `after`), at most five minutes back."""
    batches = services.events.subscribe(actor, where=where, after=request.headers.get("last-event-id") or after)

    async def messages() -> AsyncIterator[bytes]:
        async for batch in batches:
            yield message("events", batch, id=batch.id)

    return stream(messages())


@get("/api/v1/events/{event_id:str}", opt=requires(Permission.EVENTS_READ), tags=["events"])
async def get_event(services: Services, actor: Actor, event_id: str) -> EventDetail:
    """One event with its process, all recorded ancestors, and every field of the language that has a value."""
    return await services.events.get(actor, event_id)


EVENT_ROUTES = (search_events, event_histogram, event_facets, stream_events, get_event)
"""Registered by the application."""
