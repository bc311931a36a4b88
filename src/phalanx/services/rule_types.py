"""What the services say of rules: rows, texts, checks, back-tests, drafts."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from phalanx.services.event_types import CoverageAnswer, EventRow, Histogram

__all__ = ["BackTest", "CheckResult", "Draft", "NarrowDraft", "Problem", "RuleDetail", "RuleFileView", "RuleRow"]


class Problem(Struct, frozen=True, kw_only=True):
    """One error or warning in a rule text."""

    level: Literal["error", "warning"]
    message: str
    hint: str = ""
    file: str = ""
    line: int | None = None
    """1-based."""
    column: int | None = None
    """1-based, in characters."""
    source: str = ""
    """The text of that line."""


class RuleRow(Struct, frozen=True, kw_only=True):
    """A rule as a list shows it."""

    id: str
    """Own rules ``PHX-…``; others their name."""
    name: str
    severity: str
    priority: str
    state: Literal["live", "dormant", "off"]
    """``dormant``: it needs an event type or field that no sensor fills."""
    why: str = ""
    """What it lacks, when dormant."""
    source: str = "syscall"
    techniques: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    file: str = ""
    """Name of the rule file."""
    own: bool = True
    """True for the rules that phalanx brings."""
    findings: int = 0
    """Open findings that it made."""
    changed: bool = False
    """True when a local change (exception, override) applies to it."""


class RuleDetail(Struct, frozen=True, kw_only=True):
    """One rule, whole."""

    row: RuleRow
    description: str = ""
    condition: str
    """As written, macros by name."""
    expanded: str = ""
    """With macros and lists put in."""
    output: str = ""
    text: str = ""
    """The YAML of the rule as loaded from its file; what an editor starts from."""
    exceptions: str = ""
    """YAML of its exceptions, local ones included."""
    titles: dict[str, str] = {}
    """Language → what it says when it fires (``en``, ``zh``); empty for rules of others."""
    advice: str = ""
    advices: dict[str, str] = {}
    """Language → what to do."""
    references: tuple[str, ...] = ()
    version: str = ""
    fields: tuple[str, ...] = ()


class CheckResult(Struct, frozen=True, kw_only=True):
    """What a rule text is."""

    problems: tuple[Problem, ...]
    rules: int
    macros: int
    lists: int
    live: int
    dormant: int

    @property
    def ok(self) -> bool:
        """True when there is no error; warnings do not matter."""
        return not any(problem.level == "error" for problem in self.problems)


class BackTest(Struct, frozen=True, kw_only=True):
    """When rules would have fired."""

    since_ns: int
    until_ns: int
    fires: int
    capped: bool = False
    before: int | None = None
    """How often the rules in force fired in the same time; None when there is nothing to compare with."""
    samples: tuple[EventRow, ...] = ()
    """At most 50, newest first."""
    by_actor: tuple[tuple[str, int], ...] = ()
    """``(program, count)``, most first, at most 20."""
    histogram: Histogram | None = None
    coverage: CoverageAnswer
    refused: str = ""
    """Why it could not be answered (a field that is not stored); then the counts mean nothing."""
    took_ms: float = 0.0


class RuleFileView(Struct, frozen=True, kw_only=True):
    """One rule file."""

    name: str
    text: str
    own: bool
    """True for files that phalanx brings: not editable, overrides go into local files."""
    rules: int


class Draft(Struct, frozen=True, kw_only=True):
    """A change that is not in force."""

    id: str
    rule: str = ""
    """The rule that it is about; empty for a new one."""
    text: str
    author: str
    created_ns: int
    kind: Literal["rule", "narrow"] = "rule"
    finding: str = ""
    """Only for ``narrow``: the finding it was made from."""
    applied_ns: int | None = None
    undone_ns: int | None = None
    back_test: BackTest | None = None
    check: CheckResult | None = None


class NarrowDraft(Struct, frozen=True, kw_only=True):
    """An exception that would have kept a finding quiet, with what it costs."""

    draft: Draft
    rule: str
    fields: tuple[tuple[str, str], ...]
    """``(field, value)`` of the exception, most specific first."""
    choices: tuple[tuple[str, str], ...]
    """All fields that could be used, with the value in this finding."""
    still_fires: int
    """Firings of the last seven days that would remain."""
    silenced: int
    """Firings that it would take away."""
