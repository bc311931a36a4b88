"""How taint goes through library functions: ``transfer(table, result, arguments, operation, mark)`` gives the result that carries it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from ..taint.ranges import Range, clip, moved, whole

_TEXT = (str, bytes, bytearray)


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, bytes))


def _marked(pieces: list[Range], mark: int) -> list[Range]:
    return [(low, high, source, known | mark) for low, high, source, known in pieces] if mark else pieces


def _first(table: Any, values: list[Any]) -> tuple[Any, Any]:
    """The first tainted argument (or member of one) and its ranges."""
    for one in values:
        ranges = table.ranges(one)
        if ranges is not None:
            return one, ranges
        if isinstance(one, (list, tuple)):
            for inner in one[:64]:
                ranges = table.ranges(inner)
                if ranges is not None:
                    return inner, ranges
        elif type(one) is dict:
            for inner in list(one.values())[:64]:
                ranges = table.ranges(inner)
                if ranges is not None:
                    return inner, ranges
    return None, None


def to_whole(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """All of the result is tainted; positions are kept where the result is the argument itself."""
    value, ranges = _first(table, values)
    if ranges is None or not isinstance(result, _TEXT):
        return result
    same = isinstance(value, _TEXT) and len(result) == len(value)
    pieces = list(ranges) if same else whole(ranges, len(result))
    return table.put(result, _marked(pieces, mark), op, (value,))


def to_decoded(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """Decoding undoes what encoding made safe: the result carries no marks but a validator's kind of safety is not assumed either."""
    value, ranges = _first(table, values)
    if ranges is None or not isinstance(result, _TEXT):
        return result
    return table.put(result, [(0, len(result), ranges[0][2], 0)], op, (value,))


def to_escaped(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """Markup escaping, character by character where the lengths add up."""
    value, ranges = _first(table, values)
    if ranges is None or not isinstance(result, str):
        return result
    if hasattr(value, "__html__") and len(result) == len(value):
        return table.put(result, list(ranges), op, (value,))
    if isinstance(value, str):
        widths = [_ESCAPED.get(one, 1) for one in value]
        if sum(widths) == len(result):
            ends = [0]
            for width in widths:
                ends.append(ends[-1] + width)
            pieces = [
                (ends[low], ends[min(high, len(value))], source, known)
                for low, high, source, known in ranges
                if low < len(value)
            ]
            return table.put(result, _marked(pieces, mark), op, (value,))
    return table.put(result, _marked(whole(ranges, len(result)), mark), op, (value,))


_ESCAPED = {"&": 5, "<": 4, ">": 4, '"': 5, "'": 5}


def to_path(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """Path functions keep the parts; each tainted argument is found in the result where it survived, else all is tainted."""
    if not _is_text(result):
        return result
    pieces: list[Range] = []
    parents: list[Any] = []
    at = 0
    lost = None
    for one in values:
        ranges = table.ranges(one)
        if ranges is None:
            continue
        parents.append(one)
        if type(one) is type(result):
            found = result.find(one, at)
            if found >= 0:
                pieces += moved(ranges, found)
                at = found + len(one)
                continue
            done = False
            for low, high, source, known in ranges:
                part = one[low:high]
                found = result.find(part, at) if part else -1
                if found >= 0:
                    pieces.append((found, found + len(part), source, known))
                    at = found + len(part)
                    done = True
            if done:
                continue
        lost = ranges
    if not parents:
        return result
    if lost is not None:
        pieces = pieces or whole(lost, len(result))
    return table.put(result, _marked(pieces, mark), op, tuple(parents))


def to_members(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """A parser took the text apart: each text leaf carries the taint of the stretch it came from."""
    value, ranges = _first(table, values)
    if ranges is None and values and isinstance(values[0], (io.StringIO, io.BytesIO)):
        value, ranges = values[0], table.ranges(values[0])
    if ranges is None:
        return result
    return _leaves(table, result, value, ranges, op, [0], 0)


def _leaves(table: Any, node: Any, text: Any, ranges: Any, op: str, budget: list[int], depth: int) -> Any:
    budget[0] += 1
    if depth > 20 or budget[0] > 20_000:
        return node
    if isinstance(node, (str, bytes)):
        return _leaf(table, node, text, ranges, op)
    if type(node) is list:
        for index, one in enumerate(node):
            node[index] = _leaves(table, one, text, ranges, op, budget, depth + 1)
        return node
    if type(node) is dict:
        items = [
            (
                _leaves(table, key, text, ranges, op, budget, depth + 1) if type(key) is str else key,
                _leaves(table, one, text, ranges, op, budget, depth + 1),
            )
            for key, one in node.items()
        ]
        node.clear()
        node.update(items)
        return node
    if type(node) is tuple:
        return tuple(_leaves(table, one, text, ranges, op, budget, depth + 1) for one in node)
    return node


def _leaf(table: Any, node: Any, text: Any, ranges: Any, op: str) -> Any:
    if not node or table.has(node):
        return node
    plain = text
    if isinstance(text, (bytes, bytearray)) and isinstance(node, str):
        plain = bytes(text).decode("latin-1")
    if type(plain) is type(node):
        found = plain.find(node)
        if found >= 0:
            pieces = clip(ranges, found, found + len(node))
            return table.put(node, pieces, op, (text,)) if pieces else node
    return table.put(node, whole(ranges, len(node)), op, (text,))


def to_url(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """A split URL: the parts are made again with their taint, under the same named tuple."""
    value, ranges = _first(table, values)
    if ranges is None or not isinstance(result, tuple):
        return result
    at = 0
    parts = []
    for field, one in zip(result._fields, result, strict=True):  # type: ignore[attr-defined]
        if isinstance(one, type(value)) and one:
            found = value.find(one, at)
            if found < 0:
                lowered = value.lower() if hasattr(value, "lower") else value
                found = lowered.find(one, at)
            if found >= 0:
                pieces = clip(ranges, found, found + len(one))
                one = table.put(one, pieces, f"urlparse.{field}", (value,)) if pieces else one
                at = found + len(one)
        parts.append(one)
    return result._replace(**dict(zip(result._fields, parts, strict=True)))  # type: ignore[attr-defined]


def to_text(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """Text made from a structure: every tainted leaf is looked for in it."""
    if not _is_text(result):
        return result
    pieces: list[Range] = []
    parents: list[Any] = []
    at = 0
    for leaf in _walk(values, 0):
        ranges = table.ranges(leaf)
        if ranges is None:
            continue
        if type(leaf) is not type(result):
            continue
        found = result.find(leaf, at)
        if found < 0:
            found = result.find(leaf)
            if found < at and found >= 0 and pieces:
                continue
        if found >= 0:
            pieces += moved(ranges, found)
            at = found + len(leaf)
            parents.append(leaf)
        else:
            return table.put(result, _marked(whole(ranges, len(result)), mark), op, (leaf,))
    return table.put(result, _marked(pieces, mark), op, tuple(parents)) if pieces else result


def _walk(node: Any, depth: int) -> Any:
    if isinstance(node, (str, bytes)):
        yield node
    elif depth < 8 and isinstance(node, dict):
        for key, one in list(node.items())[:1000]:
            yield from _walk(key, depth + 1)
            yield from _walk(one, depth + 1)
    elif depth < 8 and isinstance(node, (list, tuple)):
        for one in node[:1000]:
            yield from _walk(one, depth + 1)


def to_rows(table: Any, result: Any, values: list[Any], op: str, mark: int) -> Any:
    """Rows of a database: what strangers stored earlier (second order) comes back as a source of its own, safe for nothing."""
    request = table.owner
    if request is None or result is None:
        return result

    def row(one: Any) -> Any:
        if type(one) is tuple:
            return tuple(request.taint(cell, "database", "row") if type(cell) is str and cell else cell for cell in one)
        if type(one) is dict:
            return {
                key: request.taint(cell, "database", "row") if type(cell) is str and cell else cell
                for key, cell in one.items()
            }
        return one

    if type(result) is list and len(result) <= 1000:
        return [row(one) for one in result]
    return row(result)


TRANSFERS: dict[str, Callable[..., Any]] = {
    "whole": to_whole,
    "decode": to_decoded,
    "escape": to_escaped,
    "path": to_path,
    "members": to_members,
    "url": to_url,
    "text": to_text,
    "rows": to_rows,
}
