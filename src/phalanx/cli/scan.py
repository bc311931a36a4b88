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
    "cyclonedx": "phalanx.border.cyclonedx:render_cyclonedx",
    "spdx": "phalanx.border.spdx:render_spdx",
    "openvex": "phalanx.border.openvex:render_openvex",
    "junit": "phalanx.border.scan_ci:render_junit",
    "gitlab": "phalanx.border.scan_ci:render_gitlab",
    "markdown": "phalanx.border.scan_ci:render_markdown",
    "html": "phalanx.border.scan_ci:render_html",
}
"""Format → function from a report to text; ``table`` also takes colour and width."""
_FAIL = ("any", "low", "medium", "high", "critical", "attend", "act", "never")
_SCANNERS = ("vulnerability", "secret", "misconfiguration", "malware")
_Command = TypeVar("_Command", bound=Callable[..., Any])
GroupsOf = Callable[[str], list[str]]


def _options(command: _Command) -> _Command:
    """The options that every kind of scan has."""
    file = click.Path(path_type=Path, dir_okay=False, exists=True)
    options = [
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
            help="Exit with 1 for what is at least this.",
        ),
        click.option(
            "--scanners",
            default=",".join(_SCANNERS),
            show_default=True,
            metavar="LIST",
            help="What to look for, by commas.",
        ),
        click.option("--only-fixed", is_flag=True, help="Leave out vulnerabilities without a fix."),
        click.option(
            "--new-since",
            "baseline",
            type=file,
            metavar="REPORT",
            help="Only what this earlier JSON report does not hold counts.",
        ),
        click.option(
            "--ignore",
            type=file,
            metavar="FILE",
            help="Rules of what does not count.  [default: .phalanx-ignore.yaml if it is there]",
        ),
        click.option(
            "--vex",
            type=file,
            multiple=True,
            metavar="FILE",
            help="OpenVEX, CycloneDX or CSAF statements; may be given again.",
        ),
        click.option(
            "--yara",
            type=file,
            multiple=True,
            metavar="FILE",
            help="Own YARA rules beside phalanx's; may be given again.",
        ),
        click.option("--hashes", type=file, metavar="FILE", help="SHA-256 of files known to be harmful, one a line."),
        click.option(
            "--database",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="PHALANX_ADVISORIES",
            help="Compiled advisories.",
        ),
    ]
    for option in reversed(options):
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

    def look(groups_of: GroupsOf, inspectors: tuple[Any, ...]) -> Inventory:
        return directory_inventory(
            directory,
            target=str(directory),
            declared=not installed_only,
            groups_of=groups_of,
            inspectors=inspectors,
            exclude=frozenset(exclude),
        )

    return _run(look, options)


@scan.command("host")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/"),
    show_default=True,
    help="Root file system.",
)
@_options
def scan_host(root: Path, **options: Any) -> int:
    """Scan this machine's root file system, or a running container through /proc/PID/root."""
    from phalanx.artifacts.inventory import directory_inventory

    def look(groups_of: GroupsOf, inspectors: tuple[Any, ...]) -> Inventory:
        return directory_inventory(
            root,
            target=str(root),
            kind="host",
            declared=False,
            groups_of=groups_of,
            inspectors=inspectors,
            exclude=frozenset({"var/cache", "tmp", "run"}),
        )

    return _run(look, options)


@scan.command("archive")
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_options
def scan_archive(archive: Path, **options: Any) -> int:
    """Scan an archive with all archives in it: zip, jar, war, whl, nupkg, tar, deb, rpm, apk, gem, crate."""
    from phalanx.artifacts.archives import archive_inventory

    def look(groups_of: GroupsOf, inspectors: tuple[Any, ...]) -> Inventory:
        return archive_inventory(archive, target=str(archive), groups_of=groups_of, inspectors=inspectors)

    return _run(look, options)


@scan.command("repo")
@click.argument("repository", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--revision", default="HEAD", show_default=True, help="Branch, tag or commit.")
@click.option("--history", is_flag=True, help="Look for secrets in every commit that leads to the revision too.")
@_options
def scan_repo(repository: Path, revision: str, history: bool, **options: Any) -> int:
    """Scan a git repository at a revision, without checking it out."""
    from phalanx.artifacts.repository import repository_inventory

    def look(groups_of: GroupsOf, inspectors: tuple[Any, ...]) -> Inventory:
        return repository_inventory(
            repository,
            revision,
            target=str(repository),
            groups_of=groups_of,
            inspectors=inspectors,
            history=history and "secret" in options["scanners"],
        )

    return _run(look, options)


@scan.command("sbom")
@click.argument("document", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_options
def scan_sbom(document: Path, **options: Any) -> int:
    """Scan the components that an SBOM lists: CycloneDX or SPDX as JSON, also inside an in-toto attestation."""
    from phalanx.border.sbom_file import read_sbom

    return _run(lambda groups_of, inspectors: read_sbom(document), options)


@scan.command("image")
@click.argument("image")
@click.option("--reference", default="", metavar="TAG", help="Which image, when there are several; a tag or a digest.")
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where layers' content is kept.  [default: the user's cache]",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP with the registry.")
@click.option("--no-cache", is_flag=True, help="Read every layer again and keep nothing.")
@_options
def scan_image(
    image: str, reference: str, cache_dir: Path | None, plain_http: bool, no_cache: bool, **options: Any
) -> int:
    """Scan a container image: an OCI layout (directory or tar), what `docker save` wrote, or HOST/REPOSITORY:TAG."""
    from phalanx.artifacts.inventory import LayerCache, image_inventory

    if Path(image).exists():
        from phalanx.artifacts.sources.image import open_image

        opened = open_image(Path(image), reference)
    else:
        from phalanx.artifacts.sources.registry import open_registry_image

        opened = open_registry_image(image, plain_http=plain_http)
    cache = None if no_cache else LayerCache(cache_dir or _cache_directory() / "layers")
    options["image_config"] = opened.config

    def look(groups_of: GroupsOf, inspectors: tuple[Any, ...]) -> Inventory:
        return image_inventory(
            opened,
            target=image,
            cache=cache,
            groups_of=groups_of,
            inspectors=inspectors,
            variant=_variant(options),
        )

    return _run(look, options)


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "phalanx"


def _variant(options: dict[str, Any]) -> str:
    """What the inspectors are, so that a layer's kept facts are used again only by the same ones."""
    import hashlib

    from phalanx.version import VERSION

    made = hashlib.sha256(f"{VERSION} {sorted(_scanners(options))} ".encode())
    for path in (*options["yara"], *((options["hashes"],) if options["hashes"] else ())):
        made.update(path.read_bytes())
    return made.hexdigest()


def _scanners(options: dict[str, Any]) -> set[str]:
    return {one.strip() for one in options["scanners"].split(",") if one.strip()}


def _inspectors(scanners: set[str], options: dict[str, Any]) -> tuple[Any, ...]:
    made: list[Any] = []
    if "secret" in scanners:
        from phalanx.artifacts.secrets import inspect_secrets

        made.append(inspect_secrets)
    if "misconfiguration" in scanners:
        from phalanx.artifacts.misconfiguration import inspect_configuration

        made.append(inspect_configuration)
    if "malware" in scanners:
        from phalanx.artifacts.malware import MalwareInspector

        hashes = (
            options["hashes"].read_text(encoding="utf-8", errors="replace").lower().split() if options["hashes"] else ()
        )
        made.append(MalwareInspector(extra=options["yara"], hashes=frozenset(one for one in hashes if len(one) == 64)))
    return tuple(made)


def _run(look: Callable[[GroupsOf, tuple[Any, ...]], Inventory], options: dict[str, Any]) -> int:
    """Look, match, judge, print; the exit code of ``phalanx.cli.main``'s table."""
    from phalanx.artifacts.report import Report
    from phalanx.errors import UnavailableError, UsageError
    from phalanx.version import VERSION

    scanners = _scanners(options)
    if not scanners <= {*_SCANNERS, "component"}:
        unknown = ", ".join(sorted(scanners - {*_SCANNERS, "component"}))
        raise UsageError(f"no scanner {unknown}", hint=f"there are: {', '.join(_SCANNERS)}, component")
    found: list[Any] = []
    database_time = ""
    attributions: tuple[str, ...] = ()
    inspectors = _inspectors(scanners, options)
    database = None
    missing: UnavailableError | None = None
    if "vulnerability" in scanners:
        from phalanx.advisories.database import Database, default_path
        from phalanx.artifacts.vulnerabilities import vulnerabilities

        try:
            database = Database(options["database"] or default_path())
        except UnavailableError as error:
            if options["database"]:
                raise
            missing = error  # the rest is done all the same, and the exit code says that it is not the whole
    if database is not None:
        inventory = look(database.groups_of_artifact, inspectors)
        found = vulnerabilities(inventory.components, database)
        database_time = _utc(database.created)
        attributions = tuple(dict.fromkeys(feed.attribution for feed in database.feeds if feed.attribution))
    else:
        inventory = look(lambda _: [], inspectors)
    now = _utc(time.time())
    if "misconfiguration" in scanners:
        inventory = _checked(inventory, options.get("image_config"), now[:10])
    if options["only_fixed"]:
        found = [one for one in found if one.fixed]
    report = Report(
        inventory=inventory,
        vulnerabilities=tuple(found),
        created=now,
        phalanx=VERSION,
        database=database_time,
        attributions=attributions,
    )
    report = _judged(report, options, now[:10])
    _write(report, "json" if options["as_json"] else options["format_"], options["output"])
    if missing is not None:
        click.echo(f"phalanx: vulnerabilities were not looked for: {missing.message}\n  → {missing.hint}", err=True)
        return missing.exit_code
    return _exit_code(report, options["fail_on"])


def _checked(inventory: Inventory, config: dict[str, Any] | None, today: str) -> Inventory:
    """The inventory with what is wrong about the image as a whole."""
    import msgspec

    from phalanx.artifacts.misconfiguration import check_image_config, check_os

    issues = list(check_os(inventory.os, today)) + (list(check_image_config(config)) if config is not None else [])
    return msgspec.structs.replace(inventory, issues=inventory.issues + tuple(issues)) if issues else inventory


def _judged(report: Report, options: dict[str, Any], today: str) -> Report:
    """The report after VEX, ignore rules and the baseline, in this order."""
    ignore = options["ignore"] or (Path(".phalanx-ignore.yaml") if Path(".phalanx-ignore.yaml").is_file() else None)
    if options["vex"] or ignore or options["baseline"]:
        from phalanx.artifacts import judge

        if options["vex"]:
            report = judge.apply_vex(
                report, [statement for path in options["vex"] for statement in judge.read_vex(path)]
            )
        if ignore:
            report = judge.apply_ignores(report, judge.read_ignores(ignore), today)
        if options["baseline"]:
            report = judge.apply_baseline(report, judge.read_baseline(options["baseline"]))
    return report


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _write(report: Report, format_: str, output: Path | None) -> None:
    from importlib import import_module

    module, _, name = _FORMATS[format_].partition(":")
    render = getattr(import_module(module), name)
    if format_ == "table":
        import shutil

        terminal = output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size((160, 40)).columns
        text = render(report, colour=terminal and "NO_COLOR" not in os.environ, width=width)
    else:
        text = render(report)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8", errors="backslashreplace")


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
        hit = any(one.decision in wanted for one in found) or any(one.severity.rank >= floor.rank for one in issues)
        return 1 if hit else 0
    floor = Severity(fail_on)
    rated = [one.severity or Severity.MEDIUM for one in found] + [one.severity for one in issues]
    return 1 if any(severity.rank >= floor.rank for severity in rated) else 0


def main() -> int:
    """``python -m phalanx.cli.scan``: the group alone, with the errors and exit codes of ``phalanx``."""
    from phalanx.cli.main import main as phalanx

    return phalanx(["scan", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
