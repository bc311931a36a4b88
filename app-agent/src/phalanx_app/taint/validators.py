"""Branches that validate: what a comparison or a test has shown about a tainted value becomes a mark on the step that made it.

A mark is set only for the answer that lets the value through (``x.isalnum()`` true, ``".." in x`` false), on that value and on those it came from by
operations that keep its content. What is made from the value before or after finds the mark on its way (see `phalanx_app.flow.validated`).
"""

from __future__ import annotations

import re
from typing import Any

from ..marks import ALL, BIT, CODE, HEADER, LOG, MAIL, PATH, REDIRECT, SQL, SSRF, WORD, XPATH, XSS, of, of_full_match
from .transfer import TEXT, slow

_KEEPING = frozenset(
    {
        "strip",
        "lower",
        "upper",
        "casefold",
        "realpath",
        "normpath",
        "abspath",
        "resolve",
        "unquote",
        "unquote_plus",
        "encode",
        "decode",
        "str",
        "fspath",
        "removeprefix",
        "path",
        "group",
        "expanduser",
        "join path",
    }
)
_RESOLVED = frozenset({"realpath", "normpath", "abspath", "resolve"})
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\]+[/?#]")


def mark(table: Any, value: Any, marks: int) -> None:
    """Mark `value` and what it was made from."""
    number = table.step(value)
    for _ in range(12):
        if number < 0 or not marks:
            return
        table.validate(number, marks)
        op, _, _, first, _, _, _ = table.step_at(number)
        if op.endswith(".netloc"):
            marks &= REDIRECT | SSRF
        elif op == "commonpath":
            marks &= PATH
        elif op == "[:]":
            marks &= CODE  # the inside of a quoted literal
        elif op not in _KEEPING:
            return
        number = first


def resolved(table: Any, value: Any) -> bool:
    """Whether a path function that removes `..` is on the last steps of the way to `value`."""
    number = table.step(value)
    for _ in range(4):
        if number < 0:
            return False
        op, _, _, first, _, _, _ = table.step_at(number)
        if op in _RESOLVED:
            return True
        if op not in _KEEPING and op != "commonpath":
            return False
        number = first
    return False


_ABSENT = {
    "..": PATH,
    "../": PATH,
    "/": PATH,
    "..\\": PATH,
    "%2e%2e": 0,
    "<": XSS,
    "'": SQL | XPATH | CODE,
    '"': 0,
    "\n": LOG | HEADER | MAIL,
    "\r\n": HEADER,
    "//": REDIRECT,
    "://": 0,
}


@slow("cmp")
def _cmp(table: Any, result: Any, op: int, left: Any, right: Any) -> Any:
    """``in``, ``not in``, ``==``, ``!=``"""
    if not isinstance(result, bool):
        return result
    if op >= 2:
        if result == (op == 2):
            if table.has(left) and not table.has(right):
                mark(table, left, ALL)
            elif table.has(right) and not table.has(left):
                mark(table, right, ALL)
        return result
    inside = result == (op == 0)
    if table.has(left) and not table.has(right):
        if inside and (isinstance(right, (list, tuple, set, frozenset, dict, *TEXT)) or hasattr(right, "keys")):
            mark(table, left, ALL)
    elif table.has(right) and not table.has(left) and not inside and isinstance(right, TEXT):
        wanted = left.decode("latin-1") if isinstance(left, bytes) else left
        if isinstance(wanted, str):
            mark(table, right, _ABSENT.get(wanted, 0))
    return result


_TESTS: dict[str, int] = {}


def load(entries: list[dict[str, Any]]) -> None:
    """Take the validating text methods from the catalogue."""
    for one in entries:
        _TESTS[one["method"]] = of(one["marks"])


def _test(table: Any, result: Any, receiver: Any, name: str) -> Any:
    if result is True and isinstance(receiver, TEXT):
        mark(table, receiver, _TESTS.get(name, 0))
    return result


def _register(name: str) -> None:
    @slow(f".{name}")
    def test(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
        return _test(table, result, receiver, name)


for _name in ("isalnum", "isalpha", "isdigit", "isnumeric", "isdecimal", "isidentifier"):
    _register(_name)


@slow(".startswith")
def _startswith(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if not isinstance(receiver, str) or not args or table.has(args[0]) or not table.has(receiver):
        return result
    prefixes = args[0] if isinstance(args[0], tuple) else (args[0],)
    if result is True:
        if all(isinstance(one, str) and _AUTHORITY.match(one) for one in prefixes):
            mark(table, receiver, REDIRECT | SSRF)
        elif all(isinstance(one, str) and one[:1] == "/" and len(one) > 1 for one in prefixes) and resolved(
            table, receiver
        ):
            mark(table, receiver, PATH)
    elif "//" in prefixes and receiver[:1] == "/":
        mark(table, receiver, REDIRECT)
    return result


@slow(".is_relative_to")
def _is_relative_to(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    text = getattr(receiver, "_str", None)
    if result is True and text is not None and table.has(text) and resolved(table, text):
        mark(table, text, PATH)
    return result


@slow(".fullmatch")
def _fullmatch(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if type(result) is re.Match and table.has(result.string):
        mark(table, result.string, of_full_match(result.re))
    return result


@slow(".match")
def _match(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    """A match that the pattern itself binds to both ends (`match` binds the start)."""
    if type(result) is not re.Match or not table.has(result.string) or result.span() != (0, len(result.string)):
        return result
    text = result.re.pattern if isinstance(result.re.pattern, str) else result.re.pattern.decode("latin-1")
    if text.endswith(("$", "\\Z")):
        mark(table, result.string, of_full_match(result.re))
    return result


@slow("int", "float")
def _number(table: Any, result: Any, value: Any = "", *more: Any) -> Any:
    """Text that is a number is only a number."""
    if isinstance(result, (int, float)) and isinstance(value, TEXT):
        mark(table, value, WORD)
    return result


@slow("isinstance")
def _isinstance(table: Any, result: Any, value: Any, kinds: Any = ()) -> Any:
    """Known to be text, a value cannot be an operator object."""
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    if result is True and all(one in (str, bytes, int, float) for one in wanted):
        mark(table, value, BIT["nosql-injection"])
    return result
