"""Transfers of regular expressions and of streams in memory (see `transfer`)."""

from __future__ import annotations

import re
from typing import Any

from .ranges import Range, clip, moved, normal, whole
from .transfer import SLOW, TEXT, offset_of, slow


def _span(table: Any, result: Any, match: Any, group: Any) -> Any:
    if not isinstance(result, TEXT):
        return result
    ranges = table.ranges(match.string)
    if ranges is None:
        return result
    start, end = match.span(group)
    return table.put(result, clip(ranges, start, end), "group", (match.string,)) if end > start else result


@slow("group")
def _group_item(table: Any, result: Any, match: Any, key: Any) -> Any:
    return _span(table, result, match, key)


@slow(".group")
def _group(table: Any, result: Any, match: Any, args: Any, keywords: Any) -> Any:
    if type(match) is not re.Match:
        return result
    if len(args) <= 1:
        return _span(table, result, match, args[0] if args else 0)
    return tuple(_span(table, one, match, key) for one, key in zip(result, args, strict=False))


@slow(".groups")
def _groups(table: Any, result: Any, match: Any, args: Any, keywords: Any) -> Any:
    if type(match) is not re.Match:
        return result
    return tuple(
        _span(table, one, match, index + 1) if match.span(index + 1) != (-1, -1) else one
        for index, one in enumerate(result)
    )


@slow(".groupdict")
def _groupdict(table: Any, result: Any, match: Any, args: Any, keywords: Any) -> Any:
    if type(match) is re.Match:
        for name, one in result.items():
            if match.span(name) != (-1, -1):
                result[name] = _span(table, one, match, name)
    return result


@slow(".expand")
def _expand(table: Any, result: Any, match: Any, args: Any, keywords: Any) -> Any:
    if type(match) is not re.Match:
        return result
    ranges = table.ranges(match.string)
    return table.put(result, whole(ranges, len(result)), "expand", (match.string,)) if ranges else result


def _pattern_call(
    receiver: Any, args: tuple[Any, ...], keywords: dict[str, Any] | None, before: int
) -> tuple[Any, tuple[Any, ...]] | None:
    """The pattern and the further arguments of ``re.f(pattern, …)`` or ``pattern.f(…)``; None for anything else."""
    if type(receiver) is re.Pattern:
        return receiver, args
    if receiver is re and len(args) > before:
        try:
            return re.compile(args[0], (keywords or {}).get("flags", 0)), args[1:]
        except (re.error, TypeError, ValueError):
            return None
    return None


@slow(".sub", ".subn")
def _sub(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    found = _pattern_call(receiver, args, keywords, 2)
    text = result[0] if type(result) is tuple else result
    if found is None or len(found[1]) < 2 or not isinstance(text, TEXT):
        return result
    pattern, (replacement, value, *rest) = found
    count = rest[0] if rest else (keywords or {}).get("count", 0)
    ranges, other = table.ranges(value) or (), table.ranges(replacement) or ()
    if not ranges and not other:
        return result
    pieces: list[Range] = []
    at = target = 0
    literal = (isinstance(replacement, str) and "\\" not in replacement) or (
        isinstance(replacement, bytes) and b"\\" not in replacement
    )
    exact = True
    for number, match in enumerate(pattern.finditer(value)):
        if count and number >= count:
            break
        if not literal:
            exact = False
            break
        pieces += clip(ranges, at, match.start(), target)
        target += match.start() - at
        pieces += moved(other, target)
        target += len(replacement)
        at = match.end()
    if exact:
        pieces += clip(ranges, at, len(value), target)
        if target + len(value) - at != len(text):
            exact = False
    if not exact:
        # A function or a template decides what comes in: what is left unmatched is found again, the rest is tainted as a whole.
        pieces = whole([*ranges, *other], len(text))
    from ..marks import removed_by_pattern

    marks = removed_by_pattern(pattern) if not count and literal and ranges and not other else 0
    if marks:
        pieces = [(low, high, source, known | marks) for low, high, source, known in pieces]
    text = table.put(text, pieces, "sub", (value, replacement)) if pieces else text
    return (text, result[1]) if type(result) is tuple else text


@slow(".findall")
def _findall(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    found = _pattern_call(receiver, args, keywords, 1)
    if found is None or not found[1] or type(result) is not list:
        return result
    pattern, (value, *rest) = found
    if table.ranges(value) is None:
        return result
    groups = pattern.groups
    for index, match in enumerate(pattern.finditer(value, *rest)):
        if index >= len(result):
            break
        if groups > 1:
            result[index] = tuple(_span(table, one, match, number + 1) for number, one in enumerate(result[index]))
        else:
            result[index] = _span(table, result[index], match, groups)
    return result


def _resplit(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    """``re.split``: the pieces and the groups of the separators come in the order of the text."""
    found = _pattern_call(receiver, args, keywords, 1)
    if found is None or not found[1] or type(result) is not list:
        return result
    value = found[1][0]
    ranges = table.ranges(value)
    if ranges is None:
        return result
    at = 0
    for index, piece in enumerate(result):
        if piece:
            at = offset_of(value, piece, at)
            result[index] = table.put(piece, clip(ranges, at, at + len(piece)), "split", (value,))
            at += len(piece)
    return result


_text_split = SLOW[".split"]


@slow(".split")
def _any_split(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if isinstance(receiver, TEXT):
        return _text_split(table, result, receiver, args, keywords)
    return _resplit(table, result, receiver, args, keywords)


# --- streams in memory -------------------------------------------------------------------------------------------------------------------


@slow(".write", ".writelines")
def _write(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    """What is written to a `StringIO` or `BytesIO`; other streams are sinks, not carriers."""
    import io

    if not isinstance(receiver, (io.StringIO, io.BytesIO)) or not args:
        return result
    members = args[0] if type(args[0]) in (list, tuple) else (args[0],)
    end = receiver.tell()
    at = end - sum(len(one) for one in members)
    old = table.ranges(receiver) or ()
    pieces = [*clip(old, 0, at)]
    start = at
    for one in members:
        pieces += moved(table.ranges(one) or (), start)
        start += len(one)
    pieces += [(low, high, source, marks) for low, high, source, marks in old if low >= end]
    if pieces or old:
        table.put(receiver, pieces, "write", (receiver, *members))
    return result


@slow("StringIO", "BytesIO")
def _stream(table: Any, result: Any, value: Any = "", *more: Any) -> Any:
    """A stream over tainted text."""
    ranges = table.ranges(value)
    return table.put(result, ranges, "stream", (value,)) if ranges is not None else result


@slow(".StringIO", ".BytesIO")
def _stream_method(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    return _stream(table, result, *args[:1])


@slow(".getvalue", ".read", ".readline", ".readlines", ".read1")
def _read(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    import io

    ranges = table.ranges(receiver)
    if ranges is None:
        return result
    if isinstance(receiver, (io.StringIO, io.BytesIO)) and isinstance(result, TEXT):
        at = len(receiver.getvalue()[: receiver.tell()]) - len(result)
        at = 0 if len(result) == len(receiver.getvalue()) else max(0, at)
        return table.put(result, clip(ranges, at, at + len(result)), "read", (receiver,))
    if type(result) is list:
        for index, one in enumerate(result):
            if isinstance(one, TEXT) and one:
                result[index] = table.put(one, whole(ranges, len(one)), "read", (receiver,))
    return result


@slow(".extend")
def _extend(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if isinstance(receiver, bytearray) and args and isinstance(args[0], (bytes, bytearray)):
        before = len(receiver) - len(args[0])
        pieces = [*clip(table.ranges(receiver) or (), 0, before), *moved(table.ranges(args[0]) or (), before)]
        table.put(receiver, normal(pieces, 64), "extend", (receiver, args[0]))
    return result
