"""``phalanx audit``: is the operators' trail whole?

Exit codes: 0 the chain is intact; 1 it is not; 3 no hub answers, or its store cannot be read; 4 who asks may not.
"""

from __future__ import annotations

import click

from phalanx.cli.hub_client import HubClient, clock_text, hub_options, write_json

__all__ = ["audit"]


@click.group()
def audit() -> None:
    """Verify the operators' audit trail."""


@audit.command("verify")
@click.option(
    "--head",
    default="",
    help="A hash that was noted earlier and must still be in the chain: shows that its end was not cut.",
)
@hub_options
def verify_command(client: HubClient, as_json: bool, head: str) -> int:
    """Read the whole chain and recompute every hash."""
    answer = client.call("GET", "audit/verify", query={"head": head})
    if as_json:
        write_json([answer])
    elif answer["intact"]:
        click.echo(f"intact: {answer['entries']} entries, the last at {clock_text(answer['until_ns'])} UTC")
        click.echo(f"head: {answer['head']}")
    else:
        place = f"entry {answer['broken_at']}: " if answer["broken_at"] is not None else ""
        click.echo(f"NOT intact: {place}{answer['why']}; {answer['entries']} entries before it fit", err=True)
    return 0 if answer["intact"] else 1
