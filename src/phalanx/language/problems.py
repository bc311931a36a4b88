"""What is wrong with a rule text, as values: many at once, each with its place, a caret and an advice."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from phalanx.errors import RuleError

__all__ = ["Problem", "Text"]


class Text(Struct, frozen=True, kw_only=True):
    """A piece of source text and where it stands, so that an offset in it becomes line and column of its file."""

    value: str
    """The text as the language sees it: a YAML scalar after folding and unescaping."""
    file: str | None = None
    """Name of the file; None for text that was given directly."""
    raw: str | None = None
    """The whole file; None when ``value`` is all there is."""
    start: int = 0
    """Offset in ``raw`` of the scalar's first character."""
    end: int = 0
    """Offset in ``raw`` after its last one."""
    style: str = ""
    """How YAML wrote it: ``'``, ``"``, ``|``, ``>`` or empty for a plain scalar; ``=`` when every offset means ``start``."""
    parts: tuple[tuple[int, Text], ...] = ()
    """When the value was put together from several texts (``append``): where in ``value`` each begins; then only ``value`` counts here."""

    def joined(self, other: Text) -> Text:
        """This text, a blank, and ``other``; both keep their places."""
        parts = self.parts or ((0, self),)
        begin = len(self.value) + 1
        return Text(value=f"{self.value} {other.value}", file=self.file, parts=(*parts, (begin, other)))

    def place(self, offset: int) -> tuple[int, int, str]:
        """``(line, column, text of the line)`` of ``value[offset]``; line and column count from 1, column in characters."""
        if self.parts:
            begin, part = max((entry for entry in self.parts if entry[0] <= offset), key=lambda entry: entry[0])
            return part.place(min(offset - begin, len(part.value)))
        raw = self.raw if self.raw is not None else self.value
        index = self._index(offset)
        starts = _line_starts(raw)
        line = bisect_right(starts, index)
        line_start = starts[line - 1]
        line_end = starts[line] - 1 if line < len(starts) else len(raw)
        return line, index - line_start + 1, raw[line_start:line_end][:2000]

    def _index(self, offset: int) -> int:
        """Offset in ``raw`` of ``value[offset]``: both are walked side by side, because YAML folds lines and drops indentation (blanks are passed over)."""
        if self.raw is None:
            return min(offset, len(self.value))
        if self.style == "=":
            return self.start
        raw, value = self.raw, self.value
        at = self.start
        if self.style in ("|", ">"):
            at = raw.find("\n", at, self.end) + 1 or at
        elif self.style:
            at += 1
        offset = min(offset, len(value))
        end = at
        for char in value[:offset]:
            if char in _BLANKS and not (self.style == '"' and raw[end : end + 1] == "\\"):
                continue
            end = _after(raw, _next(raw, end, self.end), self.style)
        if offset < len(value) and value[offset] not in _BLANKS:
            end = _next(raw, end, self.end)
        return min(end, max(self.start, self.end - 1))


@lru_cache(maxsize=8)
def _line_starts(raw: str) -> tuple[int, ...]:
    """Offset of each line; kept, because a large file may have many problems."""
    return (0, *(match.end() for match in re.finditer("\n", raw)))


_BLANKS = " \t\r\n"


def _next(raw: str, at: int, end: int) -> int:
    """The next character that is no blank."""
    while at < end and raw[at] in _BLANKS:
        at += 1
    return at


def _after(raw: str, at: int, style: str) -> int:
    """The place after the raw characters at ``at`` that stand for one character."""
    if style == '"' and raw[at : at + 1] == "\\":
        return at + {"x": 4, "u": 6, "U": 10}.get(raw[at + 1 : at + 2], 2)
    if style == "'" and raw[at : at + 2] == "''":
        return at + 2
    return at + 1


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or worth a look, in a rule text."""

    severity: Literal["error", "warning"]
    message: str
    hint: str = ""
    """What to do; empty when the message says it."""
    code: str = ""
    """Stable word for this kind of problem: ``syntax``, ``unknown_field``, ``undefined_macro`` …"""
    file: str = "<input>"
    line: int = 1
    """From 1."""
    column: int = 1
    """From 1, in characters."""
    source: str = ""
    """The text of the line."""
    item: str = ""
    """The rule, macro or list it is in: ``rule Name``."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def error(self) -> RuleError:
        """The same, to raise."""
        return RuleError(
            self.message, hint=self.hint or None, file=self.file, line=self.line, column=self.column, source=self.source
        )

    @classmethod
    def of(cls, error: RuleError, *, item: str = "", code: str = "syntax") -> Problem:
        """A raised error as a value."""
        return cls(
            severity="error",
            message=error.message,
            hint=error.hint or "",
            code=getattr(error, "code", code),
            file=error.file or "<input>",
            line=error.line or 1,
            column=error.column or 1,
            source=error.source or "",
            item=item,
        )


class ConditionError(RuleError):
    """A condition cannot be read or typed; ``code`` says which kind of problem it is."""

    def __init__(self, message: str, text: Text, offset: int, *, code: str, hint: str | None = None) -> None:
        line, column, source = text.place(offset)
        file = text.file
        if text.parts:
            file = max((entry for entry in text.parts if entry[0] <= offset), key=lambda entry: entry[0])[1].file
        super().__init__(message, hint=hint, file=file, line=line, column=column, source=source)
        self.code = code
