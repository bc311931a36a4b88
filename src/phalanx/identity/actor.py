"""Who asks: a person in a session, a program with a token, root at the local socket, or the platform itself."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from phalanx.errors import PermissionError_
from phalanx.identity.permissions import Permission, Role, permissions_of

__all__ = ["PLATFORM", "Actor", "Via"]

Via = Literal["session", "token", "local", "platform"]
"""How somebody came in: console session, API token, the local Unix socket (root or the hub's own user), or phalanx on its own account."""


class Actor(Struct, frozen=True, kw_only=True):
    """Who asks, and what they may do."""

    name: str
    """User name; ``root`` at the local socket; ``phalanx`` for the platform itself."""
    roles: frozenset[Role] = frozenset()
    via: Via = "session"
    scopes: frozenset[Permission] | None = None
    """What a token is limited to; None for no limit beyond the roles."""
    credential: str = ""
    """Public id of the session or token that was shown; never a secret."""
    source: str = ""
    """Address that the request came from; ``unix`` at the local socket."""

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the roles grant, cut to the token's scopes."""
        granted = permissions_of(self.roles)
        return granted if self.scopes is None else granted & self.scopes

    def may(self, permission: Permission) -> bool:
        """Whether this actor has ``permission``."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """PermissionError_ when this actor does not have ``permission``."""
        if self.may(permission):
            return
        if self.scopes is not None and permission in permissions_of(self.roles):
            raise PermissionError_(
                f"this token does not have the scope {permission.value}",
                hint="make a token with that scope",
            )
        raise PermissionError_(
            f"{self.name} may not do this: it needs {permission.value}",
            hint="an administrator can give a role that has it",
        )


PLATFORM: Final = Actor(name="phalanx", roles=frozenset({Role.ADMIN}), via="platform")
"""The platform itself: what it does on its own account stands in histories and in the trail under this name."""
