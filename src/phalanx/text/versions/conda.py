"""Conda's order: ``VersionOrder`` (the algorithm stands in conda's documentation of that class)."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["conda_key"]

_PIECE: Final = re.compile(r"[0-9]+|\*|[^0-9*]+")


def conda_key(version: str) -> bytes:
    """Key of a Conda version: ``dev`` < ``_`` < words < numbers < ``post``, a missing component is 0."""
    text = version.strip().lower().replace("-", "_")
    epoch, mark, rest = text.partition("!")
    if not mark or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", text
    main, _, local = rest.partition("+")
    return number(epoch) + _parts(main) + _parts(local)


def _parts(text: str) -> bytes:
    trailing = len(text) - len(text.rstrip("_"))
    parts = list(re.split(r"[._]", text.rstrip("_"))) if text else []
    if trailing and parts:
        parts[-1] += "_"
    coded = [_component(part) for part in parts]
    while coded and coded[-1] == _ZERO:
        coded.pop()
    made = bytearray()
    zeros = 0
    for code in coded:
        if code == _ZERO:
            zeros += 1
            continue
        low = code[0] < _END
        if zeros:
            made.append(0x10 + min(zeros, 0x1F) if low else max(0x9F - zeros, 0x80))
        made.append(0x08 if low else 0xA0)
        made += code
        zeros = 0
    made.append(0x40)
    return bytes(made)


# What stands at one place of a component, in order; nothing is as good as the number 0.
_DEV, _UNDERSCORE, _WORD, _ZERO_WORD, _END, _ZERO_POST, _NUMBER, _POST = range(1, 9)
_ZERO: Final = bytes((_END,))
"""A component that is the number 0 alone."""


def _component(text: str) -> bytes:
    """One component: pieces of digits and letters; it starts with a number, 0 when a word comes first."""
    pieces = _PIECE.findall(text) or ["0"]
    if not pieces[0].isdigit():
        pieces.insert(0, "0")
    while pieces and not pieces[-1].strip("0"):
        pieces.pop()
    made = bytearray()
    for place, piece in enumerate(pieces):
        if piece.isascii() and piece.isdigit():
            if piece.strip("0"):
                made.append(_NUMBER)
                made += number(piece)
            else:  # a word follows: trailing zeros are gone, and pieces alternate
                made.append(_ZERO_POST if pieces[place + 1] == "post" else _ZERO_WORD)
        elif piece == "post":
            made.append(_POST)
        elif piece == "dev":
            made.append(_DEV)
        else:
            made.append(_UNDERSCORE if piece == "_" else _WORD)
            made += piece.encode("utf-8", "surrogatepass").replace(b"\x00", b"\x01") + b"\x00"
    made.append(_END)
    return bytes(made)
