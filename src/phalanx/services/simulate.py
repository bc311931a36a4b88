"""Simulations: start harmless attacks on a monitored machine and see which are detected."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from phalanx.identity.actor import Actor

__all__ = ["RunView", "ScenarioRow", "Simulate", "StepResult"]


class ScenarioRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One simulation that can be run."""

    id: str
    title: str
    rule: str = ""
    """Rule that it must trigger."""
    techniques: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """``container``, ``network`` …"""


class StepResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one simulation."""

    id: str
    state: Literal["waiting", "running", "detected", "missed", "failed"]
    ms: float | None = None
    """From the act to the finding."""
    finding: str = ""
    note: str = ""


class RunView(Struct, frozen=True, kw_only=True):
    """One run."""

    id: str
    agent: str
    started_ns: int
    ended_ns: int | None
    by: str
    steps: tuple[StepResult, ...]


class Simulate:
    """Runs simulations through an agent."""

    async def scenarios(self, actor: Actor) -> tuple[ScenarioRow, ...]:
        """All simulations."""
        raise NotImplementedError

    async def start(self, actor: Actor, ids: tuple[str, ...], *, agent: str = "") -> RunView:
        """Ask an agent (the only one, when not named) to perform them, one after another."""
        raise NotImplementedError

    async def run(self, actor: Actor, run_id: str) -> RunView:
        """How a run stands."""
        raise NotImplementedError

    async def runs(self, actor: Actor) -> tuple[RunView, ...]:
        """The last 20 runs, newest first."""
        raise NotImplementedError

    def stop(self) -> None:
        """End long polls: the hub stops."""
