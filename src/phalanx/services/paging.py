"""Pages of long lists: keyset cursors and capped counts.

A cursor is the sort key of the last row that was shown, with its unique tie-break, so that rows which come or go meanwhile neither
repeat nor hide others. It is opaque to callers; a changed or foreign one is refused.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from phalanx.errors import UsageError

__all__ = ["COUNT_CAP", "MAX_LIMIT", "Count", "Page", "bounded_limit", "decode_cursor", "encode_cursor"]

T = TypeVar("T")

COUNT_CAP: Final = 10_000
"""Counts are not taken beyond this: a list says "10,000+" rather than paying a scan for a number nobody uses."""
MAX_LIMIT: Final = 1_000
"""Most rows of one page."""


class Count(Struct, frozen=True, kw_only=True):
    """A count that stops at :data:`COUNT_CAP`."""

    value: int
    capped: bool = False
    """True when there are at least ``value``: write "10,000+"."""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """Some rows of a list."""

    rows: tuple[T, ...]
    next: str | None = None
    """Cursor of the page after this one; None at the end."""
    count: Count
    """All rows that match, capped."""


def encode_cursor(order: str, key: tuple[str | int | float, ...]) -> str:
    """A cursor after the row with ``key`` in a list that is sorted by ``order``."""
    return base64.urlsafe_b64encode(msgspec.json.encode([order, *key])).rstrip(b"=").decode("ascii")


def decode_cursor(text: str, order: str, types: tuple[type, ...]) -> tuple[str | int | float, ...]:
    """The key in ``text``. UsageError when it is none, or comes from a list in another order."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        value = msgspec.json.decode(raw, type=list[str | int | float])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise UsageError("this is not a cursor", hint="use the `next` of a page as it was given") from error
    if not value or value[0] != order or len(value) != len(types) + 1:
        raise UsageError("this cursor belongs to a list in another order", hint="start again without a cursor")
    for part, wanted in zip(value[1:], types, strict=True):
        if not isinstance(part, wanted) or (isinstance(part, int) and abs(part) >= 1 << 63):
            raise UsageError("this is not a cursor", hint="use the `next` of a page as it was given")
    return tuple(value[1:])


def bounded_limit(limit: int) -> int:
    """``limit`` when it is one; UsageError else."""
    if not 1 <= limit <= MAX_LIMIT:
        raise UsageError(f"limit is {limit}; it must be between 1 and {MAX_LIMIT}")
    return limit
