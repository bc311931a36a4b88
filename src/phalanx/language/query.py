"""A question to the event store: time range, condition, text, and what to make of the rows. The same condition language as rules.

Each store lowers it to its engine (:mod:`phalanx.store.events.lowering` for DuckDB); nothing in it depends on one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from phalanx.language.condition import Condition

__all__ = ["EventQuery"]


class EventQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to find in the history of events.

    Without ``group_by`` and ``bucket_ns`` it asks for rows; with either of them for counts.
    """

    since_ns: int | None = None
    """First instant, UTC ns, included; None: from the oldest that is stored."""
    until_ns: int | None = None
    """Last instant, excluded; None: up to the newest."""
    where: str | Condition | None = None
    """The condition, as text or already typed; None asks for all."""
    text: str = ""
    """Text that must occur, whatever its case (ASCII), in a name, path, command line or address of the event; empty: no such wish."""
    kinds: tuple[str, ...] = ()
    """Tags of event structs (``exec``, ``open`` …); empty: all kinds."""
    agents: tuple[str, ...] = ()
    """Ids of agents; empty: all agents."""
    fields: tuple[str, ...] = ()
    """Fields of the language that a row is to carry; empty: the columns that the store shows by default."""
    group_by: tuple[str, ...] = ()
    """Fields of the language, at most 4: count the rows for each combination of their values."""
    top_n: int = 0
    """With ``group_by``: only so many groups, the commonest first; 0: up to ``limit``."""
    bucket_ns: int = 0
    """Width of a histogram's buckets, which begin at multiples of it since 1970; 0: no histogram."""
    order: Literal["newest", "oldest"] = "newest"
    """Order of rows, and of buckets."""
    limit: int = 100
    """Most rows or groups in the answer, 1 to 10,000."""
    cursor: str = ""
    """Where a former answer ended (opaque); empty: from the beginning."""
    undecided: bool = False
    """Ask instead for the rows for which the condition is UNKNOWN: neither true nor false."""

    def condition(self) -> Condition | None:
        """``where`` typed; None when there is none. RuleError when it is wrong."""
        if isinstance(self.where, str):
            if not self.where.strip():
                return None
            from phalanx.language.condition import parse_condition

            return parse_condition(self.where)
        return self.where
