"""RPM's package database: SQLite, NDB and Berkeley DB, down to the header blobs; no RPM library is needed.

Layouts: rpm's ``lib/header.c`` (index entries of tag, type, offset, count, then a store), ``lib/backend/ndb`` (slots of 16 bytes in pages of 4096),
Berkeley DB hash files (pages with overflow chains).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from typing import Final

from phalanx.artifacts.model import Component

__all__ = ["header_component", "rpm_database"]

_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE, _MODULE = 1000, 1001, 1002, 1003, 1014, 1022, 1044, 5096
_MAX_HEADER: Final = 32 << 20
_MAX_PACKAGES: Final = 100_000


def rpm_database(path: str, data: bytes) -> Iterator[Component]:
    """The packages of a database, whatever its format; ValueError when it is none."""
    if data[:16] == b"SQLite format 3\0":
        blobs = _sqlite(data)
    elif data[:4] == b"RpmP":
        blobs = _ndb(data)
    elif len(data) > 16 and struct.unpack_from("<I", data, 12)[0] in (0x061561, 0x61150600):
        blobs = _berkeley(data)
    else:
        raise ValueError("not an RPM database")
    for blob in blobs:
        made = header_component(blob)
        if made is not None:
            yield made


def _sqlite(data: bytes) -> Iterator[bytes]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(data)
        yield from (
            row[0]
            for row in connection.execute("SELECT blob FROM Packages LIMIT ?", (_MAX_PACKAGES,))
            if isinstance(row[0], bytes)
        )
    except sqlite3.Error as error:
        raise ValueError(f"SQLite: {error}") from error
    finally:
        connection.close()


def _ndb(data: bytes) -> Iterator[bytes]:
    """Slots ``Slot, package number, block, blocks`` in the first pages; a blob begins with ``BlbS`` at block * 16."""
    pages = struct.unpack_from("<I", data, 12)[0]
    if not 0 < pages <= 2048:
        raise ValueError("NDB: the header lies about its pages")
    for at in range(32, min(pages * 4096, len(data) - 15), 16):
        magic, number, block, blocks = struct.unpack_from("<4sIII", data, at)
        if magic != b"Slot" or not number:
            continue
        start = block * 16
        if start + 16 > len(data) or data[start : start + 4] != b"BlbS":
            continue
        length = struct.unpack_from("<I", data, start + 12)[0]
        if length <= min(blocks * 16, _MAX_HEADER):
            yield data[start + 16 : start + 16 + length]


def _berkeley(data: bytes) -> Iterator[bytes]:
    """Values of a hash file: page type 2 or 13, items that say "off page" (3) and name the first page of a chain (type 7)."""
    order = "<" if struct.unpack_from("<I", data, 12)[0] == 0x061561 else ">"
    page_size = struct.unpack_from(order + "I", data, 20)[0]
    if page_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
        raise ValueError("Berkeley DB: page size")
    count = min(len(data) // page_size, 1 << 20)
    for page in range(1, count):
        base = page * page_size
        if data[base + 25] not in (2, 13):
            continue
        entries = struct.unpack_from(order + "H", data, base + 20)[0]
        if entries > page_size // 2:
            continue
        for place in range(1, entries, 2):  # key, value, key, value …
            if base + 26 + place * 2 + 2 > len(data):
                break
            at = base + struct.unpack_from(order + "H", data, base + 26 + place * 2)[0]
            if at + 12 <= len(data) and data[at] == 3:
                first, length = struct.unpack_from(order + "II", data, at + 4)
                yield _chain(data, order, page_size, first, min(length, _MAX_HEADER))


def _chain(data: bytes, order: str, page_size: int, page: int, length: int) -> bytes:
    made = bytearray()
    for _ in range(length // (page_size - 26) + 2):
        base = page * page_size
        if not page or base + page_size > len(data) or data[base + 25] != 7 or len(made) >= length:
            break
        used = struct.unpack_from(order + "H", data, base + 22)[0]
        made += data[base + 26 : base + 26 + min(used, page_size - 26)]
        page = struct.unpack_from(order + "I", data, base + 16)[0]
    return bytes(made[:length])


def header_component(blob: bytes) -> Component | None:
    """The package of one header blob; None when it is no package (``gpg-pubkey``) or too damaged to name one."""
    if len(blob) < 8:
        return None
    entries, size = struct.unpack_from(">II", blob, 0)
    if entries > 10_000 or size > _MAX_HEADER or 8 + entries * 16 + size > len(blob) + 16:
        return None
    store = 8 + entries * 16
    fields: dict[int, str] = {}
    for place in range(entries):
        if 8 + place * 16 + 16 > len(blob):
            break
        tag, kind, offset, _ = struct.unpack_from(">IIiI", blob, 8 + place * 16)
        if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE, _MODULE) or offset < 0:
            continue
        at = store + offset
        if kind in (6, 8, 9):
            end = blob.find(b"\0", at)
            if end >= 0:
                fields[tag] = blob[at:end].decode("utf-8", "replace")
        elif kind == 4 and at + 4 <= len(blob):
            fields[tag] = str(struct.unpack_from(">I", blob, at)[0])
    name, version, release = fields.get(_NAME, ""), fields.get(_VERSION, ""), fields.get(_RELEASE, "")
    if not name or not version or name == "gpg-pubkey":
        return None
    epoch = fields.get(_EPOCH, "")
    full = f"{version}-{release}" if release else version
    source = fields.get(_SOURCE, "").removesuffix(".src.rpm").removesuffix(".nosrc.rpm")
    parts = source.rsplit("-", 2)
    return Component(
        type="rpm",
        namespace="",
        name=name,
        version=f"{epoch}:{full}" if epoch and epoch != "0" else full,
        qualifiers={
            "arch": fields.get(_ARCH, ""),
            "epoch": epoch,
            "upstream": fields.get(_SOURCE, ""),
            "modularitylabel": fields.get(_MODULE, ""),
        },
        source_name=parts[0] if len(parts) == 3 and parts[0] != name else "",
        source_version=f"{parts[1]}-{parts[2]}" if len(parts) == 3 else "",
        licences=(fields[_LICENSE],) if fields.get(_LICENSE) else (),
        method="rpm database",
    )
