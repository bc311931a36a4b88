"""People and programs: set-up, sign-in, users, sessions, tokens, preferences."""

from __future__ import annotations

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission, Role

__all__ = ["Accounts", "NewToken", "SessionView", "SignedIn", "TokenView", "UserView"]


class UserView(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Accounts:
    """Identity for the console and the API."""

    async def needs_setup(self) -> bool:
        """True until the first user exists."""
        raise NotImplementedError

    async def setup(self, token: str, name: str, password: str, *, source: str, agent: str) -> SignedIn:
        """Make the first administrator with the one-time set-up token and sign in."""
        raise NotImplementedError

    async def login(self, name: str, password: str, *, source: str, agent: str) -> SignedIn:
        """Sign in. AuthenticationError, the same for an unknown name and a wrong password; LimitError after too many tries."""
        raise NotImplementedError

    async def logout(self, actor: Actor) -> None:
        """End the session that asks."""
        raise NotImplementedError

    async def me(self, actor: Actor) -> UserView:
        """The person who asks."""
        raise NotImplementedError

    async def set_preferences(self, actor: Actor, preferences: dict[str, str]) -> UserView:
        """Change one's preferences; an empty value removes one."""
        raise NotImplementedError

    async def change_password(self, actor: Actor, old: str, new: str) -> None:
        """Change one's password; ends all other sessions."""
        raise NotImplementedError

    async def users(self, actor: Actor) -> tuple[UserView, ...]:
        """All people."""
        raise NotImplementedError

    async def create_user(
        self, actor: Actor, name: str, password: str, roles: frozenset[Role], *, display: str = ""
    ) -> UserView:
        """A new person."""
        raise NotImplementedError

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
        """Change a person; ConflictError when no active administrator would remain."""
        raise NotImplementedError

    async def sessions(self, actor: Actor) -> tuple[SessionView, ...]:
        """One's own sessions."""
        raise NotImplementedError

    async def end_session(self, actor: Actor, session_id: str) -> None:
        """End one of one's sessions."""
        raise NotImplementedError

    async def tokens(self, actor: Actor) -> tuple[TokenView, ...]:
        """One's own tokens; all for who manages tokens."""
        raise NotImplementedError

    async def create_token(
        self, actor: Actor, name: str, scopes: frozenset[Permission], *, days: int | None = 90
    ) -> NewToken:
        """A token with at most one's own rights; ``days`` None does not expire."""
        raise NotImplementedError

    async def revoke_token(self, actor: Actor, token_id: str) -> None:
        """Make a token useless at once."""
        raise NotImplementedError
