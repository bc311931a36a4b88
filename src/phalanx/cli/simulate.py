"""``phalanx simulate``: harmless attacks, performed for real on this machine, and whether they are detected.

Exit codes of ``run``: 0 all detected; 1 one was missed; 2 no such simulation; 3 one could not be performed, or nobody watches; 4 not allowed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from msgspec import Struct

from phalanx.cli.hub_client import HubClient, hub_options, write_json
from phalanx.errors import NotFoundError, UnavailableError
from phalanx.text.hostile import show

__all__ = ["simulate"]


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one simulation; with ``--json`` one object a line."""

    id: str
    detected: bool
    ms: float | None
    """From the act's event in the kernel to the finding, milliseconds; None when it was missed."""
    finding: str = ""
    error: str = ""
    """Why it could not be performed."""


@click.group()
def simulate() -> None:
    """Perform harmless attacks and see which are detected."""


@simulate.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def list_command(as_json: bool) -> int:
    """Name every simulation: what it does, and the one fact in which its benign twin differs."""
    rows = list(_catalogue().values())
    if as_json:
        write_json(rows)
        return 0
    for row in rows:
        needs = "  (needs runc)" if row["container"] else ""
        click.echo(f"{row['id']}  {row['title']}{needs}")
        click.echo(f"             {row['attack']}")
    click.echo(f"{len(rows)} simulations; run them: sudo phalanx simulate run all")
    return 0


@simulate.command("run")
@click.argument("ids", nargs=-1, required=True)
@click.option(
    "--twin", is_flag=True, help="Perform the benign twins instead: none may be detected (exit 1 when one is)."
)
@click.option("--local", is_flag=True, help="Watch with a sensor of this command's own, without hub and agent.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 60), default=5.0, show_default=True, help="Seconds to wait for a finding."
)
@hub_options
def run_command(client: HubClient, as_json: bool, ids: tuple[str, ...], twin: bool, local: bool, timeout: float) -> int:
    """Perform the simulations IDS (or "all") on this machine and wait for their findings."""
    chosen = _chosen(ids)
    outcomes = []
    width = max(len(name) for name in chosen)
    with _local_watch() if local else _hub_watch(client) as watch:
        for name in chosen:
            outcome = _one(name, twin, timeout if not twin else min(timeout, 1.5), watch)
            outcomes.append(outcome)
            if as_json:
                write_json([outcome])
                continue
            said = (
                "could not be performed: " + show(outcome.error, 300)
                if outcome.error
                else "detected"
                if outcome.detected
                else "missed"
            )
            if twin and not outcome.error:
                said = "raised an alert" if outcome.detected else "quiet"
            took = f"{outcome.ms:8.1f} ms" if outcome.ms is not None else " " * 11
            click.echo(f"{name:{width}}  {took}  {said}{'  ' + outcome.finding if outcome.finding else ''}")
    failed = sum(1 for outcome in outcomes if outcome.error)
    detected = sum(1 for outcome in outcomes if outcome.detected)
    performed = len(outcomes) - failed
    if not as_json:
        times = sorted(outcome.ms for outcome in outcomes if outcome.ms is not None)
        middle = f", median {times[len(times) // 2]:.0f} ms, slowest {times[-1]:.0f} ms" if times else ""
        click.echo(
            f"{detected} of {performed} detected{middle}" + (f"; {failed} could not be performed" if failed else "")
        )
    if failed:
        return 3
    return 1 if (detected if twin else detected < performed) else 0


@simulate.command("perform")
@click.argument("name")
@click.option("--twin", is_flag=True, help="The benign twin instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def perform_command(name: str, twin: bool, as_json: bool) -> int:
    """Only perform the simulation NAME, without asking who saw it."""
    from phalanx.respond.simulate.perform import Performed, perform

    try:
        done = perform(name, twin=twin)
    except UnavailableError as error:
        done = Performed(id=name, error=str(error))
    if as_json:
        write_json([done])
    else:
        click.echo(done.error or "performed")
    return 3 if done.error else 0


def _catalogue() -> dict[str, dict[str, Any]]:
    """Id → what ``list`` tells."""
    import yaml

    from phalanx.content import rule_files
    from phalanx.respond.simulate.acts import all_acts

    rules = {}
    for _, text in rule_files():
        for item in yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # noqa: S506 — the safe loader in C
            if "rule" in item:
                rules[item["phalanx"]["id"]] = item
    rows = {}
    for name, act in all_acts().items():
        own = rules[name]["phalanx"]
        rows[name] = {
            "id": name,
            "title": own["title"]["en"],
            "attack": own["attack"],
            "twin": own["twin"]["differs"],
            "techniques": [tag for tag in rules[name]["tags"] if tag[0] == "T" and tag[1:2].isdigit()],
            "container": act.container,
        }
    return rows


def _chosen(ids: Sequence[str]) -> list[str]:
    from phalanx.respond.simulate.acts import all_acts

    known = list(all_acts())
    if list(ids) == ["all"]:
        return known
    wanted = [name.upper() for name in ids]
    for name in wanted:
        if name not in known:
            raise NotFoundError(f"there is no simulation {show(name, 64)}", hint="`phalanx simulate list` names them")
    return wanted


Found = Callable[[str, int], tuple[str, float] | None]
"""``(rule, since_ns)`` → finding and milliseconds, once there is one."""


def _one(name: str, twin: bool, timeout: float, found: Found) -> Outcome:
    since_ns = time.time_ns()
    command = [sys.executable, "-m", "phalanx.respond.simulate.perform", name, *(["twin"] if twin else [])]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + timeout + 30
    seen = None
    while child.poll() is None and time.monotonic() < deadline:
        seen = seen or found(name, since_ns)
        time.sleep(0.005)
    child.kill()
    out, err = child.communicate()
    deadline = time.monotonic() + timeout
    while seen is None and time.monotonic() < deadline:
        seen = found(name, since_ns)
        time.sleep(0.005)
    from phalanx.respond.simulate.perform import Performed

    lines = out.splitlines()
    done = msgspec.json.decode(lines[-1], type=Performed) if lines else Performed(id=name, error="it told nothing")
    if done.error and seen is None:
        said = err.decode("utf-8", "replace").strip().splitlines()
        return Outcome(id=name, detected=False, ms=None, error=said[-1] if said else done.error)
    return Outcome(id=name, detected=seen is not None, ms=seen[1] if seen else None, finding=seen[0] if seen else "")


@contextmanager
def _hub_watch(client: HubClient) -> Iterator[Found]:
    """Asks the hub for findings of a rule; the time is that of the first answer that holds one."""
    if not [agent for agent in client.call("GET", "health")["agents"] if agent["state"] == "live"]:
        raise UnavailableError("no agent watches this machine", hint="start one with `phalanx up`, or use --local")

    def found(rule: str, since_ns: int) -> tuple[str, float] | None:
        rows = client.call(
            "GET", "findings", query={"rule": rule, "since_ns": since_ns, "sort": "-last_seen", "limit": 1}
        )["rows"]
        if not rows or rows[0]["last_seen_ns"] < since_ns:
            return None
        return rows[0]["id"], (time.time_ns() - rows[0]["last_seen_ns"]) / 1e6

    yield found


@contextmanager
def _local_watch() -> Iterator[Found]:
    """A sensor and an engine in this process; needs root."""
    from phalanx.content import rule_files
    from phalanx.detect import Engine
    from phalanx.language import RuleSource, load_rules
    from phalanx.model.ids import AgentId
    from phalanx.sensors.containers import ContainerDirectory
    from phalanx.sensors.kernel import KernelSensor

    ruleset = load_rules([RuleSource(name, text) for name, text in rule_files()])
    engine, containers = Engine(ruleset), ContainerDirectory()
    seen: dict[str, tuple[int, float]] = {}
    with KernelSensor(agent=AgentId("local"), host="local", container=containers.lookup) as sensor:
        sensor.set_filter(ruleset.kernel_filter())
        containers.start()

        def found(rule: str, since_ns: int) -> tuple[str, float] | None:
            for _ in range(8):  # a batch under load; the next call goes on
                harvest = sensor.poll(0)
                detections = [hit for event in harvest.candidates for hit in engine.feed(event)]
                for container in containers.changes():
                    detections += engine.facts_arrived(container)
                for hit in detections:
                    if seen.get(hit.rule, (0, 0.0))[0] < since_ns:
                        seen[hit.rule] = (hit.ts_ns, (hit.decided_ns - hit.ts_ns) / 1e6)
                if not harvest.candidates:
                    break
            ts_ns, ms = seen.get(rule, (0, 0.0))
            return ("", ms) if ts_ns >= since_ns else None

        try:
            yield found
        finally:
            containers.close()
