"""Whether the hub is alive and ready, and what it is."""

from __future__ import annotations

from litestar import Response, get

from phalanx.api.access import open_to_all
from phalanx.errors import PhalanxError
from phalanx.services.hub import Services
from phalanx.version import VERSION

__all__ = ["SYSTEM_ROUTES"]


@get("/healthz", opt=open_to_all("a probe has no credentials, and the answer says nothing"), include_in_schema=False)
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@get("/readyz", opt=open_to_all("a probe has no credentials, and the answer says nothing"), include_in_schema=False)
async def ready(services: Services) -> Response[dict[str, str]]:
    """Both stores take questions; 503 when one does not."""
    try:
        await services.accounts.needs_setup()
        services.event_store.statistics()
    except PhalanxError:
        return Response({"status": "not ready"}, status_code=503)
    return Response({"status": "ready"})


@get("/api/v1/version", opt=open_to_all("programs ask it before they sign in"), tags=["system"])
async def version() -> dict[str, str]:
    """The version of this hub."""
    return {"version": VERSION}


SYSTEM_ROUTES = (alive, ready, version)
"""Registered by the application."""
