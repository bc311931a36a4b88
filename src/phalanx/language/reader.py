"""Loads rule files: reads, merges, types, and says of every rule whether it is live.

Order as in Falco's loader: a later definition of a name replaces the earlier one in its place; a macro sees macros that were first defined
before its own last change; rules see all macros; lists are seen by all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Final

from phalanx.errors import LimitError, RuleError
from phalanx.language.analysis import OTHER, TypeSets, Universe, type_literals
from phalanx.language.collector import Collector, ExceptionItem, ItemWrong, MacroItem, RuleItem
from phalanx.language.condition import Condition
from phalanx.language.event_types import SENSED_SOURCES
from phalanx.language.limits import MAX_LIST_ITEMS
from phalanx.language.output import Template, parse_output
from phalanx.language.parser import LIST_OPERATORS, MODIFIERS, OPERATORS, parse
from phalanx.language.problems import ConditionError, Problem, Text
from phalanx.language.ruleset import Rule, RuleSet, RuleSource, ruleset_version
from phalanx.language.syntax import SyntaxNode
from phalanx.language.tree import Node, Tree, fields_of
from phalanx.language.typing_ import Typer
from phalanx.model.severity import severity_of_priority

__all__ = ["load_rules"]

_TECHNIQUE: Final = re.compile(r"T\d{4}(?:\.\d{3})?")
_BROKEN: Final = "broken"


class _Loader:
    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.tree = Tree()
        self.lists = self._resolve_lists()
        self.syntax: dict[str, SyntaxNode | None] = {}
        self.macro_nodes: dict[str, Node | None] = {}
        self.wrong_macros: dict[str, Problem] = {}
        """What is wrong with a macro, or with one in it, other than its syntax, which is told at once."""
        self.open: list[str] = []

    # lists

    def _resolve_lists(self) -> dict[str, tuple[str, ...]]:
        resolved: dict[str, tuple[str, ...]] = {}
        for name in self.collector.lists:
            self._resolve_list(name, resolved, [])
        return resolved

    def _resolve_list(self, name: str, resolved: dict[str, tuple[str, ...]], open_: list[str]) -> tuple[str, ...]:
        if name in resolved:
            return resolved[name]
        values: dict[str, None] = {}
        lists = self.collector.lists
        for value in lists[name].values:
            if value in lists and value != name and value not in open_ and len(open_) < 64:
                values.update(dict.fromkeys(self._resolve_list(value, resolved, [*open_, name])))
            else:
                values[_unquoted(value)] = None
            if len(values) > MAX_LIST_ITEMS:
                self.collector.note(
                    "error",
                    lists[name].place,
                    f"the list {name!r} has more than {MAX_LIST_ITEMS} values with the lists in it",
                    code="limit",
                )
                break
        resolved[name] = tuple(values)
        return resolved[name]

    # macros

    def parse_macros(self) -> None:
        """The syntax of every macro, used or not."""
        for name, macro in self.collector.macros.items():
            try:
                self.syntax[name] = parse(macro.condition)
            except RuleError as error:
                self.collector.problems.append(Problem.of(error, item=f"macro {name}"))
                self.syntax[name] = None

    def macro(self, name: str, visibility: int | None) -> Node | None:
        """The typed macro, or None when there is none to be seen. A macro that is wrong raises what is wrong with it."""
        item = self.collector.macros.get(name)
        if item is None:
            if ("macro", name) in self.collector.failed:
                raise _MacroWrong(None)
            return None
        if visibility is not None and item.index >= visibility:
            return None
        if name not in self.macro_nodes:
            self.macro_nodes[name] = self._type_macro(name, item)
        node = self.macro_nodes[name]
        if node is None:
            raise _MacroWrong(self.wrong_macros.get(name))
        return node

    def type_macros(self) -> None:
        """Type all macros in their order, so that long chains of them need no deep recursion. What is wrong is told when a rule uses it."""
        for name, item in sorted(self.collector.macros.items(), key=lambda entry: entry[1].index):
            if name not in self.macro_nodes:
                self.macro_nodes[name] = self._type_macro(name, item)

    def _type_macro(self, name: str, item: MacroItem) -> Node | None:
        syntax = self.syntax.get(name)
        if syntax is None:
            return None
        if name in self.open or len(self.open) > 100:
            loop = " → ".join((*self.open[-8:], name))
            wrong = ConditionError(f"the macro {name!r} contains itself: {loop}", item.place, 0, code="macro_loop")
            self.wrong_macros[name] = Problem.of(wrong, item=f"macro {name}")
            return None
        self.open.append(name)
        try:
            return Typer(
                self.tree, item.condition, lists=self.lists, macro=lambda other: self.macro(other, item.visibility)
            ).node(syntax)
        except RuleError as error:
            self.wrong_macros[name] = Problem.of(error, item=f"macro {name}", code="condition")
            return None
        except _MacroWrong as wrong_other:
            if wrong_other.problem is not None:
                self.wrong_macros[name] = wrong_other.problem
            return None
        finally:
            self.open.pop()

    # rules

    def rule(self, item: RuleItem) -> tuple[RuleItem, Node, Template, str] | None:
        """A rule typed: with its node, output and, when its text asks for what is not there, why it is dormant."""
        problems = self.collector.problems
        label = f"rule {item.name}"
        foreign = item.source not in SENSED_SOURCES
        try:
            syntax = parse(item.condition)
        except RuleError as error:
            problems.append(Problem.of(error, item=label))
            return None
        typer = Typer(self.tree, item.condition, lists=self.lists, macro=lambda name: self.macro(name, None))
        dormant = ""
        if foreign:
            self._warn(item, f"no sensor gives events of source {item.source!r}; the rule is dormant", "unknown_source")
            return (
                item,
                self.tree.never,
                Template(item.output.value, (item.output.value,)),
                f"no sensor gives events of source {item.source!r}",
            )
        try:
            node = typer.node(syntax)
            node = self._with_exceptions(item, node)
        except ConditionError as error:
            if item.skip_unknown and error.code == "unknown_field":
                return self._skipped(item, error)
            problems.append(Problem.of(error, item=label, code="condition"))
            return None
        except LimitError as error:
            problems.append(
                Problem.of(ConditionError(error.message, item.condition, 0, code="limit", hint=error.hint), item=label)
            )
            return None
        except _MacroWrong as wrong_macro:
            told = wrong_macro.problem
            if told is not None and told.code == "unknown_field" and item.skip_unknown:
                return self._skipped(item, told.error())
            if told is not None and told not in problems:
                problems.append(told)
            elif told is None:
                hint = "see the error of the macro"
                wrong_rule = ConditionError(
                    "a macro that the rule uses is wrong", item.condition, 0, code="condition", hint=hint
                )
                problems.append(Problem.of(wrong_rule, item=label))
            return None
        except ItemWrong:
            return None
        wrong: list[RuleError] = []
        template = parse_output(item.output, Typer(self.tree, item.output), wrong.append)
        for bad in wrong:
            if item.skip_unknown and getattr(bad, "code", "") == "unknown_field":
                return self._skipped(item, bad)
            problems.append(Problem.of(bad, item=label, code="output"))
        return None if wrong else (item, node, template, dormant)

    def _skipped(self, item: RuleItem, error: RuleError) -> tuple[RuleItem, Node, Template, str]:
        self._warn(item, f"{error.message}; the rule is dormant, as its skip-if-unknown-filter asks", "unknown_filter")
        return item, self.tree.never, Template(item.output.value, (item.output.value,)), error.message

    def _warn(self, item: RuleItem, message: str, code: str, hint: str = "") -> None:
        self.collector._item = f"rule {item.name}"
        self.collector.note("warning", item.place, message, code=code, hint=hint)
        self.collector._item = ""

    # exceptions

    def _with_exceptions(self, item: RuleItem, node: Node) -> Node:
        """``condition and not exception and not …``."""
        nodes = [node]
        for exception in item.exceptions:
            for text in self._exception_texts(item, exception):
                typer = Typer(self.tree, text, lists=self.lists)
                nodes.append(self.tree.negate(typer.node(parse(text))))
        return self.tree.all(nodes)

    def _exception_texts(self, item: RuleItem, exception: ExceptionItem) -> Iterable[Text]:
        """The exception as conditions, each placed at the values it comes from."""
        fields, comps = exception.fields, exception.comps
        if isinstance(fields, str) and isinstance(comps, str):
            operator, modifier = _operator(comps)
            if operator not in LIST_OPERATORS and not modifier:
                raise self._bad(
                    exception.place,
                    f"the exception {exception.name!r} has one field: its comps is in, intersects, pmatch or an operator with anyof, oneof, allof",
                )
            values: list[str] = []
            for value, place in exception.values:
                text = self.collector.yaml_texts(value, place)
                if not isinstance(text, str):
                    raise self._bad(
                        place, f"values of the exception {exception.name!r} are texts, because it has one field"
                    )
                values.append(_quoted(text))
            if values:
                yield _placed(exception.place, f"{fields} {comps} ({', '.join(values)})")
            return
        assert isinstance(fields, list)
        assert isinstance(comps, list)
        from phalanx.language.yaml_ import Sequence, text_at

        for value, place in exception.values:
            if not isinstance(value, Sequence) or len(value.items) != len(fields):
                raise self._bad(
                    place,
                    f"a value of the exception {exception.name!r} is a list of {len(fields)} entries, one for each field",
                )
            parts = []
            for field, comp, entry in zip(fields, comps, value.items, strict=True):
                operator, modifier = _operator(comp)
                if operator not in OPERATORS:
                    raise self._bad(exception.place, f"{comp[:40]!r} is no operator")
                text = self.collector.yaml_texts(entry, text_at(place.file or "", place.raw or "", entry))
                if isinstance(text, list):
                    right = f"({', '.join(map(_quoted, text))})"
                elif operator in LIST_OPERATORS or modifier:
                    right = text if text.startswith("(") else f"({_quoted(text)})"
                else:
                    right = _quoted(text)
                parts.append(f"{field} {comp} {right}")
            yield _placed(place, " and ".join(parts))

    def _bad(self, place: Text, message: str) -> ConditionError:
        return ConditionError(message, place, 0, code="exception")


class _MacroWrong(Exception):
    """A macro that is used is wrong; ``problem`` says how, None when that was told already."""

    def __init__(self, problem: Problem | None) -> None:
        super().__init__()
        self.problem = problem


def _operator(comp: str) -> tuple[str, str]:
    words = comp.split()
    if len(words) == 2 and words[1] in MODIFIERS:
        return words[0], words[1]
    return comp.strip(), ""


def _placed(place: Text, value: str) -> Text:
    return Text(value=value, file=place.file, raw=place.raw, start=place.start, end=place.end, style="=")


def _quoted(value: str) -> str:
    """A value of an exception as a condition writes it: quoted when it is not a bare word and not quoted already."""
    if value[:1] in ('"', "'"):
        return value
    if value and not any(char in " \t\r\n()\"'=," for char in value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(value: str) -> str:
    """A value of a list without the quotes that protect it in a condition."""
    if len(value) >= 2 and value[0] in "\"'" and value[-1] == value[0]:
        return value[1:-1].replace("\\" + value[0], value[0]).replace("\\\\", "\\")
    return value


def load_rules(sources: Iterable[RuleSource], *, disabled: Collection[str] = ()) -> RuleSet:
    """Load rule files in their order. Never raises for what is in them: see ``problems`` of the answer.

    ``disabled`` are ids or names of rules to switch off, whatever the files say.
    """
    collector = Collector()
    files = tuple(sources)
    collector.read(files)
    loader = _Loader(collector)
    loader.parse_macros()
    loader.type_macros()
    typed = [
        found
        for item in sorted(collector.rules.values(), key=lambda rule: rule.index)
        if (found := loader.rule(item)) is not None
    ]
    universe = Universe(set().union(*(type_literals(node) for _, node, _, _ in typed)) if typed else ())
    asked, filled = TypeSets(universe), TypeSets(universe, filled_only=True)
    rules = tuple(_finish(loader, universe, asked, filled, *found) for found in typed)
    order = {source.name: number for number, source in enumerate(files)}
    collector.problems.sort(key=lambda problem: (order.get(problem.file, -1), problem.line, problem.column))
    ruleset = RuleSet(
        rules=rules,
        problems=tuple(collector.problems),
        rules_read=collector.counts["rule"],
        macros_read=collector.counts["macro"],
        lists_read=collector.counts["list"],
        macros={name: macro.condition.value for name, macro in collector.macros.items()},
        lists=loader.lists,
        tree=loader.tree,
        version=ruleset_version(rules),
    )
    return ruleset.without(disabled) if disabled else ruleset


def _finish(
    loader: _Loader,
    universe: Universe,
    asked: TypeSets,
    filled: TypeSets,
    item: RuleItem,
    node: Node,
    template: Template,
    dormant: str,
) -> Rule:
    wanted = asked.true_for(node)
    refs = fields_of(node)
    unfilled = tuple(sorted(key for key, ref in refs.items() if not ref.filled))
    live = filled.true_for(node) & (universe.sensed | universe.bit[OTHER])
    if not dormant and node is not loader.tree.never:
        if not wanted & universe.sensed:
            names = universe.names(wanted)
            dormant = (
                f"no sensor gives the event type {', '.join(names[:8])}"
                if names
                else "no event type can satisfy it: what it asks for never comes together"
            )
        elif not live & universe.sensed:
            dormant = (
                f"no sensor fills {', '.join(unfilled[:8])}"
                if unfilled
                else "no event type that a sensor gives has the fields it asks for"
            )
    elif not dormant:
        dormant = "its condition can never hold"
    everything = bool(wanted & universe.bit[OTHER])
    if everything and not dormant and item.warn_evttypes:
        loader._warn(
            item,
            "the condition does not say which event types it is about; it is asked of every event",
            "no_evttype",
            "begin it with evt.type in (…) and …, or set warn_evttypes: false",
        )
    text = f"{item.name}\0{node!r}\0{item.output.value}\0{item.priority}"
    return Rule(
        id=item.id or item.name,
        name=item.name,
        description=item.description,
        condition=Condition(item.condition.value, node, loader.tree),
        written=item.condition.value,
        output=template,
        priority=item.priority,
        severity=severity_of_priority(item.priority),
        source=item.source,
        tags=item.tags,
        techniques=tuple(tag for tag in item.tags if _TECHNIQUE.fullmatch(tag)),
        enabled=item.enabled,
        event_types=None if everything else universe.names(wanted),
        dormant=dormant,
        advice=item.advice,
        references=item.references,
        exceptions=tuple(exception.name for exception in item.exceptions),
        unfilled=unfilled,
        version=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
        file=item.place.file or "",
        line=item.place.place(0)[0],
        text=item.yaml,
    )
