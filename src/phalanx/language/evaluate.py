"""Values of expressions and the meaning of operators, one comparison at a time, in the plainest way: the definition of the language.

The interpreter uses nothing else. The matcher and the stores have faster forms of the same; a property test holds them together.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from phalanx.language.fields import Ref
from phalanx.language.patterns import glob_pattern, lower, pattern_of, upper
from phalanx.language.tree import Expr, Literal, Test, Value
from phalanx.model.event import Event
from phalanx.model.values import UNKNOWN
from phalanx.text.hostile import encode

__all__ = ["address", "compare", "evaluate", "getopt", "in_network"]


_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}")


@lru_cache(maxsize=8192)
def address(text: str) -> tuple[int, int] | None:
    """``(4 or 6, number)`` of an IP address; None when ``text`` is none."""
    try:
        if ":" in text:
            return 6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
        return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        return None


def in_network(text: str, network: tuple[int, int, int]) -> bool:
    """Whether an address lies in ``(version, first, last)``."""
    found = address(text)
    return found is not None and found[0] == network[0] and network[1] <= found[1] <= network[2]


def text_of(value: Any) -> str:
    """A value as the operators of texts see it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def number_of(value: Any) -> int | float | None:
    """A value as the operators of numbers see it; None when it is no number."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) is not None else None


def basename(text: str) -> str:
    """What follows the last ``/``."""
    return text.rpartition("/")[2]


def unbase64(text: str) -> str | None:
    """``text`` decoded from Base64; None when it is none (Falco's ``b64``)."""
    from phalanx.text.hostile import decode

    try:
        return decode(base64.b64decode(encode(text), validate=True))
    except ValueError:
        return None


def getopt(arguments: tuple[str, ...], options: str, selector: str | None) -> Any:
    """What getopt(3) finds: options and their values one after the other; with ``selector`` the last value of that option (or its letter).

    As in Falco: it ends at ``--`` and at the first word that is no option; long options are passed over; an unknown option is ``?``; a
    value that is missing is empty.
    """
    taking: dict[str, bool] = {}
    for index, char in enumerate(options):
        if char != ":":
            taking[char] = options[index + 1 : index + 2] == ":"
    found: list[str] = []
    selected: str | None = None
    at = 0
    while at < len(arguments):
        word = arguments[at]
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            continue
        if len(word) < 2 or word[0] != "-":
            break
        for index in range(1, len(word)):
            option = word[index]
            if option not in taking:
                found.append("?")
                continue
            if not taking[option]:
                found.append(option)
                selected = option if option == selector else selected
                continue
            value: str | None = word[index + 1 :] or None
            if value is None and at < len(arguments):
                value = arguments[at]
                at += 1
            if value is None:
                found.append("")
                selected = "" if option == selector else selected
            else:
                found += (option, value)
                selected = value if option == selector else selected
            break
    return selected if selector is not None else tuple(found)


def _apply(name: str, value: Any) -> Any:
    if name == "len":
        return len(value) if isinstance(value, str | tuple) else len(text_of(value))
    text = text_of(value)
    if name == "tolower":
        return lower(text)
    if name == "toupper":
        return upper(text)
    if name == "basename":
        return basename(text)
    return unbase64(text)


def evaluate(expr: Expr, event: Event) -> Any:
    """The value of an expression: None, UNKNOWN, a scalar or a tuple of scalars (UNKNOWN among them when some are not known)."""
    if isinstance(expr, Ref):
        return expr.get(event)
    if isinstance(expr, Literal):
        return expr.text
    if expr.name in ("join", "getopt"):
        listed, text = (expr.arguments[1], expr.arguments[0]) if expr.name == "join" else expr.arguments
        words = values_list(listed, event)
        other = evaluate(text, event)
        if words is None or other is None:
            return None
        if words is UNKNOWN or other is UNKNOWN:
            return UNKNOWN
        return (
            text_of(other).join(map(text_of, words))
            if expr.name == "join"
            else getopt(words, text_of(other), expr.selector)
        )
    values = [evaluate(argument, event) for argument in expr.arguments]
    if any(value is None for value in values):
        return None
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    if expr.name == "concat":
        return "".join(map(text_of, values))
    value = values[0]
    if isinstance(value, tuple) and not (expr.name == "len" and expr.multi == "list"):
        return tuple(item if item is None or item is UNKNOWN else _apply(expr.name, item) for item in value)
    return _apply(expr.name, value)


def values_list(expr: Expr, event: Event) -> Any:
    """The values of an expression that ``join`` and ``getopt`` take as a list."""
    if isinstance(expr, Ref) and expr.get_list is not None:
        return expr.get_list(event)
    value = evaluate(expr, event)
    if isinstance(value, tuple):
        return UNKNOWN if any(item is UNKNOWN for item in value) else tuple(item for item in value if item is not None)
    return value


def _equal(value: Any, constant: Value) -> bool:
    if isinstance(constant, tuple):
        return isinstance(value, str) and in_network(value, constant)
    if isinstance(constant, str):
        return text_of(value) == constant
    if isinstance(constant, bool):
        return value is constant
    return number_of(value) == constant


_TEXT: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "icontains": lambda text, part: lower(part) in lower(text),
    "startswith": str.startswith,
    "endswith": str.endswith,
    "glob": lambda text, glob: pattern_of(glob_pattern(glob)).fullmatch(text) is not None,
    "iglob": lambda text, glob: pattern_of(glob_pattern(glob, fold=True)).fullmatch(text) is not None,
    "regex": lambda text, expression: pattern_of(expression).fullmatch(text) is not None,
}


def _below(path: str, prefix: str) -> bool:
    """Whether ``path`` is ``prefix`` or below it, by components; components of ``prefix`` may be globs."""
    parts = [part for part in path.split("/") if part]
    wanted = [part for part in prefix.split("/") if part]
    if len(parts) < len(wanted):
        return False
    return all(
        pattern_of(glob_pattern(want)).fullmatch(part) is not None for part, want in zip(parts, wanted, strict=False)
    )


def holds(value: Any, operator: str, constants: tuple[Value, ...]) -> bool:
    """Whether one known value satisfies ``operator constants``."""
    first = constants[0] if constants else None
    if operator == "=":
        assert first is not None
        return _equal(value, first)
    if operator == "!=":
        assert first is not None
        return not _equal(value, first)
    if operator in ("in", "intersects"):
        return any(_equal(value, constant) for constant in constants)
    if operator == "pmatch":
        return any(_below(text_of(value), constant) for constant in constants if isinstance(constant, str))
    if operator in ("<", "<=", ">", ">="):
        number = number_of(value)
        assert isinstance(first, int | float)
        if number is None:
            return False
        return (
            number < first
            if operator == "<"
            else number <= first
            if operator == "<="
            else number > first
            if operator == ">"
            else number >= first
        )
    if operator in ("bcontains", "bstartswith"):
        assert isinstance(first, bytes)
        raw = value if isinstance(value, bytes) else encode(text_of(value))
        return first in raw if operator == "bcontains" else raw.startswith(first)
    assert isinstance(first, str)
    return bool(_TEXT[operator](text_of(value), first))


def compare(test: Test, event: Event) -> bool | None:
    """True, False or None (UNKNOWN): what a comparison says of an event."""
    value = evaluate(test.left, event)
    if value is None:
        return False
    constants = test.values
    if test.other is not None:
        other = evaluate(test.other, event)
        if other is None:
            return False
        if other is UNKNOWN or value is UNKNOWN:
            return None
        others: tuple[Any, ...] = other if isinstance(other, tuple) else (other,)
        if any(item is UNKNOWN for item in others):
            return None
        constants = tuple(item for item in others if item is not None)
        if not constants:
            return False
        if test.left.type in ("ip", "net"):
            constants = tuple(
                (found[0], found[1], found[1]) for item in constants if (found := address(item)) is not None
            )
        elif test.operator in ("<", "<=", ">", ">="):
            numbers = tuple(number_of(item) for item in constants)
            if numbers[0] is None:
                return False
            constants = (numbers[0],)
        elif test.operator in ("bcontains", "bstartswith"):
            constants = (encode(text_of(constants[0])),)
        elif test.operator not in ("=", "!=", "in", "intersects"):
            constants = tuple(map(text_of, constants))
        if not constants:
            return False
    if value is UNKNOWN:
        return None
    if not isinstance(value, tuple):
        return holds(value, test.operator, constants)
    known = [item for item in value if item is not None and item is not UNKNOWN]
    unknown = any(item is UNKNOWN for item in value)
    multi = test.left.multi
    if (multi == "list" and test.operator == "in") or (multi == "either" and test.operator == "!="):
        if not all(holds(item, test.operator, constants) for item in known):
            return False
        return None if unknown else bool(known)
    if any(holds(item, test.operator, constants) for item in known):
        return True
    return None if unknown else False
