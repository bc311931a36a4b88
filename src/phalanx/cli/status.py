"""``phalanx status`` and ``phalanx version``.

Exit codes of ``status``: 0 everything is seen; 1 there are gaps (a silent agent, loss, a feature that this kernel does not have, a store in trouble);
3 no hub answers (what this machine could do is told all the same).
"""

from __future__ import annotations

import time
from typing import Any

import click

from phalanx.cli.hub_client import HubClient, hub_options, write_json
from phalanx.text.hostile import show

__all__ = ["status", "version"]


@click.command()
@hub_options
def status(client: HubClient, as_json: bool) -> int:
    """Say what is seen, what is not, and why."""
    view = client.call("GET", "health")
    gaps = _gaps(view)
    if as_json:
        write_json([{**view, "gaps": gaps}])
        return 1 if gaps else 0
    click.echo("Everything is seen." if not gaps else f"{len(gaps)} gap{'s' if len(gaps) > 1 else ''}:")
    for gap in gaps:
        click.echo(f"  {gap}")
    click.echo()
    for agent in view["agents"]:
        _print_agent(agent)
    for store in view["stores"]:
        rows = f"{store['rows']:,} rows  " if store.get("rows") is not None else ""
        size = f"{store['bytes'] / 1e6:,.1f} MB" if store.get("bytes") is not None else ""
        click.echo(
            f"store {store['name']}: {'ok' if store['ok'] else 'in trouble'}  {rows}{size}  {show(store.get('note', ''))}".rstrip()
        )
    click.echo(f"hub {view['version']}: {view['memory_bytes'] / 1e6:,.0f} MB resident")
    return 1 if gaps else 0


def _gaps(view: dict[str, Any]) -> list[str]:
    """What is not seen, one sentence each, worst first."""
    found = []
    if not view["agents"]:
        found.append("no agent has reported: start one with `phalanx up` as root")
    for agent in view["agents"]:
        host = show(agent["host"], 80)
        if agent["state"] != "live":
            found.append(f"{host}: {agent['state']}, last heard {_ago(agent['heard_ns'])}")
        for loss in agent.get("lost", ()):
            count = "an unknown number of" if loss["count"] is None else f"{loss['count']:,}"
            if loss["count"] != 0:
                found.append(f"{host}: {count} events were not seen ({show(loss['cause'], 40)})")
        found += [
            f"{host}: {show(feature['name'], 60)} is not available: {show(feature.get('why', ''), 200)}"
            for feature in agent.get("features", ())
            if not feature["available"]
        ]
        if not agent.get("rules_current", True):
            found.append(f"{host}: runs another rule set than the hub serves")
    found += [
        f"store {store['name']}: {show(store.get('note', ''), 200)}" for store in view["stores"] if not store["ok"]
    ]
    found += [f"the hub's queue {name} dropped {count:,}" for name, count in view.get("dropped", {}).items() if count]
    return found


def _print_agent(agent: dict[str, Any]) -> None:
    parts = [f"agent on {show(agent['host'], 80)}: {agent['state']}, heard {_ago(agent['heard_ns'])}"]
    if agent.get("events_per_s") is not None:
        parts.append(f"{agent['events_per_s']:,.0f} events/s")
    if agent.get("lag_ms") is not None:
        parts.append(f"lag p95 {agent['lag_ms']:,.1f} ms")
    if agent.get("memory_bytes"):
        parts.append(f"{agent['memory_bytes'] / 1e6:,.0f} MB resident")
    parts.append(f"spool {agent.get('spool_bytes', 0) / 1e6:,.1f} MB")
    click.echo(", ".join(parts))


def _ago(ns: int) -> str:
    seconds = max(0.0, (time.time_ns() - ns) / 1e9)
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def version(as_json: bool) -> int:
    """Print the version and what this installation can do."""
    import platform
    from importlib.util import find_spec

    from phalanx.sensors.kernel import doctor
    from phalanx.version import VERSION

    checks = doctor.checks()
    told = {
        "version": VERSION,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "hub": find_spec("litestar") is not None,
        "sensor": all(check.ok or not check.required for check in checks),
        "missing": [
            {"name": check.name, "found": check.found, "remedy": check.remedy} for check in checks if not check.ok
        ],
    }
    if as_json:
        write_json([told])
        return 0
    click.echo(f"phalanx {VERSION} (Python {told['python']}, Linux {told['kernel']})")
    click.echo(f"hub: {'installed' if told['hub'] else 'not installed: pip install phalanx[hub]'}")
    click.echo(f"kernel sensor: {'can run here' if told['sensor'] else 'cannot run here'}")
    for check in checks:
        if not check.ok:
            click.echo(f"  {check.name}: {check.found}" + (f" → {check.remedy}" if check.remedy else ""))
    return 0
