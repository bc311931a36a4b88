"""The operators' trail in the state store: appended, read, never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, desc, func, insert, select

from phalanx.store.state.tables import audit

__all__ = ["append", "count", "entries", "head", "search"]

_CHUNK: Final = 500


def head(connection: Connection) -> tuple[int, str] | None:
    """``(number, hash)`` of the last entry; None when there is none."""
    row = connection.execute(select(audit.c.number, audit.c.hash).order_by(desc(audit.c.number)).limit(1)).first()
    return None if row is None else (int(row.number), str(row.hash))


def append(connection: Connection, content: dict[str, Any], *, genesis: str, seal: Callable[..., str]) -> int:
    """Append an entry inside a writing transaction; answers its number.

    ``content`` has every field but number, previous and hash; ``seal`` computes the hash from all fields.
    """
    last = head(connection)
    number, previous = (1, genesis) if last is None else (last[0] + 1, last[1])
    sealed = seal(number=number, previous=previous, **content)
    stored = content | {
        "detail": msgspec.json.encode(content["detail"]),
        "number": number,
        "previous": previous,
        "hash": sealed,
    }
    connection.execute(insert(audit).values(**stored))
    return number


def entries(connection: Connection) -> Iterator[dict[str, Any]]:
    """All entries from the first, a chunk in memory at a time."""
    last = 0
    while True:
        rows = connection.execute(
            select(audit).where(audit.c.number > last).order_by(audit.c.number).limit(_CHUNK)
        ).all()
        if not rows:
            return
        yield from (_fields(row) for row in rows)
        last = int(rows[-1].number)


def _conditions(who: str, action: str, thing: str, since_ns: int | None, until_ns: int | None) -> list[Any]:
    conditions: list[Any] = []
    if who:
        conditions.append(audit.c.actor == who)
    if action:
        conditions.append(audit.c.action.startswith(action, autoescape=True))
    if thing:
        conditions.append(audit.c.object == thing)
    if since_ns is not None:
        conditions.append(audit.c.ts_ns >= since_ns)
    if until_ns is not None:
        conditions.append(audit.c.ts_ns < until_ns)
    return conditions


def search(
    connection: Connection,
    *,
    who: str = "",
    action: str = "",
    thing: str = "",
    since_ns: int | None = None,
    until_ns: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Entries, newest first; ``action`` is a prefix, ``before`` the number of the last row of the page before."""
    conditions = _conditions(who, action, thing, since_ns, until_ns)
    if before is not None:
        conditions.append(audit.c.number < before)
    rows = connection.execute(select(audit).where(*conditions).order_by(desc(audit.c.number)).limit(limit)).all()
    return [_fields(row) for row in rows]


def count(
    connection: Connection,
    *,
    who: str = "",
    action: str = "",
    thing: str = "",
    since_ns: int | None = None,
    until_ns: int | None = None,
    cap: int,
) -> int:
    """How many entries fit, at most ``cap``."""
    inner = select(audit.c.number).where(*_conditions(who, action, thing, since_ns, until_ns)).limit(cap).subquery()
    return int(connection.execute(select(func.count()).select_from(inner)).scalar() or 0)


def _fields(row: Row[Any]) -> dict[str, Any]:
    fields = dict(row._mapping)
    fields["detail"] = msgspec.json.decode(fields["detail"], type=dict[str, str])
    return fields
