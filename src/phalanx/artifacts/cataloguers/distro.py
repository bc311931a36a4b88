"""Package databases of distributions: dpkg, apk, pacman, opkg; os-release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from phalanx.artifacts.model import Component, OsRelease

__all__ = ["apk_installed", "dpkg_status", "os_release", "pacman_desc", "paragraphs"]

_SOURCE: Final = re.compile(r"(\S+)(?:\s+\((\S+)\))?")


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a deb822 text, field names in lower case, continuation lines joined by newlines."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t":
            if last:
                fields[last] += "\n" + line.strip()
        else:
            name, colon, value = line.partition(":")
            if colon:
                last = name.lower()
                fields[last] = value.strip()
    if fields:
        yield fields


def dpkg_status(path: str, data: bytes) -> Iterator[Component]:
    """``var/lib/dpkg/status``, or one file of ``status.d`` (distroless images). What is removed but configured is not installed."""
    for fields in paragraphs(data.decode("utf-8", "replace")):
        name, version = fields.get("package", ""), fields.get("version", "")
        if not name or not version:
            continue
        status = fields.get("status", "install ok installed").split()
        if status[-1:] not in (
            ["installed"],
            ["unpacked"],
            ["half-configured"],
            ["triggers-awaited"],
            ["triggers-pending"],
        ):
            continue
        source = _SOURCE.fullmatch(fields.get("source", "").strip())
        yield Component(
            type="deb",
            namespace="debian",
            name=name,
            version=version,
            qualifiers={"arch": fields.get("architecture", "")},
            source_name=source[1] if source else "",
            source_version=(source[2] or "") if source else "",
            depends=tuple(_names(fields.get("depends", ""))),
            method="dpkg",
        )


def _names(text: str) -> Iterator[str]:
    """Names in a list such as ``libc6 (>= 2.34), a | b``; the first of alternatives."""
    for item in text.split(",")[:500]:
        word = item.split("|")[0].strip().split(" ")[0].partition(":")[0]
        if word:
            yield word


def apk_installed(path: str, data: bytes) -> Iterator[Component]:
    """``lib/apk/db/installed``: one letter, a colon, a value; ``o`` is the origin (source package)."""
    for block in data.decode("utf-8", "replace").split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            if line[1:2] == ":" and line[0] not in fields:
                fields[line[0]] = line[2:].strip()
        name, version = fields.get("P", ""), fields.get("V", "")
        if name and version:
            yield Component(
                type="apk",
                namespace="alpine",
                name=name,
                version=version,
                qualifiers={"arch": fields.get("A", "")},
                source_name=fields.get("o", "") if fields.get("o") != name else "",
                licences=(fields["L"],) if fields.get("L") else (),
                depends=tuple(
                    re.split(r"[<>=~]", word)[0]
                    for word in fields.get("D", "").split()[:500]
                    if not word.startswith("!")
                ),
                method="apk",
            )


def pacman_desc(path: str, data: bytes) -> Iterator[Component]:
    """``var/lib/pacman/local/*/desc``: ``%NAME%`` and so on, each followed by its lines."""
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in data.decode("utf-8", "replace").split("\n"):
        if line.startswith("%") and line.endswith("%"):
            current = fields.setdefault(line[1:-1], [])
        elif line:
            current.append(line)
    if fields.get("NAME") and fields.get("VERSION"):
        base = fields.get("BASE", [""])[0]
        yield Component(
            type="alpm",
            namespace="arch",
            name=fields["NAME"][0],
            version=fields["VERSION"][0],
            qualifiers={"arch": fields.get("ARCH", [""])[0]},
            source_name=base if base != fields["NAME"][0] else "",
            licences=tuple(fields.get("LICENSE", ())[:20]),
            method="pacman",
        )


def opkg_status(path: str, data: bytes) -> Iterator[Component]:
    """``usr/lib/opkg/status`` (OpenWrt, Yocto): the fields of dpkg."""
    for fields in paragraphs(data.decode("utf-8", "replace")):
        if fields.get("package") and fields.get("version"):
            yield Component(
                type="opkg",
                name=fields["package"],
                version=fields["version"],
                qualifiers={"arch": fields.get("architecture", "")},
                method="opkg",
            )


def os_release(data: bytes) -> OsRelease | None:
    """os-release(5); None when it names no distribution."""
    fields: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            fields[key.strip()] = value.strip().strip("\"'")
    if not fields.get("ID"):
        return None
    return OsRelease(
        id=fields["ID"].lower(),
        version_id=fields.get("VERSION_ID", ""),
        name=fields.get("PRETTY_NAME", fields["ID"]),
        like=tuple(fields.get("ID_LIKE", "").lower().split()),
        codename=fields.get("VERSION_CODENAME", ""),
    )
