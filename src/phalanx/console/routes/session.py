"""Sign in, the one-time set-up, sign out, and how the console looks for one."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body

from phalanx.api.access import PageSession, open_to_all, requires
from phalanx.api.security import cookie_header
from phalanx.console.view import (
    AnyRequest,
    build_view,
    form_text,
    local_target,
    look_cookie,
    page,
    see_other,
)
from phalanx.errors import PhalanxError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.accounts import SignedIn
from phalanx.services.hub import Services

__all__ = ["FORM", "HANDLERS"]

FORM = Body(media_type=RequestEncodingType.URL_ENCODED)
_OPEN = "one signs in here"
_WEEK = 7 * 86_400
_PREFERENCES = ("language", "theme", "density", "zone", "keys")


def _source(request: AnyRequest) -> str:
    return request.client.host if request.client else "?"


def _agent(request: AnyRequest) -> str:
    return request.headers.get("user-agent", "")[:256]


def _signed_in(request: AnyRequest, session: PageSession, signed: SignedIn, target: str) -> Response[Any]:
    view = build_view(request, session, signed.user.preferences, None)
    response = see_other(view, local_target(target))
    tls = request.url.scheme == "https"
    age = max(min((signed.expires_ns - view.now_ns) // 1_000_000_000, 400 * 86_400), 0)
    response.headers["set-cookie"] = cookie_header(signed.cookie, tls=tls, max_age=age)
    return response


@get("/login", opt=open_to_all(_OPEN))
async def login_page(request: AnyRequest, services: Services, session: PageSession) -> Response[Any]:
    """The sign-in page; the set-up page until the first user exists."""
    view = build_view(request, session, _chosen(request), None)
    if await services.accounts.needs_setup():
        return see_other(view, "/setup")
    target = local_target(request.query_params.get("next", "/"))
    return page(view, "login.html", problem=None, name="", next=target)


@post("/login", opt=open_to_all(_OPEN), status_code=200)
async def login(
    request: AnyRequest, services: Services, session: PageSession, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Sign in. A wrong name and a wrong password look the same."""
    view = build_view(request, session, _chosen(request), None)
    name, target = form_text(data, "name", 64), form_text(data, "next")
    try:
        signed = await services.accounts.login(
            name, form_text(data, "password", 1024), source=_source(request), agent=_agent(request)
        )
    except PhalanxError as error:
        told = view.words("login.wrong") if error.status == 401 else str(error)
        return page(
            view, "login.html", status=max(error.status, 400), problem=told, name=name, next=local_target(target)
        )
    return _signed_in(request, session, signed, target or "/")


@get("/setup", opt=open_to_all("the one-time token is the key"))
async def setup_page(request: AnyRequest, services: Services, session: PageSession) -> Response[Any]:
    """The page behind the one-time link."""
    view = build_view(request, session, _chosen(request), None)
    needed = await services.accounts.needs_setup()
    token = request.query_params.get("token", "")[:256]
    return page(view, "setup.html", needed=needed, token=token, problem=None, name="")


@post("/setup", opt=open_to_all("the one-time token is the key"), status_code=200)
async def setup(
    request: AnyRequest, services: Services, session: PageSession, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Make the first administrator."""
    view = build_view(request, session, _chosen(request), None)
    name, token = form_text(data, "name", 64), form_text(data, "token", 256)
    try:
        signed = await services.accounts.setup(
            token, name, form_text(data, "password", 1024), source=_source(request), agent=_agent(request)
        )
    except PhalanxError as error:
        needed = await services.accounts.needs_setup()
        return page(
            view, "setup.html", status=max(error.status, 400), needed=needed, token=token, problem=str(error), name=name
        )
    return _signed_in(request, session, signed, "/")


def _chosen(request: AnyRequest) -> dict[str, str]:
    """Before one signs in, the address may name the language."""
    language = request.query_params.get("lang", "")
    return {"language": language} if language else {}


@post("/logout", opt=requires(Permission.SELF_MANAGE), status_code=303)
async def logout(request: AnyRequest, services: Services, session: PageSession, actor: Actor) -> Response[Any]:
    """End the session and go to the sign-in page."""
    await services.accounts.logout(actor)
    view = build_view(request, session, {}, None)
    response = see_other(view, "/login")
    response.headers["set-cookie"] = cookie_header("", tls=request.url.scheme == "https", max_age=0)
    return response


@post("/preferences", opt=requires(Permission.SELF_MANAGE), status_code=303)
async def preferences(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Language, theme, density, zone, keys: kept with the person, never in a shared address."""
    chosen = {name: form_text(data, name, 64) for name in _PREFERENCES if name in data}
    user = await services.accounts.set_preferences(actor, chosen)
    view = build_view(request, session, user.preferences, None)
    target = local_target(form_text(data, "back"))
    response = see_other(view, target.removeprefix(view.root) if view.root else target)
    response.set_cookie(look_cookie(view, view.language, view.theme))
    return response


HANDLERS = (login_page, login, setup_page, setup, logout, preferences)
