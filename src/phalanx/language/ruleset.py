"""What loading gives: typed rules, with everything that was wrong as values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from phalanx.language.condition import Condition
from phalanx.language.kernel_filter import KernelFilter
from phalanx.language.output import Template
from phalanx.language.problems import Problem
from phalanx.language.tree import Tree
from phalanx.model.severity import Severity

if TYPE_CHECKING:
    from phalanx.language.matcher import Matcher

__all__ = ["Rule", "RuleSet", "RuleSource"]


class RuleSource(Struct, frozen=True):
    """One rule file."""

    name: str
    """What errors call it."""
    text: str


class Rule(Struct, frozen=True, kw_only=True):
    """A rule as loaded: overrides, appended parts and exceptions are in it."""

    id: str
    """Own rules ``PHX-XXX-000`` (``phalanx: {id: …}``); others their name."""
    name: str
    description: str
    condition: Condition
    """Typed, with macros, lists and exceptions put in. Of a dormant rule of a foreign source it is ``never``."""
    written: str
    """The condition as written, macros by name, exceptions not in it."""
    output: Template
    priority: str
    """As written, upper case."""
    severity: Severity
    source: str
    """``syscall``, ``k8s_audit`` …"""
    tags: tuple[str, ...]
    techniques: tuple[str, ...]
    """ATT&CK ids, from tags such as ``T1059`` or ``T1059.004``."""
    enabled: bool
    event_types: tuple[str, ...] | None
    """The event types that can satisfy it; None: any."""
    dormant: str
    """Why it can never fire with phalanx's sensors; empty for a live rule."""
    advice: str
    """What to do when it fires (``phalanx: {advice: …}``), English; empty in rules of others."""
    references: tuple[str, ...]
    """``phalanx: {references: […]}``."""
    exceptions: tuple[str, ...]
    """Names of its exceptions."""
    unfilled: tuple[str, ...]
    """Fields of its condition that no sensor fills."""
    version: str
    """Hash of its name and its whole condition and output as loaded."""
    file: str
    line: int
    """Where its definition begins, from 1."""
    text: str
    """The YAML of its definition."""

    @property
    def state(self) -> Literal["live", "dormant", "off"]:
        """``off`` when it is not enabled."""
        return "off" if not self.enabled else "dormant" if self.dormant else "live"


class RuleSet(Struct, frozen=True, kw_only=True, dict=True):
    """All rules of some files, in the order in which they were first defined."""

    rules: tuple[Rule, ...]
    """Those that are right; see ``problems`` for the others."""
    problems: tuple[Problem, ...]
    """Errors and warnings, in the order of files and lines."""
    rules_read: int
    """Definitions read (``- rule:`` items), right or wrong, overrides included."""
    macros_read: int
    lists_read: int
    macros: dict[str, str]
    """Name → condition as written."""
    lists: dict[str, tuple[str, ...]]
    """Name → values, lists in it put in."""
    tree: Tree
    """What made all nodes."""
    version: str
    """Hash over all rules and whether they are enabled."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What makes the files unfit to be put into force."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is worth a look."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that conditions and outputs of the rules use, without arguments, sorted."""
        from phalanx.language.tree import fields_of

        found: set[str] = set()
        for rule in self.rules:
            found.update(ref.field.name for ref in fields_of(rule.condition.node).values())
            found.update(ref.field.name for ref in rule.output.fields.values())
        return tuple(sorted(found))

    @property
    def active(self) -> tuple[Rule, ...]:
        """The rules that can fire: enabled and not dormant."""
        return tuple(rule for rule in self.rules if rule.state == "live")

    @property
    def live(self) -> int:
        """Rules that can fire, were they enabled."""
        return sum(1 for rule in self.rules if not rule.dormant)

    @property
    def dormant(self) -> int:
        """Rules that need what no sensor gives."""
        return sum(1 for rule in self.rules if rule.dormant)

    def rule(self, name: str) -> Rule | None:
        """The rule of that id or name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.rules} | {rule.id: rule for rule in self.rules}

    @cached_property
    def matcher(self) -> Matcher:
        """The active rules compiled; made when first asked for."""
        from phalanx.language.matcher import Matcher

        matcher = Matcher(self)
        matcher.prepare()
        return matcher

    def kernel_filter(self) -> KernelFilter:
        """What the active rules can possibly match, for the sensor."""
        from phalanx.language.cover import kernel_filter

        return kernel_filter(self)

    def without(self, disabled: Iterable[str]) -> RuleSet:
        """The same with these rules (ids or names) switched off; unknown names are passed over."""
        import msgspec

        names = set(disabled)
        rules = tuple(
            msgspec.structs.replace(rule, enabled=False) if rule.id in names or rule.name in names else rule
            for rule in self.rules
        )
        return msgspec.structs.replace(self, rules=rules, version=ruleset_version(rules))


def ruleset_version(rules: Iterable[Rule]) -> str:
    """Hash over rules and whether they are enabled: 16 hexadecimal digits."""
    import hashlib

    hasher = hashlib.blake2b(digest_size=8)
    for rule in rules:
        hasher.update(f"{rule.id}\0{rule.version}\0{rule.enabled}\n".encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()
