"""Parts: sealed, sorted Parquet files, each with a hashed manifest beside it. The manifests are the only truth about what is stored.

A part is two files, ``<name>.events.parquet`` and ``<name>.processes.parquet``, under ``parts/``; its manifest ``manifests/<name>.json`` is written last,
by temporary file, fsync and rename, so it exists only when both files are whole and durable. Files without a manifest are leftovers and are deleted.

* Sealing segment S makes one part for each hour; each manifest says of how many. S counts as sealed when all of them are there, else they are deleted
  and S is sealed again.
* Compaction makes one part out of several; its manifest names those that it replaces. A part that is named so is deleted, now or at the next start.
* Retention first writes down up to when everything may be gone, then deletes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from phalanx.errors import CorruptError
from phalanx.model.columns import Coverage
from phalanx.store.events.segment import sync_directory

__all__ = ["AgentCoverage", "FileSum", "LossNote", "Manifest", "PartDirectory", "file_sum", "write_durably"]

HOUR_NS: Final = 3_600_000_000_000


class FileSum(Struct, frozen=True, kw_only=True):
    """A file as it was written."""

    name: str
    bytes: int
    sha256: str


class AgentCoverage(Struct, frozen=True, kw_only=True):
    """What one agent recorded, as far as this part tells it."""

    agent: str
    intervals: tuple[Coverage, ...]


class LossNote(Struct, frozen=True, kw_only=True):
    """One ``Loss`` event, kept at hand so that every answer can count it."""

    agent: str
    ts_ns: int
    since_ns: int | None
    count: int | None


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one part is."""

    name: str
    number: int
    """Of the part; numbers of segments and parts come from one counter and never repeat."""
    since_ns: int
    """Time of the earliest event."""
    until_ns: int
    """Time of the latest event plus one."""
    rows: int
    processes: int
    agents: tuple[str, ...]
    kinds: dict[str, int]
    """Events by kind."""
    events: FileSum
    process: FileSum
    stored_ns: int = 0
    """When it was sealed, by the hub's clock; the latest of them after a compaction; 0 when that was not written down."""
    segment: int | None = None
    """Segment that was sealed; None after compaction."""
    of: int = 1
    """Parts that sealing ``segment`` made."""
    replaces: tuple[str, ...] = ()
    """Names of parts that this one took over."""
    batches: tuple[str, ...] = ()
    """Ids of its batches, so that they are known again after a restart (the youngest, within the bound of the store)."""
    coverage: tuple[AgentCoverage, ...] = ()
    losses: tuple[LossNote, ...] = ()
    level: int = 0
    """0 as sealed, 1 after a compaction, 2 after a compaction of compacted ones …"""

    @property
    def hour(self) -> int:
        """Hour since 1970 of its earliest event."""
        return self.since_ns // HOUR_NS

    @property
    def bytes(self) -> int:
        """Size of both files."""
        return self.events.bytes + self.process.bytes


class _Sealed(Struct, frozen=True, kw_only=True):
    sha256: str
    manifest: msgspec.Raw


def file_sum(path: Path) -> FileSum:
    """Reads ``path`` and says what it is."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(name=path.name, bytes=os.fstat(file.fileno()).st_size, sha256=digest.hexdigest())


def write_durably(path: Path, raw: bytes) -> None:
    """``path`` holds ``raw`` afterwards, or what it held before, whenever the machine stops."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)


class PartDirectory:
    """The parts on the disk. Not safe for threads; its owner locks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "parts"
        self.manifests = root / "manifests"
        self.aside = root / "corrupt"
        for path in (root, self.files, self.manifests):
            path.mkdir(parents=True, exist_ok=True)
        self.set_aside: list[Manifest] = []
        """Parts that were found broken since this object was made."""
        self.unreadable: list[str] = []
        """Manifests that could not be read; moved aside."""

    def path(self, manifest: Manifest, which: str) -> Path:
        """Where the ``events`` or ``process`` file of a part lies."""
        return self.files / (manifest.events.name if which == "events" else manifest.process.name)

    def names(self, name: str) -> tuple[Path, Path]:
        """Final paths of the two files of the part ``name``."""
        return self.files / f"{name}.events.parquet", self.files / f"{name}.processes.parquet"

    def commit(self, manifest: Manifest) -> None:
        """Makes the part exist; its files must be durable."""
        raw = msgspec.json.encode(manifest)
        sealed = _Sealed(sha256=hashlib.sha256(raw).hexdigest(), manifest=msgspec.Raw(raw))
        write_durably(self.manifests / f"{manifest.name}.json", msgspec.json.encode(sealed))

    def delete(self, manifest: Manifest) -> None:
        """Makes the part not exist: manifest first, then its files."""
        (self.manifests / f"{manifest.name}.json").unlink(missing_ok=True)
        sync_directory(self.manifests)
        self.unlink_files(manifest)

    def delete_manifest(self, name: str) -> None:
        """Only the manifest; the files follow when nobody reads them."""
        (self.manifests / f"{name}.json").unlink(missing_ok=True)
        sync_directory(self.manifests)

    def unlink_files(self, manifest: Manifest) -> None:
        """Only the files."""
        for which in ("events", "process"):
            self.path(manifest, which).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        """Whether the manifest ``name`` is there."""
        return (self.manifests / f"{name}.json").exists()

    def load(self, segments: set[int]) -> list[Manifest]:
        """Every valid part after clearing up what a sudden end has left, oldest first.

        Args:
            segments: numbers of the segment files that are there.
        """
        found = {manifest.name: manifest for manifest in self._read_all()}
        replaced = {name for manifest in found.values() for name in manifest.replaces}
        for name in replaced & found.keys():
            self.delete(found.pop(name))
        by_segment: dict[int, list[Manifest]] = {}
        for manifest in found.values():
            if manifest.segment is not None:
                by_segment.setdefault(manifest.segment, []).append(manifest)
        for segment, made in by_segment.items():
            if segment in segments and len(made) != made[0].of:
                for manifest in made:
                    self.delete(found.pop(manifest.name))
        for manifest in list(found.values()):
            if self.quick_check(manifest):
                self.put_aside(found.pop(manifest.name))
        known = {name for manifest in found.values() for name in (manifest.events.name, manifest.process.name)}
        for path in self.files.iterdir():
            if path.name not in known:
                path.unlink()
        for path in self.manifests.glob("*.tmp"):
            path.unlink()
        return sorted(found.values(), key=lambda manifest: (manifest.since_ns, manifest.number))

    def sealed_segments(self, manifests: list[Manifest]) -> set[int]:
        """Segments all of whose parts are among ``manifests``."""
        return {manifest.segment for manifest in manifests if manifest.segment is not None}

    def _read_all(self) -> Iterator[Manifest]:
        for path in sorted(self.manifests.glob("*.json")):
            try:
                sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
                if hashlib.sha256(bytes(sealed.manifest)).hexdigest() != sealed.sha256:
                    raise CorruptError("its hash is wrong")
                yield msgspec.json.decode(bytes(sealed.manifest), type=Manifest)
            except (msgspec.MsgspecError, UnicodeDecodeError, CorruptError) as error:
                self.unreadable.append(f"{path.name}: {error}")
                self._move_aside(path)
                for suffix in (".events.parquet", ".processes.parquet"):
                    self._move_aside(self.files / (path.stem + suffix))

    def quick_check(self, manifest: Manifest) -> str:
        """What is wrong with the files at first sight (there, right size, Parquet's marks); empty when nothing."""
        for which, expected in (("events", manifest.events), ("process", manifest.process)):
            path = self.path(manifest, which)
            try:
                with path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    head = file.read(4)
                    file.seek(max(0, size - 4))
                    tail = file.read(4)
            except FileNotFoundError:
                return f"{expected.name} is missing"
            if size != expected.bytes:
                return f"{expected.name} has {size} bytes, its manifest says {expected.bytes}"
            if head != b"PAR1" or tail != b"PAR1":
                return f"{expected.name} is no Parquet file"
        return ""

    def full_check(self, manifest: Manifest) -> str:
        """What is wrong with the files, reading all of them; empty when nothing."""
        quick = self.quick_check(manifest)
        if quick:
            return quick
        for which, expected in (("events", manifest.events), ("process", manifest.process)):
            if file_sum(self.path(manifest, which)).sha256 != expected.sha256:
                return f"{expected.name} was changed: its SHA-256 is not that of its manifest"
        return ""

    def put_aside(self, manifest: Manifest) -> None:
        """Moves a broken part where nothing reads it, for a person to look at."""
        for which in ("events", "process"):
            self._move_aside(self.path(manifest, which))
        self._move_aside(self.manifests / f"{manifest.name}.json")
        self.set_aside.append(manifest)

    def _move_aside(self, path: Path) -> None:
        self.aside.mkdir(exist_ok=True)
        try:
            path.rename(self.aside / path.name)
        except FileNotFoundError:
            return
