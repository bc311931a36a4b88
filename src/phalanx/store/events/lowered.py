"""What lowering a condition or a field of the language gives: SQL over the flat relation of :mod:`phalanx.store.events.schema`.

:mod:`phalanx.store.events.lowering` makes it by two functions that :mod:`phalanx.store.events.ask` calls::

    lower_condition(condition: Condition) -> Lowered     # a boolean; NULL where the condition is UNKNOWN
    lower_field(field: str) -> Lowered                   # the value of a field of the language, for rows and groups

Columns are named bare (``proc_name``); every value that comes from a user is a parameter.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Lowered"]


class Lowered(Struct, frozen=True, kw_only=True):
    """An SQL expression of DuckDB."""

    sql: str
    """With one ``?`` for each parameter, in order."""
    parameters: tuple[Any, ...] = ()
    columns: frozenset[str] = frozenset()
    """Every column of ``schema.COLUMNS`` that it names, ``*_unknown`` included: decides what is joined."""
    kinds: frozenset[str] | None = None
    """Kinds of events that can satisfy it; None when any can."""
