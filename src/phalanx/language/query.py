"""What is asked of the past: time range, condition, text, and the shape of the answer. A store lowers it to its engine."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

__all__ = ["MAX_LIMIT", "EventQuery"]

MAX_LIMIT: Final = 10_000
"""No answer has more rows or groups; further rows come by cursor."""


class EventQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question. Columns and groups are names of :data:`phalanx.store.events.schema.COLUMNS`.

    The answer is rows (newest first unless ``oldest_first``), or groups with their counts when ``group_by`` is given, or a histogram over time when
    ``bucket_ns`` is given (with ``group_by``: one for each of the ``limit`` largest groups).
    """

    since_ns: int | None = None
    """First instant, UTC ns, inclusive; None: as far back as anything is kept."""
    until_ns: int | None = None
    """End, UTC ns, exclusive; None: now."""
    where: Any = None
    """Condition, an expression of :mod:`phalanx.language.ast` after type checking; None: every event."""
    text: str = ""
    """Substring, without regard to case, in command line, paths, names and addresses; empty: no text is asked for."""
    agents: tuple[str, ...] = ()
    """Only events of these agents; empty: of all."""
    kinds: tuple[str, ...] = ()
    """Only events of these kinds; empty: of all. Also says for which kinds the answer has to be complete."""
    columns: tuple[str, ...] = ()
    """Columns of the rows; empty: the store's default for lists."""
    group_by: tuple[str, ...] = ()
    bucket_ns: int | None = None
    order: Literal["time", "count"] = "time"
    oldest_first: bool = False
    limit: int = 100
    """Rows or groups, 1 to :data:`MAX_LIMIT`."""
    cursor: str | None = None
    """Where a former answer ended; None: from the beginning."""
    time_limit_s: float = 10.0
    """After this many seconds the store ends the question with a ``LimitError``."""
