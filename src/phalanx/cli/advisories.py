"""``phalanx advisories``: the vulnerability knowledge on this machine."""

from __future__ import annotations

import time
from pathlib import Path

import click

__all__ = ["advisories"]

_DATABASE = click.option(
    "--database",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PHALANX_ADVISORIES",
    help="Compiled advisories.  [default: this machine's]",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def advisories() -> None:
    """Update, search and show vulnerability advisories."""


def _path(database: Path | None) -> Path:
    from phalanx.advisories.database import default_path

    return database or default_path()


@advisories.command("update")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory with feeds; nothing is downloaded.  [default: download the official ones]",
)
@click.option(
    "--mirror", default="", metavar="URL", help="Static server with the same layout, in place of the publishers."
)
@click.option(
    "--feed",
    "names",
    multiple=True,
    metavar="NAME",
    help="Download this feed too; may be given again. `osv:*`, `nvd:*` mean all of a kind.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where downloads are kept.  [default: feeds/ beside the database]",
)
@_DATABASE
def update(
    source: Path | None, mirror: str, names: tuple[str, ...], directory: Path | None, database: Path | None
) -> int:
    """Download the official feeds, or read a directory, and put the compiled database in place in one step.

    What cannot be downloaded stays as it was; when nothing can be read, the last good database stays.
    """
    from phalanx.advisories.compiler import Compiler
    from phalanx.advisories.local import read_directory
    from phalanx.errors import UnavailableError, UsageError

    target = _path(database)
    if source is None:
        from phalanx.advisories.sync import SOURCES, sync

        source = directory or target.parent / "feeds"
        wanted = [one.name for one in SOURCES if one.default] + list(names) if names else []
        done = sync(source, wanted, mirror=mirror, progress=lambda name: click.echo(f"{name} …", err=True))
        for one in done:
            click.echo(
                f"{one.name:32} {one.result}{f' {one.size_bytes / 1e6:.1f} MB' if one.size_bytes else ''}{f': {one.reason}' if one.reason else ''}"
            )
        if all(one.result == "failed" for one in done) and not any(source.rglob("all.zip")):
            raise UnavailableError("no feed could be downloaded", hint="use --mirror, or copy feeds and use --from")
    started = time.monotonic()
    compiler = Compiler()
    feeds = read_directory(source, compiler)
    if not any(feed.records for feed in feeds):
        raise UsageError(
            f"no advisory feed in {source}",
            hint="expected osv/<Ecosystem>/all.zip, signals/kev.json, … (docs/scan/advisories.md)",
        )
    counts = compiler.write(target)
    for feed in feeds:
        bad = (
            f", {feed.skipped} skipped ({', '.join(f'{reason}: {count}' for reason, count in feed.reasons.items())})"
            if feed.skipped
            else ""
        )
        click.echo(f"{feed.name:32} {feed.records:>8} records{bad}  {feed.licence}")
    size = target.stat().st_size / 1e6
    click.echo(
        f"{target}: {counts['advisories']} advisories, {counts['packages']} packages, {size:.1f} MB in {time.monotonic() - started:.1f} s"
    )
    return 0


@advisories.command("status")
@_DATABASE
@_JSON
def status(database: Path | None, as_json: bool) -> int:
    """Say what the database holds, how old it is, under which licences; check its hash."""
    import msgspec

    from phalanx.advisories.database import Database, verify

    path = _path(database)
    opened = Database(path)
    digest = verify(path)
    age_days = (time.time() - opened.created) / 86400
    if as_json:
        body = {
            "path": str(path),
            "sha256": digest,
            "created": opened.created,
            "counts": opened.counts,
            "ecosystems": opened.ecosystems(),
            "feeds": msgspec.to_builtins(opened.feeds),
        }
        click.echo(msgspec.json.format(msgspec.json.encode(body), indent=2).decode())
        return 0
    click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB  sha256 {digest[:16]}… verified  {age_days:.0f} days old")
    click.echo(", ".join(f"{count} {what}" for what, count in opened.counts.items()))
    for feed in opened.feeds:
        newest = feed.newest[:10] if feed.newest > "0002" else "-"
        click.echo(f"  {feed.name:32} {feed.records:>8}  newest {newest:10}  {feed.licence}")
    return 0


@advisories.command("show")
@click.argument("identifier")
@_DATABASE
@_JSON
def show(identifier: str, database: Path | None, as_json: bool) -> int:
    """Show all that is known of a flaw, from every source: CVE, GHSA, PYSEC, DSA, CNVD … id."""
    import msgspec

    from phalanx.advisories.database import Database
    from phalanx.advisories.rank import rate
    from phalanx.errors import NotFoundError
    from phalanx.text.hostile import show as safe

    opened = Database(_path(database))
    found = opened.named(identifier)
    signal = opened.signal(identifier)
    if not found and signal is None:
        near = opened.names_like(identifier, 5)
        raise NotFoundError(f"no advisory named {identifier}", hint=f"near: {', '.join(near)}" if near else None)
    if as_json:
        body = {
            "advisories": [msgspec.structs.asdict(one) for one in found],
            "signal": msgspec.structs.asdict(signal) if signal else None,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(body), indent=2).decode())
        return 0
    for one in found:
        severity, score, _ = rate(one.vectors, [one.severity])
        rated = f"{severity or 'not rated'}{f' {score:.1f}' if score is not None else ''}"
        click.echo(f"{one.id}  [{one.source}]  {rated}{'  WITHDRAWN' if one.withdrawn else ''}")
        click.echo(f"  {safe(one.summary, 300)}")
        if one.title_zh:
            click.echo(f"  {safe(one.title_zh, 300)}")
        others = [name for name in (*one.aliases, *one.upstream) if name != identifier]
        if others:
            click.echo(f"  also: {safe(', '.join(others[:12]), 400)}")
        for address in one.references[:3]:
            click.echo(f"  {safe(address, 300)}")
    if signal is not None:
        if signal.kev:
            click.echo(
                f"exploited: CISA catalogue since {signal.kev}, due {signal.kev_due or '-'}{', ransomware' if signal.ransomware else ''}"
            )
        if signal.ssvc:
            click.echo(
                f"CISA judges exploitation: {signal.ssvc}; automatable: {signal.automatable}; impact: {signal.technical_impact or '-'}"
            )
        if signal.epss is not None:
            click.echo(f"EPSS: {signal.epss:.1%} in 30 days")
        for exploit in signal.exploits:
            click.echo(f"exploit: {exploit.source} {safe(exploit.reference, 300)}")
        if signal.title_zh or signal.aliases:
            click.echo(f"{', '.join(signal.aliases)}  {safe(signal.title_zh, 300)}")
    return 0


@advisories.command("search")
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many of each.")
@_DATABASE
def search(text: str, limit: int, database: Path | None) -> int:
    """Find packages and ids whose name holds TEXT."""
    from phalanx.advisories.database import Database
    from phalanx.text.hostile import show as safe

    opened = Database(_path(database))
    for ecosystem, name in opened.packages_like(text, limit):
        click.echo(f"{ecosystem:20} {safe(name, 200)}  {len(opened.entries(ecosystem, name))} advisories")
    for name in opened.names_like(text, limit):
        click.echo(f"{'id':20} {safe(name, 200)}")
    return 0
