"""The operators' trail: who did what to phalanx and through it."""

from __future__ import annotations

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.services.paging import Page

__all__ = ["Audit", "AuditRow", "Verification"]


class AuditRow(Struct, frozen=True, kw_only=True):
    """One act."""

    number: int
    ts_ns: int
    actor: str
    via: str
    """``session``, ``token``, ``local`` or ``platform``."""
    credential: str
    source: str
    action: str
    """``finding.state``, ``rule.apply``, ``user.create``, ``session.login`` …"""
    object: str
    outcome: str
    """``done`` or ``refused``."""
    detail: dict[str, str]
    hash: str


class Verification(Struct, frozen=True, kw_only=True):
    """Whether the chain is whole."""

    intact: bool
    entries: int
    until_ns: int | None
    """Time of the last good entry."""
    head: str
    """Hash of the last entry: keep it elsewhere to notice a cut end."""
    broken_at: int | None = None
    """Number of the first entry that does not fit; None when all do."""
    why: str = ""


class Audit:
    """Reads and verifies the trail. Writing is :func:`record`, called by the other services."""

    async def list(
        self,
        actor: Actor,
        *,
        who: str = "",
        action: str = "",
        object: str = "",
        since_ns: int | None = None,
        until_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[AuditRow]:
        """Acts, newest first."""
        raise NotImplementedError

    async def verify(self, actor: Actor) -> Verification:
        """Read the whole chain and recompute every hash."""
        raise NotImplementedError
