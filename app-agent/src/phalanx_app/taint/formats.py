"""Reading formatted text back: which part of a `%`, `format` or f-string result came from which value.

The agent never formats a value of the application's own classes a second time (their `__format__` may have effects): the text of such
a piece stays open and its length follows from the rest.
"""

from __future__ import annotations

import re
from _string import formatter_field_name_split, formatter_parser  # type: ignore[import-not-found]
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .ranges import Range, clip, mapped, moved, whole

UNREAD = "?"
_NOTHING = object()
_EXACT = (str, int, float, bool, complex, type(None))
_SPEC = re.compile(r"(?:(.)?([<>=^]))?[-+ ]?z?#?(0)?(\d+)?[,_]?(?:\.(\d+))?s?\Z", re.DOTALL)
_PERCENT = re.compile(r"%(?:\(([^()]*)\))?([-#0 +]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([a-zA-Z%])")


class Piece:
    """One stretch of formatted text.

    `text` or at least `length` may be known; `ranges` are the final ones (a literal of a tainted format), else they come from `value`
    through `place`.
    """

    __slots__ = ("length", "place", "ranges", "text", "value")

    def __init__(
        self,
        text: Any = None,
        value: Any = None,
        ranges: Sequence[Range] | None = None,
        place: Callable[[Any, Sequence[Range]], list[Range]] | None = None,
    ) -> None:
        self.text = text
        self.length = len(text) if text is not None else None
        self.value = value
        self.ranges = ranges
        self.place = place


def fmt(value: Any, conversion: str | None, spec: str) -> Any:
    """What rewritten code passes for ``{value!conversion:spec}``: enough to place the taint, without formatting objects again."""
    return Formatted(value, conversion, spec)


def unread(value: Any) -> Any:
    """What rewritten code passes for a field whose specification is computed: its text is not asked for again."""
    return Formatted(value, UNREAD, "")


class Formatted:
    """A value with its conversion and format specification."""

    __slots__ = ("conversion", "spec", "value")

    def __init__(self, value: Any, conversion: str | None, spec: str) -> None:
        self.value, self.conversion, self.spec = value, conversion, spec


def spec_piece(value: Any, conversion: str | None = None, spec: str = "") -> Piece:
    """The piece that ``format(value, spec)`` gave."""
    if type(value) is Formatted:
        value, conversion, spec = value.value, value.conversion, value.spec
    if conversion == UNREAD:
        return Piece(value=value)
    if conversion == "s" and type(value) is not str:
        return Piece(str(value), value) if type(value) in _EXACT else Piece(value=value)
    if conversion in ("r", "a"):
        if type(value) not in _EXACT:
            return Piece(value=value)
        shown = repr(value) if conversion == "r" else ascii(value)
        return _padded(shown, value, spec, _shown(shown) if type(value) is str else None)
    if type(value) is str:
        return _padded(value, value, spec, _same)
    if isinstance(value, str):
        return Piece(value if not spec and type(value).__format__ is str.__format__ else None, value, None, _same)
    if type(value) in _EXACT:
        try:
            return Piece(format(value, spec), None)
        except (ValueError, TypeError):
            return Piece(value=value)
    return Piece(value=value)


def _same(value: Any, ranges: Sequence[Range]) -> list[Range]:
    return list(ranges)


def _shown(shown: str) -> Callable[[Any, Sequence[Range]], list[Range]]:
    def place(value: Any, ranges: Sequence[Range]) -> list[Range]:
        from .transfer import repr_widths

        return moved(mapped(ranges, repr_widths(value, shown)), 1)

    return place


def _padded(text: str, value: Any, spec: str, inner: Callable[[Any, Sequence[Range]], list[Range]] | None) -> Piece:
    """A text after the fill, width and precision of `spec`."""
    if not spec:
        return Piece(text, value, None, inner)
    match = _SPEC.match(spec)
    if match is None:
        return Piece(value=value)
    try:
        out = format(text, spec)
    except ValueError:
        return Piece(value=value)
    precision = match.group(5)
    kept = min(len(text), int(precision)) if precision is not None else len(text)
    margin = len(out) - kept
    align = match.group(2) or "<"
    left = margin if align == ">" else margin // 2 if align == "^" else 0

    def place(origin: Any, ranges: Sequence[Range]) -> list[Range]:
        mine = inner(origin, ranges) if inner is not None else whole(ranges, len(text))
        return clip(mine, 0, kept, left)

    return Piece(out, value, None, place)


def brace_pieces(
    template: Any, args: Sequence[Any], keywords: Mapping[str, Any], ranges: Sequence[Range]
) -> list[Piece]:
    """The pieces of ``template.format(*args, **keywords)``."""
    out: list[Piece] = []
    automatic = 0
    at = 0
    plain = str(template)
    for literal, field, spec, conversion in formatter_parser(plain):
        if literal:
            # The reader gives an escaped brace as the last character of a literal: one character there, two in the template.
            size = len(literal)
            source_size = size + 1 if literal[-1] in "{}" and plain[at + size : at + size + 1] == literal[-1] else size
            out.append(Piece(literal, None, clip(ranges, at, at + size) if ranges else []))
            at += source_size
        if field is None:
            continue
        closing = _field_end(plain, at)
        at = closing
        if field == "" or field[0] in ".[":
            field = f"{automatic}{field}"
            automatic += 1
        nested = spec
        if "{" in spec:
            filled = brace_pieces_text(spec, args, keywords, automatic)
            automatic += spec.count("{}")
            nested = filled if filled is not None else None
        known, value = _lookup(field, args, keywords)
        if not known:
            out.append(Piece())
        elif nested is None:
            out.append(Piece(value=value))
        else:
            out.append(spec_piece(value, conversion, nested))
    return out


def brace_pieces_text(spec: str, args: Sequence[Any], keywords: Mapping[str, Any], automatic: int) -> str | None:
    """A format specification with its own fields filled in, when all of them are plain numbers or text."""
    text = ""
    for literal, field, inner, conversion in formatter_parser(spec):
        text += literal
        if field is None:
            continue
        if inner or conversion:
            return None
        if field == "":
            field = str(automatic)
            automatic += 1
        known, value = _lookup(field, args, keywords)
        if not known or type(value) not in (str, int):
            return None
        text += str(value)
    return text


def _field_end(template: str, at: int) -> int:
    depth = 0
    while at < len(template):
        if template[at] == "{":
            depth += 1
        elif template[at] == "}":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    return at


def _lookup(field: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[bool, Any]:
    """The value of a replacement field, without running anything of the application: plain members and instance attributes only."""
    first, rest = formatter_field_name_split(field)
    try:
        value = args[first] if isinstance(first, int) else keywords[first]
        for is_attribute, name in rest:
            if is_attribute:
                value = vars(value)[name]
            elif type(value) in (dict, list, tuple):
                value = value[name]
            else:
                return False, None
    except (LookupError, TypeError):
        return False, None
    return True, value


def percent_pieces(template: Any, right: Any, ranges: Sequence[Range]) -> list[Piece]:
    """The pieces of ``template % right``; binary templates are read as Latin-1, where a byte is a character."""
    binary = not isinstance(template, str)
    text = bytes(template).decode("latin-1") if binary else str(template)
    values = iter(right if type(right) is tuple else (right,))
    out: list[Piece] = []
    at = 0
    for match in _PERCENT.finditer(text):
        if match.start() > at:
            out.append(Piece(_as(text[at : match.start()], binary), None, clip(ranges, at, match.start())))
        at = match.end()
        key, flags, width, precision, kind = match.groups()
        if kind == "%":
            out.append(Piece(_as("%", binary), None, clip(ranges, match.end() - 1, match.end())))
            continue
        width = str(next(values, 0)) if width == "*" else width
        precision = str(next(values, 0)) if precision == "*" else precision
        if key is not None:
            value = _key(right, key, binary)
        else:
            value = next(values, _NOTHING)
        out.append(_percent_piece(value, flags, width, precision, kind, binary))
    if at < len(text):
        out.append(Piece(_as(text[at:], binary), None, clip(ranges, at, len(text))))
    return out


def _as(text: str, binary: bool) -> Any:
    return text.encode("latin-1") if binary else text


def _key(right: Any, key: str, binary: bool) -> Any:
    if type(right) is not dict:
        return _NOTHING
    return right.get(key.encode("latin-1") if binary else key, _NOTHING)


def _percent_piece(value: Any, flags: str, width: str | None, precision: str | None, kind: str, binary: bool) -> Piece:
    if value is _NOTHING:
        return Piece()
    plain = str if not binary else bytes
    if (
        kind in "sb"
        and isinstance(value, plain)
        and (type(value) is plain or (not binary and type(value).__str__ is str.__str__))
    ):
        inner: Callable[[Any, Sequence[Range]], list[Range]] | None = _same
        shown = value
    elif kind in "ra" and type(value) is str and not binary:
        shown = repr(value) if kind == "r" else ascii(value)
        inner = _shown(shown)
    elif kind == "s" and type(value) in _EXACT and not binary:
        shown, inner = str(value), None
    elif kind not in "sbra" and type(value) in (int, float, bool, str):
        try:
            made = f"%{flags}{width or ''}{'.' + precision if precision is not None else ''}{kind}" % (value,)
        except (TypeError, ValueError, OverflowError):
            return Piece(value=value)
        return Piece(_as(made, binary), value if type(value) is str else None, None, _same)
    else:
        return Piece(value=value)
    if width is not None and width.startswith("-"):
        flags, width = flags + "-", width[1:]
    kept = min(len(shown), int(precision)) if precision is not None else len(shown)
    total = max(kept, int(width)) if width else kept
    left = 0 if "-" in flags else total - kept

    def place(origin: Any, ranges: Sequence[Range]) -> list[Range]:
        return clip(inner(origin, ranges), 0, kept, left) if inner is not None else []

    fill = _as(" ", binary)
    piece = Piece(fill * left + shown[:kept] + fill * (total - kept - left), value, None, place)
    return piece
