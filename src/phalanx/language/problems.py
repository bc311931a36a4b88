"""What is wrong with a rule text, as values: many at once, each with its place, a caret and an advice."""

from __future__ import annotations

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
    """How YAML wrote it: ``'``, ``"``, ``|``, ``>`` or empty for a plain scalar."""

    def place(self, offset: int) -> tuple[int, int, str]:
        """``(line, column, text of the line)`` of ``value[offset]``; line and column count from 1, column in characters."""
        raw = self.raw if self.raw is not None else self.value
        index = self._index(offset)
        line_start = raw.rfind("\n", 0, index) + 1
        line_end = raw.find("\n", index)
        line = raw.count("\n", 0, index) + 1
        return line, index - line_start + 1, raw[line_start : line_end if line_end >= 0 else len(raw)][:2000]

    def _index(self, offset: int) -> int:
        """Offset in ``raw`` of ``value[offset]``: both are walked side by side, because YAML folds lines and drops indentation."""
        if self.raw is None:
            return min(offset, len(self.value))
        raw, value = self.raw, self.value
        at = self.start
        if self.style in ("|", ">"):
            at = raw.find("\n", at, self.end) + 1 or at
            while at < self.end and raw[at] in " \n":
                at += 1
        elif self.style:
            at += 1
        last = at
        for char in value[:offset]:
            at = _skip(raw, at, self.end, char, self.style)
            last = at
        while last < self.end and raw[last] in " \n\r\t" and offset < len(value) and value[offset] not in " \n\t":
            last += 1
        return min(last, max(self.start, self.end - 1))


def _skip(raw: str, at: int, end: int, char: str, style: str) -> int:
    """The place after the raw characters that stand for ``char``."""
    if at >= end:
        return at
    if char in " \n" and raw[at] in " \t\r\n":
        if raw[at] not in "\r\n" and "\n" not in raw[at:end].split(raw[at:end].lstrip()[:1] or "\0", 1)[0]:
            return at + 1
        while at < end and raw[at] in " \t\r\n":
            at += 1
        return at
    while at < end and raw[at] in "\r\n" and char not in " \n":
        at += 1
        while at < end and raw[at] == " ":
            at += 1
    if style == '"' and at < end and raw[at] == "\\":
        width = {"x": 4, "u": 6, "U": 10}.get(raw[at + 1 : at + 2], 2)
        return at + width
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
        super().__init__(message, hint=hint, file=text.file, line=line, column=column, source=source)
        self.code = code
