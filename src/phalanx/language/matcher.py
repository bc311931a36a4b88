"""All active rules as one matcher."""

from __future__ import annotations

from phalanx.language.analysis import OTHER, TypeSets, Universe, type_literals
from phalanx.language.interpreter import interpret
from phalanx.language.ruleset import Rule, RuleSet
from phalanx.model.event import Event

__all__ = ["Matcher"]


class Matcher:
    """Says which rules an event satisfies, and which it leaves undecided."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.rules: tuple[Rule, ...] = ruleset.active
        universe = Universe(set().union(*(type_literals(rule.condition.node) for rule in self.rules)) if self.rules else ())
        types = TypeSets(universe)
        self._buckets = {
            name: tuple(index for index, rule in enumerate(self.rules) if types.true_for(rule.condition.node) & universe.bit[name])
            for name in universe.types
        }

    def bucket(self, event_type: str) -> tuple[int, ...]:
        """Numbers of the rules that are asked of events of a type."""
        return self._buckets.get(event_type, self._buckets[OTHER])

    def match(self, event: Event) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Numbers of the rules that hold, and of those that rest on something UNKNOWN."""
        hits = []
        undecided = []
        for index in self.bucket(event.type):
            answer = interpret(self.rules[index].condition.node, event)
            if answer:
                hits.append(index)
            elif answer is None:
                undecided.append(index)
        return tuple(hits), tuple(undecided)

    def prepare(self) -> None:
        """Compile ahead what is otherwise compiled at the first event of each type."""
