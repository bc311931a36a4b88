"""``phalanx scan``: what an artifact holds, and what in it is vulnerable, secret, malicious or wrong."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from phalanx.artifacts.model import Inventory
    from phalanx.artifacts.report import Report

__all__ = ["main", "scan"]

_FORMATS = {
    "table": "phalanx.border.scan_table:render_table",
    "json": "phalanx.border.scan_json:render_json",
    "sarif": "phalanx.border.scan_sarif:render_sarif",
}
"""Format → function from a report to text; ``table`` also takes colour and width."""
_FAIL = ("any", "low", "medium", "high", "critical", "attend", "act", "never")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _options(command: _Command) -> _Command:
    """The options that every kind of scan has."""
    for option in reversed(
        [
            click.option(
                "--format",
                "-f",
                "format_",
                type=click.Choice(sorted(_FORMATS)),
                default="table",
                show_default=True,
                help="Of the result.",
            ),
            click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
            click.option(
                "--output",
                "-o",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write there instead of to the terminal.",
            ),
            click.option(
                "--fail-on",
                type=click.Choice(_FAIL),
                default="any",
                show_default=True,
                help="Exit with 1 for findings of at least this severity or decision.",
            ),
            click.option("--only-fixed", is_flag=True, help="Leave out vulnerabilities without a fix."),
            click.option(
                "--database",
                type=click.Path(path_type=Path, dir_okay=False),
                envvar="PHALANX_ADVISORIES",
                help="Compiled advisories.",
            ),
            click.option("--no-vulnerabilities", is_flag=True, help="Components only; needs no advisories."),
        ]
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def scan() -> None:
    """Find what is vulnerable, secret, malicious or wrong in an artifact."""


@scan.command("fs")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--installed-only", is_flag=True, help="Do not read lock files: only what is installed there.")
@click.option(
    "--exclude", multiple=True, metavar="NAME", help="Leave out directories of this name, or this path below DIRECTORY."
)
@_options
def scan_fs(directory: Path, installed_only: bool, exclude: tuple[str, ...], **options: Any) -> int:
    """Scan a directory: a root file system, an unpacked artifact, a source tree."""
    from phalanx.artifacts.inventory import directory_inventory

    def look(groups_of: Callable[[str], list[str]]) -> Inventory:
        return directory_inventory(
            directory,
            target=str(directory),
            declared=not installed_only,
            groups_of=groups_of,
            exclude=frozenset(exclude),
        )

    return _run(look, options)


@scan.command("image")
@click.argument("image", type=click.Path(path_type=Path, exists=True))
@click.option("--reference", default="", metavar="TAG", help="Which image, when there are several; a tag or a digest.")
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where layers' content is kept.  [default: the user's cache]",
)
@click.option("--no-cache", is_flag=True, help="Read every layer again and keep nothing.")
@_options
def scan_image(image: Path, reference: str, cache_dir: Path | None, no_cache: bool, **options: Any) -> int:
    """Scan a container image: an OCI layout (directory or tar) or what `docker save` wrote."""
    from phalanx.artifacts.inventory import LayerCache, image_inventory
    from phalanx.artifacts.sources.image import open_image

    opened = open_image(image, reference)
    cache = None if no_cache else LayerCache(cache_dir or _cache_directory() / "layers")

    def look(groups_of: Callable[[str], list[str]]) -> Inventory:
        return image_inventory(opened, target=str(image), cache=cache, groups_of=groups_of)

    return _run(look, options)


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "phalanx"


def _run(look: Callable[[Callable[[str], list[str]]], Inventory], options: dict[str, Any]) -> int:
    """Look, match, judge, print; the exit code of ``phalanx.cli.main``'s table."""
    from phalanx.artifacts.report import Report
    from phalanx.version import VERSION

    found: list[Any] = []
    database_time = ""
    attributions: tuple[str, ...] = ()
    if options["no_vulnerabilities"]:
        inventory = look(lambda _: [])
    else:
        from phalanx.advisories.database import Database, default_path
        from phalanx.artifacts.vulnerabilities import vulnerabilities

        database = Database(options["database"] or default_path())
        inventory = look(database.groups_of_artifact)
        found = vulnerabilities(inventory.components, database)
        database_time = _utc(database.created)
        attributions = tuple(dict.fromkeys(feed.attribution for feed in database.feeds if feed.attribution))
    if options["only_fixed"]:
        found = [one for one in found if one.fixed]
    report = Report(
        inventory=inventory,
        vulnerabilities=tuple(found),
        created=_utc(time.time()),
        phalanx=VERSION,
        database=database_time,
        attributions=attributions,
    )
    _write(report, "json" if options["as_json"] else options["format_"], options["output"])
    return _exit_code(report, options["fail_on"])


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _write(report: Report, format_: str, output: Path | None) -> None:
    from importlib import import_module

    module, _, name = _FORMATS[format_].partition(":")
    render = getattr(import_module(module), name)
    if format_ == "table":
        terminal = output is None and sys.stdout.isatty()
        import shutil

        text = render(
            report, colour=terminal and "NO_COLOR" not in os.environ, width=shutil.get_terminal_size((160, 40)).columns
        )
    else:
        text = render(report)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _exit_code(report: Report, fail_on: str) -> int:
    """1 when something counts that is at least ``fail_on``; issues have a severity and no decision."""
    from phalanx.model.severity import Severity

    if fail_on == "never":
        return 0
    found, issues = report.counting, report.inventory.issues
    if fail_on == "any":
        return 1 if found or issues else 0
    if fail_on in ("act", "attend"):
        wanted = {"act"} if fail_on == "act" else {"act", "attend"}
        floor = Severity.CRITICAL if fail_on == "act" else Severity.HIGH
        return (
            1
            if any(one.decision in wanted for one in found) or any(one.severity.rank >= floor.rank for one in issues)
            else 0
        )
    floor = Severity(fail_on)
    rated = [one.severity or Severity.MEDIUM for one in found] + [one.severity for one in issues]
    return 1 if any(severity.rank >= floor.rank for severity in rated) else 0


def main() -> int:
    """``python -m phalanx.cli.scan``: the group alone, with the errors and exit codes of ``phalanx``."""
    from phalanx.cli.main import main as phalanx

    return phalanx(["scan", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
