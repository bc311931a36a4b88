"""Findings over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from litestar import Request, get, patch, post
from litestar.params import Parameter
from litestar.response import Stream
from msgspec import Struct

from phalanx.api.access import requires
from phalanx.api.sse import message, stream
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.finding import Finding, FindingKind, Proof, State
from phalanx.model.severity import Severity
from phalanx.services.findings import (
    BulkResult,
    FindingChange,
    FindingFacet,
    FindingFilter,
    FindingRow,
    Neighbours,
)
from phalanx.services.hub import Services
from phalanx.services.paging import Page

__all__ = ["FINDING_ROUTES", "BulkRequest"]

Sort = Literal[
    "risk",
    "-risk",
    "last_seen",
    "-last_seen",
    "first_seen",
    "-first_seen",
    "severity",
    "-severity",
    "count",
    "-count",
    "title",
    "-title",
]
Many = Annotated[Sequence[str] | None, Parameter(max_items=50)]


class BulkRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change for many findings: either ``ids`` or ``where``."""

    change: FindingChange
    ids: tuple[str, ...] = ()
    where: FindingFilter | None = None


def finding_filter(
    kind: Sequence[FindingKind] | None = None,
    severity: Sequence[Severity] | None = None,
    finding_state: Annotated[Sequence[State] | None, Parameter(query="state")] = None,
    proof: Sequence[Proof] | None = None,
    owner: Many = None,
    asset: Many = None,
    rule: Many = None,
    technique: Many = None,
    text: Annotated[str, Parameter(max_length=200)] = "",
    min_score: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    overdue: bool = False,
) -> FindingFilter:
    """Dependency ``matching``: the filter in the query, each name repeated for several values."""
    return FindingFilter(
        kind=tuple(kind or ()),
        severity=tuple(severity or ()),
        state=tuple(finding_state or ()),
        proof=tuple(proof or ()),
        owner=tuple(owner or ()),
        asset=tuple(asset or ()),
        rule=tuple(rule or ()),
        technique=tuple(technique or ()),
        text=text,
        min_score=min_score,
        since_ns=since_ns,
        until_ns=until_ns,
        overdue=overdue,
    )


@get("/api/v1/findings", opt=requires(Permission.FINDINGS_READ), tags=["findings"])
async def list_findings(
    services: Services,
    actor: Actor,
    matching: FindingFilter,
    sort: Sort = "-risk",
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 50,
) -> Page[FindingRow]:
    """Findings that fit, a page at a time, worst first by default."""
    return await services.findings.list(actor, matching, sort=sort, cursor=cursor, limit=limit)


@get("/api/v1/findings/facets", opt=requires(Permission.FINDINGS_READ), tags=["findings"])
async def finding_facets(services: Services, actor: Actor, matching: FindingFilter) -> tuple[FindingFacet, ...]:
    """Counts by kind, severity, state, proof, owner and rule among the findings that fit."""
    return await services.findings.facets(actor, matching)


@get("/api/v1/findings/stream", opt=requires(Permission.FINDINGS_READ), tags=["findings"])
async def stream_findings(
    request: Request[Any, Any, Any],
    services: Services,
    actor: Actor,
    after: Annotated[str | None, Parameter(max_length=32)] = None,
) -> Stream:
    """Changes of findings as server-sent events `findings`; resumes after `Last-Event-ID` (or `after`)."""
    resume = request.headers.get("last-event-id") or after

    async def messages() -> AsyncIterator[bytes]:
        async for updates in services.findings.subscribe(actor, after=resume):
            yield message("findings", updates, id=updates[-1].id)

    return stream(messages())


@get("/api/v1/findings/{finding_id:str}", opt=requires(Permission.FINDINGS_READ), tags=["findings"])
async def get_finding(services: Services, actor: Actor, finding_id: str) -> Finding:
    """One finding with its evidence and history."""
    return await services.findings.get(actor, finding_id)


@get("/api/v1/findings/{finding_id:str}/neighbours", opt=requires(Permission.FINDINGS_READ), tags=["findings"])
async def finding_neighbours(
    services: Services, actor: Actor, finding_id: str, matching: FindingFilter, sort: Sort = "-risk"
) -> Neighbours:
    """The findings before and after this one in the list that fits."""
    return await services.findings.neighbours(actor, finding_id, matching, sort=sort)


@patch("/api/v1/findings/{finding_id:str}", opt=requires(Permission.FINDINGS_TRIAGE), tags=["findings"])
async def change_finding(
    request: Request[Any, Any, Any], services: Services, actor: Actor, finding_id: str, data: FindingChange
) -> Finding:
    """Change state, owner or due date. `If-Match: "<version>"` refuses when it changed since."""
    return await services.findings.change(actor, finding_id, data, version=_version(request))


@post("/api/v1/findings/bulk", opt=requires(Permission.FINDINGS_TRIAGE), tags=["findings"], status_code=200)
async def bulk_findings(services: Services, actor: Actor, data: BulkRequest) -> BulkResult:
    """The same change for many findings, with one undo."""
    return await services.findings.bulk(actor, data.change, ids=data.ids, where=data.where)


@post("/api/v1/findings/undo/{undo:str}", opt=requires(Permission.FINDINGS_TRIAGE), tags=["findings"], status_code=200)
async def undo_findings(services: Services, actor: Actor, undo: str) -> BulkResult:
    """Take back one's own bulk change, within ten minutes."""
    return await services.findings.undo(actor, undo)


def _version(request: Request[Any, Any, Any]) -> int | None:
    from phalanx.errors import UsageError

    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    text = given.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise UsageError("If-Match must be the version of the finding, as it was read", hint='write If-Match: "3"')
    return int(text)


FINDING_ROUTES = (
    list_findings,
    finding_facets,
    stream_findings,
    get_finding,
    finding_neighbours,
    change_finding,
    bulk_findings,
    undo_findings,
)
"""Registered by the application."""
