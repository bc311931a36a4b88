"""SemVer 2.0.0 and its relatives: npm and Cargo as written, Go modules, Dart's pub, NuGet.

Read leniently: a leading ``v`` or ``=`` is dropped, missing numbers are 0, further numbers count. Text without a number in front sorts first.
"""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["golang_key", "nuget_key", "pub_key", "semver_key"]

_GRAMMAR: Final = re.compile(
    r"[v=\s]*(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<glue>[-._]?)(?P<pre>[^+]*)(?:\+(?P<build>.*))?",
    re.DOTALL | re.ASCII | re.IGNORECASE,
)
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_GO_RELEASE: Final = re.compile(
    r"go(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?:(?P<word>rc|beta|alpha)(?P<digits>[0-9]+))?(?:[-+ ].*)?", re.ASCII
)
_NO_PRE: Final = b"\xff"


def _numbers(text: str) -> bytes:
    parts = text.split(".")
    while len(parts) > 1 and not parts[-1].strip("0"):
        parts.pop()
    return b"".join([b"\x02" + number(part) for part in parts]) + b"\x01"


def _identifiers(text: str) -> bytes:
    """Pre-release identifiers: numbers before words, fewer before more."""
    made = []
    for part in text.split("."):
        if part.isascii() and part.isdigit():
            made.append(b"\x01" + number(part))
        else:
            made.append(b"\x02" + part.encode("utf-8", "surrogatepass").replace(b"\x00", b"\x01") + b"\x00")
    return b"".join(made) + b"\x00"


def semver_key(version: str) -> bytes:
    """Key of a semantic version; build metadata does not count."""
    return _semver(version)[0]


def _semver(version: str) -> tuple[bytes, str]:
    """Key without build metadata, and the build metadata."""
    version = version.strip()
    if _PLAIN.fullmatch(version):
        return b"\x01" + _numbers(version) + _NO_PRE, ""
    match = _GRAMMAR.fullmatch(version)
    if match is None:
        return b"\x00" + _identifiers(version), ""
    pre = match["pre"]
    return b"\x01" + _numbers(match["numbers"]) + (_identifiers(pre) if pre else _NO_PRE), match["build"] or ""


def golang_key(version: str) -> bytes:
    """Key of a module version (``v1.2.3-0.2020…-abcdef``, ``+incompatible``) or of a Go release (``go1.22rc1``)."""
    match = _GO_RELEASE.fullmatch(version.strip())
    if match is not None:
        pre = _identifiers(f"{match['word']}.{match['digits']}") if match["word"] else _NO_PRE
        return b"\x01" + _numbers(match["numbers"]) + pre
    return semver_key(version)


def pub_key(version: str) -> bytes:
    """Key of a Dart version: after everything else, build metadata counts, and having some is newer than having none."""
    base, build = _semver(version)
    return base + (b"\x01" + _identifiers(build) if build else b"\x00")


def nuget_key(version: str) -> bytes:
    """Key of a NuGet version: up to four numbers, labels without case."""
    return _semver(version.lower())[0]
