"""What one layer (or one directory) holds, before it is joined with the layers above it. This is what is cached by the layer's digest."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct

from phalanx.artifacts.cataloguers.binaries import binary
from phalanx.artifacts.cataloguers.distro import os_release
from phalanx.artifacts.cataloguers.java import ARCHIVES, JarHint, catalogue_jar
from phalanx.artifacts.cataloguers.registry import Cataloguer, find_cataloguer
from phalanx.artifacts.limits import MAX_COMPONENTS, MAX_FILE, MAX_SKIPPED, MAX_TEXT_FILE
from phalanx.artifacts.model import Component, Issue, OsRelease, Skipped
from phalanx.artifacts.sources.entry import Entry
from phalanx.errors import PhalanxError
from phalanx.text.hostile import decode

__all__ = ["FACTS_VERSION", "Collector", "Facts"]

FACTS_VERSION: Final = 1
"""Grows when a cataloguer would say something else of the same bytes; cached facts of another version are not used."""

_MALFORMED: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
    EOFError,
    SyntaxError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    msgspec.MsgspecError,
)
_OS_RELEASE: Final = {"usr/lib/os-release": 0, "etc/os-release": 1}


class Facts(Struct, kw_only=True):
    """What was seen in one layer."""

    files: int = 0
    paths: list[str] = []
    """Every regular file and link, so that a layer above can hide what a lower one had."""
    whiteouts: list[str] = []
    """Paths that this layer deletes from the layers below."""
    opaque: list[str] = []
    """Directories whose lower content this layer hides."""
    links: dict[str, str] = {}
    """Hard links: path → the path whose content it shares."""
    found: dict[str, list[Component]] = {}
    hints: dict[str, list[JarHint]] = {}
    owned: dict[str, bytes] = {}
    """Package → its list of files, for dpkg (``info/*.list``)."""
    os: OsRelease | None = None
    os_rank: int = -1
    alpine: str = ""
    """Text of ``etc/alpine-release``."""
    issues: dict[str, list[Issue]] = {}
    skipped: list[Skipped] = []
    skipped_more: int = 0


Inspector = Callable[[Entry, Callable[[], bytes]], Iterable[Issue]]
"""Looks at one file beside the cataloguers (secrets, malware); gets the entry and a reader that may be called any number of times."""


class Collector:
    """Turns entries into facts."""

    def __init__(
        self, *, declared: bool, layer: str = "", inspectors: tuple[Inspector, ...] = (), keep_paths: bool = False
    ) -> None:
        self.facts = Facts()
        self._declared = declared
        self._layer = layer
        self._inspectors = inspectors
        self._keep_paths = keep_paths
        self._count = 0

    def skip(self, path: str, reason: str) -> None:
        """Note that ``path`` was not looked at."""
        if len(self.facts.skipped) < MAX_SKIPPED:
            self.facts.skipped.append(Skipped(path=path[:1000], reason=reason[:300], layer=self._layer))
        else:
            self.facts.skipped_more += 1

    def add(self, entry: Entry) -> None:
        """Look at one file."""
        facts, path = self.facts, entry.path
        facts.files += 1
        if self._keep_paths:
            facts.paths.append(path)
        try:
            self._look(entry, path)
        except _MALFORMED as error:
            self.skip(path, f"malformed: {type(error).__name__}: {error}")
        except OSError as error:
            self.skip(path, f"not readable: {error.strerror or error}")

    def _look(self, entry: Entry, path: str) -> None:
        cached: list[bytes] = []

        def content() -> bytes:
            if not cached:
                cached.append(entry.read(MAX_FILE))
            return cached[0]

        for inspector in self._inspectors:
            issues = list(inspector(entry, content))
            if issues:
                self.facts.issues.setdefault(path, []).extend(issues)
        cataloguer = find_cataloguer(path, declared=self._declared)
        if cataloguer is not None:
            if entry.size > MAX_TEXT_FILE:
                self.skip(path, f"larger than {MAX_TEXT_FILE >> 20} MiB")
            else:
                self._run(cataloguer, path, content())
        elif path.lower().endswith(ARCHIVES):
            self._jar(entry, path, cached)
        elif entry.executable and entry.size > 256:
            self._binary(entry, path, cached)
        else:
            self._special(entry, path, content)

    def _run(self, cataloguer: Cataloguer, path: str, data: bytes) -> None:
        for component in cataloguer(path, data):
            self.keep(path, component)

    def keep(self, path: str, component: Component) -> None:
        """Add a component that lies in ``path``."""
        if self._count >= MAX_COMPONENTS:
            if self._count == MAX_COMPONENTS:
                self.skip(path, f"more than {MAX_COMPONENTS} components")
            self._count += 1
            return
        self._count += 1
        self.facts.found.setdefault(path, []).append(component)

    def _jar(self, entry: Entry, path: str, cached: list[bytes]) -> None:
        if entry.size > MAX_FILE * 4:
            self.skip(path, f"larger than {MAX_FILE * 4 >> 20} MiB")
            return
        import io

        with io.BytesIO(cached[0]) if cached else entry.open() as stream:
            for item in catalogue_jar(path, stream, self.skip):
                if isinstance(item, JarHint):
                    self.facts.hints.setdefault(path, []).append(item)
                else:
                    self.keep(path, item)

    def _binary(self, entry: Entry, path: str, cached: list[bytes]) -> None:
        data = cached[0] if cached else entry.data(MAX_FILE)
        for component in binary(path, data):
            self.keep(path, component)

    def _special(self, entry: Entry, path: str, content: Callable[[], bytes]) -> None:
        facts = self.facts
        if path.startswith("var/lib/dpkg/info/") and path.endswith(".list"):
            facts.owned[path[18:-5].partition(":")[0]] = content()
        elif path in _OS_RELEASE:
            found = os_release(content())
            if found is not None and _OS_RELEASE[path] > facts.os_rank:
                facts.os, facts.os_rank = found, _OS_RELEASE[path]
        elif path == "etc/alpine-release":
            facts.alpine = decode(content()[:40]).strip()
        elif path in ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db", "var/lib/rpm/Packages",
                      "usr/lib/sysimage/rpm/Packages.db"):  # fmt: skip
            from phalanx.artifacts.cataloguers.rpmdb import rpm_database

            for component in rpm_database(path, content()):
                self.keep(path, component)

    def fail(self, path: str, error: PhalanxError) -> None:
        """The source itself broke off; what was read before stays."""
        self.skip(path, error.message)
