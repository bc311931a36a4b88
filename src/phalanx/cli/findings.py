"""``phalanx findings``: list, show and judge findings.

Exit codes: 0 done; 1 with ``--fail-on`` when a finding at or over that severity is listed; 2 no such finding, or a state that cannot follow; 3 no hub
answers; 4 who asks may not.
"""

from __future__ import annotations

from typing import Any

import click

from phalanx.cli.hub_client import HubClient, clock_text, hub_options, parse_time, write_json
from phalanx.text.hostile import show

__all__ = ["findings"]

_SEVERITIES = ("info", "low", "medium", "high", "critical")
_STATES = ("open", "confirmed", "in_progress", "fixed", "verified", "accepted", "false_positive")


@click.group()
def findings() -> None:
    """List, show and judge findings."""


@findings.command("list")
@click.option("--kind", multiple=True, help="Only of this kind; may be given several times.")
@click.option("--severity", multiple=True, type=click.Choice(_SEVERITIES), help="Only of this severity.")
@click.option(
    "--state",
    multiple=True,
    type=click.Choice(_STATES),
    help="Only in this state.  [default: open, confirmed, in_progress]",
)
@click.option("--all", "every", is_flag=True, help="In any state.")
@click.option("--owner", multiple=True, help="Only of this person.")
@click.option("--rule", multiple=True, help="Only stated by this rule.")
@click.option("--text", default="", help="Substring of title, asset or rule.")
@click.option("--since", default=None, help="Seen since: 15m, 7d, or an RFC 3339 time.")
@click.option(
    "--sort",
    default="-risk",
    show_default=True,
    help="risk, last_seen, first_seen, severity, count or title; with - descending.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option(
    "--fail-on",
    type=click.Choice(_SEVERITIES),
    default=None,
    help="Exit with 1 when one at or over this severity is listed.",
)
@hub_options
def list_command(
    client: HubClient,
    as_json: bool,
    kind: tuple[str, ...],
    severity: tuple[str, ...],
    state: tuple[str, ...],
    every: bool,
    owner: tuple[str, ...],
    rule: tuple[str, ...],
    text: str,
    since: str | None,
    sort: str,
    limit: int,
    fail_on: str | None,
) -> int:
    """List findings, worst first. With --json one object a line."""
    states = () if every else state or _STATES[:3]
    query: dict[str, Any] = {
        "kind": kind,
        "severity": severity,
        "state": states,
        "owner": owner,
        "rule": rule,
        "text": text,
        "since_ns": parse_time(since),
        "sort": sort,
    }
    listed = 0
    worst = -1
    cursor: str | None = None
    while listed < limit:
        page = client.call("GET", "findings", query={**query, "limit": min(limit - listed, 500), "cursor": cursor})
        for row in page["rows"]:
            worst = max(worst, _SEVERITIES.index(row["severity"]))
            if not as_json:
                click.echo(_line(row))
        if as_json:
            write_json(page["rows"])
        listed += len(page["rows"])
        cursor = page["next"]
        if cursor is None:
            break
    if not as_json:
        more = " (more follow; raise --limit)" if cursor is not None else ""
        click.echo(f"{listed} findings{more}", err=True)
    return 1 if fail_on is not None and worst >= _SEVERITIES.index(fail_on) else 0


def _line(row: dict[str, Any]) -> str:
    count = f" × {row['count']}" if row["count"] > 1 else ""
    return (
        f"{row['id']:<8} {row['score']:>3} {row['severity']:<8} {row['state']:<14} {clock_text(row['last_seen_ns'])[:19]}  "
        f"{show(row['title'], 100)}{count}  [{show(row['asset']['name'], 60)}]"
    )


@findings.command("show")
@click.argument("finding_id")
@hub_options
def show_command(client: HubClient, as_json: bool, finding_id: str) -> int:
    """Show one finding: what happened, why it fired, what to do."""
    finding = client.call("GET", f"findings/{_path(finding_id)}")
    if as_json:
        write_json([finding])
        return 0
    risk = finding["risk"]
    click.echo(f"{finding['id']}  {show(finding['title'], 200)}")
    state, proof = finding.get("state", "open"), finding.get("proof", "unproven")
    score = f"risk {risk['score']} = likelihood {risk['likelihood']:.2f} × impact {risk['impact']:.2f}"
    click.echo(f"  {finding['severity']}, {state}, {proof}; {score}")
    for reason in risk.get("reasons", []):
        click.echo(f"    {reason['factor']:<10} {reason['weight']:.2f}  {reason['text']}")
    click.echo(f"  where: {finding['asset']['kind']} {show(finding['asset']['name'], 120)}")
    click.echo(
        f"  seen:  {finding.get('count', 1)} times, {clock_text(finding['first_seen_ns'])} to {clock_text(finding['last_seen_ns'])} UTC"
    )
    for label, name in (("ATT&CK", "techniques"), ("rule", "rule"), ("owner", "owner")):
        value = finding.get(name)
        if value:
            click.echo(f"  {label}: {show(', '.join(value) if isinstance(value, list) else value, 200)}")
    click.echo(f"\n{show(finding.get('story', ''), 4000)}")
    if finding.get("advice"):
        click.echo(f"\nDo: {show(finding['advice'], 2000)}")
    for evidence in finding.get("evidence", []):
        if evidence["kind"] == "rule_match":
            click.echo("\nwhy it fired:")
            for match in evidence.get("matches", []):
                click.echo(f"  {show(match['text'], 300)}    {show(match['field'], 60)} = {show(match['value'], 300)}")
            break
    for entry in finding.get("history", []):
        change = (
            f" {show(entry['before'], 60)} → {show(entry['after'], 60)}" if entry["before"] or entry["after"] else ""
        )
        reason = f": {show(entry['reason'], 300)}" if entry["reason"] else ""
        click.echo(f"  {clock_text(entry['ts_ns'])[:19]}  {show(entry['actor'], 40)}  {entry['what']}{change}{reason}")
    return 0


@findings.command("set")
@click.argument("finding_id")
@click.option(
    "--state", type=click.Choice([state for state in _STATES if state != "verified"]), default=None, help="New state."
)
@click.option("--reason", default="", help="Why; needed for accepted and false_positive.")
@click.option("--until", default=None, help="End of an acceptance: an RFC 3339 time within a year.")
@click.option("--owner", default=None, help="Who takes care of it; empty for nobody.")
@click.option("--version", type=int, default=None, help="Refuse when it changed since this version.")
@hub_options
def set_command(
    client: HubClient,
    as_json: bool,
    finding_id: str,
    state: str | None,
    reason: str,
    until: str | None,
    owner: str | None,
    version: int | None,
) -> int:
    """Judge a finding: its state, its owner."""
    change: dict[str, Any] = {"reason": reason}
    if state is not None:
        change["state"] = state
    if owner is not None:
        change["owner"] = owner
    if until is not None:
        change["expires_ns"] = parse_time(until)
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    finding = client.call("PATCH", f"findings/{_path(finding_id)}", body=change, headers=headers)
    if as_json:
        write_json([finding])
    else:
        owned = f", {show(finding['owner'], 64)}" if finding.get("owner") else ""
        click.echo(f"{finding['id']} is {finding.get('state', 'open')}{owned}")
    return 0


def _path(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
