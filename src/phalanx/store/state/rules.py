"""Drafts of rules and rules that are switched off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from phalanx.store.state.tables import drafts, switches

__all__ = [
    "add_draft",
    "draft",
    "drafts_all",
    "drop_draft",
    "in_force",
    "last_applied",
    "set_draft",
    "switch",
    "switched_off",
]


def add_draft(connection: Connection, identifier: str, *, now_ns: int, body: bytes) -> None:
    """Keep a new draft."""
    connection.execute(insert(drafts).values(id=identifier, created_ns=now_ns, body=body))


def draft(connection: Connection, identifier: str) -> Row[Any] | None:
    """One draft; None when there is none."""
    return connection.execute(select(drafts).where(drafts.c.id == identifier)).first()


def drafts_all(connection: Connection) -> Sequence[Row[Any]]:
    """All drafts, newest first; at most 1,000."""
    return connection.execute(select(drafts).order_by(drafts.c.created_ns.desc(), drafts.c.id).limit(1_000)).all()


def set_draft(connection: Connection, identifier: str, values: dict[str, Any]) -> None:
    """Change a draft."""
    connection.execute(update(drafts).where(drafts.c.id == identifier).values(**values))


def drop_draft(connection: Connection, identifier: str) -> None:
    """Forget a draft."""
    connection.execute(delete(drafts).where(drafts.c.id == identifier))


def in_force(connection: Connection) -> tuple[tuple[str, str], ...]:
    """``(file name, YAML)`` of the applied drafts, in the order in which they were applied."""
    rows = connection.execute(
        select(drafts)
        .where(drafts.c.applied_ns.is_not(None), drafts.c.undone_ns.is_(None))
        .order_by(drafts.c.applied_ns, drafts.c.id)
    )
    return tuple((f"local-{row.id}.yaml", str(msgspec.json.decode(row.body)["text"])) for row in rows)


def last_applied(connection: Connection) -> int:
    """When a draft was last put into force; 0 when none ever was."""
    return int(connection.execute(select(func.max(drafts.c.applied_ns))).scalar() or 0)


def switch(connection: Connection, rule: str, *, on: bool, now_ns: int) -> None:
    """Switch a rule on or off."""
    if on:
        connection.execute(delete(switches).where(switches.c.rule == rule))
    else:
        connection.execute(sqlite_insert(switches).on_conflict_do_nothing().values(rule=rule, off_since_ns=now_ns))


def switched_off(connection: Connection) -> tuple[str, ...]:
    """Rules that are switched off."""
    return tuple(row.rule for row in connection.execute(select(switches.c.rule).order_by(switches.c.rule)))
