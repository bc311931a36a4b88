"""What a condition asks of an event's type, without an event: which types can satisfy it, and whether any sensor's event ever can."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from phalanx.language.event_types import CATEGORY, KIND_OF, TYPES_OF
from phalanx.language.fields import ABSENT_KINDS, Ref
from phalanx.language.tree import All, Any_, Const, Exists, Expr, Node, Not, One, Test, refs_of_expr, walk

__all__ = ["OTHER", "Universe", "TypeSets", "type_literals"]

OTHER: Final = "*"
"""Stands for every event type that nobody names."""
_TYPE_FIELDS: Final = ("evt.type", "syscall.type")


class Universe:
    """A finite set of event types as bits: those that sensors give, those that conditions name, and :data:`OTHER`."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        self.types: Final = (*dict.fromkeys((*KIND_OF, *sorted(named))), OTHER)
        self.bit: Final = {name: 1 << index for index, name in enumerate(self.types)}
        self.all: Final = (1 << len(self.types)) - 1
        self.sensed: Final = sum(self.bit[name] for name in KIND_OF)
        self._kinds: Final = {kind: sum(self.bit[name] for name in names) for kind, names in TYPES_OF.items()}

    def of_kinds(self, kinds: Iterable[str]) -> int:
        """The types of events of these kinds."""
        return sum(self._kinds[kind] for kind in set(kinds) if kind not in ABSENT_KINDS)

    def names(self, bits: int) -> tuple[str, ...]:
        """The types of a set, without :data:`OTHER`."""
        return tuple(name for name in self.types if name != OTHER and self.bit[name] & bits)


class TypeSets:
    """For each node the types for which it can be true, and those for which it can be false. An over-approximation of both."""

    def __init__(self, universe: Universe, *, filled_only: bool = False) -> None:
        self.universe = universe
        self.filled_only = filled_only
        """True: a comparison of a field that no sensor fills is never true."""
        self._sets: dict[int, tuple[int, int]] = {}

    def true_for(self, node: Node) -> int:
        """The types for which ``node`` can hold."""
        return self._of(node)[0]

    def _of(self, node: Node) -> tuple[int, int]:
        found = self._sets.get(node.uid)
        if found is None:
            found = self._compute(node)
            self._sets[node.uid] = found
        return found

    def _compute(self, node: Node) -> tuple[int, int]:
        everything = self.universe.all
        if isinstance(node, Const):
            return (everything, 0) if node.value else (0, everything)
        if isinstance(node, Not):
            true, false = self._of(node.item)
            return false, true
        if isinstance(node, All):
            true, false = everything, 0
            for item in node.items:
                t, f = self._of(item)
                true &= t
                false |= f
            return true, false
        if isinstance(node, Any_ | One):
            true, false = 0, everything
            for item in node.items:
                t, f = self._of(item)
                true |= t
                false &= f
            return true, everything if isinstance(node, One) else false
        return self._leaf(cast("Test | Exists", node))

    def _leaf(self, node: Test | Exists) -> tuple[int, int]:
        everything = self.universe.all
        exact = self.exact(node)
        if exact is not None:
            return exact
        can = everything
        exprs: list[Expr] = [node.left]
        if isinstance(node, Test) and node.other is not None:
            exprs.append(node.other)
        for expr in exprs:
            for ref in refs_of_expr(expr):
                can &= self._fillable(ref)
        return can, everything

    def _fillable(self, ref: Ref) -> int:
        if ref.kinds is None:
            return self.universe.all
        if not ref.kinds:
            return 0 if self.filled_only else self.universe.all
        bits = self.universe.of_kinds(ref.kinds)
        return bits if self.filled_only else bits | (self.universe.all & ~self.universe.sensed)

    def exact(self, node: Test | Exists) -> tuple[int, int] | None:
        """For a comparison of the type: the types for which it can be true, and can be false; None when it compares something else."""
        universe = self.universe
        left = node.left
        if not isinstance(left, Ref) or isinstance(node, Exists) or node.other is not None:
            return None
        operator, values = node.operator, node.values
        if left.field.name in _TYPE_FIELDS:
            from phalanx.language.evaluate import holds

            bits = sum(universe.bit[name] for name in universe.types[:-1] if holds(name, operator, values))
            other = universe.bit[OTHER]
            if operator in ("=", "in", "intersects"):
                return bits, universe.all & ~bits
            if operator == "!=":
                return bits | other, universe.all & ~bits & ~other
            return bits | other, universe.all & ~bits
        if left.field.name == "evt.type.is" and operator in ("=", "!="):
            mine = universe.bit.get(left.argument or "", 0)
            true = mine if (values[0] == 1) == (operator == "=") and values[0] in (0, 1) else universe.all & ~mine
            return (true, universe.all & ~true) if values[0] in (0, 1) and mine else None
        if left.field.name == "evt.category" and operator in ("=", "in"):
            bits = universe.of_kinds(kind for kind, category in CATEGORY.items() if category in values)
            foreign = universe.all & ~universe.sensed
            return bits | foreign, universe.all & ~bits
        if left.field.name == "evt.dir" and operator in ("=", "!="):
            true = universe.all if (values[0] == "<") == (operator == "=") else 0
            return true, universe.all & ~true
        return None


def type_literals(node: Node) -> set[str]:
    """The event types that a condition names."""
    found: set[str] = set()
    for part in walk(node):
        if isinstance(part, Test) and isinstance(part.left, Ref):
            if part.left.field.name in _TYPE_FIELDS and part.operator in ("=", "!=", "in", "intersects"):
                found.update(value for value in part.values if isinstance(value, str))
            elif part.left.field.name == "evt.type.is" and part.left.argument:
                found.add(part.left.argument)
    return found
