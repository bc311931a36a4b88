"""What a route needs, said at the route; one place decides.

Every handler states ``opt=requires(permission)`` or ``opt=open_to_all(reason)``; :func:`check_routes` refuses an application with a
handler that states neither, so a forgotten guard is a failed start and not an open door.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.handlers.http_handlers import HTTPRouteHandler
from msgspec import Struct

from phalanx.api.peer import PEER, Peer
from phalanx.errors import AuthenticationError, PermissionError_, PhalanxError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission

__all__ = [
    "AGENT",
    "PageSession",
    "RouteNeed",
    "agent_only",
    "check_routes",
    "guard",
    "needs",
    "open_to_all",
    "requires",
]

_PERMISSION: Final = "phalanx.permission"
_OPEN: Final = "phalanx.open"
_AGENT: Final = "phalanx.agent"
AGENT: Final = "agent"
"""What :func:`needs` says of a route that only a local agent may call."""


class PageSession(Struct, frozen=True, kw_only=True):
    """What a page needs to know of its own request."""

    nonce: str
    """Goes into ``<script nonce>`` and ``<style nonce>``."""
    csrf: str
    """Goes into forms and ``hx-headers``; empty when nobody is signed in."""
    actor: Actor | None
    """Who asks; None when nobody is signed in."""


class RouteNeed(NamedTuple):
    """A route and what it needs."""

    method: str
    path: str
    need: str
    """A permission, :data:`AGENT`, or empty for a route that is open to all."""


def requires(permission: Permission) -> dict[str, Any]:
    """``opt`` of a handler that needs ``permission``."""
    return {_PERMISSION: permission}


def open_to_all(reason: str) -> dict[str, Any]:
    """``opt`` of a handler that anybody may call, and why that is right."""
    return {_OPEN: reason}


def agent_only() -> dict[str, Any]:
    """``opt`` of a handler for the agent at the local Unix socket."""
    return {_AGENT: True}


def needs(handler: BaseRouteHandler) -> str | None:
    """What ``handler`` states; None when it states nothing."""
    permission = handler.opt.get(_PERMISSION)
    if permission is not None:
        return Permission(permission).value
    if handler.opt.get(_AGENT):
        return AGENT
    return "" if handler.opt.get(_OPEN) else None


def check_routes(app: Litestar) -> Iterator[RouteNeed]:
    """Every route of ``app`` with what it needs; PhalanxError for the first that does not say."""
    for route in app.routes:
        handlers: list[Any] = getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]
        for handler in handlers:
            if handler is None:
                continue
            need = needs(handler)
            methods = sorted(handler.http_methods) if isinstance(handler, HTTPRouteHandler) else ["*"]
            if need is None and methods == ["OPTIONS"]:
                continue
            if need is None:
                raise PhalanxError(
                    f"route {'/'.join(methods)} {route.path} does not say who may call it",
                    hint="give its handler opt=requires(...) or opt=open_to_all(...)",
                )
            for method in methods:
                yield RouteNeed(method, route.path, need)


def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Litestar guard over the whole application: lets through who may."""
    refused = connection.scope.get("state", {}).get("refused")
    if refused is not None:
        raise refused
    need = needs(handler)
    if need == "":
        return
    if need == AGENT:
        peer: Any = (connection.scope.get("extensions") or {}).get(PEER)
        if not (isinstance(peer, Peer) and peer.trusted):
            raise PermissionError_("this is for the agent at the hub's own Unix socket")
        return
    actor = connection.scope.get("state", {}).get("actor")
    if actor is None:
        raise AuthenticationError("nobody is signed in", hint="sign in, or send `Authorization: Bearer phx_…`")
    if need is None:
        raise PermissionError_("this route does not say who may call it")
    actor.require(Permission(need))


def actor_of(request: Request[Any, Any, Any]) -> Actor:
    """Dependency ``actor``."""
    actor = request.scope.get("state", {}).get("actor")
    if not isinstance(actor, Actor):
        raise AuthenticationError("nobody is signed in", hint="sign in, or send `Authorization: Bearer phx_…`")
    return actor


def page_session(request: Request[Any, Any, Any]) -> PageSession:
    """Dependency ``session``."""
    state = request.scope.get("state", {})
    return PageSession(nonce=state.get("nonce", ""), csrf=state.get("csrf", ""), actor=state.get("actor"))
