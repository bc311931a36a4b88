"""Outputs of rules: a text with ``%field`` in it, filled from an event, bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phalanx.errors import RuleError
from phalanx.language.evaluate import evaluate, text_of
from phalanx.language.fields import Ref
from phalanx.language.limits import MAX_OUTPUT_CHARS
from phalanx.language.parser import TRANSFORMERS, _Parser
from phalanx.language.problems import Text
from phalanx.language.tree import Expr, refs_of_expr
from phalanx.language.typing_ import Typer
from phalanx.model.event import Event
from phalanx.model.values import UNKNOWN

__all__ = ["Template", "parse_output", "render_value"]

NA = "<NA>"
"""What stands in an output for a value that is absent, as in Falco."""
NOT_KNOWN = "<unknown>"
"""What stands in an output for a value that is UNKNOWN."""
_SILENT = "container.info"


class Template:
    """An output ready to be filled."""

    __slots__ = ("fields", "parts", "text")

    def __init__(self, text: str, parts: tuple[str | tuple[Expr, bool], ...]) -> None:
        self.text = text
        """As written."""
        self.parts = parts
        """Literal text, and expressions with whether the whole line may be left out without them (``%*field``)."""
        self.fields: dict[str, Ref] = {
            ref.key: ref for part in parts if not isinstance(part, str) for ref in refs_of_expr(part[0])
        }
        """Its fields by their text."""

    def render(self, event: Event) -> str:
        """The output for ``event``: hostile text stays hostile; what is absent is ``<NA>``."""
        out: list[str] = []
        left = MAX_OUTPUT_CHARS
        for part in self.parts:
            text = part if isinstance(part, str) else render_value(evaluate(part[0], event))
            out.append(text[:left])
            left -= len(text)
            if left <= 0:
                return "".join(out) + "…"
        return "".join(out)


def render_value(value: Any) -> str:
    """A value for people."""
    if value is None:
        return NA
    if value is UNKNOWN:
        return NOT_KNOWN
    if isinstance(value, tuple):
        return ",".join(render_value(item) for item in value) or NA
    return text_of(value)


def parse_output(text: Text, typer: Typer, on_error: Callable[[RuleError], None]) -> Template:
    """Read an output; what is wrong goes to ``on_error`` and stays in the text as it stands."""
    value = text.value
    parts: list[str | tuple[Expr, bool]] = []
    literal: list[str] = []
    reader = _Parser(text)
    at = 0
    while at < len(value):
        found = value.find("%", at)
        if found < 0:
            literal.append(value[at:])
            break
        literal.append(value[at:found])
        if value.startswith("%%", found):
            literal.append("%")
            at = found + 2
            continue
        reader.at = found + 1
        optional = reader.symbol("*")
        try:
            syntax = reader.field() or (
                reader.transformer(val=False) if value.startswith(TRANSFORMERS, reader.at) else None
            )
            if syntax is None:
                literal.append("%")
                at = found + 1
                continue
            expr = typer.expression(syntax)
        except RuleError as error:
            on_error(error)
            literal.append("%")
            at = found + 1
            continue
        at = reader.at
        if expr.key == _SILENT:
            continue
        if literal:
            parts.append("".join(literal))
            literal = []
        parts.append((expr, optional))
    if literal:
        parts.append("".join(literal))
    return Template(value, tuple(parts))
