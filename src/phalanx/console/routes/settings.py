"""Settings: one's own look and password, people, tokens, notifications, about."""

from __future__ import annotations

import json
from typing import Any

from litestar import Response, get, post

from phalanx.api.access import PageSession, requires
from phalanx.console.routes.session import FORM
from phalanx.console.static_files import FOLDER
from phalanx.console.view import AnyRequest, View, form_list, form_text, make_view, page, see_other
from phalanx.errors import NotFoundError, PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission, Role
from phalanx.model.severity import Severity
from phalanx.services.accounts import NewToken
from phalanx.services.hub import Services
from phalanx.services.settings import Channel

__all__ = ["HANDLERS"]

_NEEDS = {
    "own": Permission.SELF_MANAGE,
    "users": Permission.USERS_MANAGE,
    "tokens": Permission.SELF_MANAGE,
    "notify": Permission.SETTINGS_READ,
    "about": Permission.SELF_MANAGE,
}


@get(["/settings", "/settings/{tab:str}"], opt=requires(Permission.SELF_MANAGE))
async def settings(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, tab: str = "own"
) -> Response[Any]:
    """One tab of the settings."""
    view = await make_view(request, services, session)
    return await _show(view, services, actor, tab)


async def _show(
    view: View,
    services: Services,
    actor: Actor,
    tab: str,
    *,
    problem: PhalanxError | None = None,
    made: NewToken | None = None,
) -> Response[Any]:
    if tab not in _NEEDS:
        raise NotFoundError("the settings have no such page", hint=f"one of {', '.join(_NEEDS)}")
    actor.require(_NEEDS[tab])
    values: dict[str, Any] = {"sessions": (), "users": (), "tokens": (), "channels": (), "assets": ()}
    if tab == "own" and actor.via == "session":
        values["sessions"] = await services.accounts.sessions(actor)
    elif tab == "users":
        values["users"] = await services.accounts.users(actor)
    elif tab == "tokens":
        values["tokens"] = await services.accounts.tokens(actor)
    elif tab == "notify":
        values["channels"] = await services.settings.channels(actor)
    elif tab == "about":
        values["assets"] = _assets()
    return page(
        view,
        "settings.html",
        status=problem.status if problem else 200,
        active="settings",
        tab=tab,
        problem=problem,
        made=made,
        roles=tuple(Role),
        grantable=sorted(permission.value for permission in actor.permissions),
        **values,
    )


def _assets() -> list[tuple[str, dict[str, str]]]:
    """Vendored files with package, version and licence, as the build wrote them down; none before it ran."""
    manifest = FOLDER / "vendor" / "manifest.json"
    if not manifest.is_file():
        return []
    return sorted(json.loads(manifest.read_text(encoding="utf-8"))["files"].items())


@post("/settings/password", opt=requires(Permission.SELF_MANAGE), status_code=303)
async def password(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Change one's password."""
    view = await make_view(request, services, session)
    try:
        await services.accounts.change_password(actor, form_text(data, "old", 1024), form_text(data, "new", 1024))
    except PhalanxError as error:
        return await _show(view, services, actor, "own", problem=error)
    return see_other(view, "/settings", said="changed")


@post("/settings/sessions/end", opt=requires(Permission.SELF_MANAGE), status_code=303)
async def end_session(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """End one of one's sessions."""
    view = await make_view(request, services, session)
    await services.accounts.end_session(actor, form_text(data, "id", 200))
    return see_other(view, "/settings", said="ended")


def _roles(data: dict[str, Any]) -> frozenset[Role]:
    try:
        return frozenset(Role(text) for text in form_list(data, "role"))
    except ValueError as error:
        raise UsageError("no such role") from error


@post("/settings/users/save", opt=requires(Permission.USERS_MANAGE), status_code=303)
async def create_user(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """A new person."""
    view = await make_view(request, services, session)
    try:
        await services.accounts.create_user(
            actor, form_text(data, "name", 64), form_text(data, "password", 1024), _roles(data)
        )
    except PhalanxError as error:
        return await _show(view, services, actor, "users", problem=error)
    return see_other(view, "/settings/users", said="created")


@post("/settings/users/change", opt=requires(Permission.USERS_MANAGE), status_code=303)
async def change_user(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Roles, password, active or not."""
    view = await make_view(request, services, session)
    active = form_text(data, "active", 1)
    try:
        await services.accounts.update_user(
            actor,
            form_text(data, "name", 64),
            roles=_roles(data) if not active else None,
            active=active == "1" if active else None,
            password=form_text(data, "password", 1024) or None,
        )
    except PhalanxError as error:
        return await _show(view, services, actor, "users", problem=error)
    return see_other(view, "/settings/users", said="changed")


@post("/settings/tokens/save", opt=requires(Permission.SELF_MANAGE), status_code=200)
async def create_token(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """A new token: the answer shows it once and is kept by no cache."""
    view = await make_view(request, services, session)
    days = form_text(data, "days", 6)
    try:
        scopes = frozenset(Permission(text) for text in form_list(data, "scope"))
    except ValueError as error:
        raise UsageError("no such scope") from error
    try:
        made = await services.accounts.create_token(
            actor, form_text(data, "name", 64), scopes, days=int(days) if days.isdecimal() else None
        )
    except PhalanxError as error:
        return await _show(view, services, actor, "tokens", problem=error)
    return await _show(view, services, actor, "tokens", made=made)


@post("/settings/tokens/revoke", opt=requires(Permission.SELF_MANAGE), status_code=303)
async def revoke_token(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Make a token useless."""
    view = await make_view(request, services, session)
    await services.accounts.revoke_token(actor, form_text(data, "id", 80))
    return see_other(view, "/settings/tokens", said="revoked")


def _whole(data: dict[str, Any], name: str, fallback: int) -> int:
    text = form_text(data, name, 8)
    return int(text) if text.isdecimal() else fallback


@post("/settings/notify/save", opt=requires(Permission.SETTINGS_WRITE), status_code=303)
async def save_channel(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Make or change a channel."""
    view = await make_view(request, services, session)
    kind = form_text(data, "kind", 20)
    try:
        if kind not in ("apprise", "webhook", "syslog"):
            raise UsageError("no such kind of channel")
        severity = form_text(data, "min_severity", 20)
        channel = Channel(
            id=form_text(data, "id", 80),
            name=form_text(data, "name", 64),
            kind=kind,  # type: ignore[arg-type]  # narrowed by the test above, which mypy does not follow through a call
            address=form_text(data, "address", 1000),
            secret=form_text(data, "secret", 200),
            min_severity=Severity(severity) if severity in Severity._value2member_map_ else Severity.HIGH,
            group_seconds=_whole(data, "group_seconds", 30),
            per_hour=_whole(data, "per_hour", 60),
            enabled=form_text(data, "enabled", 1) == "1",
        )
        await services.settings.save_channel(actor, channel)
    except PhalanxError as error:
        return await _show(view, services, actor, "notify", problem=error)
    return see_other(view, "/settings/notify", said="saved")


@post("/settings/notify/delete", opt=requires(Permission.SETTINGS_WRITE), status_code=303)
async def delete_channel(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Remove a channel."""
    view = await make_view(request, services, session)
    await services.settings.delete_channel(actor, form_text(data, "id", 80))
    return see_other(view, "/settings/notify", said="deleted")


@post("/settings/notify/test", opt=requires(Permission.SETTINGS_WRITE), status_code=303)
async def try_channel(
    request: AnyRequest, services: Services, session: PageSession, actor: Actor, data: dict[str, Any] = FORM
) -> Response[Any]:
    """Send a test message now; a failure is told with its reason."""
    view = await make_view(request, services, session)
    delivery = await services.settings.test_channel(actor, form_text(data, "id", 80))
    if not delivery.ok:
        failed = PhalanxError("the test message was not delivered", hint=delivery.error)
        failed.status = 200
        return await _show(view, services, actor, "notify", problem=failed)
    return see_other(view, "/settings/notify", said="sent")


HANDLERS = (
    settings,
    password,
    end_session,
    create_user,
    change_user,
    create_token,
    revoke_token,
    save_channel,
    delete_channel,
    try_channel,
)
