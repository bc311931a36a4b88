"""Reads a directory of feeds (an air-gapped copy, or what ``feeds`` downloaded) into a compiler; what is there is told by names and layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from phalanx.advisories.compiler import Compiler
from phalanx.advisories.feeds import read_other
from phalanx.advisories.model import Feed
from phalanx.advisories.plain import lines_of, open_plain
from phalanx.advisories.readers import osv, signals
from phalanx.advisories.readers.tally import Tally

__all__ = ["read_directory"]

_CC_BY: Final = "CC-BY-4.0"
_OSV_LICENCES: Final = {
    "PyPI": (_CC_BY, "Python Packaging Advisory Database, CC-BY-4.0"),
    "Go": (_CC_BY, "The Go vulnerability database, CC-BY-4.0"),
    "crates.io": ("CC0-1.0", "RustSec Advisory Database"),
    "Maven": (_CC_BY, "GitHub Advisory Database, CC-BY-4.0"),
    "npm": (_CC_BY, "GitHub Advisory Database, CC-BY-4.0"),
    "NuGet": (_CC_BY, "GitHub Advisory Database, CC-BY-4.0"),
    "RubyGems": ("LicenseRef-public-domain", "rubysec ruby-advisory-db"),
    "Packagist": ("Unlicense", "FriendsOfPHP security advisories"),
    "Kubernetes": ("Apache-2.0", "Kubernetes official CVE feed"),
}


def read_directory(root: Path, compiler: Compiler, progress: Callable[[str], None] = lambda _: None) -> list[Feed]:
    """Feed everything that is recognised below ``root`` to ``compiler``; returns what was read, in order.

    ``osv/<Ecosystem>/all.zip``, ``signals/kev*.json[.gz]``, ``signals/kev*.csv[.gz]``, ``signals/epss*.csv[.gz]``,
    ``signals/*vulnrichment*.jsonl[.zst]``, ``signals/*poc*.jsonl[.zst]``, ``signals/files_exploits.csv``, and the
    table of ``phalanx.advisories.feeds``.
    """
    feeds: list[Feed] = []
    for archive in sorted((root / "osv").glob("*/all.zip")):
        ecosystem = archive.parent.name
        progress(f"osv {ecosystem}")
        tally = Tally()
        compiler.advisories(osv.read_osv_zip(archive, f"osv:{ecosystem}", tally))
        licence, attribution = _OSV_LICENCES.get(ecosystem, ("LicenseRef-see-source", ""))
        feeds.append(_feed(f"osv:{ecosystem}", f"OSV {ecosystem}", licence, attribution, tally, archive))
    for path in sorted((root / "signals").glob("*")):
        made = _signal_feed(path, compiler, progress)
        if made is not None:
            feeds.append(made)
    feeds.extend(read_other(root, compiler, progress))
    for feed in feeds:
        compiler.feed(feed)
    return feeds


def _signal_feed(path: Path, compiler: Compiler, progress: Callable[[str], None]) -> Feed | None:
    name, tally = path.name, Tally()
    progress(name)
    if name.startswith("kev") and ".json" in name:
        compiler.signals(signals.read_kev(_bytes(path), tally))
        title, licence = "CISA Known Exploited Vulnerabilities", "CC0-1.0"
    elif name.startswith("kev") and ".csv" in name:
        compiler.signals(signals.read_kev_csv(_bytes(path), tally))
        title, licence = "CISA Known Exploited Vulnerabilities (CSV)", "CC0-1.0"
    elif name.startswith("epss"):
        compiler.signals(signals.read_epss((line.decode("utf-8", "replace") for line in lines_of(path)), tally))
        title, licence = "FIRST EPSS", "LicenseRef-EPSS-free-with-attribution"
    elif "vulnrichment" in name:
        compiler.signals(signals.read_vulnrichment_rows(lines_of(path), tally))
        title, licence = "CISA vulnrichment (SSVC, CVSS)", "CC0-1.0"
    elif "poc" in name:
        compiler.signals(signals.read_poc_index(lines_of(path), tally))
        title, licence = "Index of public exploits", "MIT"
    elif name.startswith("files_exploits"):
        compiler.signals(signals.read_exploitdb(_bytes(path), tally))
        title, licence = "Exploit-DB index", "GPL-2.0-or-later"
    else:
        return None
    return _feed(f"signal:{name.partition('.')[0]}", title, licence, "", tally, path)


def _feed(name: str, title: str, licence: str, attribution: str, tally: Tally, path: Path) -> Feed:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Feed(
        name=name,
        title=title,
        licence=licence,
        attribution=attribution,
        records=tally.records,
        skipped=tally.skipped,
        reasons=dict(tally.reasons),
        newest=tally.newest,
        digest=digest,
    )


def _bytes(path: Path) -> bytes:
    with open_plain(path) as stream:
        return stream.read()
