"""The command ``phalanx``: its commands by name, loaded when called; exit codes and errors mapped once.

========  =====================================================================
Exit      Meaning
========  =====================================================================
0         done; nothing to report at or over what was asked for
1         done, and there is something: findings, failed checks, missed attacks
2         the call cannot be: options, file, rule text, unknown id
3         phalanx could not do its work: a part is missing, broken or silent
4         who asks is not known, or may not
130       stopped by Ctrl-C
========  =====================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from phalanx.errors import PhalanxError, RuleError
from phalanx.version import VERSION

__all__ = ["COMMANDS", "LazyGroup", "main"]

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("phalanx.cli.up:up", "Start hub and agent on this machine and print the login link."),
    "hub": ("phalanx.cli.up:hub", "Run the hub alone (API, console, stores), without privileges."),
    "agent": ("phalanx.cli.up:agent", "Run the node agent alone (kernel sensor, rules), as root."),
    "status": ("phalanx.cli.status:status", "Say what is seen, what is not, and why."),
    "events": ("phalanx.cli.events:events", "Search the history of events."),
    "findings": ("phalanx.cli.findings:findings", "List, show and judge findings."),
    "rules": ("phalanx.cli.rules:rules", "Check, try and explain detection rules."),
    "simulate": ("phalanx.cli.simulate:simulate", "Perform harmless attacks and see which are detected."),
    "scan": ("phalanx.cli.scan:scan", "Find what is vulnerable, secret, malicious or wrong in an artifact."),
    "advisories": ("phalanx.cli.advisories:advisories", "Update, search and show vulnerability advisories."),
    "audit": ("phalanx.cli.audit:audit", "Verify the operators' audit trail."),
    "version": ("phalanx.cli.status:version", "Print the version and what this installation can do."),
}
"""Name → (``module:attribute``, short help). A test holds the short help equal to that of the loaded command."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called, not when help is shown."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command; None when there is no such name."""
        if cmd_name not in self.lazy:
            return None
        target, _ = self.lazy[cmd_name]
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of names and short helps, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self.lazy.items()])


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Documentation: docs/ in the source, or the console's Settings › About.",
)
@click.version_option(VERSION, "-V", "--version", prog_name="phalanx")
def cli() -> None:
    """phalanx perceives, ranks, proves and stops threats, from build to run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns (and, as the console script, exits with) the exit code of the table above."""
    try:
        code = cli.main(args=list(argv) if argv is not None else None, prog_name="phalanx", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except PhalanxError as error:
        click.echo(explain(error), err=True)
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except KeyboardInterrupt:
        code = 130
    code = code if isinstance(code, int) else 0
    if argv is None:
        sys.exit(code)
    return code


def explain(error: PhalanxError) -> str:
    """An error for a terminal: message, place with caret, advice; hostile text made visible."""
    from phalanx.text.hostile import show

    lines = []
    place = ""
    if isinstance(error, RuleError) and error.line is not None:
        place = f"{error.file or '<input>'}:{error.line}:{error.column or 1}: "
    lines.append(f"phalanx: {place}{show(error.message, 2000)}")
    if isinstance(error, RuleError) and error.source is not None:
        source = error.source.rstrip("\n")
        column = (error.column or 1) - 1
        start = max(0, column - 90)
        lines.append("  " + show(source[start : start + 150]))
        lines.append("  " + " " * len(show(source[start:column])) + "^")
    if error.hint:
        lines.append(f"  → {show(error.hint, 2000)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
