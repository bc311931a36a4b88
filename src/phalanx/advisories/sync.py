"""Downloads the official feeds into a directory that ``read_directory`` understands; what was there stays when a download fails.

Each file is written beside its place and renamed when it is whole; ``If-None-Match`` and ``If-Modified-Since`` avoid what has not changed. Nothing
is sent but the request: no identifier of the machine, no list of what is installed.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from phalanx.errors import UsageError

__all__ = ["SOURCES", "Source", "Synced", "fetch", "sync"]

MAX_DOWNLOAD: Final = 4 << 30
"""Bytes of one feed; the largest (npm with malicious packages) has some hundred MB."""
_TIMEOUT_S: Final = 60
_OSV: Final = "https://osv-vulnerabilities.storage.googleapis.com"


class Source(Struct, frozen=True, kw_only=True):
    """One file of an official feed."""

    name: str
    url: str
    place: str
    """Where it goes below the directory."""
    default: bool = True
    """Part of a plain ``update``; the others are asked for by name."""


def _osv(ecosystem: str, *, default: bool = True) -> Source:
    return Source(
        name=f"osv:{ecosystem}",
        url=f"{_OSV}/{ecosystem.replace(' ', '%20')}/all.zip",
        place=f"osv/{ecosystem}/all.zip",
        default=default,
    )


SOURCES: Final = (
    *(
        _osv(name)
        for name in ("PyPI", "npm", "Maven", "Go", "crates.io", "RubyGems", "Packagist", "NuGet", "Debian", "Alpine")
    ),
    *(
        _osv(name, default=False)
        for name in (
            "Ubuntu",
            "Rocky Linux",
            "AlmaLinux",
            "Red Hat",
            "SUSE",
            "openSUSE",
            "Hex",
            "Pub",
            "CRAN",
            "SwiftURL",
        )
    ),
    Source(
        name="kev",
        url="https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
        place="signals/kev.json",
    ),
    Source(
        name="epss", url="https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", place="signals/epss.csv.gz"
    ),
    Source(
        name="debian",
        url="https://security-tracker.debian.org/tracker/data/json",
        place="distro/debian-tracker.json",
        default=False,
    ),
    Source(
        name="exploit-db",
        url="https://gitlab.com/exploit-database/exploitdb/-/raw/main/files_exploits.csv",
        place="signals/files_exploits.csv",
        default=False,
    ),
    Source(
        name="secdb:Wolfi",
        url="https://packages.wolfi.dev/os/security.json",
        place="secdb/Wolfi/security.json",
        default=False,
    ),
    *(
        Source(
            name=f"nvd:{year}",
            url=f"https://nvd.nist.gov/feeds/json/cve/2.0/nvdcve-2.0-{year}.json.gz",
            place=f"nvd/{year}.json.gz",
            default=False,
        )
        for year in range(2002, 2028)
    ),
)
"""Public addresses of the publishers themselves."""


class Synced(Struct, frozen=True, kw_only=True):
    """How one download ended."""

    name: str
    result: str
    """``new``, ``unchanged`` or ``failed``."""
    reason: str = ""
    size_bytes: int = 0


def sync(
    root: Path, names: Iterable[str] = (), *, mirror: str = "", progress: Callable[[str], None] = lambda _: None
) -> list[Synced]:
    """Download ``names`` (the default ones when empty) below ``root``.

    Args:
        root: directory of feeds.
        names: of sources; ``osv:*`` stands for all of that kind.
        mirror: address of a static server with the same layout, used in place of the publishers.
        progress: told each name.

    Raises:
        UsageError: there is no such source.
    """
    wanted = set(names)
    chosen = [
        one
        for one in SOURCES
        if (one.default if not wanted else one.name in wanted or f"{one.name.partition(':')[0]}:*" in wanted)
    ]
    unknown = [
        name for name in wanted if not any(name in (one.name, f"{one.name.partition(':')[0]}:*") for one in SOURCES)
    ]
    if unknown:
        raise UsageError(
            f"no source {', '.join(sorted(unknown))}",
            hint=f"there are: {', '.join(one.name for one in SOURCES if ':' not in one.name)}, osv:…, nvd:YEAR",
        )
    done = []
    for source in chosen:
        progress(source.name)
        url = f"{mirror.rstrip('/')}/{quote(source.place)}" if mirror else source.url
        done.append(fetch(source.name, url, root / source.place))
    return done


def fetch(name: str, url: str, place: Path) -> Synced:
    """Download ``url`` to ``place`` unless it has not changed; a failure is a result and leaves ``place`` as it was."""
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"{url} is not an address of a web server")
    place.parent.mkdir(parents=True, exist_ok=True)
    side = place.with_name(place.name + ".http")
    request = urllib.request.Request(url, headers={"User-Agent": "phalanx"})  # noqa: S310 — the scheme is checked above
    if place.exists() and side.exists():
        for header, value in _validators(side).items():
            request.add_header(header, value)
    handle, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as target, urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            expected = response.headers.get("Content-Length")
            size = 0
            while chunk := response.read(1 << 20):
                size += len(chunk)
                if size > MAX_DOWNLOAD:
                    return Synced(name=name, result="failed", reason="larger than 4 GiB")
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
            if expected is not None and expected.isdigit() and int(expected) != size:
                return Synced(name=name, result="failed", reason=f"ended after {size} of {expected} bytes")
            validators = {
                "If-None-Match": response.headers.get("ETag"),
                "If-Modified-Since": response.headers.get("Last-Modified"),
            }
        os.replace(temporary, place)
        side.write_bytes(msgspec.json.encode({key: value for key, value in validators.items() if value}))
        return Synced(name=name, result="new", size_bytes=size)
    except urllib.error.HTTPError as error:
        if error.code == 304:
            os.utime(place, (time.time(), time.time()))
            return Synced(name=name, result="unchanged", size_bytes=place.stat().st_size)
        return Synced(name=name, result="failed", reason=f"HTTP {error.code}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Synced(name=name, result="failed", reason=str(getattr(error, "reason", error))[:200])
    finally:
        Path(temporary).unlink(missing_ok=True)


def _validators(side: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(side.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}
