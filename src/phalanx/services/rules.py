"""Rules: what is detected, is it right, and change it without breaking anything."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.model.report import RuleBundle
from phalanx.services.base import State
from phalanx.services.events import CoverageAnswer, EventRow, Histogram
from phalanx.services.rulebook import bundle_of, index_rules, read_brought_files, rule_text
from phalanx.services.threats import RuleText
from phalanx.store.state import rules as store

__all__ = [
    "BackTest",
    "CheckResult",
    "Draft",
    "NarrowDraft",
    "Problem",
    "RuleDetail",
    "RuleFileView",
    "RuleRow",
    "Rules",
]


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


class RuleRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class RuleDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    advice: str = ""
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


class Draft(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Rules:
    """Rules of this hub."""

    def __init__(self, state: State, *, rules_dir: str = "") -> None:
        self._state = state
        self._base = (*_own_files(), *read_brought_files(rules_dir))
        self._changed = asyncio.Event()
        self._stopped = False
        with state.store.read() as connection:
            self._local, disabled = store.in_force(connection), store.switched_off(connection)
        self._set(self._local, disabled)

    def _set(self, local: tuple[tuple[str, str], ...], disabled: tuple[str, ...]) -> None:
        self._local = local
        self._bundle = bundle_of((*self._base, *local), disabled)
        self._index = index_rules(self._bundle.files)
        self._changed.set()
        self._changed = asyncio.Event()

    def text_of(self, rule: str) -> RuleText:
        """What findings say of a rule."""
        return rule_text(self._index, rule)

    def stop(self) -> None:
        """End long polls: the hub stops."""
        self._stopped = True
        self._changed.set()

    async def list(
        self, actor: Actor, *, text: str = "", state: str = "", tag: str = "", technique: str = ""
    ) -> tuple[RuleRow, ...]:
        """All rules that fit, by severity then id."""
        raise NotImplementedError

    async def get(self, actor: Actor, rule_id: str) -> RuleDetail:
        """One rule."""
        raise NotImplementedError

    async def files(self, actor: Actor) -> tuple[RuleFileView, ...]:
        """The rule files in load order."""
        raise NotImplementedError

    async def check(self, actor: Actor, text: str) -> CheckResult:
        """Read ``text`` as a rule file on top of the rules in force; nothing changes."""
        raise NotImplementedError

    async def back_test(
        self, actor: Actor, text: str, *, rule: str = "", since_ns: int | None = None, until_ns: int | None = None
    ) -> BackTest:
        """When the rules of ``text`` (or the rule in force ``rule``, when ``text`` is empty) would have fired; seven days by default."""
        raise NotImplementedError

    async def save_draft(self, actor: Actor, text: str, *, rule: str = "", draft: str = "") -> Draft:
        """Keep ``text`` as a draft (``draft`` replaces one of that id); errors in it are kept with it."""
        raise NotImplementedError

    async def drafts(self, actor: Actor) -> tuple[Draft, ...]:
        """All drafts, newest first, applied ones included."""
        raise NotImplementedError

    async def draft(self, actor: Actor, draft_id: str) -> Draft:
        """One draft."""
        raise NotImplementedError

    async def apply(self, actor: Actor, draft_id: str) -> Draft:
        """Put a draft into force. RuleError when it has errors, ConflictError when it was not back-tested as it stands."""
        raise NotImplementedError

    async def undo(self, actor: Actor, draft_id: str) -> Draft:
        """Take an applied draft out of force."""
        raise NotImplementedError

    async def discard(self, actor: Actor, draft_id: str) -> None:
        """Delete a draft that is not in force."""
        raise NotImplementedError

    async def switch(self, actor: Actor, rule_id: str, *, on: bool) -> RuleRow:
        """Switch a rule on or off."""
        raise NotImplementedError

    async def narrow(self, actor: Actor, finding_id: str, *, fields: tuple[str, ...] = ()) -> NarrowDraft:
        """Draft an exception for what this finding saw (``fields`` chooses which fields it names) and back-test it."""
        raise NotImplementedError

    async def effective(self) -> RuleBundle:
        """The rule set as agents load it."""
        return self._bundle

    async def wait(self, version: str, seconds: float) -> RuleBundle | None:
        """The rule set once it differs from ``version``; None when ``seconds`` passed."""
        if self._bundle.version == version and not self._stopped:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        return None if self._bundle.version == version else self._bundle


def _own_files() -> tuple[tuple[str, str], ...]:
    from phalanx.content import rule_files

    return tuple(rule_files())
