"""Patterns of conditions as RE2 expressions: linear in time, bounded in memory, the same text for Python and for DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from phalanx.language.limits import MAX_PATTERN_BYTES, MAX_PATTERN_CHARS

__all__ = [
    "ASCII_LOWER",
    "ASCII_UPPER",
    "escape",
    "full_match",
    "glob_pattern",
    "lower",
    "pattern_of",
    "prefix_pattern",
    "upper",
]

_UPPER_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER_LETTERS: Final = _UPPER_LETTERS.lower()
ASCII_LOWER: Final = str.maketrans(_UPPER_LETTERS, _LOWER_LETTERS)
ASCII_UPPER: Final = str.maketrans(_LOWER_LETTERS, _UPPER_LETTERS)
_SPECIAL: Final = frozenset("\\.+*?()|[]{}^$")


def lower(text: str) -> str:
    """``text`` with A-Z as a-z and nothing else changed, as C's ``tolower`` does to bytes."""
    return text.lower() if text.isascii() else text.translate(ASCII_LOWER)


def upper(text: str) -> str:
    """``text`` with a-z as A-Z and nothing else changed."""
    return text.upper() if text.isascii() else text.translate(ASCII_UPPER)


def escape(text: str) -> str:
    """``text`` as an RE2 expression that matches it alone."""
    return "".join("\\" + char if char in _SPECIAL else "\\x00" if char == "\0" else char for char in text)


def glob_pattern(glob: str, *, fold: bool = False, component: bool = False) -> str:
    """An RE2 expression for fnmatch(3) without flags: ``*`` and ``?`` match ``/`` too, ``[!a-z]`` negates, a backslash escapes.

    ``fold`` ignores case (ASCII); ``component`` lets nothing match ``/``. An unclosed ``[`` stands for itself. ValueError when it is too long.
    """
    if len(glob) > MAX_PATTERN_CHARS:
        raise ValueError(f"the pattern has more than {MAX_PATTERN_CHARS} characters")
    any_char = "[^/]" if component else "."
    out: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            if out[-1:] != [any_char + "*"]:
                out.append(any_char + "*")
        elif char == "?":
            out.append(any_char)
        elif char == "\\" and at < len(glob):
            out.append(_letter(glob[at], fold))
            at += 1
        elif char == "[":
            end = at
            if glob[end : end + 1] in ("!", "^"):
                end += 1
            if glob[end : end + 1] == "]":
                end += 1
            end = glob.find("]", end)
            if end < 0:
                out.append("\\[")
                continue
            out.append(_bracket(glob[at:end], fold))
            at = end + 1
        else:
            out.append(_letter(char, fold))
    return "(?s)" + "".join(out)


def _letter(char: str, fold: bool) -> str:
    if fold and char.isascii() and char.isalpha():
        return f"[{char.lower()}{char.upper()}]"
    return escape(char)


def _bracket(body: str, fold: bool) -> str:
    negate = body[:1] in ("!", "^")
    if negate:
        body = body[1:]
    parts: list[str] = []
    at = 0
    while at < len(body):
        first = body[at]
        if first == "\\" and at + 1 < len(body):
            at += 1
            first = body[at]
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            last = body[at + 2]
            at += 3
            if first > last:
                continue
            parts.append(f"{_in_bracket(first)}-{_in_bracket(last)}")
            if fold:
                parts += _folded_range(first, last)
            continue
        at += 1
        parts.append(_in_bracket(first))
        if fold and first.isascii() and first.isalpha():
            parts.append(first.swapcase())
    if not parts:
        return r"[^\x00-\x{10FFFF}]" if not negate else "."
    return f"[{'^' if negate else ''}{''.join(parts)}]"


def _folded_range(first: str, last: str) -> list[str]:
    return [
        chr(code).swapcase()
        for code in range(ord(first), min(ord(last), 127) + 1)
        if chr(code).isalpha() and code < 128
    ]


def _in_bracket(char: str) -> str:
    return "\\" + char if char in "\\]^-[" else char


def prefix_pattern(path: str) -> str:
    """An RE2 expression for ``pmatch``: ``path`` or something below it, component by component; each component may be a glob."""
    components = [glob_pattern(part, component=True)[4:] for part in path.split("/") if part]
    if not components:
        return "(?s).*"
    return "(?s)/*" + "/+".join(components) + "(?:/.*)?"


@lru_cache(maxsize=2048)
def pattern_of(expression: str) -> Any:
    """The compiled expression. ValueError, with what RE2 says, when it is wrong or takes more memory than its bound."""
    if len(expression) > 4 * MAX_PATTERN_CHARS:
        raise ValueError(f"the pattern has more than {MAX_PATTERN_CHARS} characters")
    try:
        return re2.compile(expression, options=_options())
    except re2.error as error:
        detail = error.args[0] if error.args else "it is not valid"
        if isinstance(detail, bytes):
            detail = detail.decode("utf-8", "replace")
        raise ValueError(str(detail)) from error


def _options() -> Any:
    options = re2.Options()
    options.max_mem = MAX_PATTERN_BYTES
    options.log_errors = False
    options.never_capture = True
    return options


@lru_cache(maxsize=2048)
def full_match(expression: str) -> Callable[[str], bool]:
    """Whether a whole text matches; quicker than :func:`pattern_of`, because nothing is said of where."""
    pattern_of(expression)
    match = re2.compile(expression.encode(), options=_options()).fullmatch
    return lambda text: match(text.encode()) is not None
