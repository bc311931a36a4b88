"""The agent's routes (docs/architecture.md): only at the Unix socket, only for root or the hub's own user."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import Parameter

from phalanx.api.access import agent_only
from phalanx.errors import CorruptError
from phalanx.model.report import CommandResult
from phalanx.services.hub import Services
from phalanx.services.ingest import MAX_REPORT_BYTES
from phalanx.store.events.wrap import MAX_BATCH_BYTES

__all__ = ["AGENT_ROUTES", "LONG_POLL_S"]

LONG_POLL_S: Final = 30.0
"""How long a call for rules or commands waits for something new."""


def _json(value: object) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json", status_code=200)


@post("/agent/v1/batches", opt=agent_only(), include_in_schema=False, request_max_body_size=MAX_BATCH_BYTES + 4096)
async def take_batch(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """One column batch; acknowledged once it is durable."""
    try:
        return _json(await services.ingest.batch(await request.body()))
    except CorruptError as error:
        raise _refused(error) from error


@post("/agent/v1/reports", opt=agent_only(), include_in_schema=False, request_max_body_size=MAX_REPORT_BYTES + 4096)
async def take_report(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """Detections, facts, losses, status."""
    try:
        return _json(await services.ingest.report(await request.body()))
    except CorruptError as error:
        raise _refused(error) from error


@get("/agent/v1/rules", opt=agent_only(), include_in_schema=False)
async def rules(services: Services, version: Annotated[str, Parameter(max_length=128)] = "") -> Response[bytes]:
    """The rule set once it differs from ``version``; 204 when it does not within the long poll."""
    bundle = await services.rules.wait(version, LONG_POLL_S)
    return Response(b"", status_code=204) if bundle is None else _json(bundle)


@get("/agent/v1/commands", opt=agent_only(), include_in_schema=False)
async def commands(services: Services, agent: Annotated[str, Parameter(max_length=64)]) -> Response[bytes]:
    """What somebody asked this agent to do; 204 when nothing within the long poll."""
    command = await services.simulate.next_command(agent, LONG_POLL_S)
    return Response(b"", status_code=204) if command is None else _json(command)


@post("/agent/v1/results", opt=agent_only(), include_in_schema=False, status_code=204)
async def results(services: Services, data: CommandResult, agent: Annotated[str, Parameter(max_length=64)]) -> None:
    """One part of a command was done, or could not be."""
    await services.simulate.performed(agent, data)


class _RefusedError(CorruptError):
    """Bytes that will not become better by sending them again."""

    status = 422


def _refused(error: CorruptError) -> CorruptError:
    return _RefusedError(error.message, hint=error.hint)


AGENT_ROUTES = (take_batch, take_report, rules, commands, results)
"""Registered by the application."""
