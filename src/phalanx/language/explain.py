"""Why a condition held: the comparisons that made it true, each with the value it saw."""

from __future__ import annotations

from phalanx.language.evaluate import evaluate
from phalanx.language.interpreter import interpret
from phalanx.language.limits import MAX_VALUE_CHARS
from phalanx.language.output import render_value
from phalanx.language.tree import All, Any_, Exists, Node, Not, One, Test
from phalanx.model.detection import Match
from phalanx.model.event import Event

__all__ = ["MAX_MATCHES", "why"]

MAX_MATCHES = 32
"""Most comparisons that an explanation names."""


def why(node: Node, event: Event) -> tuple[Match, ...]:
    """The comparisons that held, in the order of the condition; what is negated says nothing of why and is left out."""
    found: dict[int, Match] = {}
    _collect(node, event, found)
    return tuple(found.values())


def _collect(node: Node, event: Event, found: dict[int, Match]) -> None:
    if len(found) >= MAX_MATCHES:
        return
    if isinstance(node, All):
        for item in node.items:
            _collect(item, event, found)
    elif isinstance(node, Any_ | One):
        for item in node.items:
            if interpret(item, event) is True:
                _collect(item, event, found)
                return
    elif isinstance(node, Test | Exists) and node.uid not in found:
        if node.left.key in ("evt.dir", "evt.num"):
            return
        value = evaluate(node.left, event)
        if isinstance(value, tuple) and isinstance(node, Test):
            value = _which(node, value)
        text = render_value(value)
        if len(text) > MAX_VALUE_CHARS:
            text = f"{text[:MAX_VALUE_CHARS]}… (+{len(text) - MAX_VALUE_CHARS})"
        found[node.uid] = Match(
            text=node.text() if isinstance(node, Test) else repr(node), field=node.left.key, value=text
        )
    elif isinstance(node, Not):
        return


def _which(test: Test, values: tuple[object, ...]) -> object:
    """Of several values the first that satisfies the comparison."""
    from phalanx.language.evaluate import holds
    from phalanx.model.values import UNKNOWN

    if test.other is not None:
        return values
    for value in values:
        if value is not None and value is not UNKNOWN and holds(value, test.operator, test.values):
            return value
    return values
