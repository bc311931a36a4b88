"""Debian's order: ``[epoch:]upstream[-revision]`` (policy 5.6.12; the order of ``dpkg --compare-versions``)."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["deb_key"]

_PARTS: Final = re.compile(r"([^0-9]*)([0-9]*)")
_END: Final = b"\x02"


def _order() -> dict[int, int]:
    """Rank of each character in a part without digits: ``~`` < end (2) < letters < all others, each by ASCII."""
    letters = [c for c in range(128) if chr(c).isalpha()]
    others = [c for c in range(1, 128) if not chr(c).isalnum() and chr(c) != "~"]
    ranks = {ord("~"): 1}
    for place, char in enumerate(letters + others):
        ranks[char] = 3 + place
    return ranks


_RANKS: Final = _order()
_ENCODED: Final[dict[str, bytes]] = {
    "": _END, ".": bytes([_RANKS[ord(".")], 2]), "+": bytes([_RANKS[ord("+")], 2]), "-": bytes([_RANKS[ord("-")], 2])
}  # fmt: skip


def _text(part: str) -> bytes:
    known = _ENCODED.get(part)
    if known is not None:
        return known
    made = bytearray()
    for char in part:
        rank = _RANKS.get(ord(char))
        if rank is None:  # not allowed in a Debian version: after everything that is, by its UTF-8
            made += b"\xfe" + char.encode("utf-8", "surrogatepass")
        else:
            made.append(rank)
    coded = bytes(made) + _END
    if len(_ENCODED) < 20_000:
        _ENCODED[part] = coded
    return coded


def _half(text: str) -> bytes:
    """Key of upstream version or revision; no text is the same as ``0``."""
    made = [_text(a) + number(b) for a, b in _PARTS.findall(text) if a or b]
    return (b"".join(made) if made else b"\x02\x00") + _END


def deb_key(version: str) -> bytes:
    """Key of a Debian version; a missing epoch or revision is 0."""
    version = version.strip()
    epoch, colon, rest = version.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return number(epoch) + _half(upstream) + _half(revision)
