"""Users, sessions, tokens and idempotency keys in the state store. Secrets come as digests only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from phalanx.store.state.tables import idempotency, sessions, tokens, users

__all__ = [
    "add_session",
    "add_token",
    "add_user",
    "count_sessions",
    "count_users",
    "drop_dead",
    "drop_session",
    "drop_sessions_of",
    "drop_token",
    "idempotent_answer",
    "keep_answer",
    "session_by_digest",
    "sessions_of",
    "token",
    "tokens_of",
    "touch_session",
    "touch_token",
    "update_user",
    "user",
    "users_all",
]


def count_users(connection: Connection) -> int:
    """How many people there are."""
    return int(connection.execute(select(func.count()).select_from(users)).scalar() or 0)


def add_user(connection: Connection, values: dict[str, Any]) -> None:
    """Keep a new person."""
    connection.execute(insert(users).values(**values))


def user(connection: Connection, name: str) -> Row[Any] | None:
    """One person; None when there is none of that name."""
    return connection.execute(select(users).where(users.c.name == name)).first()


def users_all(connection: Connection) -> Sequence[Row[Any]]:
    """All people by name; at most 10,000."""
    return connection.execute(select(users).order_by(users.c.name).limit(10_000)).all()


def update_user(connection: Connection, name: str, values: dict[str, Any]) -> None:
    """Change a person."""
    connection.execute(update(users).where(users.c.name == name).values(**values))


def add_session(connection: Connection, values: dict[str, Any]) -> None:
    """Keep a new session."""
    connection.execute(insert(sessions).values(**values))


def session_by_digest(connection: Connection, digest: str) -> Row[Any] | None:
    """The session with this digest, joined with its person; None when there is none."""
    return connection.execute(
        select(sessions, users.c.roles, users.c.active)
        .join(users, users.c.name == sessions.c.user)
        .where(sessions.c.digest == digest)
    ).first()


def sessions_of(connection: Connection, name: str) -> Sequence[Row[Any]]:
    """A person's sessions, the last used first; at most 200."""
    return connection.execute(
        select(sessions).where(sessions.c.user == name).order_by(sessions.c.seen_ns.desc()).limit(200)
    ).all()


def touch_session(connection: Connection, digest: str, *, now_ns: int) -> None:
    """Remember that a session was used."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen_ns=now_ns))


def drop_session(connection: Connection, identifier: str, *, name: str) -> int:
    """End one session of a person; how many were ended."""
    return connection.execute(delete(sessions).where(sessions.c.id == identifier, sessions.c.user == name)).rowcount


def drop_sessions_of(connection: Connection, name: str, *, but: str = "") -> int:
    """End all sessions of a person except the one with id ``but``."""
    return connection.execute(delete(sessions).where(sessions.c.user == name, sessions.c.id != but)).rowcount


def count_sessions(connection: Connection) -> int:
    """How many sessions there are."""
    return int(connection.execute(select(func.count()).select_from(sessions)).scalar() or 0)


def drop_dead(connection: Connection, *, now_ns: int, idle_before_ns: int, answers_before_ns: int) -> int:
    """Forget sessions that have ended and old idempotent answers."""
    gone = connection.execute(
        delete(sessions).where((sessions.c.expires_ns <= now_ns) | (sessions.c.seen_ns <= idle_before_ns))
    )
    connection.execute(delete(idempotency).where(idempotency.c.created_ns <= answers_before_ns))
    return gone.rowcount


def add_token(connection: Connection, values: dict[str, Any]) -> None:
    """Keep a new token."""
    connection.execute(insert(tokens).values(**values))


def token(connection: Connection, identifier: str) -> Row[Any] | None:
    """The token with this public id, joined with its owner; None when there is none."""
    return connection.execute(
        select(tokens, users.c.roles, users.c.active)
        .join(users, users.c.name == tokens.c.owner, isouter=True)
        .where(tokens.c.id == identifier)
    ).first()


def tokens_of(connection: Connection, owner: str | None) -> Sequence[Row[Any]]:
    """Tokens of a person, or of all for None; the newest first, at most 1,000."""
    statement = select(tokens).order_by(tokens.c.created_ns.desc()).limit(1_000)
    if owner is not None:
        statement = statement.where(tokens.c.owner == owner)
    return connection.execute(statement).all()


def touch_token(connection: Connection, identifier: str, *, now_ns: int, source: str) -> None:
    """Remember that a token was used, and from where."""
    connection.execute(update(tokens).where(tokens.c.id == identifier).values(used_ns=now_ns, source=source))


def drop_token(connection: Connection, identifier: str) -> int:
    """Make a token useless; how many were."""
    return connection.execute(delete(tokens).where(tokens.c.id == identifier)).rowcount


def idempotent_answer(connection: Connection, *, actor: str, key: str) -> Row[Any] | None:
    """The answer that was given to this key before; None when there was none."""
    return connection.execute(select(idempotency).where(idempotency.c.actor == actor, idempotency.c.key == key)).first()


def keep_answer(connection: Connection, values: dict[str, Any]) -> None:
    """Keep the answer to a key."""
    connection.execute(insert(idempotency).values(**values))
