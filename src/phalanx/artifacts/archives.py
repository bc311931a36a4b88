"""Archives with all archives in them, read as streams: the zip family, tar with any compression, ar (deb), rpm, and what packages are made of them."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from phalanx.artifacts.cataloguers.java import ARCHIVES as JARS
from phalanx.artifacts.facts import Collector, Facts, Inspector
from phalanx.artifacts.inventory import GroupsOf, join_facts
from phalanx.artifacts.limits import MAX_DEPTH, MAX_ENTRIES, MAX_FILE, MAX_NESTED_TOTAL, MAX_RATIO
from phalanx.artifacts.model import Inventory, Layer
from phalanx.artifacts.sources.compression import open_stream
from phalanx.artifacts.sources.entry import Entry
from phalanx.artifacts.sources.tar import TarReader, normal_path
from phalanx.errors import PhalanxError
from phalanx.text.hostile import decode

__all__ = ["archive_inventory"]

_NESTED: Final = (
    ".zip", ".whl", ".egg", ".nupkg", ".apk", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tbz2", ".txz", ".crate", ".gem", ".deb", ".rpm",
    ".vsix", ".xpi",
)  # fmt: skip


class _Walk:
    """One walk over an outermost archive, with what may still be unpacked."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.left = MAX_NESTED_TOTAL

    def any(self, stream: BinaryIO, prefix: str, depth: int) -> None:
        """Whatever ``stream`` is, by its first bytes; a problem is told and the rest of the walk goes on."""
        if depth >= MAX_DEPTH:
            self.collector.skip(prefix, f"archives nested deeper than {MAX_DEPTH}")
            return
        try:
            head = stream.read(8)
            stream.seek(0)
            if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                self.zip(stream, prefix, depth)
            elif head == b"!<arch>\n":
                self.ar(stream, prefix, depth)
            elif head[:4] == b"\xed\xab\xee\xdb":
                self.rpm(stream, prefix, depth)
            else:
                self.tar(open_stream(stream), prefix, depth)
        except PhalanxError as error:
            self.collector.skip(prefix, error.message)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
            self.collector.skip(prefix, f"damaged: {error}"[:200])

    def file(self, path: str, size: int, mode: int, read: Callable[[int], bytes], depth: int) -> None:
        """One file: walked into when it is an archive, else looked at. A jar has its own cataloguer, which walks it."""
        if path.lower().endswith(_NESTED) and not path.lower().endswith(JARS):
            if size > MAX_FILE:
                self.collector.skip(path, f"larger than {MAX_FILE >> 20} MiB")
                return
            self.any(io.BytesIO(read(size)), path + "!/", depth + 1)
            return
        self.collector.add(Entry(path, size, mode, read))

    def spend(self, size: int, path: str) -> bool:
        """Whether ``size`` bytes more may be unpacked."""
        if size > self.left:
            self.collector.skip(path, "the archive unpacks to more than 2 GiB")
            return False
        self.left -= size
        return True

    def zip(self, stream: BinaryIO, prefix: str, depth: int) -> None:
        """The zip family."""
        with zipfile.ZipFile(stream) as archive:
            items = archive.infolist()
            if len(items) > MAX_ENTRIES:
                self.collector.skip(prefix, f"more than {MAX_ENTRIES} entries")
                return
            for item in items:
                if item.is_dir():
                    continue
                name = normal_path(item.filename)
                if name is None:
                    self.collector.skip(prefix + item.filename[:200], "path climbs out of the archive or is too long")
                elif item.flag_bits & 1:
                    self.collector.skip(prefix + name, "encrypted")
                elif item.file_size > 1 << 20 and item.file_size > MAX_RATIO * max(item.compress_size, 1):
                    self.collector.skip(prefix + name, f"packed more than {MAX_RATIO} times: a bomb")
                elif item.file_size > MAX_FILE:
                    self.collector.skip(prefix + name, f"larger than {MAX_FILE >> 20} MiB")
                elif self.spend(item.file_size, prefix + name):
                    self._zip_member(archive, item, prefix + name, depth)

    def _zip_member(self, archive: zipfile.ZipFile, item: zipfile.ZipInfo, path: str, depth: int) -> None:
        def read(limit: int) -> bytes:
            with archive.open(item) as stream:
                return stream.read(min(limit, item.file_size))

        try:
            self.file(path, item.file_size, (item.external_attr >> 16) & 0o7777, read, depth)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            self.collector.skip(path, f"damaged: {error}"[:200])

    def tar(self, stream: BinaryIO, prefix: str, depth: int) -> None:
        """A tar, its compression undone already."""
        reader = TarReader(stream)
        for member in reader:
            if member.kind == "0" and self.spend(member.size, prefix + member.path):
                self.file(prefix + member.path, member.size, member.mode, reader.read, depth)
        for path in reader.climbed:
            self.collector.skip(prefix + path, "path climbs out of the archive or is too long")

    def ar(self, stream: BinaryIO, prefix: str, depth: int) -> None:
        """An ``ar`` archive: of a deb the control file and the content."""
        stream.read(8)
        for _ in range(100):
            head = stream.read(60)
            if len(head) < 60:
                return
            name = decode(head[:16]).strip().rstrip("/")
            text = head[48:58].strip()
            if not text.isdigit():
                self.collector.skip(prefix + name, "ar: size is not a number")
                return
            size = int(text)
            if size > MAX_FILE * 2:
                self.collector.skip(prefix + name, f"larger than {MAX_FILE * 2 >> 20} MiB")
                return
            data = stream.read(size + size % 2)[:size]
            if name.startswith("data.tar"):
                self.any(io.BytesIO(data), prefix, depth + 1)
            elif name.startswith("control.tar"):
                self._deb_control(io.BytesIO(data), prefix)

    def _deb_control(self, stream: BinaryIO, prefix: str) -> None:
        reader = TarReader(open_stream(stream))
        for member in reader:
            if member.path == "control" and member.size < 1 << 20:
                from phalanx.artifacts.cataloguers.distro import dpkg_status

                for component in dpkg_status(prefix + "control", reader.read(member.size)):
                    self.collector.keep(prefix + "control", msgspec.structs.replace(component, method="deb control"))
                return

    def rpm(self, stream: BinaryIO, prefix: str, depth: int) -> None:
        """An rpm file: its header names the package; the payload is a cpio archive, which is not walked into."""
        from phalanx.artifacts.cataloguers.rpmdb import header_component

        data = stream.read(32 << 20)
        at = 96
        for which in range(2):  # signature, then header; each: magic(3) version(1) reserved(4) entries(4) size(4)
            if data[at : at + 3] != b"\x8e\xad\xe8":
                self.collector.skip(prefix, "rpm: no header")
                return
            entries, size = (
                int.from_bytes(data[at + 8 : at + 12], "big"),
                int.from_bytes(data[at + 12 : at + 16], "big"),
            )
            end = at + 16 + entries * 16 + size
            if which:
                component = header_component(data[at + 8 : end])
                if component is not None:
                    self.collector.keep(prefix, msgspec.structs.replace(component, method="rpm header"))
            at = end + (-end % 8)
        self.collector.skip(prefix, "the payload of an rpm is not walked into: its header names the package")


def archive_inventory(
    path: Path, *, target: str, groups_of: GroupsOf = lambda _: (), inspectors: tuple[Inspector, ...] = ()
) -> Inventory:
    """The inventory of an archive file; lock files in it count, because nobody knows whether it is a project or an installation."""
    collector = Collector(declared=True, inspectors=inspectors)
    with path.open("rb") as stream:
        digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        name = path.name
        if name.lower().endswith(JARS):
            size = path.stat().st_size
            collector.add(Entry(name, size, 0, stream.read, open_=lambda: path.open("rb")))
        else:
            _Walk(collector).any(stream, "", 0)
    facts: Facts = collector.facts
    return join_facts([(Layer(digest=""), facts)], target=target, kind="archive", digest=digest, groups_of=groups_of)
