"""Compiled programs: Go build information, Rust's audit data and crate paths, ELF package notes, classified releases.

Only structures are read, by offset, bounds checked; nothing is run or loaded.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component

__all__ = ["PACKAGE_NOTE", "binary", "elf_sections"]

Data = bytes | mmap.mmap

PACKAGE_NOTE: Final = "ELF package note"
"""Method of what ``.note.package`` tells; a package database beside it says the same and more."""
_GO_MAGIC: Final = b"\xff Go buildinf:"
_CRATE: Final = re.compile(
    rb"/registry/src/[^/\x00]{1,80}/([A-Za-z0-9_-]{1,64})-([0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]{0,40})/"
)
_MAX_SECTION: Final = 64 << 20


def elf_sections(data: Data) -> dict[str, tuple[int, int]]:
    """Section name → (offset, size) of an ELF file; empty when it has none or its header lies."""
    if data[:4] != b"\x7fELF" or len(data) < 64:
        return {}
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    if wide:
        table, entry_size, count, names = struct.unpack_from(order + "Q10xHHH", data, 0x28)
    else:
        table, entry_size, count, names = struct.unpack_from(order + "I10xHHH", data, 0x20)
    if (
        not 0 < count <= 4096
        or names >= count
        or entry_size < (64 if wide else 40)
        or table + count * entry_size > len(data)
    ):
        return {}
    rows: list[tuple[int, int, int]] = []
    for place in range(count):
        at = table + place * entry_size
        if wide:
            name, offset, size = struct.unpack_from(order + "I20xQQ", data, at)
        else:
            name, offset, size = struct.unpack_from(order + "I12xII", data, at)
        rows.append((name, offset, size))
    _, strings_at, strings_size = rows[names]
    strings = data[strings_at : strings_at + min(strings_size, 1 << 20)]
    found: dict[str, tuple[int, int]] = {}
    for name, offset, size in rows:
        end = strings.find(b"\0", name)
        if 0 <= name < len(strings) and end > name and offset + size <= len(data):
            found[strings[name:end].decode("ascii", "replace")] = (offset, size)
    return found


def binary(path: str, data: Data) -> Iterator[Component]:
    """Components that a compiled program was made of; nothing when it does not tell."""
    head = data[:4]
    if head == b"\x7fELF":
        sections = elf_sections(data)
        if ".go.buildinfo" in sections:
            offset, size = sections[".go.buildinfo"]
            yield from _go(data, data.find(_GO_MAGIC, offset, offset + min(size, 4096)))
        elif not sections:
            yield from _go(data, data.find(_GO_MAGIC, 0, min(len(data), _MAX_SECTION)))
        if ".dep-v0" in sections:
            yield from _rust_audit(_section(data, sections, ".dep-v0"))
        elif ".rodata" in sections and ".go.buildinfo" not in sections:
            yield from _rust_paths(data, sections[".rodata"])
        if ".note.package" in sections:
            yield from _package_note(_section(data, sections, ".note.package"))
    elif head[:2] == b"MZ" or head in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        yield from _go(data, data.find(_GO_MAGIC))


def _section(data: Data, sections: dict[str, tuple[int, int]], name: str) -> bytes:
    offset, size = sections[name]
    return bytes(data[offset : offset + min(size, _MAX_SECTION)])


def _varint(data: Data, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise ValueError("Go build information: a length does not end")


def _go(data: Data, at: int) -> Iterator[Component]:
    """Modules from the build information at ``at`` (debug/buildinfo's layout); nothing when ``at`` is negative."""
    if at < 0 or at + 32 > len(data):
        return
    pointer_size, flags = data[at + 14], data[at + 15]
    if flags & 2:
        length, place = _varint(data, at + 32)
        version = bytes(data[place : place + min(length, 200)])
        length, place = _varint(data, place + length)
        info = bytes(data[place : place + min(length, 16 << 20)])
    else:
        version = _go_string(data, at + 16, pointer_size, big=bool(flags & 1))
        info = _go_string(data, at + 16 + pointer_size, pointer_size, big=bool(flags & 1))
    if len(info) >= 33 and info[-17:-16] == b"\n":
        info = info[16:-16]
    release = version.decode("utf-8", "replace").split(" ")[0]
    if release.startswith("go"):
        yield _go_module("stdlib", release[2:], "Go build information")
    pending: tuple[str, str] | None = None
    for line in info.decode("utf-8", "replace").split("\n"):
        parts = line.split("\t")
        if parts[0] in ("dep", "mod", "=>") and len(parts) >= 3:
            if parts[0] != "=>":
                if pending is not None:
                    yield _go_module(*pending, "Go build information")
                pending = (parts[1], parts[2])
            elif parts[1].startswith((".", "/")):  # a directory of the builder: what it held is not known
                pending = (pending[0], "") if pending is not None else None
            else:
                pending = (parts[1], parts[2])
        elif pending is not None:
            yield _go_module(*pending, "Go build information")
            pending = None
    if pending is not None:
        yield _go_module(*pending, "Go build information")


def _go_string(data: Data, at: int, pointer_size: int, *, big: bool) -> bytes:
    """A string by its header in a program of Go before 1.18: the pointer is a virtual address of this ELF file."""
    if pointer_size not in (4, 8) or data[:4] != b"\x7fELF":
        return b""
    order, letter = (">" if big else "<"), ("Q" if pointer_size == 8 else "I")
    header = _file_offset(data, struct.unpack_from(order + letter, data, at)[0])
    if header is None or header + 2 * pointer_size > len(data):
        return b""
    address, length = struct.unpack_from(order + letter * 2, data, header)
    start = _file_offset(data, address)
    return b"" if start is None or length > 16 << 20 else bytes(data[start : start + length])


def _file_offset(data: Data, address: int) -> int | None:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    if wide:
        table, size, count = struct.unpack_from(order + "Q14xHH", data, 0x20)
    else:
        table, size, count = struct.unpack_from(order + "I10xHH", data, 0x1C)
    for place in range(min(count, 128)):
        at = table + place * size
        if at + (56 if wide else 32) > len(data):
            return None
        if wide:
            kind, offset, virtual, file_size = struct.unpack_from(order + "I4xQQ8xQ", data, at)
        else:
            kind, offset, virtual, file_size = struct.unpack_from(order + "IIII", data, at)[:3] + struct.unpack_from(
                order + "I", data, at + 16
            )
        if kind == 1 and virtual <= address < virtual + file_size:
            return int(offset + address - virtual)
    return None


def _go_module(path: str, version: str, method: str, *, declared: bool = False) -> Component:
    namespace, _, name = path.rpartition("/")
    known = version not in ("", "(devel)")
    return Component(
        type="golang",
        namespace=namespace,
        name=name,
        version=version if known else "",
        ecosystem="Go",
        method=method,
        declared=declared,
    )


def _rust_audit(section: bytes) -> Iterator[Component]:
    """``.dep-v0``: zlib of JSON, written by cargo-auditable."""
    engine = zlib.decompressobj()
    raw = engine.decompress(section, 8 << 20)
    tree = msgspec.json.decode(raw, type=dict[str, Any])
    for item in tree.get("packages") or ():
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("version"), str):
            yield Component(
                type="cargo",
                name=item["name"],
                version=item["version"],
                ecosystem="crates.io" if item.get("source", "crates.io") == "crates.io" else "",
                development=item.get("kind") == "build",
                method="cargo-auditable",
            )


def _rust_paths(data: Data, place: tuple[int, int]) -> Iterator[Component]:
    """Crates whose source paths are left in panic messages: partial evidence, and it survives ``strip``."""
    start, end = place[0], place[0] + min(place[1], _MAX_SECTION)
    first = data.find(b"/registry/src/", start, end)
    if first < 0:
        return
    seen: set[tuple[str, str]] = set()
    for match in _CRATE.finditer(data, max(start, first - 16), end):
        crate = (match[1].decode(), match[2].decode())
        if crate not in seen:
            seen.add(crate)
            yield Component(
                type="cargo",
                name=crate[0],
                version=crate[1],
                ecosystem="crates.io",
                method="crate paths in the program",
                confidence=0.9,
            )


def _package_note(section: bytes) -> Iterator[Component]:
    """``.note.package``: the distribution's package of this program, as JSON (systemd's package metadata)."""
    start, end = section.find(b"{"), section.rfind(b"}")
    if 0 <= start < end:
        note = msgspec.json.decode(section[start : end + 1], type=dict[str, Any])
        if isinstance(note.get("name"), str) and isinstance(note.get("version"), str):
            kind = str(note.get("type", "generic"))
            yield Component(
                type=kind if kind in ("rpm", "deb", "apk", "alpm") else "generic",
                namespace=str(note.get("os", "")) if kind in ("rpm", "deb", "apk", "alpm") else "",
                name=note["name"],
                version=note["version"],
                qualifiers={"arch": str(note.get("architecture", ""))},
                method=PACKAGE_NOTE,
            )
