"""Alpine's order: numbers, one letter, suffixes, ``-rN`` (apk-tools; Gentoo's PMS chapter 3 with the suffixes that Alpine adds)."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["apk_key"]

_GRAMMAR: Final = re.compile(
    r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_[a-z]+[0-9]*)*)(?:~[0-9a-f]+)?(?:-r(?P<revision>[0-9]+))?"
)
_SUFFIX: Final = re.compile(r"_([a-z]+)([0-9]*)")
_RANKS: Final = {"alpha": 1, "beta": 2, "pre": 3, "rc": 4, "cvs": 6, "svn": 7, "git": 8, "hg": 9, "p": 10}
_NO_SUFFIX: Final = b"\x05"


def apk_key(version: str) -> bytes:
    """Key of an Alpine version; what the grammar does not know sorts before all that it knows, word by word."""
    match = _GRAMMAR.fullmatch(version.strip())
    if match is None:
        from phalanx.text.versions.generic import generic_key

        return b"\x00" + generic_key(version)
    first, *rest = match["numbers"].split(".")
    made = [b"\x01", number(first)]
    # A part that starts with 0 is a fraction: 1.01 < 1.1, 1.010 == 1.01 (PMS algorithm 3.3).
    made.extend(
        b"\x02" + part.rstrip("0").encode() + b"\x00" if part.startswith("0") else b"\x03" + number(part)
        for part in rest
    )
    made.append(b"\x01" + match["letter"].encode() + b"\x00")
    for word, digits in _SUFFIX.findall(match["suffixes"]):
        made.append(bytes((_RANKS.get(word, 11),)) + number(digits))
    made.append(_NO_SUFFIX + number(match["revision"] or "0"))
    return b"".join(made)
