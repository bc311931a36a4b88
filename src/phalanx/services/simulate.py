"""Simulations: start harmless attacks on a monitored machine and see which are detected."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from phalanx.errors import NotFoundError, UnavailableError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.report import Command, CommandResult
from phalanx.services.base import State, record
from phalanx.services.presence import Presence
from phalanx.store.state import findings as findings_store
from phalanx.store.state import settings as store
from phalanx.text.hostile import show

__all__ = ["RunView", "ScenarioRow", "Simulate", "StepResult"]


class ScenarioRow(Struct, frozen=True, kw_only=True):
    """One simulation that can be run."""

    id: str
    title: str
    does: str = ""
    """What is done, in a sentence."""
    rule: str = ""
    """Rule that it must trigger."""
    techniques: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """``container``, ``network`` …"""


class StepResult(Struct, frozen=True, kw_only=True):
    """What became of one simulation."""

    id: str
    state: Literal["waiting", "running", "detected", "missed", "failed"]
    ms: float | None = None
    """From the beginning of the act to the event that the rule matched."""
    finding: str = ""
    note: str = ""


class RunView(Struct, frozen=True, kw_only=True):
    """One run."""

    id: str
    agent: str
    host: str = ""
    started_ns: int
    ended_ns: int | None
    by: str
    steps: tuple[StepResult, ...]


_DETECTED_WITHIN_NS: Final = 10 * 10**9
"""A simulation that was performed and not detected so long after counts as missed."""
_GIVE_UP_NS: Final = 300 * 10**9
"""An agent that took a command and did not answer for so long has failed."""
_TAKES_COMMANDS_NS: Final = 90 * 10**9
_LAST: Final = 20


class _Step(Struct, frozen=True, kw_only=True):
    id: str
    performed_ns: int | None = None
    failed: str = ""


class _Run(Struct, frozen=True, kw_only=True):
    id: str
    agent: str
    host: str = ""
    started_ns: int
    by: str
    steps: tuple[_Step, ...]
    taken_ns: int | None = None
    ended_ns: int | None = None


class Simulate:
    """Runs simulations through an agent: the agent performs them, the findings that follow say what was detected."""

    def __init__(self, state: State, presence: Presence, *, index: Callable[[], Mapping[str, dict[str, Any]]]) -> None:
        """``index``: rules as written; those that say how their attack is performed can be simulated."""
        self._state = state
        self._presence = presence
        self._index = index
        self._waiting: dict[str, deque[_Run]] = {}
        self._polled: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._stopped = False

    async def scenarios(self, actor: Actor) -> tuple[ScenarioRow, ...]:
        """All simulations."""
        actor.require(Permission.RULES_READ)
        found = {}
        for rule in self._index().values():
            own = rule.get("phalanx")
            if not isinstance(own, dict) or not isinstance(own.get("attack"), str):
                continue
            tags = [str(tag) for tag in rule.get("tags") or ()]
            titles = own.get("title")
            found[str(own["id"])] = ScenarioRow(
                id=str(own["id"]),
                title=str(titles.get("en", rule["rule"])) if isinstance(titles, dict) else str(rule["rule"]),
                does=own["attack"],
                rule=str(own["id"]),
                techniques=tuple(tag for tag in tags if re.fullmatch(r"T\d{4}(\.\d{3})?", tag)),
                needs=("container",) if "container" in tags else (),
            )
        return tuple(found[key] for key in sorted(found))

    async def start(self, actor: Actor, ids: tuple[str, ...], *, agent: str = "") -> RunView:
        """Ask an agent (the only one, when not named) to perform them, one after another.

        UnavailableError when the agent does not take commands: then they are run on the machine itself, ``sudo phalanx simulate run``.
        """
        actor.require(Permission.SIMULATE_RUN)
        known = {row.id for row in await self.scenarios(actor)}
        unknown = [item for item in ids if item not in known]
        if unknown or not ids:
            raise NotFoundError(
                f"there is no simulation {show(unknown[0], 40)}" if unknown else "no simulation is named"
            )
        told = self._presence.get(agent) if agent else self._presence.only()
        if told is None:
            raise NotFoundError(f"there is no agent {show(agent, 40)}")
        now = self._state.clock()
        if now - self._polled.get(told.agent, 0) > _TAKES_COMMANDS_NS:
            raise UnavailableError(
                f"the agent on {told.host} does not take commands",
                hint=f"on that machine: sudo phalanx simulate run {' '.join(ids[:3])}",
            )
        run = _Run(
            id=secrets.token_hex(6),
            agent=told.agent,
            started_ns=now,
            by=actor.name,
            steps=tuple(_Step(id=item) for item in dict.fromkeys(ids)),
        )

        def work(connection: Connection) -> None:
            store.put_run(connection, run.id, started_ns=now, body=msgspec.json.encode(run))
            record(
                connection,
                actor,
                "simulate.start",
                run.id,
                now_ns=now,
                detail={"agent": told.agent, "ids": ",".join(ids)},
            )

        await self._state.write(work)
        self._waiting.setdefault(told.agent, deque(maxlen=8)).append(run)
        self._arrived.set()
        self._arrived = asyncio.Event()
        return await self._view(run)

    async def next_command(self, agent: str, seconds: float) -> Command | None:
        """For the agent: what to do next; None when there is nothing within ``seconds``."""
        until = time.monotonic() + seconds
        while not self._stopped:
            self._polled[agent] = self._state.clock()
            if len(self._polled) > 10_000:
                self._polled.pop(next(iter(self._polled)))
            arrived = self._arrived
            queue = self._waiting.get(agent)
            if queue:
                run = queue.popleft()
                await self._keep(msgspec.structs.replace(run, taken_ns=self._state.clock()))
                return Command(id=run.id, what="simulate", arguments=tuple(step.id for step in run.steps))
            left = until - time.monotonic()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), left)
        return None

    async def performed(self, agent: str, result: CommandResult) -> None:
        """For the agent: one simulation was performed (or could not be), or the command has ended."""
        run = await self._read(result.command)
        if run.agent != agent:
            raise NotFoundError("this agent has no such command")
        steps = tuple(
            msgspec.structs.replace(
                step, performed_ns=result.ts_ns if not result.error else None, failed=result.error[:500]
            )
            if step.id == result.step
            else step
            for step in run.steps
        )
        ended = self._state.clock() if result.last else run.ended_ns
        await self._keep(msgspec.structs.replace(run, steps=steps, ended_ns=ended))

    async def run(self, actor: Actor, run_id: str) -> RunView:
        """How a run stands."""
        actor.require(Permission.FINDINGS_READ)
        return await self._view(await self._read(run_id))

    async def runs(self, actor: Actor) -> tuple[RunView, ...]:
        """The last 20 runs, newest first."""
        actor.require(Permission.FINDINGS_READ)
        found = await self._state.read(lambda connection: store.runs_last(connection, _LAST))
        return tuple([await self._view(_RUN.decode(body)) for body in found])

    def stop(self) -> None:
        """End long polls: the hub stops."""
        self._stopped = True
        self._arrived.set()

    async def _read(self, run_id: str) -> _Run:
        body = await self._state.read(lambda connection: store.run(connection, run_id))
        if body is None:
            raise NotFoundError("there is no such run")
        return _RUN.decode(body)

    async def _keep(self, run: _Run) -> None:
        body = msgspec.json.encode(run)
        await self._state.write(
            lambda connection: store.put_run(connection, run.id, started_ns=run.started_ns, body=body)
        )

    async def _view(self, run: _Run) -> RunView:
        now = self._state.clock()
        host = self._presence.host_of(run.agent)

        def work(connection: Connection) -> tuple[StepResult, ...]:
            return tuple(_result(connection, run, step, now) for step in run.steps)

        steps = await self._state.read(work)
        over = all(step.state in ("detected", "missed", "failed") for step in steps)
        ended = run.ended_ns or (now if over else None)
        return RunView(
            id=run.id, agent=run.agent, host=host, started_ns=run.started_ns, ended_ns=ended, by=run.by, steps=steps
        )


def _result(connection: Connection, run: _Run, step: _Step, now: int) -> StepResult:
    if step.failed:
        return StepResult(id=step.id, state="failed", note=step.failed)
    if step.performed_ns is None:
        waited = now - (run.taken_ns or run.started_ns)
        if run.ended_ns is not None or waited > _GIVE_UP_NS:
            return StepResult(id=step.id, state="failed", note="the agent did not say that it was performed")
        return StepResult(id=step.id, state="waiting" if run.taken_ns is None else "running")
    until = step.performed_ns + _DETECTED_WITHIN_NS
    seen = findings_store.first_detection(connection, step.id, since_ns=step.performed_ns, until_ns=until)
    if seen is not None:
        return StepResult(
            id=step.id, state="detected", ms=(seen.ts_ns - step.performed_ns) / 1e6, finding=f"F-{seen.finding}"
        )
    return StepResult(id=step.id, state="missed" if now > until else "running")


_RUN: Final = msgspec.json.Decoder(_Run)
