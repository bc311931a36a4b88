"""Arithmetic on taint ranges.

A range is the tuple ``(start, end, source, marks)``: a half-open interval of characters (bytes for binary values), the
index of the source in the request's source list, and the bit set of rules for which these characters are known to be safe. The
ranges of a value are sorted, never overlap, are never empty, and two neighbours that touch always differ in source or marks:
so equal taint has one representation, which is what lets a test compare two implementations with ``==``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Range = tuple[int, int, int, int]
Ranges = tuple[Range, ...]


def normal(pieces: Iterable[Range], limit: int, length: int | None = None) -> Ranges:
    """Put sorted, non-overlapping pieces into the one normal form.

    `length` cuts what lies behind the end of the value. Beyond `limit` ranges the rest is covered by one last range of the last
    admitted source with the marks that all of the rest share: coarser, never blind.
    """
    out: list[Range] = []
    for start, end, source, marks in pieces:
        if length is not None and end > length:
            end = length
        if start >= end:
            continue
        if out:
            before = out[-1]
            if before[1] == start and before[2] == source and before[3] == marks:
                out[-1] = (before[0], end, source, marks)
                continue
            if len(out) >= limit:
                out[-1] = (before[0], end, before[2], before[3] & marks)
                continue
        out.append((start, end, source, marks))
    return tuple(out)


def clip(ranges: Sequence[Range], start: int, end: int, shift: int = 0) -> list[Range]:
    """The part of `ranges` inside ``[start, end)``, moved so that `start` becomes `shift`."""
    out: list[Range] = []
    for low, high, source, marks in ranges:
        if high <= start:
            continue
        if low >= end:
            break
        out.append((max(low, start) - start + shift, min(high, end) - start + shift, source, marks))
    return out


def moved(ranges: Sequence[Range], by: int) -> list[Range]:
    """`ranges` moved to the right by `by`."""
    return [(low + by, high + by, source, marks) for low, high, source, marks in ranges]


def whole(ranges: Sequence[Range], length: int) -> list[Range]:
    """One range over all `length` characters: the first source, and only the marks that every range carries.

    For operations that mix the characters (a decoder, a decompressor), where positions mean nothing afterwards.
    """
    marks = ranges[0][3]
    for one in ranges:
        marks &= one[3]
    return [(0, length, ranges[0][2], marks)]


def mapped(ranges: Sequence[Range], widths: Sequence[int]) -> list[Range]:
    """`ranges` after every character *i* has become `widths[i]` characters."""
    ends = [0]
    for width in widths:
        ends.append(ends[-1] + width)
    last = len(ends) - 1
    return [(ends[min(low, last)], ends[min(high, last)], source, marks) for low, high, source, marks in ranges]
