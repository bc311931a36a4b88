"""The operators' trail: who did what to phalanx and through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from phalanx.identity.actor import Actor
from phalanx.identity.audit import AuditEntry, ChainReport, verify_chain
from phalanx.identity.permissions import Permission
from phalanx.services.base import State
from phalanx.services.paging import COUNT_CAP, Count, Page, bounded_limit, decode_cursor, encode_cursor
from phalanx.store.state import ledger

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
    """Reads and verifies the trail; :func:`phalanx.services.base.record` writes it."""

    def __init__(self, state: State) -> None:
        self._state = state

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
        """Acts, newest first; ``action`` is a prefix (``user.``)."""
        actor.require(Permission.AUDIT_READ)
        limit = bounded_limit(limit)
        before = None if cursor is None else int(decode_cursor(cursor, "audit", (int,))[0])

        def work(connection: Connection) -> tuple[list[dict[str, Any]], int]:
            rows = ledger.search(
                connection,
                who=who,
                action=action,
                thing=object,
                since_ns=since_ns,
                until_ns=until_ns,
                before=before,
                limit=limit + 1,
            )
            total = ledger.count(
                connection, who=who, action=action, thing=object, since_ns=since_ns, until_ns=until_ns, cap=COUNT_CAP
            )
            return rows, total

        rows, total = await self._state.read(work)
        shown = tuple(
            AuditRow(**{name: value for name, value in row.items() if name != "previous"}) for row in rows[:limit]
        )
        following = encode_cursor("audit", (shown[-1].number,)) if len(rows) > limit else None
        return Page(rows=shown, next=following, count=Count(value=total, capped=total >= COUNT_CAP))

    async def verify(self, actor: Actor, *, head: str = "") -> Verification:
        """Read the whole chain and recompute every hash; ``head`` is a hash that was noted earlier and must still be in it."""
        actor.require(Permission.AUDIT_READ)

        def work(connection: Connection) -> tuple[ChainReport, bool]:
            known = not head

            def checked() -> Iterator[AuditEntry]:
                nonlocal known
                for fields in ledger.entries(connection):
                    known = known or fields["hash"] == head
                    yield AuditEntry(**fields)

            return verify_chain(checked()), known

        report, known = await self._state.read(work)
        why = (
            report.why
            if known or report.why
            else "the noted head is not in the chain: its end was cut, or it was written anew"
        )
        return Verification(
            intact=not why,
            entries=report.entries,
            until_ns=report.until_ns,
            head=report.head,
            broken_at=report.broken_at,
            why=why,
        )
