"""People, sessions, tokens, channels and the operators' trail over HTTP.

Programs come with a token, made in the console (or by root: ``POST /api/v1/tokens`` needs a person who owns it). Signing in by password is for
browsers: :mod:`phalanx.console` has the pages.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import Parameter
from msgspec import Struct

from phalanx.api.access import requires
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission, Role
from phalanx.services.accounts import NewToken, SessionView, TokenView, UserView
from phalanx.services.audit import AuditRow, Verification
from phalanx.services.hub import Services
from phalanx.services.paging import Page
from phalanx.services.settings import Channel, ChannelView, Delivery

__all__ = ["ACCOUNT_ROUTES"]


class NewUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person to be made."""

    name: str
    password: str
    roles: frozenset[Role]
    display: str = ""


class UserChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a person; None leaves a part as it is."""

    roles: frozenset[Role] | None = None
    active: bool | None = None
    display: str | None = None
    password: str | None = None


class TokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to be made; ``days`` None does not expire."""

    name: str
    scopes: frozenset[Permission]
    days: int | None = 90


@get("/api/v1/me", opt=requires(Permission.SELF_MANAGE), tags=["accounts"])
async def me(services: Services, actor: Actor) -> UserView:
    """Who asks."""
    return await services.accounts.me(actor)


@get("/api/v1/sessions", opt=requires(Permission.SELF_MANAGE), tags=["accounts"])
async def list_sessions(services: Services, actor: Actor) -> tuple[SessionView, ...]:
    """One's own sessions."""
    return await services.accounts.sessions(actor)


@delete("/api/v1/sessions/{session_id:str}", opt=requires(Permission.SELF_MANAGE), tags=["accounts"])
async def end_session(services: Services, actor: Actor, session_id: str) -> None:
    """End one of one's sessions."""
    await services.accounts.end_session(actor, session_id)


@get("/api/v1/users", opt=requires(Permission.USERS_MANAGE), tags=["accounts"])
async def list_users(services: Services, actor: Actor) -> tuple[UserView, ...]:
    """All people."""
    return await services.accounts.users(actor)


@post("/api/v1/users", opt=requires(Permission.USERS_MANAGE), tags=["accounts"], status_code=201)
async def create_user(services: Services, actor: Actor, data: NewUser) -> UserView:
    """A new person."""
    return await services.accounts.create_user(actor, data.name, data.password, data.roles, display=data.display)


@patch("/api/v1/users/{name:str}", opt=requires(Permission.USERS_MANAGE), tags=["accounts"])
async def update_user(services: Services, actor: Actor, name: str, data: UserChange) -> UserView:
    """Change a person."""
    return await services.accounts.update_user(
        actor, name, roles=data.roles, active=data.active, display=data.display, password=data.password
    )


@get("/api/v1/tokens", opt=requires(Permission.SELF_MANAGE), tags=["accounts"])
async def list_tokens(services: Services, actor: Actor) -> tuple[TokenView, ...]:
    """One's own tokens; all for who manages tokens."""
    return await services.accounts.tokens(actor)


@post("/api/v1/tokens", opt=requires(Permission.SELF_MANAGE), tags=["accounts"], status_code=201)
async def create_token(services: Services, actor: Actor, data: TokenRequest) -> NewToken:
    """A new token; its secret is in this answer only."""
    return await services.accounts.create_token(actor, data.name, data.scopes, days=data.days)


@delete("/api/v1/tokens/{token_id:str}", opt=requires(Permission.SELF_MANAGE), tags=["accounts"])
async def revoke_token(services: Services, actor: Actor, token_id: str) -> None:
    """Make a token useless at once."""
    await services.accounts.revoke_token(actor, token_id)


@get("/api/v1/channels", opt=requires(Permission.SETTINGS_READ), tags=["settings"])
async def list_channels(services: Services, actor: Actor) -> tuple[ChannelView, ...]:
    """Where notifications go."""
    return await services.settings.channels(actor)


@post("/api/v1/channels", opt=requires(Permission.SETTINGS_WRITE), tags=["settings"], status_code=201)
async def create_channel(services: Services, actor: Actor, data: Channel) -> ChannelView:
    """A new channel."""
    return await services.settings.save_channel(actor, msgspec.structs.replace(data, id=""))


@put("/api/v1/channels/{channel_id:str}", opt=requires(Permission.SETTINGS_WRITE), tags=["settings"])
async def replace_channel(services: Services, actor: Actor, channel_id: str, data: Channel) -> ChannelView:
    """Change a channel; a masked address or secret keeps the stored one."""
    return await services.settings.save_channel(actor, msgspec.structs.replace(data, id=channel_id))


@delete("/api/v1/channels/{channel_id:str}", opt=requires(Permission.SETTINGS_WRITE), tags=["settings"])
async def delete_channel(services: Services, actor: Actor, channel_id: str) -> None:
    """Remove a channel."""
    await services.settings.delete_channel(actor, channel_id)


@post(
    "/api/v1/channels/{channel_id:str}/test",
    opt=requires(Permission.SETTINGS_WRITE),
    tags=["settings"],
    status_code=200,
)
async def test_channel(services: Services, actor: Actor, channel_id: str) -> Delivery:
    """Send a test message now."""
    return await services.settings.test_channel(actor, channel_id)


@get("/api/v1/audit", opt=requires(Permission.AUDIT_READ), tags=["audit"])
async def list_audit(
    services: Services,
    actor: Actor,
    who: Annotated[str, Parameter(max_length=64)] = "",
    action: Annotated[str, Parameter(max_length=64)] = "",
    thing: Annotated[str, Parameter(query="object", max_length=256)] = "",
    since_ns: int | None = None,
    until_ns: int | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> Page[AuditRow]:
    """What operators did, newest first; `action` is a prefix."""
    return await services.audit.list(
        actor, who=who, action=action, object=thing, since_ns=since_ns, until_ns=until_ns, cursor=cursor, limit=limit
    )


@get("/api/v1/audit/verify", opt=requires(Permission.AUDIT_READ), tags=["audit"])
async def verify_audit(
    services: Services, actor: Actor, head: Annotated[str, Parameter(max_length=64)] = ""
) -> Verification:
    """Recompute the whole chain; `head` is a hash that was noted earlier and must still be in it."""
    return await services.audit.verify(actor, head=head)


ACCOUNT_ROUTES = (
    me,
    list_sessions,
    end_session,
    list_users,
    create_user,
    update_user,
    list_tokens,
    create_token,
    revoke_token,
    list_channels,
    create_channel,
    replace_channel,
    delete_channel,
    test_channel,
    list_audit,
    verify_audit,
)
"""Registered by the application."""
