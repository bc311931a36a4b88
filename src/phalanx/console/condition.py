"""Conditions as markup and as text: colouring for reading, quoting for pivots. Reading the language itself is the language's work."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup

from phalanx.console.hostile import hostile

__all__ = ["coloured", "joined", "quote"]

_WORDS: Final = frozenset(
    [
        "and",
        "or",
        "not",
        "in",
        "contains",
        "icontains",
        "bcontains",
        "startswith",
        "bstartswith",
        "endswith",
        "glob",
        "iglob",
        "regex",
        "intersects",
        "pmatch",
        "exists",
        "oneof",
        "anyof",
        "allof",
    ]
)
_TOKEN: Final = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<field>[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+(?:\[[^\]\s]{0,200}\])?)|(?P<word>[A-Za-z_][\w-]*)|(?P<op>[!=<>]=?|[()])|(?P<space>\s+)|(?P<rest>[^\s"'()!=<>]+|.)""",
    re.DOTALL,
)
_BARE: Final = re.compile(r"[A-Za-z0-9_./:@%+-]+")
_LIMIT: Final = 20_000


def coloured(text: str, *, break_lines: bool = True) -> Markup:
    """A condition as markup: fields and operators marked; with ``break_lines`` a long one gets a line for each top-level ``and``/``or``."""
    parts: list[Markup] = []
    depth = 0
    long = break_lines and len(text) > 90 and "\n" not in text
    for match in _TOKEN.finditer(text[:_LIMIT]):
        kind, piece = match.lastgroup, match.group()
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(depth - 1, 0)
        if kind == "field":
            parts.append(Markup('<span class="f">{}</span>').format(hostile(piece)))
        elif (kind == "word" and piece in _WORDS) or (kind == "op" and piece not in "()"):
            if long and depth == 0 and piece in ("and", "or"):
                parts.append(Markup("\n"))
            parts.append(Markup('<span class="k">{}</span>').format(piece))
        elif kind == "space":
            parts.append(Markup("\n") if "\n" in piece and not long else Markup(" "))
        else:
            parts.append(Markup('<span class="v">{}</span>').format(hostile(piece)))
    if len(text) > _LIMIT:
        parts.append(Markup("…"))
    return Markup("").join(parts)


def quote(value: str) -> str:
    """``value`` as a literal of the language: bare when it may be, else in double quotes."""
    if _BARE.fullmatch(value) and value not in _WORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def joined(*parts: str) -> str:
    """Conditions joined by ``and``, each in parentheses where it needs them; empty ones are left out."""
    kept = [part for part in parts if part.strip()]
    if len(kept) < 2:
        return kept[0] if kept else ""
    return " and ".join(f"({part})" if re.search(r"\bor\b", part) else part for part in kept)
