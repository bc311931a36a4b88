"""Comparisons with constants as functions of a field's value: what :mod:`phalanx.language.evaluate` says, prepared once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from phalanx.language.evaluate import holds, in_network, text_of
from phalanx.language.patterns import full_match, glob_pattern, lower, prefix_pattern
from phalanx.language.tree import Test

__all__ = ["function_of", "literals_of"]

ValueTest = Callable[[Any], bool]


def function_of(test: Test) -> ValueTest:
    """Whether a known value (of a field with several: the tuple of them) satisfies ``test``, which compares with constants."""
    one = _scalar(test)
    multi = test.left.multi
    if not multi:
        return one
    if (multi == "either" and test.operator == "!=") or (multi == "list" and test.operator == "in"):

        def every(values: Any) -> bool:
            known = [value for value in values if value is not None]
            return bool(known) and all(map(one, known))

        return every

    def some(values: Any) -> bool:
        return any(one(value) for value in values if value is not None)

    return some


def _scalar(test: Test) -> ValueTest:
    operator, values = test.operator, test.values
    if test.left.type in ("ip", "net"):
        return _network(cast("tuple[tuple[int, int, int], ...]", values), negate=operator == "!=")
    if operator in ("glob", "iglob", "regex"):
        text = cast("str", values[0])
        expression = text if operator == "regex" else glob_pattern(text, fold=operator == "iglob")
        return _as_text(test, _pattern(expression, literals_of(text, operator)))
    if operator == "pmatch":
        return _as_text(test, _below(cast("tuple[str, ...]", values)))
    if operator == "icontains":
        part = lower(cast("str", values[0]))
        return _as_text(test, lambda text: part in lower(text))
    if operator in ("in", "intersects", "=") and all(isinstance(value, str) for value in values):
        wanted = frozenset(values)
        return _as_text(test, lambda text: text in wanted)
    if test.left.type == "text" and operator in ("startswith", "endswith", "contains"):
        whole = cast("str", values[0])
        if operator == "contains":
            return lambda value: whole in value
        return (
            (lambda value: value.startswith(whole))
            if operator == "startswith"
            else (lambda value: value.endswith(whole))
        )
    return lambda value: holds(value, operator, values)


def _as_text(test: Test, ask: Callable[[str], bool]) -> ValueTest:
    """``ask`` of a value that may be no text."""
    return ask if test.left.type == "text" else lambda value: ask(text_of(value))


def _pattern(expression: str, literals: tuple[str, ...]) -> Callable[[str], bool]:
    matches = full_match(expression)
    if not literals:
        return matches
    if len(literals) == 1:
        (literal,) = literals
        return lambda text: literal in text and matches(text)

    def some(text: str) -> bool:
        for literal in literals:
            if literal in text:
                return matches(text)
        return False

    return some


def _network(networks: tuple[tuple[int, int, int], ...], *, negate: bool) -> ValueTest:
    @lru_cache(maxsize=4096)
    def inside(text: str) -> bool:
        return any(in_network(text, network) for network in networks) != negate

    return lambda value: isinstance(value, str) and inside(value)


def _below(prefixes: tuple[str, ...]) -> Callable[[str], bool]:
    """``pmatch``: plain prefixes by comparing texts, globs and paths that are not in their plain form by their pattern."""
    whole: set[str] = set()
    below: list[str] = []
    patterns = []
    slow = [full_match(prefix_pattern(prefix)) for prefix in prefixes]
    for prefix, matches in zip(prefixes, slow, strict=True):
        if any(char in prefix for char in "*?[\\"):
            patterns.append(matches)
            continue
        plain = "/" + "/".join(part for part in prefix.split("/") if part)
        whole.add(plain)
        below.append(plain if plain == "/" else plain + "/")
    starts = tuple(below)

    def holds_below(text: str) -> bool:
        if text[:1] != "/" or "//" in text:
            return any(matches(text) for matches in slow)
        return text in whole or text.startswith(starts) or any(matches(text) for matches in patterns)

    return holds_below


_GLOB_PARTS: Final = re.compile(r"\\.|\[[!^]?\]?[^]]*\]|[*?]|[\[\]]")
_QUANTIFIERS: Final = "*?{+"
_PLAIN_ESCAPES: Final = frozenset(".+*?()|[]{}^$\\/-_ ")


def literals_of(pattern: str, operator: str) -> tuple[str, ...]:
    """Texts of which everything that matches contains one; empty when nothing useful is found."""
    if operator == "iglob":
        return ()
    if operator == "glob":
        found = max(_GLOB_PARTS.split(pattern), key=len)
        return (found,) if len(found) >= 2 else ()
    if "(?" in pattern.replace("(?:", "") or "\\Q" in pattern or "\\E" in pattern:
        return ()
    return _of_expression(pattern, 0)


def _worth(literals: tuple[str, ...]) -> float:
    return min(map(len, literals)) / len(literals) if literals else 0.0


def _of_expression(pattern: str, depth: int) -> tuple[str, ...]:
    """Of a regular expression: the best run of plain characters, or group of alternatives that each have one, that no quantifier makes optional."""
    best: tuple[str, ...] = ()
    run: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        step = 1
        plain = ""
        group: tuple[str, ...] = ()
        if char == "\\":
            following = pattern[at + 1 : at + 2]
            step = 2
            if following and following in _PLAIN_ESCAPES:
                plain = following
            elif following in "xpPuUC0123456789" or not following:
                return ()
        elif char == "[":
            step = _class_end(pattern, at) - at
            if step <= 0:
                return ()
        elif char == "(":
            end = _group_end(pattern, at)
            if end < 0 or depth > 4:
                return ()
            step = end - at
            inner = pattern[at + 1 : end - 1].removeprefix("?:")
            parts = _alternatives(inner)
            found = [_of_expression(part, depth + 1) for part in parts]
            if all(len(item) >= 1 for item in found) and sum(map(len, found)) <= 8:
                group = tuple(literal for item in found for literal in item)
        elif char == "|":
            return ()
        elif char == "{":
            step = pattern.find("}", at) + 1 - at
            if step <= 0:
                return ()
        elif char not in "*?+.^$":
            plain = char
        after = pattern[at + step : at + step + 1]
        quantified = bool(after) and after in _QUANTIFIERS
        if plain and not quantified:
            run.append(plain)
        else:
            best = max(best, ("".join(run),) if len(run) >= 2 else (), key=_worth)
            run = []
            if group and not quantified:
                best = max(best, group, key=_worth)
        at += step
    return max(best, ("".join(run),) if len(run) >= 2 else (), key=_worth)


def _class_end(pattern: str, at: int) -> int:
    """The place after the character class that begins at ``at``; -1 when it is not closed."""
    end = at + 1
    if pattern[end : end + 1] == "^":
        end += 1
    if pattern[end : end + 1] == "]":
        end += 1
    while end < len(pattern) and pattern[end] != "]":
        if pattern.startswith("[:", end):
            end = pattern.find(":]", end) + 2
            if end < 2:
                return -1
            continue
        end += 2 if pattern[end] == "\\" else 1
    return end + 1 if end < len(pattern) else -1


def _group_end(pattern: str, at: int) -> int:
    """The place after the group that begins at ``at``; -1 when it is not closed."""
    depth = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 2
            continue
        if char == "[":
            at = _class_end(pattern, at)
            if at < 0:
                return -1
            continue
        depth += char == "("
        depth -= char == ")"
        at += 1
        if depth == 0:
            return at
    return -1


def _alternatives(pattern: str) -> list[str]:
    """A pattern cut at the ``|`` that stand in no group."""
    parts = [""]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = at + 1
        if char == "\\":
            end = at + 2
        elif char == "[":
            end = _class_end(pattern, at)
        elif char == "(":
            end = _group_end(pattern, at)
        if end < 0:
            return [""]
        if char == "|":
            parts.append("")
        else:
            parts[-1] += pattern[at:end]
        at = end
    return parts
