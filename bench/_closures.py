"""The baseline of the rule benchmarks: conditions as trees of closures, with the same event-type index and the same field access as the matcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phalanx.language.evaluate import compare, holds
from phalanx.language.fields import Ref
from phalanx.language.functions import function_of
from phalanx.language.matcher import Matcher
from phalanx.language.ruleset import RuleSet
from phalanx.language.tree import All, Any_, Const, Exists, Node, Not, Test
from phalanx.model.event import Event

__all__ = ["Closures"]

Check = Callable[[Event], bool]


def _test(node: Test) -> Check:
    left, operator, values = node.left, node.operator, node.values
    if node.other is not None or not isinstance(left, Ref):
        return lambda event: bool(compare(node, event))
    get = left.get
    if (
        left.multi
        or left.type in ("ip", "net", "dynamic")
        or operator in ("glob", "iglob", "regex", "pmatch", "icontains")
    ):
        holds_for = function_of(node)
        return lambda event: (value := get(event)) is not None and holds_for(value)
    if operator in ("=", "in"):
        wanted = frozenset(values)
        return lambda event: get(event) in wanted
    if operator in ("startswith", "endswith", "contains"):
        text: Any = values[0]
        if operator == "startswith":
            return lambda event: (value := get(event)) is not None and value.startswith(text)
        if operator == "endswith":
            return lambda event: (value := get(event)) is not None and value.endswith(text)
        return lambda event: (value := get(event)) is not None and text in value
    return lambda event: (value := get(event)) is not None and holds(value, operator, values)


def _closure(node: Node) -> Check:
    if isinstance(node, Const):
        value = node.value
        return lambda _: value
    if isinstance(node, Not):
        inner = _closure(node.item)
        return lambda event: not inner(event)
    if isinstance(node, All | Any_):
        parts = tuple(map(_closure, node.items))
        if isinstance(node, All):

            def every(event: Event) -> bool:
                return all(part(event) for part in parts)

            return every

        def some(event: Event) -> bool:
            return any(part(event) for part in parts)

        return some
    if isinstance(node, Test):
        return _test(node)
    if isinstance(node, Exists):
        from phalanx.language.interpreter import interpret

        return lambda event: bool(interpret(node, event))
    raise TypeError(type(node))


class Closures:
    """Same interface as :class:`~phalanx.language.matcher.Matcher`, for events of which everything is known."""

    def __init__(self, ruleset: RuleSet) -> None:
        matcher = Matcher(ruleset)
        self.rules = matcher.rules
        checks = [_closure(rule.condition.node) for rule in self.rules]
        self._by_type = {
            name: tuple((index, checks[index]) for index in bucket) for name, bucket in matcher._buckets.items()
        }

    def match(self, event: Event) -> tuple[int, ...]:
        """Numbers of the rules that hold."""
        return tuple(index for index, check in self._by_type.get(event.type, ()) if check(event))
