"""Channels of notifications and runs of simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from phalanx.store.state.tables import channels, runs

__all__ = ["channel", "channels_all", "count_delivery", "drop_channel", "put_channel", "put_run", "run", "runs_last"]


def put_channel(connection: Connection, identifier: str, body: bytes) -> None:
    """Keep a channel; its counters stay."""
    statement = sqlite_insert(channels).values(id=identifier, body=body, sent=0, failed=0, suppressed=0, last_error="")
    connection.execute(statement.on_conflict_do_update(index_elements=[channels.c.id], set_={"body": body}))


def channel(connection: Connection, identifier: str) -> Row[Any] | None:
    """One channel; None when there is none."""
    return connection.execute(select(channels).where(channels.c.id == identifier)).first()


def channels_all(connection: Connection) -> Sequence[Row[Any]]:
    """All channels; at most 200."""
    return connection.execute(select(channels).order_by(channels.c.id).limit(200)).all()


def drop_channel(connection: Connection, identifier: str) -> int:
    """Remove a channel; how many were."""
    return connection.execute(delete(channels).where(channels.c.id == identifier)).rowcount


def count_delivery(
    connection: Connection, identifier: str, *, sent: int, failed: int, suppressed: int, now_ns: int, error: str
) -> None:
    """Count what became of a channel's messages; ``error`` empty after a delivery."""
    connection.execute(
        update(channels)
        .where(channels.c.id == identifier)
        .values(
            sent=channels.c.sent + sent,
            failed=channels.c.failed + failed,
            suppressed=channels.c.suppressed + suppressed,
            last_ns=now_ns,
            last_error=error[:512],
        )
    )


def put_run(connection: Connection, identifier: str, *, started_ns: int, body: bytes) -> None:
    """Keep a run of simulations."""
    statement = sqlite_insert(runs).values(id=identifier, started_ns=started_ns, body=body)
    connection.execute(statement.on_conflict_do_update(index_elements=[runs.c.id], set_={"body": body}))


def run(connection: Connection, identifier: str) -> bytes | None:
    """One run; None when there is none."""
    return connection.execute(select(runs.c.body).where(runs.c.id == identifier)).scalar()


def runs_last(connection: Connection, limit: int) -> list[bytes]:
    """The last runs, newest first."""
    return [row.body for row in connection.execute(select(runs.c.body).order_by(runs.c.started_ns.desc()).limit(limit))]
