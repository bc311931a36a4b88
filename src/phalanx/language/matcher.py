"""All active rules as one matcher: by event type one generated function, made when the first event of the type comes.

Three ways through it. Everything known: the function of the type. The container not known yet: two more functions, of which one says what holds whatever
the container is and the other what can still hold. A process or ancestor not known: the interpreter. All three say the same as the interpreter.
"""

from __future__ import annotations

from phalanx.language.analysis import OTHER, TypeSets, Universe, type_literals
from phalanx.language.generate import MatchFunction, generate
from phalanx.language.interpreter import interpret
from phalanx.language.normal import Mode, Normalizer
from phalanx.language.ruleset import Rule, RuleSet
from phalanx.model.event import Event
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN

__all__ = ["Matcher"]

_NOTHING: tuple[int, ...] = ()


class Matcher:
    """Says which rules an event satisfies, and which it leaves undecided."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.rules: tuple[Rule, ...] = ruleset.active
        """Those that can fire; numbers are indices of this."""
        universe = Universe(
            set().union(*(type_literals(rule.condition.node) for rule in self.rules)) if self.rules else ()
        )
        self._types = TypeSets(universe)
        self._buckets = {
            name: tuple(
                index
                for index, rule in enumerate(self.rules)
                if self._types.true_for(rule.condition.node) & universe.bit[name]
            )
            for name in universe.types
        }
        self._functions: dict[tuple[str, Mode], MatchFunction] = {}
        self._known: dict[str, MatchFunction] = {}
        self._made: dict[tuple[object, ...], MatchFunction] = {}
        """By kind of event and normal forms: ``open`` and ``openat`` share one."""

    def bucket(self, event_type: str) -> tuple[int, ...]:
        """Numbers of the rules that are asked of events of a type."""
        return self._buckets.get(event_type, self._buckets[OTHER])

    def match(self, event: Event) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Numbers of the rules that hold, and of those that rest on something UNKNOWN."""
        process = event.process
        if process.__class__ is not Process:
            return self._slow(event, self.bucket(event.type))
        if event.container is UNKNOWN and process.container_id != "host":
            return self._without_container(event)
        function = self._known.get(event.type)
        if function is None:
            function = self._known[event.type] = self._function(event.type, "known")
        hits, unknown = function(event)
        if unknown:
            slow_hits, undecided = self._slow(event, tuple(unknown))
            return tuple(sorted((*hits, *slow_hits))), undecided
        return (tuple(sorted(hits)), _NOTHING) if hits else (_NOTHING, _NOTHING)

    def _without_container(self, event: Event) -> tuple[tuple[int, ...], tuple[int, ...]]:
        sure, unknown = self._function(event.type, "sure")(event)
        maybe, unknown_too = self._function(event.type, "maybe")(event)
        again = set(unknown) | set(unknown_too)
        hits = set(sure) - again
        undecided = set(maybe) - hits - again
        if again:
            slow_hits, slow_undecided = self._slow(event, tuple(again))
            hits |= set(slow_hits)
            undecided |= set(slow_undecided)
        return tuple(sorted(hits)), tuple(sorted(undecided))

    def _slow(self, event: Event, numbers: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The same by the interpreter."""
        hits: list[int] = []
        undecided: list[int] = []
        for index in sorted(numbers):
            answer = interpret(self.rules[index].condition.node, event)
            if answer:
                hits.append(index)
            elif answer is None:
                undecided.append(index)
        return tuple(hits), tuple(undecided)

    def _function(self, event_type: str, mode: Mode) -> MatchFunction:
        name = event_type if event_type in self._buckets else OTHER
        function = self._functions.get((name, mode))
        if function is None:
            normalizer = Normalizer(name, self._types, mode)
            forms = [(index, normalizer.form(self.rules[index].condition.node)) for index in self._buckets[name]]
            key = (normalizer.kind, *((index, form.key) for index, form in forms))
            function = self._made.get(key)
            if function is None:
                function = self._made[key] = generate(forms)
            self._functions[name, mode] = function
        return function

    def prepare(self) -> None:
        """Make ahead what is otherwise made at the first event of each type."""
        for name, bucket in self._buckets.items():
            if not bucket or name == OTHER:
                continue
            self._known[name] = self._function(name, "known")
            if any("container" in self.rules[index].condition.node.needs for index in bucket):
                self._function(name, "sure")
                self._function(name, "maybe")
