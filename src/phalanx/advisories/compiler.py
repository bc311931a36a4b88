"""Writes the database: advisories and signals in, one read-only file with precomputed keys out, replaced in one step.

What is done here once is not done at each scan: names are normalised, ranges become pairs of byte keys, explicit versions that lie inside the ranges
are dropped, an alias that always means one CVE is resolved, signals of all sources are merged.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sqlite3
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from phalanx.advisories.ecosystems import normal_name, scheme_of
from phalanx.advisories.model import Advisory, Affected, Feed, FixState, Signal
from phalanx.text.versions import MAX_VERSION, keyer

__all__ = ["BLOCK", "SCHEMA_VERSION", "SEPARATOR", "STATES", "Compiler", "merge_signals", "signal_block"]

SCHEMA_VERSION: Final = 1
"""Of the layout of the file; a reader refuses another one."""
STATES: Final = tuple(FixState)
"""The order in which states are numbered in the file; new ones go to the end."""
SEPARATOR: Final = "\x1f"
"""Between ecosystem and name in a key; the unit separator, which neither holds."""
BLOCK: Final = 32
"""Advisories that are compressed together: enough to compress well, few enough to read one quickly."""

_SCHEMA: Final = """
CREATE TABLE package (k TEXT PRIMARY KEY, b BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE advisory (block INTEGER PRIMARY KEY, b BLOB NOT NULL);
CREATE TABLE name (id TEXT PRIMARY KEY, n BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE signal (block TEXT PRIMARY KEY, b BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;
"""


def merge_signals(old: Signal, new: Signal) -> Signal:
    """What two sources say of one flaw; the stronger statement wins, lists are joined."""
    ranks = {"": 0, "none": 1, "poc": 2, "active": 3}
    return Signal(
        id=old.id,
        kev=min(filter(None, (old.kev, new.kev)), default=""),
        kev_due=old.kev_due or new.kev_due,
        ransomware=old.ransomware or new.ransomware,
        ssvc=max(old.ssvc, new.ssvc, key=lambda word: ranks.get(word, 0)),
        automatable=new.automatable if old.automatable is None else old.automatable,
        technical_impact=old.technical_impact or new.technical_impact,
        epss=old.epss if new.epss is None else new.epss,
        epss_percentile=old.epss_percentile if new.epss_percentile is None else new.epss_percentile,
        exploits=tuple(dict.fromkeys(old.exploits + new.exploits))[:5],
        vectors=tuple(dict.fromkeys(old.vectors + new.vectors))[:6],
        cwes=tuple(dict.fromkeys(old.cwes + new.cwes))[:10],
        cpes=tuple(dict.fromkeys(old.cpes + new.cpes))[:5],
        title=old.title or new.title,
        title_zh=old.title_zh or new.title_zh,
        aliases=tuple(dict.fromkeys(old.aliases + new.aliases)),
    )


def signal_block(cve: str) -> str:
    """Signals of neighbouring CVEs are compressed together: the id without its last two characters."""
    return cve[:-2]


class Compiler:
    """Collects advisories and signals and writes them as one file.

    Memory holds what goes into the file in its encoded form: about 1.5 times the size of the file.
    """

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._packages: dict[str, list[bytes]] = defaultdict(list)
        self._advisories: list[Advisory] = []
        self._names: dict[str, list[int]] = defaultdict(list)
        self._signals: dict[str, Signal] = {}
        self._artifacts: dict[str, set[str]] = defaultdict(set)
        self._keys: dict[tuple[str, str], bytes] = {}
        self._cve_of: dict[str, set[str]] = defaultdict(set)
        self._feeds: list[Feed] = []

    def feed(self, feed: Feed) -> None:
        """Record a source that was read."""
        self._feeds.append(feed)

    def signals(self, signals: Iterable[Signal]) -> None:
        """Add what is known beyond advisories."""
        for signal in signals:
            known = self._signals.get(signal.id)
            self._signals[signal.id] = signal if known is None else merge_signals(known, signal)

    def advisories(self, advisories: Iterable[Advisory]) -> None:
        """Add the advisories of one source."""
        for advisory in advisories:
            self._add(advisory)

    def _add(self, advisory: Advisory) -> None:
        number = len(self._advisories)
        for name in dict.fromkeys((advisory.id, *advisory.aliases, *advisory.upstream)):
            self._names[name].append(number)
        cves = {name for name in (advisory.id, *advisory.aliases) if name.startswith("CVE-")}
        if len(cves) == 1:
            cve = next(iter(cves))
            for alias in (advisory.id, *advisory.aliases):
                if not alias.startswith("CVE-"):
                    self._cve_of[alias].add(cve)
        if not advisory.withdrawn:
            for affected in advisory.affected:
                self._affected(number, affected)
        self._advisories.append(msgspec.structs.replace(advisory, affected=()))

    def _affected(self, number: int, affected: Affected) -> None:
        scheme = scheme_of(affected.ecosystem)
        name = normal_name(affected.ecosystem, affected.name)
        ranges: list[tuple[bytes, bytes, bool, str, str]] = []
        for one in affected.ranges:
            end = one.fixed or one.last_affected
            low = self._key(scheme, one.introduced) if one.introduced else b""
            high = self._key(scheme, end) if end else b""
            if low and high and (high < low or (high == low and one.fixed)):
                continue  # an empty interval: an introduction that was fixed before
            ranges.append((low, high, not one.fixed and bool(end), one.introduced, end))
        listed = []
        for version in affected.versions:
            key = self._key(scheme, version)
            if not any(
                low <= key and (not high or key < high or (closed and key == high))
                for low, high, closed, _, _ in ranges
            ):
                listed.append(key)
        if not ranges and not listed:
            return
        severity = -1 if affected.severity is None else affected.severity.rank
        entry = (number, STATES.index(affected.state), severity, ranges, listed, affected.symbols)
        self._packages[f"{affected.ecosystem}{SEPARATOR}{name}"].append(self._encode(entry))
        if affected.ecosystem == "Maven":
            group, colon, artifact = name.partition(":")
            if colon:
                self._artifacts[artifact].add(group)

    def _key(self, scheme: str, version: str) -> bytes:
        known = self._keys.get((scheme, version))
        if known is None:
            known = self._keys[scheme, version] = keyer(scheme)(version[:MAX_VERSION])
        return known

    def write(self, target: Path, *, now: float | None = None) -> dict[str, int]:
        """Write the file and put it in the place of ``target`` in one step; returns its counts.

        A reader that has the old file open keeps reading it. Beside the file lies ``<name>.sha256`` for those who copy it.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            counts = self._fill(temporary, time.time() if now is None else now)
            digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        side = target.with_name(f"{target.name}.sha256")
        side.write_text(f"{digest}  {target.name}\n")
        return counts

    def _fill(self, path: Path, now: float) -> dict[str, int]:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;" + _SCHEMA + "BEGIN;"
        )
        connection.executemany("INSERT INTO advisory VALUES (?, ?)", self._advisory_blocks())
        connection.executemany(
            "INSERT INTO package VALUES (?, ?)",
            ((key, b"".join((_array_head(len(parts)), *parts))) for key, parts in sorted(self._packages.items())),
        )
        connection.executemany(
            "INSERT INTO package VALUES (?, ?)",
            (
                (f"maven-artifact{SEPARATOR}{artifact}", self._encode(sorted(groups)))
                for artifact, groups in sorted(self._artifacts.items())
            ),
        )
        connection.executemany(
            "INSERT INTO name VALUES (?, ?)",
            ((name, self._encode(numbers)) for name, numbers in sorted(self._names.items())),
        )
        connection.executemany("INSERT INTO signal VALUES (?, ?)", self._signal_blocks())
        counts = {
            "advisories": len(self._advisories),
            "packages": len(self._packages),
            "signals": len(self._signals),
            "names": len(self._names),
        }
        meta: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "created": int(now),
            "counts": counts,
            "feeds": self._feeds,
        }
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)", ((k, msgspec.json.encode(v).decode()) for k, v in meta.items())
        )
        connection.execute("COMMIT")
        connection.close()
        return counts

    def _flaws(self, advisory: Advisory) -> tuple[str, ...]:
        """The ids under which findings of ``advisory`` are told: its CVEs; the CVE its alias stands for elsewhere; else its own id."""
        cves = [name for name in (advisory.id, *advisory.aliases, *advisory.upstream) if name.startswith("CVE-")]
        if not cves:
            for alias in (advisory.id, *advisory.aliases):
                known = self._cve_of.get(alias)
                if known is not None and len(known) == 1:
                    cves.extend(known)
        return tuple(dict.fromkeys(cves)) or (advisory.id,)

    def _advisory_blocks(self) -> Iterator[tuple[int, bytes]]:
        for start in range(0, len(self._advisories), BLOCK):
            part = [self._encode((self._flaws(one), one)) for one in self._advisories[start : start + BLOCK]]
            yield start // BLOCK, zlib.compress(self._encode(part), 6)

    def _signal_blocks(self) -> Iterator[tuple[str, bytes]]:
        for block, group in itertools.groupby(
            sorted(self._signals, key=lambda cve: (signal_block(cve), cve)), key=signal_block
        ):
            yield block, zlib.compress(self._encode({cve: self._encode(self._signals[cve]) for cve in group}), 6)


def _array_head(count: int) -> bytes:
    """Head of a MessagePack array, so that encoded elements can be joined without decoding them."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 0x10000:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")
