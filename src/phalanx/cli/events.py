"""``phalanx events``: search the history.

Exit codes: 0 done; 2 the condition or a time is wrong; 3 no hub answers; 4 who asks may not.
"""

from __future__ import annotations

from typing import Any

import click

from phalanx.cli.hub_client import HubClient, clock_text, hub_options, parse_time, write_json
from phalanx.text.hostile import show

__all__ = ["events"]


@click.group()
def events() -> None:
    """Search the history of events."""


@events.command("query")
@click.argument("condition", required=False, default="")
@click.option("--since", default="1h", show_default=True, help="From: 15m, 7d ago, or an RFC 3339 time.")
@click.option("--until", default=None, help="To, exclusive.  [default: now]")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most so many, the newest."
)
@click.option("--count-by", "field", default=None, help="Count by this field instead of listing.")
@hub_options
def query_command(
    client: HubClient, as_json: bool, condition: str, since: str, until: str | None, limit: int, field: str | None
) -> int:
    """Events that satisfy CONDITION (as in rules: proc.name = curl), newest first.

    With --json one event a line, and at the end one object that says what the answer rests on.
    """
    asked: dict[str, Any] = {"where": condition, "since_ns": parse_time(since), "until_ns": parse_time(until)}
    if field is not None:
        return _counted(client, asked, field, min(limit, 100), as_json)
    listed = 0
    cursor: str | None = None
    coverage: dict[str, Any] = {}
    while listed < limit:
        page = client.call("GET", "events", query={**asked, "limit": min(limit - listed, 1000), "cursor": cursor})
        coverage = page["coverage"]
        if as_json:
            write_json(page["rows"])
        else:
            for row in page["rows"]:
                click.echo(_line(row))
        listed += len(page["rows"])
        cursor = page["next"]
        if cursor is None or not page["rows"]:
            break
    if as_json:
        write_json([{"coverage": coverage, "events": listed, "more": cursor is not None}])
    else:
        more = ", more follow" if cursor is not None else ""
        click.echo(f"{listed} events{more}. {coverage.get('sentence', '')}", err=True)
    return 0


def _counted(client: HubClient, asked: dict[str, Any], field: str, top: int, as_json: bool) -> int:
    facet = client.call("GET", "events/facets", query={**asked, "field": [field], "top": top})[0]
    if as_json:
        write_json(facet["values"])
        return 0
    for value in facet["values"]:
        click.echo(f"{value['count']:>10}  {show(value['value'], 200)}")
    if facet["more"]:
        click.echo("further values follow", err=True)
    return 0


def _line(row: dict[str, Any]) -> str:
    where = row["container_name"] or row["container_id"] or row["host"]
    mark = f"  ! {row['severity']} {row['finding']}" if row["severity"] else ""
    who = f"{show(row['process'], 20)}({row['pid']})" if row["pid"] is not None else "–"
    return (
        f"{clock_text(row['ts_ns'])}  {row['kind']:<9} {show(where, 24):<24} {who:<24} {show(row['what'], 240)}{mark}"
    )
