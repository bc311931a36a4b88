"""A tar reader for hostile streams: ustar, GNU long names and pax headers, in one pass, without seeking and without trusting a field.

Python's ``tarfile`` builds an object with twenty fields for each member; a layer has tens of thousands of members, of which a scan reads a few.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from phalanx.artifacts.limits import MAX_ENTRIES, MAX_PATH
from phalanx.errors import CorruptError, LimitError
from phalanx.text.hostile import decode

__all__ = ["TarMember", "TarReader", "normal_path"]

_BLOCK: Final = 512
_MAX_HEADER: Final = 1 << 20
"""Bytes of a pax header or a GNU long name; real ones are under 64 KiB."""
_CHUNK: Final = 1 << 20


class TarMember:
    """One entry of a tar: ``kind`` is the type flag (``0`` file, ``1`` hard link, ``2`` symbolic link, ``5`` directory …)."""

    __slots__ = ("kind", "link", "mode", "path", "size", "uid")

    def __init__(self, path: str, kind: str, size: int, mode: int, uid: int, link: str) -> None:
        self.path = path
        self.kind = kind
        self.size = size
        self.mode = mode
        self.uid = uid
        self.link = link


def normal_path(raw: str) -> str | None:
    """``raw`` without leading slashes and dots; None when it climbs out, holds NUL or is too long."""
    if "\0" in raw or len(raw) > MAX_PATH:
        return None
    if raw.startswith("./") and "/." not in raw[1:] and "//" not in raw:
        return raw[2:].rstrip("/")
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if ".." in parts:
        return None
    return "/".join(parts)


def _octal(field: bytes) -> int:
    """A number field: octal text, or base-256 when its first bit is set (GNU)."""
    if field and field[0] & 0x80:
        if field[0] == 0xFF:
            raise CorruptError("tar: negative number field")
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError as error:
        raise CorruptError("tar: a number field is not octal") from error


class TarReader:
    """Iterates over the members of a stream; :meth:`read` gives the content of the current one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        """Bytes of the current member that were not read yet, padding included."""
        self._content_left = 0
        self.climbed: list[str] = []
        """Paths that climb out of the archive or are too long; skipped, at most 100 kept."""

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        while len(data) < count:
            more = self._stream.read(count - len(data))
            if not more:
                raise CorruptError("tar: ends in the middle of an entry")
            data += more
        return data

    def _skip(self) -> None:
        left = self._left
        while left:
            got = len(self._stream.read(min(left, _CHUNK)))
            if not got:
                if left < _BLOCK and left <= self._left - self._content_left:
                    break  # only padding is missing: some writers (umoci insert) leave it out after the last file
                raise CorruptError("tar: ends in the middle of an entry")
            left -= got
        self._left = self._content_left = 0

    def read(self, limit: int) -> bytes:
        """At most ``limit`` further bytes of the current member."""
        count = min(limit, self._content_left)
        data = self._exactly(count)
        self._left -= count
        self._content_left -= count
        return data

    def __iter__(self) -> Iterator[TarMember]:
        long_name = long_link = ""
        pax: dict[str, str] = {}
        for _ in range(MAX_ENTRIES):
            self._skip()
            head = self._stream.read(_BLOCK)
            if len(head) < _BLOCK:
                if head.strip(b"\0"):
                    raise CorruptError("tar: ends in the middle of a header")
                return
            if not head[0] and not head.strip(b"\0"):
                return
            expected = _octal(head[148:156])
            if expected != sum(head) - sum(head[148:156]) + 8 * 32:
                raise CorruptError("tar: a header has a wrong checksum")
            size, kind = _octal(head[124:136]), chr(head[156])
            if kind in "LKxgX":
                if size > _MAX_HEADER:
                    raise LimitError("tar: a header over 1 MiB")
                body = self._exactly(size)
                self._exactly(-size % _BLOCK)
                if kind == "L":
                    long_name = decode(body.split(b"\0", 1)[0])
                elif kind == "K":
                    long_link = decode(body.split(b"\0", 1)[0])
                elif kind in "xX":
                    pax.update(_pax(body))
                continue
            if "size" in pax:
                size = int(pax["size"]) if pax["size"].isascii() and pax["size"].isdigit() else size
            has_content = kind in "07\0S"
            self._content_left = size if has_content else 0
            self._left = size + (-size % _BLOCK) if has_content else 0
            name = pax.get("path") or long_name
            if not name:
                name = decode(head[:100].split(b"\0", 1)[0])
                if head[257:262] == b"ustar" and head[257:265] != b"ustar  \0" and head[345]:
                    name = decode(head[345:500].split(b"\0", 1)[0]) + "/" + name
            link = pax.get("linkpath") or long_link or decode(head[157:257].split(b"\0", 1)[0])
            long_name = long_link = ""
            sparse = any(key.startswith("GNU.sparse") for key in pax) or kind == "S"
            pax = {}
            path = normal_path(name)
            if path is None:
                if len(self.climbed) < 100:
                    self.climbed.append(name[:200])
                continue
            if sparse:
                self._content_left = 0
                kind = "S"
            elif kind in "7\0":
                kind = "5" if name.endswith("/") else "0"
            yield TarMember(path, kind, size, _octal(head[100:108]) & 0o7777, _octal(head[108:116]), link)
        raise LimitError(f"tar: more than {MAX_ENTRIES} entries")


def _pax(body: bytes) -> dict[str, str]:
    """The records of a pax header; a broken one ends the list."""
    found: dict[str, str] = {}
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 20)
        if space < 0 or not body[at:space].isdigit():
            break
        length = int(body[at:space])
        if length <= space - at or at + length > len(body):
            break
        key, equals, value = body[space + 1 : at + length - 1].partition(b"=")
        if equals:
            found[decode(key)] = decode(value)
        at += length
    return found
