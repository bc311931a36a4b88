"""Rules: what is detected, is it right, and change it without breaking anything."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, Row

from phalanx.errors import ConflictError, LimitError, NotFoundError, RuleError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.language import Problem as LanguageProblem
from phalanx.language import Rule, RuleSet, RuleSource, load_rules
from phalanx.model.report import RuleBundle
from phalanx.services import narrowing
from phalanx.services.base import State, record
from phalanx.services.events import Events
from phalanx.services.rule_types import (
    BackTest,
    CheckResult,
    Draft,
    NarrowDraft,
    Problem,
    RuleDetail,
    RuleFileView,
    RuleRow,
)
from phalanx.services.rulebook import bundle_of, index_rules, read_brought_files, rule_text
from phalanx.services.threats import RuleText
from phalanx.store.state import findings as findings_store
from phalanx.store.state import rules as store
from phalanx.text.hostile import show

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

_MAX_TEXT: Final = 256 << 10
_MAX_DRAFTS: Final = 500
_DAY_NS: Final = 86_400 * 10**9
_DEFAULT_DAYS: Final = 7
_SAMPLES: Final = 50
_CAP: Final = 10_000
_MAX_RULES: Final = 50
"""Rules of one back-test."""
_INPUT: Final = "draft.yaml"


class Rules:
    """Rules of this hub."""

    def __init__(self, state: State, events: Events, *, rules_dir: str = "") -> None:
        self._state = state
        self._events = events
        own = _own_files()
        self._own = frozenset(name for name, _ in own)
        self._base = (*own, *read_brought_files(rules_dir))
        self._compiling = CapacityLimiter(1)
        self._changed = asyncio.Event()
        self._stopped = False
        self._compiled: tuple[str, RuleSet] | None = None
        with state.store.read() as connection:
            local, disabled = store.in_force(connection), store.switched_off(connection)
        self._set(local, disabled)

    def _set(self, local: tuple[tuple[str, str], ...], disabled: tuple[str, ...]) -> None:
        self._bundle = bundle_of((*self._base, *local), disabled)
        self._index = index_rules(self._bundle.files)
        self._changed.set()
        self._changed = asyncio.Event()

    # --- for agents and findings ----------------------------------------------------------------

    async def effective(self) -> RuleBundle:
        """The rule set as agents load it."""
        return self._bundle

    async def wait(self, version: str, seconds: float) -> RuleBundle | None:
        """The rule set once it differs from ``version``; None when ``seconds`` passed."""
        if self._bundle.version == version and not self._stopped:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        return None if self._bundle.version == version else self._bundle

    @property
    def version(self) -> str:
        """Version of the rule set in force."""
        return self._bundle.version

    @property
    def index(self) -> dict[str, dict[str, Any]]:
        """Rule (by id and by name) → its mapping as written."""
        return self._index

    def text_of(self, rule: str) -> RuleText:
        """What findings say of a rule."""
        return rule_text(self._index, rule)

    def stop(self) -> None:
        """End long polls: the hub stops."""
        self._stopped = True
        self._changed.set()

    async def _rule_set(self) -> RuleSet:
        """The rules in force, compiled once for each version."""
        async with self._compiling:
            if self._compiled is None or self._compiled[0] != self._bundle.version:
                bundle = self._bundle
                compiled = await to_thread.run_sync(_compile, bundle.files, bundle.disabled)
                self._compiled = (bundle.version, compiled)
            return self._compiled[1]

    # --- looking --------------------------------------------------------------------------------

    async def list(
        self, actor: Actor, *, text: str = "", state: str = "", tag: str = "", technique: str = ""
    ) -> tuple[RuleRow, ...]:
        """All rules that fit, by severity then id."""
        actor.require(Permission.RULES_READ)
        rules = await self._rule_set()
        counts = await self._state.read(findings_store.open_by_rule)
        rows = [self._row(rule, counts) for rule in rules.rules]
        wanted = text.lower()
        fitting = [
            row
            for row in rows
            if (not wanted or wanted in row.name.lower() or wanted in row.id.lower())
            and (not state or row.state == state)
            and (not tag or tag in row.tags)
            and (not technique or any(item == technique or item.startswith(f"{technique}.") for item in row.techniques))
        ]
        order = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
        return tuple(sorted(fitting, key=lambda row: (order[row.severity], row.id)))

    def _row(self, rule: Rule, counts: dict[str, int]) -> RuleRow:
        local = [name for name, text in self._bundle.files[len(self._base) :] if rule.name in text]
        return RuleRow(
            id=rule.id,
            name=rule.name,
            severity=rule.severity.value,
            priority=rule.priority,
            state=rule.state,
            why=rule.dormant,
            source=rule.source,
            techniques=rule.techniques,
            tags=rule.tags,
            file=rule.file,
            own=rule.file in self._own,
            findings=counts.get(rule.id, 0),
            changed=bool(local),
        )

    async def get(self, actor: Actor, rule_id: str) -> RuleDetail:
        """One rule."""
        actor.require(Permission.RULES_READ)
        rule = await self._known(rule_id)
        counts = await self._state.read(findings_store.open_by_rule)
        told = self.text_of(rule.id)
        own = self._index.get(rule.id, {}).get("phalanx")
        own = own if isinstance(own, dict) else {}
        return RuleDetail(
            row=self._row(rule, counts),
            description=rule.description,
            condition=rule.written,
            expanded=repr(rule.condition.node),
            output=rule.output.text,
            text=rule.text,
            exceptions=", ".join(rule.exceptions),
            titles=_languages(own.get("title")),
            advice=told.advice or rule.advice,
            advices=_languages(own.get("advice")),
            references=told.refs or rule.references,
            version=rule.version,
            fields=rule.condition.fields,
        )

    async def _known(self, rule_id: str) -> Rule:
        rule = (await self._rule_set()).rule(rule_id)
        if rule is None:
            raise NotFoundError(f"there is no rule {show(rule_id, 80)}")
        return rule

    async def files(self, actor: Actor) -> tuple[RuleFileView, ...]:
        """The rule files in load order."""
        actor.require(Permission.RULES_READ)
        return tuple(
            RuleFileView(name=name, text=text, own=name in self._own, rules=text.count("- rule:"))
            for name, text in self._bundle.files
        )

    # --- trying ---------------------------------------------------------------------------------

    async def check(self, actor: Actor, text: str) -> CheckResult:
        """Read ``text`` as a rule file on top of the rules in force; nothing changes."""
        actor.require(Permission.RULES_READ)
        return (await self._read(text))[0]

    async def _read(self, text: str) -> tuple[CheckResult, tuple[Rule, ...]]:
        """What ``text`` is, and the rules that it makes or changes."""
        if len(text) > _MAX_TEXT:
            raise LimitError(f"the text has {len(text):,} characters", hint=f"at most {_MAX_TEXT:,} are read")
        before = await self._rule_set()
        bundle = self._bundle
        after = await to_thread.run_sync(
            _compile, (*bundle.files, (_INPUT, text)), bundle.disabled, limiter=self._compiling
        )
        fresh = [problem for problem in after.problems if problem not in before.problems]
        changed = tuple(
            rule for rule in after.rules if (known := before.rule(rule.id)) is None or known.version != rule.version
        )
        result = CheckResult(
            problems=tuple(_problem(problem) for problem in fresh[:100]),
            rules=after.rules_read - before.rules_read,
            macros=after.macros_read - before.macros_read,
            lists=after.lists_read - before.lists_read,
            live=sum(1 for rule in changed if not rule.dormant),
            dormant=sum(1 for rule in changed if rule.dormant),
        )
        return result, changed

    async def back_test(
        self, actor: Actor, text: str, *, rule: str = "", since_ns: int | None = None, until_ns: int | None = None
    ) -> BackTest:
        """When the rules of ``text`` (or the rule in force ``rule``, when ``text`` is empty) would have fired; seven days by default."""
        actor.require(Permission.RULES_READ)
        actor.require(Permission.EVENTS_READ)
        if text.strip():
            check, rules = await self._read(text)
            if not check.ok:
                first = next(problem for problem in check.problems if problem.level == "error")
                raise RuleError(
                    first.message,
                    hint=first.hint or None,
                    file=first.file,
                    line=first.line,
                    column=first.column,
                    source=first.source,
                )
        else:
            rules = (await self._known(rule),)
        before = await self._rule_set()
        until = self._state.clock() + 1 if until_ns is None else until_ns
        since = until - _DEFAULT_DAYS * _DAY_NS if since_ns is None else since_ns
        if len(rules) > _MAX_RULES:
            raise LimitError(
                f"the text makes or changes {len(rules)} rules; at most {_MAX_RULES} are back-tested at once"
            )
        return await self._tested(rules, before if text.strip() else None, since, until)

    async def _tested(self, rules: Sequence[Rule], before: RuleSet | None, since: int, until: int) -> BackTest:
        return await narrowing.back_test(self._events, rules, before, since, until, samples=_SAMPLES, cap=_CAP)

    # --- changing -------------------------------------------------------------------------------

    async def save_draft(self, actor: Actor, text: str, *, rule: str = "", draft: str = "") -> Draft:
        """Keep ``text`` as a draft, checked and back-tested (``draft`` replaces one of that id that is not in force); errors are kept with it."""
        actor.require(Permission.RULES_WRITE)
        return await self._keep(actor, text, rule=rule, draft=draft)

    async def _keep(
        self, actor: Actor, text: str, *, rule: str, draft: str = "", kind: str = "rule", finding: str = ""
    ) -> Draft:
        check, changed = await self._read(text)
        tested = None
        now = self._state.clock()
        if check.ok and changed and len(changed) <= _MAX_RULES:
            tested = await self._tested(changed, await self._rule_set(), now - _DEFAULT_DAYS * _DAY_NS, now + 1)
        identifier = draft or secrets.token_hex(6)
        body = msgspec.json.encode(
            {
                "text": text,
                "author": actor.name,
                "rule": rule or (changed[0].id if changed else ""),
                "kind": kind,
                "finding": finding,
                "check": check,
                "back_test": tested,
                "base": self._bundle.version,
            }
        )

        def work(connection: Connection) -> Row[Any]:
            if draft:
                row = _draft(connection, draft)
                if row.applied_ns is not None:
                    raise ConflictError("this draft was put into force", hint="save the text as a new draft")
                store.set_draft(connection, draft, {"body": body})
            else:
                if len(store.drafts_all(connection)) >= _MAX_DRAFTS:
                    raise LimitError(f"there are {_MAX_DRAFTS} drafts", hint="discard some")
                store.add_draft(connection, identifier, now_ns=now, body=body)
            record(connection, actor, "rule.draft", identifier, now_ns=now, detail={"rule": rule, "finding": finding})
            return _draft(connection, identifier)

        return _draft_view(await self._state.write(work))

    async def drafts(self, actor: Actor) -> tuple[Draft, ...]:
        """All drafts, newest first, applied ones included."""
        actor.require(Permission.RULES_READ)
        return tuple(_draft_view(row) for row in await self._state.read(store.drafts_all))

    async def draft(self, actor: Actor, draft_id: str) -> Draft:
        """One draft."""
        actor.require(Permission.RULES_READ)
        return _draft_view(await self._state.read(lambda connection: _draft(connection, draft_id)))

    async def apply(self, actor: Actor, draft_id: str) -> Draft:
        """Put a draft into force. RuleError when it has errors; ConflictError when it is in force, or the rules changed since its back-test."""
        actor.require(Permission.RULES_APPLY)
        row = await self._state.read(lambda connection: _draft(connection, draft_id))
        if row.applied_ns is not None and row.undone_ns is None:
            raise ConflictError("this draft is in force already")
        body = msgspec.json.decode(row.body)
        check, _ = await self._read(body["text"])
        for problem in check.problems:
            if problem.level == "error":
                raise RuleError(
                    problem.message,
                    hint=problem.hint or None,
                    file=problem.file,
                    line=problem.line,
                    column=problem.column,
                    source=problem.source,
                )
        if body["base"] != self._bundle.version:
            raise ConflictError(
                "the rules changed since this draft was back-tested",
                hint="save it again, look at its back-test, then apply it",
            )
        now = self._state.clock()
        await self._change(
            actor, "rule.apply", draft_id, {"applied_ns": now, "undone_ns": None}, now, rule=body["rule"]
        )
        return await self.draft(actor, draft_id)

    async def undo(self, actor: Actor, draft_id: str) -> Draft:
        """Take an applied draft out of force."""
        actor.require(Permission.RULES_APPLY)
        row = await self._state.read(lambda connection: _draft(connection, draft_id))
        if row.applied_ns is None or row.undone_ns is not None:
            raise ConflictError("this draft is not in force")
        now = self._state.clock()
        await self._change(
            actor, "rule.undo", draft_id, {"undone_ns": now}, now, rule=msgspec.json.decode(row.body)["rule"]
        )
        return await self.draft(actor, draft_id)

    async def _change(
        self, actor: Actor, action: str, draft_id: str, values: dict[str, Any], now: int, *, rule: str
    ) -> None:
        before = self._bundle

        def work(connection: Connection) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
            if "applied_ns" in values:  # what is applied later is loaded later, also within one tick of the clock
                values["applied_ns"] = max(now, store.last_applied(connection) + 1)
            store.set_draft(connection, draft_id, values)
            local, disabled = store.in_force(connection), store.switched_off(connection)
            # what stays in force must hold together: undoing a macro that another draft uses would break every agent's load
            broken = _compile((*self._base, *local), disabled).errors
            if broken:
                raise ConflictError(
                    f"the rules would not load any more: {broken[0].message}", hint="undo what depends on it first"
                )
            after = bundle_of((*self._base, *local), disabled)
            detail = {"rule": rule, "before": before.version, "after": after.version}
            record(connection, actor, action, draft_id, now_ns=now, detail=detail)
            return local, disabled

        self._set(*await self._state.write(work))

    async def discard(self, actor: Actor, draft_id: str) -> None:
        """Delete a draft that is not in force."""
        actor.require(Permission.RULES_WRITE)
        now = self._state.clock()

        def work(connection: Connection) -> None:
            row = _draft(connection, draft_id)
            if row.applied_ns is not None and row.undone_ns is None:
                raise ConflictError("this draft is in force", hint="undo it first")
            store.drop_draft(connection, draft_id)
            record(connection, actor, "rule.discard", draft_id, now_ns=now)

        await self._state.write(work)

    async def switch(self, actor: Actor, rule_id: str, *, on: bool) -> RuleRow:
        """Switch a rule on or off."""
        actor.require(Permission.RULES_APPLY)
        rule = await self._known(rule_id)
        now = self._state.clock()

        def work(connection: Connection) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
            store.switch(connection, rule.id, on=on, now_ns=now)
            record(connection, actor, "rule.on" if on else "rule.off", rule.id, now_ns=now, detail={"name": rule.name})
            return store.in_force(connection), store.switched_off(connection)

        self._set(*await self._state.write(work))
        counts = await self._state.read(findings_store.open_by_rule)
        return self._row(await self._known(rule.id), counts)

    async def narrow(self, actor: Actor, finding_id: str, *, fields: tuple[str, ...] = ()) -> NarrowDraft:
        """Draft an exception for what this finding saw (``fields`` chooses which fields it names) and back-test it."""
        actor.require(Permission.RULES_WRITE)
        number = findings_store.number_of(finding_id)
        finding = None
        if number is not None:
            finding = await self._state.read(lambda connection: findings_store.by_number(connection, number))
        if finding is None:
            raise NotFoundError(f"there is no finding {show(finding_id, 40)}")
        rule = await self._known(finding.rule)
        choices = narrowing.choices_of(finding, rule)
        if not choices:
            raise UsageError(
                "nothing that this finding saw can tell it from others",
                hint="write an exception by hand in the rule's editor",
            )
        named = fields or narrowing.suggested(choices)
        unknown = [field for field in named if field not in dict(choices)]
        if unknown:
            raise UsageError(
                f"{show(unknown[0], 60)} has no value in this finding", hint=f"choose from {', '.join(dict(choices))}"
            )
        chosen = tuple((field, dict(choices)[field]) for field in named)
        text = narrowing.exception_text(rule, finding.id, chosen)
        draft = await self._keep(actor, text, rule=rule.id, kind="narrow", finding=finding.id)
        tested = draft.back_test
        remaining = tested.fires if tested is not None else 0
        fired = tested.before if tested is not None and tested.before is not None else remaining
        return NarrowDraft(
            draft=draft,
            rule=rule.id,
            fields=chosen,
            choices=choices,
            still_fires=remaining,
            silenced=max(fired - remaining, 0),
        )


def _compile(files: Sequence[tuple[str, str]], disabled: Sequence[str]) -> RuleSet:
    return load_rules([RuleSource(name, text) for name, text in files]).without(disabled)


def _problem(problem: LanguageProblem) -> Problem:
    return Problem(
        level=problem.severity,
        message=problem.message,
        hint=problem.hint,
        file="" if problem.file == _INPUT else problem.file,
        line=problem.line,
        column=problem.column,
        source=problem.source,
    )


def _languages(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {"en": value} if isinstance(value, str) else {}
    return {str(key): str(text) for key, text in value.items()}


def _draft(connection: Connection, identifier: str) -> Row[Any]:
    row = store.draft(connection, identifier)
    if row is None:
        raise NotFoundError("there is no such draft")
    return row


def _draft_view(row: Row[Any]) -> Draft:
    body = msgspec.json.decode(row.body)
    return Draft(
        id=row.id,
        rule=body["rule"],
        text=body["text"],
        author=body["author"],
        created_ns=row.created_ns,
        kind=body["kind"],
        finding=body["finding"],
        applied_ns=row.applied_ns,
        undone_ns=row.undone_ns,
        check=msgspec.convert(body["check"], CheckResult),
        back_test=None if body["back_test"] is None else msgspec.convert(body["back_test"], BackTest),
    )


def _own_files() -> tuple[tuple[str, str], ...]:
    from phalanx.content import rule_files

    return tuple(rule_files())
