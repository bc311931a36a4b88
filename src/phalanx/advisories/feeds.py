"""The layouts of further feeds in a directory, and where the official ones are published.

=====================================  ========================================================================
Place                                  What
=====================================  ========================================================================
``ghsa/``, ``malicious/``, ``osv-*/``  trees of OSV records (GitHub Advisory Database, malicious packages)
``distro/debian-tracker.json``         Debian's security tracker
``distro/*secdb*.jsonl``               Alpine secdb, a package a line
``secdb/<Distro>/**/*.json``           secdb as Alpine, Wolfi and Chainguard publish it
``updateinfo/<Ecosystem>/*.xml``       updateinfo of RPM distributions; ``_`` in the name stands for ``:``
``oval/<Ecosystem>/*.xml``             OVAL definitions; ``_`` stands for ``:``
``csaf/<source>/**/*.json``            CSAF advisories and VEX
``nvd/*.json``                         NVD 2.0
``vulnrichment/**/*.json``             CISA's vulnrichment as it is published
``china/cnvd*.xml``, ``cnnvd*.xml``    exports of CNVD and CNNVD
=====================================  ========================================================================

Every file may be compressed with gzip, zstd, bzip2 or xz. A file that cannot be read is a reason in its feed; the others are read all the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from phalanx.advisories.compiler import Compiler
from phalanx.advisories.model import Advisory, Feed, Signal
from phalanx.advisories.plain import lines_of, open_plain
from phalanx.advisories.readers import signals
from phalanx.advisories.readers.csaf import read_csaf
from phalanx.advisories.readers.debian import read_debian_tracker
from phalanx.advisories.readers.nvd import read_nvd
from phalanx.advisories.readers.osv import read_osv_directory
from phalanx.advisories.readers.secdb import read_secdb, read_secdb_rows
from phalanx.advisories.readers.tally import Tally
from phalanx.advisories.readers.xml import read_cnnvd, read_cnvd, read_oval, read_updateinfo
from phalanx.errors import CorruptError

__all__ = ["LICENCES", "read_other"]

LICENCES: Final = {
    "ghsa": ("GitHub Advisory Database", "CC-BY-4.0", "GitHub Advisory Database, CC-BY-4.0", True),
    "malicious": ("Malicious packages (OpenSSF)", "Apache-2.0", "", True),
    "debian": ("Debian security tracker", "MIT", "", True),
    "secdb:Alpine": ("Alpine secdb", "CC-BY-SA-4.0", "Alpine Linux secdb, CC-BY-SA-4.0", True),
    "secdb:Wolfi": ("Wolfi secdb", "CC-BY-NC-ND-4.0", "Wolfi security database", False),
    "secdb:Chainguard": ("Chainguard secdb", "CC-BY-NC-ND-4.0", "Chainguard security database", False),
    "csaf:redhat": ("Red Hat CSAF and VEX", "CC-BY-4.0", "Red Hat security data, CC-BY-4.0", True),
    "csaf:suse": ("SUSE CSAF", "CC-BY-4.0", "SUSE security data, CC-BY-4.0", True),
    "nvd": (
        "NVD 2.0",
        "LicenseRef-public-domain",
        "This product uses data from the NVD but is not endorsed or certified by the NVD.",
        True,
    ),
    "vulnrichment": ("CISA vulnrichment", "CC0-1.0", "", True),
    "cnvd": ("CNVD", "LicenseRef-CNVD-terms", "CNVD", False),
    "cnnvd": ("CNNVD", "LicenseRef-CNNVD-terms", "CNNVD", False),
}
"""Feed → (title, licence, attribution, may be redistributed). What is not here is synced by the user under the source's own terms."""

Progress = Callable[[str], None]
_READABLE: Final = (msgspec.MsgspecError, CorruptError, OSError, EOFError, ValueError, RecursionError)


def _feed(name: str, tally: Tally) -> Feed:
    title, licence, attribution, free = LICENCES.get(name, (name, "LicenseRef-see-source", "", False))
    return Feed(
        name=name,
        title=title,
        licence=licence,
        attribution=attribution,
        redistributable=free,
        records=tally.records,
        skipped=tally.skipped,
        reasons=dict(tally.reasons),
        newest=tally.newest,
    )


def _each(files: Iterator[Path], tally: Tally, read: Callable[[Path], None]) -> None:
    for path in sorted(files):
        try:
            read(path)
        except _READABLE as error:
            tally.skip(f"{path.name}: {type(error).__name__}: {error}")


def _bytes(path: Path) -> bytes:
    with open_plain(path) as stream:
        return stream.read()


def read_other(root: Path, compiler: Compiler, progress: Progress) -> list[Feed]:
    """Read all of the table above that is there; returns what was read."""
    feeds: list[Feed] = []
    for tree in [root / "ghsa", root / "malicious", *sorted(root.glob("osv-*"))]:
        if tree.is_dir():
            progress(tree.name)
            tally = Tally()
            compiler.advisories(read_osv_directory(tree, tree.name, tally))
            feeds.append(_feed(tree.name, tally))
    feeds += _distributions(root, compiler, progress)
    for place in sorted((root / "csaf").glob("*/")):
        name, tally = f"csaf:{place.name}", Tally()
        progress(name)
        _each(place.rglob("*.json*"), tally, partial(_csaf, compiler, tally, name))
        feeds.append(_feed(name, tally))
    if (root / "nvd").is_dir():
        progress("nvd")
        tally = Tally()

        def nvd(path: Path) -> None:
            for signal, advisory in read_nvd(_bytes(path), tally):
                compiler.signals((signal,))
                compiler.advisories((advisory,))

        _each((root / "nvd").glob("*.json*"), tally, nvd)
        feeds.append(_feed("nvd", tally))
    if (root / "vulnrichment").is_dir():
        progress("vulnrichment")
        rich = Tally()
        _each(
            (root / "vulnrichment").rglob("CVE-*.json"),
            rich,
            lambda path: compiler.signals(signals.read_vulnrichment(path.read_bytes(), rich)),
        )
        feeds.append(_feed("vulnrichment", rich))
    for name, read in (("cnvd", read_cnvd), ("cnnvd", read_cnnvd)):
        files = sorted((root / "china").glob(f"{name}*.xml*"))
        if files:
            progress(name)
            tally = Tally()
            _each(iter(files), tally, partial(_chinese, compiler, tally, read))
            feeds.append(_feed(name, tally))
    return feeds


def _csaf(compiler: Compiler, tally: Tally, source: str, path: Path) -> None:
    compiler.advisories(read_csaf(_bytes(path), tally, source=source))


def _secdb(compiler: Compiler, tally: Tally, distro: str, path: Path) -> None:
    compiler.advisories(read_secdb(_bytes(path), tally, distro=distro))


def _chinese(compiler: Compiler, tally: Tally, read: Callable[[BinaryIO, Tally], Iterator[Signal]], path: Path) -> None:
    compiler.signals(read(_stream(path), tally))


def _xml(compiler: Compiler, tally: Tally, ecosystem: str, read: Callable[..., Iterator[Advisory]], path: Path) -> None:
    compiler.advisories(read(_stream(path), tally, ecosystem=ecosystem))


def _stream(path: Path) -> BinaryIO:
    return cast(BinaryIO, open_plain(path)) if path.stat().st_size > 64 << 20 else io.BytesIO(_bytes(path))


def _distributions(root: Path, compiler: Compiler, progress: Progress) -> list[Feed]:
    feeds: list[Feed] = []
    trackers = sorted((root / "distro").glob("debian-tracker.json*"))
    if trackers:
        progress("debian")
        tally = Tally()
        _each(iter(trackers), tally, lambda path: compiler.advisories(read_debian_tracker(_bytes(path), tally)))
        feeds.append(_feed("debian", tally))
    rows = sorted((root / "distro").glob("*secdb*.jsonl*"))
    if rows:
        progress("secdb")
        alpine = Tally()
        _each(iter(rows), alpine, lambda path: compiler.advisories(read_secdb_rows(lines_of(path), alpine)))
        feeds.append(_feed("secdb:Alpine", alpine))
    for place in sorted((root / "secdb").glob("*/")):
        progress(f"secdb {place.name}")
        one = Tally()
        _each(place.rglob("*.json*"), one, partial(_secdb, compiler, one, place.name))
        feeds.append(_feed(f"secdb:{place.name}", one))
    for folder, read in (("updateinfo", read_updateinfo), ("oval", read_oval)):
        for place in sorted((root / folder).glob("*/")):
            ecosystem = place.name.replace("_", ":")
            progress(f"{folder} {ecosystem}")
            one = Tally()
            _each(place.glob("*.xml*"), one, partial(_xml, compiler, one, ecosystem, read))
            feeds.append(_feed(f"{folder}:{ecosystem}", one))
    return feeds
