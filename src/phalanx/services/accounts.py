"""People and programs: set-up, sign-in, users, sessions, tokens, preferences."""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from anyio import CapacityLimiter, to_thread
from msgspec import Struct
from sqlalchemy import Connection, Row

from phalanx.errors import (
    AuthenticationError,
    ConflictError,
    LimitError,
    NotFoundError,
    PermissionError_,
    PhalanxError,
    UsageError,
)
from phalanx.identity.actor import Actor
from phalanx.identity.passwords import PARALLEL, check_password, hash_password, require_good_password
from phalanx.identity.permissions import Permission, Role
from phalanx.identity.secrets import csrf_token, digest, new_api_token, new_secret, parse_api_token
from phalanx.services.base import State, record
from phalanx.services.limits import Bucket, Window
from phalanx.store.state import accounts as store
from phalanx.text.hostile import show

__all__ = ["Accounts", "NewToken", "SessionView", "SignedIn", "TokenView", "UserView"]


class UserView(Struct, frozen=True, kw_only=True):
    """One person."""

    name: str
    display: str = ""
    roles: tuple[Role, ...]
    active: bool = True
    created_ns: int
    last_login_ns: int | None = None
    preferences: dict[str, str] = {}
    """``theme``, ``language``, ``density``, ``zone`` …; at most 32 of 256 characters."""


class SignedIn(Struct, frozen=True, kw_only=True):
    """A new session."""

    cookie: str
    """Value for the session cookie: given once, kept only as a digest."""
    csrf: str
    """Token that every changing request must carry."""
    user: UserView
    expires_ns: int


class SessionView(Struct, frozen=True, kw_only=True):
    """One session of a person."""

    id: str
    user: str
    created_ns: int
    seen_ns: int
    expires_ns: int
    source: str
    agent: str
    """User-Agent, bounded, hostile."""
    current: bool = False


class TokenView(Struct, frozen=True, kw_only=True):
    """One API token, without its secret."""

    id: str
    name: str
    owner: str
    scopes: tuple[Permission, ...]
    created_ns: int
    expires_ns: int | None
    used_ns: int | None
    source: str = ""
    """Where it was last used from."""


class NewToken(Struct, frozen=True, kw_only=True):
    """A token that was just made."""

    token: str
    """``phx_<id>_<secret>``: shown once."""
    view: TokenView


_LOG: Final = logging.getLogger("phalanx.accounts")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
_RESERVED: Final = frozenset({"phalanx", "root", "nobody"})
_MAX_PREFERENCES: Final = 32
_MAX_PREFERENCE: Final = 256
_MAX_TOKENS: Final = 100
_TOUCH_NS: Final = 60 * 10**9
"""A use is noted at most this often, so that reading pages does not write."""
_S: Final = 10**9


class Accounts:
    """Identity for the console and the API."""

    def __init__(
        self,
        state: State,
        *,
        idle_s: int,
        lifetime_s: int,
        attempts: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._idle_ns = idle_s * _S
        self._lifetime_ns = lifetime_s * _S
        self._setup: str | None = None
        self._hashing = CapacityLimiter(PARALLEL)
        self._by_name = Window(most=attempts, seconds=900, clock=monotonic)
        self._by_source = Window(most=attempts * 5, seconds=900, clock=monotonic)
        self._bucket = Bucket(rate=50, burst=200, clock=monotonic)

    # --- set-up ---------------------------------------------------------------------------------

    async def needs_setup(self) -> bool:
        """True until the first user exists."""
        return await self._state.read(store.count_users) == 0

    async def open_setup(self) -> str | None:
        """A fresh one-time set-up token, to be printed by the process; None when there is a user already.

        Only its digest is kept, in memory: it dies with the process, with its use, and when another one is made.
        """
        if not await self.needs_setup():
            self._setup = None
            return None
        token = new_secret()
        self._setup = digest(token)
        return token

    async def setup(self, token: str, name: str, password: str, *, source: str, agent: str) -> SignedIn:
        """Make the first administrator with the one-time set-up token and sign in."""
        self._by_source.check(source)
        if self._setup is None or not hmac.compare_digest(self._setup, digest(token)):
            self._by_source.fail(source)
            raise AuthenticationError(
                "this set-up link is not valid (any more)", hint="the hub prints a new one when it starts"
            )
        _check_name(name)
        require_good_password(password, name=name)
        hashed = await to_thread.run_sync(hash_password, password, limiter=self._hashing)
        now = self._state.clock()
        actor = Actor(name=name, roles=frozenset({Role.ADMIN}), source=source)

        def work(connection: Connection) -> None:
            if store.count_users(connection):
                raise ConflictError("this hub is set up already")
            store.add_user(connection, _user_values(name, hashed, frozenset({Role.ADMIN}), "", now))
            record(connection, actor, "user.setup", name, now_ns=now, detail={"roles": "admin"})

        await self._state.write(work)
        self._setup = None
        return await self._begin(name, source=source, agent=agent)

    # --- sessions -------------------------------------------------------------------------------

    async def login(self, name: str, password: str, *, source: str, agent: str) -> SignedIn:
        """Sign in. AuthenticationError, the same for an unknown name and a wrong password; LimitError after too many tries."""
        key = name[:64].lower()
        self._by_source.check(source)
        self._by_name.check(key)
        row = await self._state.read(lambda connection: store.user(connection, key))
        stored = row.password if row is not None and row.active else None
        fits, again = await to_thread.run_sync(check_password, stored, password, limiter=self._hashing)
        now = self._state.clock()
        if not fits:
            self._by_source.fail(source)
            self._by_name.fail(key)
            actor = Actor(name=key if row is not None else "?", source=source)
            await self._state.write(
                lambda connection: record(
                    connection,
                    actor,
                    "session.login",
                    key,
                    now_ns=now,
                    refused=True,
                    detail={"agent": show(agent, 200)},
                )
            )
            raise AuthenticationError("the name or the password is wrong")
        self._by_name.forget(key)
        if again:
            hashed = await to_thread.run_sync(hash_password, password, limiter=self._hashing)
            await self._state.write(lambda connection: store.update_user(connection, key, {"password": hashed}))
        return await self._begin(key, source=source, agent=agent)

    async def _begin(self, name: str, *, source: str, agent: str) -> SignedIn:
        cookie, now = new_secret(), self._state.clock()
        hashed = digest(cookie)
        expires = now + self._lifetime_ns

        def work(connection: Connection) -> Row[Any]:
            row = store.user(connection, name)
            if row is None or not row.active:
                raise AuthenticationError("the name or the password is wrong")
            store.drop_dead(
                connection, now_ns=now, idle_before_ns=now - self._idle_ns, answers_before_ns=now - 86_400 * _S
            )
            store.add_session(
                connection,
                {
                    "digest": hashed,
                    "id": hashed[:16],
                    "user": name,
                    "created_ns": now,
                    "seen_ns": now,
                    "expires_ns": expires,
                    "source": source[:64],
                    "agent": agent[:256],
                },
            )
            store.update_user(connection, name, {"last_login_ns": now})
            actor = Actor(name=name, source=source, credential=hashed[:16])
            record(connection, actor, "session.login", name, now_ns=now, detail={"agent": show(agent, 200)})
            return row

        row = await self._state.write(work)
        return SignedIn(cookie=cookie, csrf=csrf_token(cookie), user=_user_view(row), expires_ns=expires)

    async def by_cookie(self, cookie: str, *, source: str) -> Actor | None:
        """The person whose session this is; None when there is none (any more)."""
        hashed, now = digest(cookie), self._state.clock()
        row = await self._state.read(lambda connection: store.session_by_digest(connection, hashed))
        if row is None or not row.active or now >= row.expires_ns or now - row.seen_ns >= self._idle_ns:
            return None
        if now - row.seen_ns >= _TOUCH_NS or now < row.seen_ns:
            await self._touch(lambda connection: store.touch_session(connection, hashed, now_ns=now))
        return Actor(name=row.user, roles=_roles(row.roles), via="session", credential=row.id, source=source)

    async def _touch(self, work: Callable[[Connection], None]) -> None:
        """Note a use. Where that cannot be written (a full disk), people must still be able to look: it is logged and passed over."""
        try:
            await self._state.write(work)
        except PhalanxError as error:
            _LOG.warning("the use of a session or token was not noted: %s", error)

    async def by_token(self, token: str, *, source: str) -> Actor:
        """The program with this token. AuthenticationError when there is none (any more), LimitError when it asks too often."""
        identifier = parse_api_token(token)
        row = None
        if identifier is not None:
            row = await self._state.read(lambda connection: store.token(connection, identifier))
        now = self._state.clock()
        if (
            row is None
            or not hmac.compare_digest(row.digest, digest(token))
            or not row.active
            or (row.expires_ns or now + 1) <= now
        ):
            raise AuthenticationError(
                "this token is not valid (any more)", hint="make another one in Settings › API tokens"
            )
        self._bucket.take(row.id)
        if row.used_ns is None or now - row.used_ns >= _TOUCH_NS:
            used = str(row.id)
            await self._touch(lambda connection: store.touch_token(connection, used, now_ns=now, source=source[:64]))
        scopes = frozenset(Permission(word) for word in row.scopes.split(",") if word)
        return Actor(
            name=row.owner, roles=_roles(row.roles), via="token", scopes=scopes, credential=row.id, source=source
        )

    async def logout(self, actor: Actor) -> None:
        """End the session that asks."""
        now = self._state.clock()

        def work(connection: Connection) -> None:
            if store.drop_session(connection, actor.credential, name=actor.name):
                record(connection, actor, "session.logout", actor.name, now_ns=now)

        await self._state.write(work)

    async def sessions(self, actor: Actor) -> tuple[SessionView, ...]:
        """One's own sessions."""
        actor.require(Permission.SELF_MANAGE)
        rows = await self._state.read(lambda connection: store.sessions_of(connection, actor.name))
        return tuple(
            SessionView(
                id=row.id,
                user=row.user,
                created_ns=row.created_ns,
                seen_ns=row.seen_ns,
                expires_ns=row.expires_ns,
                source=row.source,
                agent=row.agent,
                current=actor.via == "session" and row.id == actor.credential,
            )
            for row in rows
        )

    async def end_session(self, actor: Actor, session_id: str) -> None:
        """End one of one's sessions."""
        actor.require(Permission.SELF_MANAGE)
        now = self._state.clock()

        def work(connection: Connection) -> None:
            if not store.drop_session(connection, session_id, name=actor.name):
                raise NotFoundError("there is no such session of yours")
            record(connection, actor, "session.end", session_id, now_ns=now)

        await self._state.write(work)

    # --- oneself --------------------------------------------------------------------------------

    async def me(self, actor: Actor) -> UserView:
        """The person who asks; at the local socket a person made of what the kernel says."""
        row = await self._state.read(lambda connection: store.user(connection, actor.name))
        if row is None or actor.via == "local":
            return UserView(name=actor.name, roles=tuple(sorted(actor.roles)), created_ns=0)
        return _user_view(row)

    async def set_preferences(self, actor: Actor, preferences: dict[str, str]) -> UserView:
        """Change one's preferences; an empty value removes one."""
        actor.require(Permission.SELF_MANAGE)

        def work(connection: Connection) -> Row[Any]:
            row = _existing(connection, actor.name)
            merged = msgspec.json.decode(row.preferences, type=dict[str, str]) | preferences
            kept = {key: value for key, value in merged.items() if value}
            if len(kept) > _MAX_PREFERENCES or any(
                len(key) > 64 or len(value) > _MAX_PREFERENCE for key, value in kept.items()
            ):
                raise LimitError(f"at most {_MAX_PREFERENCES} preferences of {_MAX_PREFERENCE} characters are kept")
            store.update_user(connection, actor.name, {"preferences": msgspec.json.encode(kept)})
            return _existing(connection, actor.name)

        return _user_view(await self._state.write(work))

    async def change_password(self, actor: Actor, old: str, new: str) -> None:
        """Change one's password; ends all other sessions."""
        actor.require(Permission.SELF_MANAGE)
        if actor.via != "session":
            raise UsageError("a password is changed by its owner in the console")
        self._by_name.check(actor.name)
        row = await self._state.read(lambda connection: _existing(connection, actor.name))
        fits, _ = await to_thread.run_sync(check_password, row.password, old, limiter=self._hashing)
        if not fits:
            self._by_name.fail(actor.name)
            raise PermissionError_("the present password is wrong")
        require_good_password(new, name=actor.name)
        hashed = await to_thread.run_sync(hash_password, new, limiter=self._hashing)
        now = self._state.clock()

        def work(connection: Connection) -> None:
            store.update_user(connection, actor.name, {"password": hashed})
            store.drop_sessions_of(connection, actor.name, but=actor.credential)
            record(connection, actor, "user.password", actor.name, now_ns=now)

        await self._state.write(work)

    # --- users ----------------------------------------------------------------------------------

    async def users(self, actor: Actor) -> tuple[UserView, ...]:
        """All people."""
        actor.require(Permission.USERS_MANAGE)
        return tuple(_user_view(row) for row in await self._state.read(store.users_all))

    async def create_user(
        self, actor: Actor, name: str, password: str, roles: frozenset[Role], *, display: str = ""
    ) -> UserView:
        """A new person."""
        actor.require(Permission.USERS_MANAGE)
        _check_name(name)
        _check_roles(roles)
        require_good_password(password, name=name)
        hashed = await to_thread.run_sync(hash_password, password, limiter=self._hashing)
        now = self._state.clock()

        def work(connection: Connection) -> Row[Any]:
            if store.user(connection, name) is not None:
                raise ConflictError(f"there is a user {name} already")
            store.add_user(connection, _user_values(name, hashed, roles, display, now))
            record(connection, actor, "user.create", name, now_ns=now, detail={"roles": _joined(roles)})
            return _existing(connection, name)

        return _user_view(await self._state.write(work))

    async def update_user(
        self,
        actor: Actor,
        name: str,
        *,
        roles: frozenset[Role] | None = None,
        active: bool | None = None,
        display: str | None = None,
        password: str | None = None,
    ) -> UserView:
        """Change a person; ConflictError when no active administrator would remain. Fewer rights end the person's sessions."""
        actor.require(Permission.USERS_MANAGE)
        if roles is not None:
            _check_roles(roles)
        hashed = None
        if password is not None:
            require_good_password(password, name=name)
            hashed = await to_thread.run_sync(hash_password, password, limiter=self._hashing)
        now = self._state.clock()

        def work(connection: Connection) -> Row[Any]:
            row = _existing(connection, name)
            values: dict[str, Any] = {}
            if roles is not None:
                values["roles"] = _joined(roles)
            if active is not None:
                values["active"] = active
            if display is not None:
                values["display"] = display[:128]
            if hashed is not None:
                values["password"] = hashed
            if not values:
                return row
            store.update_user(connection, name, values)
            if not any(other.active and Role.ADMIN in _roles(other.roles) for other in store.users_all(connection)):
                raise ConflictError(
                    "no active administrator would remain", hint="give somebody else the role admin first"
                )
            lost = roles is not None and _roles(row.roles) - roles
            if active is False or hashed is not None or lost:
                store.drop_sessions_of(connection, name, but=actor.credential if name == actor.name else "")
            told = {key: "changed" if key == "password" else str(value) for key, value in values.items()}
            record(connection, actor, "user.update", name, now_ns=now, detail=told)
            return _existing(connection, name)

        return _user_view(await self._state.write(work))

    # --- tokens ---------------------------------------------------------------------------------

    async def tokens(self, actor: Actor) -> tuple[TokenView, ...]:
        """One's own tokens; all for who manages tokens."""
        actor.require(Permission.SELF_MANAGE)
        owner = None if actor.may(Permission.TOKENS_MANAGE) else actor.name
        return tuple(
            _token_view(row) for row in await self._state.read(lambda connection: store.tokens_of(connection, owner))
        )

    async def create_token(
        self, actor: Actor, name: str, scopes: frozenset[Permission], *, days: int | None = 90
    ) -> NewToken:
        """A token with at most one's own rights; ``days`` None does not expire."""
        actor.require(Permission.SELF_MANAGE)
        missing = scopes - actor.permissions
        if missing:
            raise PermissionError_(f"you do not have {min(missing).value} yourself, so a token of yours cannot have it")
        if not scopes:
            raise UsageError("a token without scopes opens nothing", hint="choose at least one scope")
        if not name.strip() or len(name) > 128:
            raise UsageError("a token needs a name of at most 128 characters")
        if days is not None and not 1 <= days <= 3650:
            raise UsageError("a token lives between 1 and 3,650 days")
        identifier, token = new_api_token()
        now = self._state.clock()
        listed = ",".join(sorted(scope.value for scope in scopes))
        values = {
            "id": identifier,
            "digest": digest(token),
            "name": name.strip(),
            "owner": actor.name,
            "scopes": listed,
            "created_ns": now,
            "expires_ns": None if days is None else now + days * 86_400 * _S,
            "used_ns": None,
            "source": "",
        }

        def work(connection: Connection) -> Row[Any]:
            _existing(connection, actor.name)
            if len(store.tokens_of(connection, actor.name)) >= _MAX_TOKENS:
                raise LimitError(f"you have {_MAX_TOKENS} tokens", hint="revoke those that are not used")
            store.add_token(connection, values)
            record(
                connection,
                actor,
                "token.create",
                identifier,
                now_ns=now,
                detail={"name": name.strip(), "scopes": listed},
            )
            row = store.token(connection, identifier)
            if row is None:
                raise NotFoundError("the token was not kept")
            return row

        return NewToken(token=token, view=_token_view(await self._state.write(work)))

    async def revoke_token(self, actor: Actor, token_id: str) -> None:
        """Make a token useless at once."""
        actor.require(Permission.SELF_MANAGE)
        now = self._state.clock()

        def work(connection: Connection) -> None:
            row = store.token(connection, token_id)
            if row is None or (row.owner != actor.name and not actor.may(Permission.TOKENS_MANAGE)):
                raise NotFoundError("there is no such token")
            store.drop_token(connection, token_id)
            record(connection, actor, "token.revoke", token_id, now_ns=now, detail={"owner": row.owner})

        await self._state.write(work)


def _existing(connection: Connection, name: str) -> Row[Any]:
    row = store.user(connection, name)
    if row is None:
        raise NotFoundError(
            f"there is no user {show(name, 64)}", hint="make one in Settings › Users, and act in its name"
        )
    return row


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None or name in _RESERVED:
        raise UsageError(
            "this cannot be a user's name",
            hint="use a to z, digits and . _ @ -, at most 64; not root, phalanx or nobody",
        )


def _check_roles(roles: frozenset[Role]) -> None:
    if not roles:
        raise UsageError("a user needs at least one role")


def _joined(roles: frozenset[Role]) -> str:
    return ",".join(sorted(role.value for role in roles))


def _roles(text: str | None) -> frozenset[Role]:
    return frozenset(Role(word) for word in (text or "").split(",") if word)


def _user_values(name: str, hashed: str, roles: frozenset[Role], display: str, now_ns: int) -> dict[str, Any]:
    return {
        "name": name,
        "display": display[:128],
        "password": hashed,
        "roles": _joined(roles),
        "active": True,
        "created_ns": now_ns,
        "preferences": b"{}",
    }


def _user_view(row: Row[Any]) -> UserView:
    return UserView(
        name=row.name,
        display=row.display,
        roles=tuple(sorted(_roles(row.roles))),
        active=row.active,
        created_ns=row.created_ns,
        last_login_ns=row.last_login_ns,
        preferences=msgspec.json.decode(row.preferences, type=dict[str, str]),
    )


def _token_view(row: Row[Any]) -> TokenView:
    return TokenView(
        id=row.id,
        name=row.name,
        owner=row.owner,
        scopes=tuple(Permission(word) for word in row.scopes.split(",") if word),
        created_ns=row.created_ns,
        expires_ns=row.expires_ns,
        used_ns=row.used_ns,
        source=row.source,
    )
