"""Upstream releases without a scheme of their own (OpenSSL ``1.1.1k``, NTP ``4.2.8p18``), and R's ``package_version``."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["cran_key", "generic_key"]

_PART: Final = re.compile(r"[0-9]+|[a-z]+")
_BEFORE: Final = {
    "dev": 1,
    "snapshot": 1,
    "alpha": 2,
    "beta": 3,
    "milestone": 4,
    "pre": 5,
    "preview": 5,
    "rc": 6,
    "cr": 6,
}


def generic_key(version: str) -> bytes:
    """Key of any version: numbers by value, ``alpha``, ``beta``, ``rc`` … before the end, every other word after it: 1.1.1 < 1.1.1k < 1.1.2."""
    made = bytearray()
    for part in _PART.findall(version.strip().lower().removeprefix("v")):
        if part[0] in "0123456789":
            made.append(0x50)
            made += number(part)
        elif part in _BEFORE:
            made.append(0x10 + _BEFORE[part])
        else:
            made.append(0x40)
            made += part.encode("ascii") + b"\x00"
    while made.endswith(b"\x50\x00"):
        del made[-2:]
    made.append(0x30)
    return bytes(made)


def cran_key(version: str) -> bytes:
    """Key of an R version: numbers parted by ``.`` or ``-``; what is longer is newer."""
    return b"".join([b"\x02" + number(part) for part in re.findall(r"[0-9]+", version)]) + b"\x01"
