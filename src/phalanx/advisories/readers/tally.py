"""What a reader could not read, counted by reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["Tally", "as_dict", "as_list", "text", "texts"]


class Tally:
    """Counts what was read and what was skipped, with the reason."""

    def __init__(self) -> None:
        self.records = 0
        self.reasons: Counter[str] = Counter()
        self.newest = ""

    @property
    def skipped(self) -> int:
        """How many records were skipped."""
        return self.reasons.total()

    def read(self, modified: str = "") -> None:
        """One record was read; ``modified`` is its date."""
        self.records += 1
        if modified > self.newest and len(modified) <= 40:
            self.newest = modified

    def skip(self, reason: str) -> None:
        """One record was skipped."""
        self.reasons[reason[:120]] += 1


def as_dict(value: object) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one: feeds leave fields out and write null."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object, limit: int = 4096) -> str:
    """``value`` if it is text, cut at ``limit`` characters; else empty."""
    return value[:limit] if isinstance(value, str) else ""


def texts(value: object, limit: int = 1000) -> tuple[str, ...]:
    """The texts of a list, at most ``limit``."""
    return tuple(item[:4096] for item in as_list(value)[:limit] if isinstance(item, str) and item)
