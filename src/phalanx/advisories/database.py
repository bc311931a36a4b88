"""Opens the compiled database: read-only, shared by any number of processes, usable while a new one is being written."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from phalanx.advisories.compiler import BLOCK, SCHEMA_VERSION, SEPARATOR, signal_block
from phalanx.advisories.ecosystems import normal_name
from phalanx.advisories.model import Advisory, Feed, Signal
from phalanx.errors import CorruptError, UnavailableError

__all__ = ["Database", "default_path", "verify"]

Entry = tuple[int, int, int, list[tuple[bytes, bytes, bool, str, str]], list[bytes], list[str]]
"""Number of the advisory, number of the state, rank of the severity (-1: not said), ranges, further versions, symbols."""

_ENTRIES: Final = msgspec.msgpack.Decoder(list[Entry])
_ADVISORY: Final = msgspec.msgpack.Decoder(tuple[tuple[str, ...], Advisory])
_SIGNAL: Final = msgspec.msgpack.Decoder(Signal)
_NUMBERS: Final = msgspec.msgpack.Decoder(list[int])
_TEXTS: Final = msgspec.msgpack.Decoder(list[str])
_PARTS: Final = msgspec.msgpack.Decoder(list[bytes])
_PARTS_BY_NAME: Final = msgspec.msgpack.Decoder(dict[str, bytes])


def default_path() -> Path:
    """Where the database lies: ``PHALANX_ADVISORIES``, else the machine's (root) or the user's cache."""
    given = os.environ.get("PHALANX_ADVISORIES")
    if given:
        return Path(given)
    machine = Path("/var/lib/phalanx/advisories/advisories.db")
    if os.geteuid() == 0 or machine.exists():
        return machine
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "phalanx/advisories.db"


def verify(path: Path) -> str:
    """SHA-256 of the file at ``path`` when it is what the file beside it says; CorruptError otherwise."""
    side = path.with_name(f"{path.name}.sha256")
    if not path.exists() or not side.exists():
        raise UnavailableError(
            f"{path} or its .sha256 is not there", hint="copy both files, or run `phalanx advisories update`"
        )
    expected = side.read_text()[:64]
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise CorruptError(
            f"{path} is not what its .sha256 says", hint="copy it again, or run `phalanx advisories update`"
        )
    return found


class Database:
    """The advisories of one compiled file. Cheap to open: nothing is read until it is asked for."""

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            UnavailableError: there is no database.
            CorruptError: it is not a database of this layout.
        """
        self.path = path
        if not path.is_file():
            raise UnavailableError(f"no advisory database at {path}", hint="run `phalanx advisories update`")
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            self._connection.execute("PRAGMA mmap_size=1073741824")
            meta = dict(self._connection.execute("SELECT k, v FROM meta"))
            self.schema = msgspec.json.decode(meta["schema"], type=int)
            self.created = msgspec.json.decode(meta["created"], type=int)
            self.counts = msgspec.json.decode(meta["counts"], type=dict[str, int])
            self.feeds = msgspec.json.decode(meta["feeds"], type=tuple[Feed, ...])
        except (sqlite3.Error, KeyError, msgspec.MsgspecError) as error:
            raise CorruptError(f"{path} is not an advisory database", hint="run `phalanx advisories update`") from error
        if self.schema != SCHEMA_VERSION:
            raise CorruptError(
                f"{path} has layout {self.schema}, this phalanx reads {SCHEMA_VERSION}",
                hint="run `phalanx advisories update`",
            )
        self._advisory_block = lru_cache(maxsize=2048)(self._read_advisory_block)
        self._signal_block = lru_cache(maxsize=4096)(self._read_signal_block)
        self.advisory = lru_cache(maxsize=20_000)(self._advisory)
        self.signal = lru_cache(maxsize=20_000)(self._signal)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _one(self, statement: str, key: str | int) -> bytes | None:
        try:
            row = self._connection.execute(statement, (key,)).fetchone()
        except sqlite3.Error as error:
            raise CorruptError(f"{self.path} is damaged", hint="run `phalanx advisories update`") from error
        return None if row is None else row[0]

    def entries(self, ecosystem: str, name: str) -> list[Entry]:
        """What is known of package ``name`` of ``ecosystem``; empty when nothing is."""
        blob = self._one("SELECT b FROM package WHERE k = ?", f"{ecosystem}{SEPARATOR}{normal_name(ecosystem, name)}")
        return [] if blob is None else _ENTRIES.decode(blob)

    def groups_of_artifact(self, artifact: str) -> list[str]:
        """Maven groups that have an advisory for an artifact of this id."""
        blob = self._one("SELECT b FROM package WHERE k = ?", f"maven-artifact{SEPARATOR}{artifact}")
        return [] if blob is None else _TEXTS.decode(blob)

    def _advisory(self, number: int) -> tuple[tuple[str, ...], Advisory]:
        try:
            return _ADVISORY.decode(self._advisory_block(number // BLOCK)[number % BLOCK])
        except IndexError as error:
            raise CorruptError(
                f"{self.path} names an advisory that it does not hold", hint="run `phalanx advisories update`"
            ) from error

    def _read_advisory_block(self, block: int) -> list[bytes]:
        blob = self._one("SELECT b FROM advisory WHERE block = ?", block)
        return [] if blob is None else _PARTS.decode(zlib.decompress(blob))

    def _read_signal_block(self, block: str) -> dict[str, bytes]:
        blob = self._one("SELECT b FROM signal WHERE block = ?", block)
        return {} if blob is None else _PARTS_BY_NAME.decode(zlib.decompress(blob))

    def _signal(self, flaw: str) -> Signal | None:
        blob = self._signal_block(signal_block(flaw)).get(flaw)
        return None if blob is None else _SIGNAL.decode(blob)

    def named(self, name: str) -> list[Advisory]:
        """All advisories that have ``name`` as id, alias or upstream flaw."""
        blob = self._one("SELECT n FROM name WHERE id = ?", name)
        return [] if blob is None else [self.advisory(number)[1] for number in _NUMBERS.decode(blob)]

    def names_like(self, part: str, limit: int = 50) -> list[str]:
        """Ids that hold ``part``, in any case; at most ``limit``."""
        pattern = "%" + part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._connection.execute("SELECT id FROM name WHERE id LIKE ? ESCAPE '\\' LIMIT ?", (pattern, limit))
        return [row[0] for row in rows]

    def packages_like(self, part: str, limit: int = 50) -> list[tuple[str, str]]:
        """(ecosystem, name) of packages whose name holds ``part``, in any case; at most ``limit``."""
        rows = self._connection.execute(
            "SELECT k FROM package WHERE instr(lower(substr(k, instr(k, char(31)) + 1)), lower(?)) AND k NOT LIKE 'maven-artifact%' LIMIT ?",
            (part, limit),
        )
        found = [row[0].split(SEPARATOR, 1) for row in rows]
        return [(ecosystem, name) for ecosystem, name in found]

    def ecosystems(self) -> dict[str, int]:
        """Ecosystems and how many packages each has."""
        rows = self._connection.execute(
            "SELECT substr(k, 1, instr(k, char(31)) - 1) e, count(*) FROM package GROUP BY e ORDER BY e"
        )
        return {name: count for name, count in rows if name != "maven-artifact"}
