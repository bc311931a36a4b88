"""What agents told last: agents, containers, losses, acknowledged reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, case, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from phalanx.model.container import Container
from phalanx.model.event import Loss
from phalanx.store.state.tables import agents, containers, losses, reports

__all__ = [
    "acknowledged",
    "add_losses",
    "agent",
    "agents_all",
    "container_at",
    "container_by_id",
    "containers_page",
    "count_containers",
    "drop_old",
    "fact_of",
    "facts_between",
    "hear",
    "images",
    "keep_report",
    "loss_total",
    "losses_between",
    "losses_by_cause",
    "put_facts",
]

_CONTAINER: Final = msgspec.json.Decoder(Container)


def acknowledged(connection: Connection, report: str) -> bool:
    """Whether this report was taken in before."""
    return connection.execute(select(reports.c.id).where(reports.c.id == report)).first() is not None


def keep_report(connection: Connection, report: str, *, agent: str, now_ns: int) -> None:
    """Remember that a report was taken in."""
    connection.execute(
        sqlite_insert(reports).on_conflict_do_nothing().values(id=report, agent=agent, received_ns=now_ns)
    )


def hear(connection: Connection, *, agent: str, host: str, boot: str, now_ns: int, status: bytes | None) -> None:
    """An agent was heard, perhaps with its status."""
    values: dict[str, Any] = {"host": host, "boot": boot, "heard_ns": now_ns}
    if status is not None:
        values["status"] = status
    statement = sqlite_insert(agents).values(agent=agent, first_seen_ns=now_ns, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[agents.c.agent], set_=values))


def agents_all(connection: Connection) -> Sequence[Row[Any]]:
    """All agents; at most 10,000."""
    return connection.execute(select(agents).order_by(agents.c.agent).limit(10_000)).all()


def agent(connection: Connection, identifier: str) -> Row[Any] | None:
    """One agent; None when it was never heard."""
    return connection.execute(select(agents).where(agents.c.agent == identifier)).first()


def add_losses(connection: Connection, events: Sequence[Loss]) -> None:
    """Keep what was not seen; a loss that is known is left as it is."""
    if events:
        connection.execute(
            sqlite_insert(losses).on_conflict_do_nothing(),
            [
                {
                    "agent": event.agent,
                    "seq": event.seq,
                    "ts_ns": event.ts_ns,
                    "since_ns": event.since_ns,
                    "cause": event.cause[:64],
                    "count": event.count,
                }
                for event in events
            ],
        )


def losses_by_cause(connection: Connection, *, since_ns: int) -> list[tuple[str, str, int | None, int]]:
    """``(agent, cause, events, time of the last)``; None where a count is not known."""
    rows = connection.execute(
        select(
            losses.c.agent,
            losses.c.cause,
            func.sum(losses.c.count),
            func.max(losses.c.ts_ns),
            func.count(),
            func.count(losses.c.count),
        )
        .where(losses.c.ts_ns >= since_ns)
        .group_by(losses.c.agent, losses.c.cause)
        .limit(10_000)
    )
    return [(row[0], row[1], int(row[2]) if row[4] == row[5] else None, int(row[3])) for row in rows]


def losses_between(connection: Connection, since_ns: int, until_ns: int) -> list[tuple[int, int | None, int | None]]:
    """``(time, since, count)`` of each loss in a time, oldest first; at most 10,000."""
    rows = connection.execute(
        select(losses.c.ts_ns, losses.c.since_ns, losses.c.count)
        .where(losses.c.ts_ns >= since_ns, losses.c.ts_ns < until_ns)
        .order_by(losses.c.ts_ns)
        .limit(10_000)
    )
    return [(int(row[0]), row[1], row[2]) for row in rows]


def loss_total(connection: Connection, *, since_ns: int, until_ns: int) -> int:
    """Events known to be lost in a time."""
    return int(
        connection.execute(
            select(func.sum(losses.c.count)).where(losses.c.ts_ns >= since_ns, losses.c.ts_ns < until_ns)
        ).scalar()
        or 0
    )


def put_facts(connection: Connection, host: str, facts: Sequence[Container], *, now_ns: int) -> None:
    """Keep what a runtime told of containers; a fact replaces the one with the same beginning and ends the one before it."""
    for fact in facts:
        values = {
            "until_ns": fact.until_ns,
            "name": fact.name,
            "image": fact.image,
            "heard_ns": now_ns,
            "body": msgspec.json.encode(fact),
        }
        statement = sqlite_insert(containers).values(host=host, id=fact.id, since_ns=fact.since_ns, **values)
        keys = [containers.c.host, containers.c.id, containers.c.since_ns]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values))
        connection.execute(
            update(containers)
            .where(
                containers.c.host == host,
                containers.c.id == fact.id,
                containers.c.since_ns < fact.since_ns,
                or_(containers.c.until_ns.is_(None), containers.c.until_ns > fact.since_ns),
            )
            .values(until_ns=fact.since_ns)
        )


def _fact(row: Row[Any]) -> Container:
    fact = _CONTAINER.decode(row.body)
    return fact if fact.until_ns == row.until_ns else msgspec.structs.replace(fact, until_ns=row.until_ns)


def container_at(connection: Connection, host: str, identifier: str, ts_ns: int) -> Container | None:
    """What is known of a container at a time; the nearest fact when none holds exactly then; None when there is none."""
    if identifier in ("", "host"):
        return None
    rows = connection.execute(
        select(containers)
        .where(containers.c.host == host, containers.c.id == identifier)
        .order_by(containers.c.since_ns.desc())
        .limit(16)
    ).all()
    for row in rows:
        if row.since_ns <= ts_ns:
            return _fact(row)
    return _fact(rows[-1]) if rows else None


def container_by_id(connection: Connection, identifier: str) -> Row[Any] | None:
    """The latest row of a container; None when there is none."""
    return connection.execute(
        select(containers).where(containers.c.id == identifier).order_by(containers.c.since_ns.desc()).limit(1)
    ).first()


def fact_of(row: Row[Any]) -> Container:
    """The container in a row."""
    return _fact(row)


def facts_between(connection: Connection, since_ns: int, until_ns: int) -> Iterator[tuple[str, Container]]:
    """``(host, container)`` of every fact that holds at some time in between; at most 100,000."""
    rows = connection.execute(
        select(containers)
        .where(containers.c.since_ns < until_ns, or_(containers.c.until_ns.is_(None), containers.c.until_ns > since_ns))
        .limit(100_000)
    )
    for row in rows:
        yield row.host, _fact(row)


def _wanted(host: str, text: str, running: bool | None) -> list[Any]:
    later = containers.alias()
    conditions: list[Any] = [
        ~select(later.c.id)
        .where(
            later.c.host == containers.c.host, later.c.id == containers.c.id, later.c.since_ns > containers.c.since_ns
        )
        .exists()
    ]
    if host:
        conditions.append(containers.c.host == host)
    if text:
        like = text.lower()
        conditions.append(
            or_(
                func.lower(containers.c.name).contains(like, autoescape=True),
                func.lower(containers.c.image).contains(like, autoescape=True),
                containers.c.id.startswith(like, autoescape=True),
            )
        )
    if running is not None:
        conditions.append(containers.c.until_ns.is_(None) if running else containers.c.until_ns.is_not(None))
    return conditions


def containers_page(
    connection: Connection,
    *,
    host: str,
    text: str,
    running: bool | None,
    after: tuple[int, int, str] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The latest row of each container, running ones first, then by start, newest first; ``after`` is ``(gone, since_ns, id)``."""
    gone = case((containers.c.until_ns.is_(None), 0), else_=1)
    conditions = _wanted(host, text, running)
    if after is not None:
        was_gone, since, identifier = after
        conditions.append(
            or_(
                gone > was_gone,
                (gone == was_gone)
                & or_(containers.c.since_ns < since, (containers.c.since_ns == since) & (containers.c.id > identifier)),
            )
        )
    order = (gone, containers.c.since_ns.desc(), containers.c.id)
    return connection.execute(select(containers).where(*conditions).order_by(*order).limit(limit)).all()


def count_containers(
    connection: Connection, *, host: str = "", text: str = "", running: bool | None = None, cap: int
) -> int:
    """How many containers fit, at most ``cap``."""
    inner = select(containers.c.id).where(*_wanted(host, text, running)).limit(cap).subquery()
    return int(connection.execute(select(func.count()).select_from(inner)).scalar() or 0)


def images(connection: Connection, *, text: str, limit: int) -> list[tuple[str, int, int, int, int, str]]:
    """``(image, running, ever seen, first seen, last heard, hosts joined by newline)``; those in use first."""
    running = func.count(containers.c.id.distinct()).filter(containers.c.until_ns.is_(None))
    statement = (
        select(
            containers.c.image,
            running,
            func.count(containers.c.id.distinct()),
            func.min(containers.c.since_ns),
            func.max(containers.c.heard_ns),
            func.group_concat(containers.c.host.distinct()),
        )
        .where(containers.c.image != "")
        .group_by(containers.c.image)
        .order_by(running.desc(), containers.c.image)
        .limit(limit)
    )
    if text:
        statement = statement.where(func.lower(containers.c.image).contains(text.lower(), autoescape=True))
    return [
        (row[0], int(row[1]), int(row[2]), int(row[3]), int(row[4]), str(row[5]))
        for row in connection.execute(statement)
    ]


def drop_old(connection: Connection, *, before_ns: int) -> int:
    """Forget old losses, reports and containers that are gone since then."""
    gone = connection.execute(delete(losses).where(losses.c.ts_ns < before_ns)).rowcount
    gone += connection.execute(delete(reports).where(reports.c.received_ns < before_ns)).rowcount
    gone += connection.execute(delete(containers).where(containers.c.until_ns < before_ns)).rowcount
    return gone
