"""Alpine's and Wolfi's secdb: package → version that fixed → ids. Version ``0`` means "never affected"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from phalanx.advisories.model import Advisory, Affected, FixState, Range
from phalanx.advisories.readers.tally import Tally, as_dict, as_list, text, texts

__all__ = ["read_secdb", "read_secdb_rows"]


def read_secdb(raw: bytes, tally: Tally, *, distro: str = "Alpine") -> Iterator[Advisory]:
    """One file of a branch and repository, as the distribution publishes it."""
    made = as_dict(msgspec.json.decode(raw))
    release = text(made.get("distroversion"), 20)
    for item in as_list(made.get("packages")):
        package = as_dict(as_dict(item).get("pkg"))
        yield from _package(distro, release, text(package.get("name"), 200), as_dict(package.get("secfixes")), tally)


def read_secdb_rows(lines: Iterable[bytes], tally: Tally) -> Iterator[Advisory]:
    """The same, one package a line: ``distro``, ``release``, ``package``, ``secfixes``."""
    for line in lines:
        try:
            row = as_dict(msgspec.json.decode(line))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            tally.skip("not JSON")
            continue
        yield from _package(
            "Alpine", text(row.get("release"), 20), text(row.get("package"), 200), as_dict(row.get("secfixes")), tally
        )


def _package(distro: str, release: str, name: str, fixes: dict[str, Any], tally: Tally) -> Iterator[Advisory]:
    if not name:
        tally.skip("no package name")
        return
    tally.read()
    ecosystem = f"{distro}:{release}" if release and distro == "Alpine" else distro
    for version, ids in fixes.items():
        if version == "0":
            continue
        for entry in texts(ids):
            names = entry.replace(",", " ").split()
            if not names:
                continue
            affected = Affected(ecosystem=ecosystem, name=name, ranges=(Range(fixed=version),), state=FixState.FIXED)
            yield Advisory(
                id=names[0], source=f"secdb:{distro.lower()}", aliases=tuple(names[1:]), affected=(affected,)
            )
