"""Rules and simulations over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import delete, get, post, put
from litestar.params import Parameter
from msgspec import Struct

from phalanx.api.access import requires
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.services.hub import Services
from phalanx.services.rule_types import BackTest, CheckResult, Draft, NarrowDraft, RuleDetail, RuleFileView, RuleRow
from phalanx.services.simulate import RunView, ScenarioRow

__all__ = ["RULE_ROUTES"]


class RuleText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text in the form of a rule file."""

    text: str
    rule: str = ""
    """The rule that it is about."""


class BackTestRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to ask the past: ``text``, or the rule in force ``rule``."""

    text: str = ""
    rule: str = ""
    since_ns: int | None = None
    until_ns: int | None = None


class Switch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a rule is on."""

    on: bool


class NarrowRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which fields the exception names; empty for phalanx's choice."""

    fields: tuple[str, ...] = ()


class SimulationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which simulations, and on which agent's machine (the only one when not named)."""

    ids: tuple[str, ...]
    agent: str = ""


@get("/api/v1/rules", opt=requires(Permission.RULES_READ), tags=["rules"])
async def list_rules(
    services: Services,
    actor: Actor,
    text: Annotated[str, Parameter(max_length=200)] = "",
    rule_state: Annotated[Literal["", "live", "dormant", "off"], Parameter(query="state")] = "",
    tag: Annotated[str, Parameter(max_length=100)] = "",
    technique: Annotated[str, Parameter(max_length=20)] = "",
) -> tuple[RuleRow, ...]:
    """All rules that fit."""
    return await services.rules.list(actor, text=text, state=rule_state, tag=tag, technique=technique)


@get("/api/v1/rules/files", opt=requires(Permission.RULES_READ), tags=["rules"])
async def rule_files(services: Services, actor: Actor) -> tuple[RuleFileView, ...]:
    """The rule files in load order."""
    return await services.rules.files(actor)


@post("/api/v1/rules/check", opt=requires(Permission.RULES_READ), tags=["rules"], status_code=200)
async def check_rules(services: Services, actor: Actor, data: RuleText) -> CheckResult:
    """Read a text on top of the rules in force; nothing changes."""
    return await services.rules.check(actor, data.text)


@post("/api/v1/rules/back-test", opt=requires(Permission.RULES_READ), tags=["rules"], status_code=200)
async def back_test_rules(services: Services, actor: Actor, data: BackTestRequest) -> BackTest:
    """When rules would have fired."""
    return await services.rules.back_test(
        actor, data.text, rule=data.rule, since_ns=data.since_ns, until_ns=data.until_ns
    )


@get("/api/v1/rules/drafts", opt=requires(Permission.RULES_READ), tags=["rules"])
async def list_drafts(services: Services, actor: Actor) -> tuple[Draft, ...]:
    """All drafts, newest first."""
    return await services.rules.drafts(actor)


@post("/api/v1/rules/drafts", opt=requires(Permission.RULES_WRITE), tags=["rules"], status_code=201)
async def save_draft(services: Services, actor: Actor, data: RuleText) -> Draft:
    """Keep a text as a draft, checked and back-tested."""
    return await services.rules.save_draft(actor, data.text, rule=data.rule)


@get("/api/v1/rules/drafts/{draft_id:str}", opt=requires(Permission.RULES_READ), tags=["rules"])
async def get_draft(services: Services, actor: Actor, draft_id: str) -> Draft:
    """One draft."""
    return await services.rules.draft(actor, draft_id)


@put("/api/v1/rules/drafts/{draft_id:str}", opt=requires(Permission.RULES_WRITE), tags=["rules"])
async def replace_draft(services: Services, actor: Actor, draft_id: str, data: RuleText) -> Draft:
    """Replace a draft that is not in force."""
    return await services.rules.save_draft(actor, data.text, rule=data.rule, draft=draft_id)


@delete("/api/v1/rules/drafts/{draft_id:str}", opt=requires(Permission.RULES_WRITE), tags=["rules"])
async def discard_draft(services: Services, actor: Actor, draft_id: str) -> None:
    """Delete a draft that is not in force."""
    await services.rules.discard(actor, draft_id)


@post(
    "/api/v1/rules/drafts/{draft_id:str}/apply", opt=requires(Permission.RULES_APPLY), tags=["rules"], status_code=200
)
async def apply_draft(services: Services, actor: Actor, draft_id: str) -> Draft:
    """Put a draft into force."""
    return await services.rules.apply(actor, draft_id)


@post("/api/v1/rules/drafts/{draft_id:str}/undo", opt=requires(Permission.RULES_APPLY), tags=["rules"], status_code=200)
async def undo_draft(services: Services, actor: Actor, draft_id: str) -> Draft:
    """Take a draft out of force."""
    return await services.rules.undo(actor, draft_id)


@get("/api/v1/rules/{rule_id:str}", opt=requires(Permission.RULES_READ), tags=["rules"])
async def get_rule(services: Services, actor: Actor, rule_id: str) -> RuleDetail:
    """One rule."""
    return await services.rules.get(actor, rule_id)


@put("/api/v1/rules/{rule_id:str}/switch", opt=requires(Permission.RULES_APPLY), tags=["rules"])
async def switch_rule(services: Services, actor: Actor, rule_id: str, data: Switch) -> RuleRow:
    """Switch a rule on or off."""
    return await services.rules.switch(actor, rule_id, on=data.on)


@post("/api/v1/findings/{finding_id:str}/narrow", opt=requires(Permission.RULES_WRITE), tags=["rules"], status_code=201)
async def narrow(services: Services, actor: Actor, finding_id: str, data: NarrowRequest) -> NarrowDraft:
    """Draft an exception that would have kept this finding quiet, and back-test it."""
    return await services.rules.narrow(actor, finding_id, fields=data.fields)


@get("/api/v1/simulations", opt=requires(Permission.RULES_READ), tags=["simulations"])
async def list_simulations(services: Services, actor: Actor) -> tuple[ScenarioRow, ...]:
    """All simulations that can be run."""
    return await services.simulate.scenarios(actor)


@get("/api/v1/simulations/runs", opt=requires(Permission.FINDINGS_READ), tags=["simulations"])
async def list_runs(services: Services, actor: Actor) -> tuple[RunView, ...]:
    """The last runs."""
    return await services.simulate.runs(actor)


@post("/api/v1/simulations/runs", opt=requires(Permission.SIMULATE_RUN), tags=["simulations"], status_code=202)
async def start_run(services: Services, actor: Actor, data: SimulationRequest) -> RunView:
    """Ask an agent to perform simulations."""
    return await services.simulate.start(actor, data.ids, agent=data.agent)


@get("/api/v1/simulations/runs/{run_id:str}", opt=requires(Permission.FINDINGS_READ), tags=["simulations"])
async def get_run(services: Services, actor: Actor, run_id: str) -> RunView:
    """How a run stands."""
    return await services.simulate.run(actor, run_id)


RULE_ROUTES = (
    list_rules,
    rule_files,
    check_rules,
    back_test_rules,
    list_drafts,
    save_draft,
    get_draft,
    replace_draft,
    discard_draft,
    apply_draft,
    undo_draft,
    get_rule,
    switch_rule,
    narrow,
    list_simulations,
    list_runs,
    start_run,
    get_run,
)
"""Registered by the application."""
