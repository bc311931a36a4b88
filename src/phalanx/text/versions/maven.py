"""Maven's order: ``ComparableVersion`` (maven-artifact 3.9).

Maven's own relation is not transitive in places nobody releases into (``1-alpha`` < ``1`` < ``1.sp`` < ``1-alpha``); a key cannot follow a
circle. It follows Maven in everything that can be reached by steps through the release itself: qualifiers before it, those after it, numbers.
"""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["maven_key"]

_TOKEN: Final = re.compile(r"([0-9]+)|([^0-9.-]+)|([.-])")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_QUALIFIERS: Final = {
    "alpha": 0,
    "beta": 1,
    "milestone": 2,
    "rc": 3,
    "cr": 3,
    "snapshot": 4,
    "": 5,
    "ga": 5,
    "final": 5,
    "release": 5,
    "sp": 6,
}
_SHORT: Final = {"a": "alpha", "b": "beta", "m": "milestone"}
_RELEASE: Final = 5

# What stands at one place of the list, in order. A zero followed by something is told by what follows the zeros: before the end of the
# version, or after it; so ``5.0.0.Alpha1`` < ``5.0`` < ``5.0.0.1`` hold although 0 and nothing are the same.
_LOW_WORD, _LOW_LIST, _LOW_ZEROS, _END, _HIGH_WORD, _HIGH_LIST, _HIGH_ZEROS, _INT_ZEROS, _INT = (
    0x10, 0x18, 0x20, 0x40, 0x50, 0x58, 0x60, 0x9F, 0xA0,
)  # fmt: skip
_MAX_DEPTH: Final = 64

_Item = tuple[bool, str]
"""(is a number, its text in lower case)."""


def _lists(version: str) -> list[list[_Item]]:
    """The nested lists of ComparableVersion, outermost first; each is the last item of the one before it."""
    lists: list[list[_Item]] = [[]]
    tokens = _TOKEN.findall(version.lower())
    fresh = True  # nothing since the last separator
    for place, (digits, word, separator) in enumerate(tokens):
        if separator:
            if fresh:
                lists[-1].append((True, "0"))
            if separator == "-":
                lists.append([])
            fresh = True
            continue
        if not fresh:  # digits follow a word or a word follows digits: a new list
            lists.append([])
        if digits:
            lists[-1].append((True, digits.lstrip("0") or "0"))
        else:
            followed = place + 1 < len(tokens) and bool(tokens[place + 1][0])
            if lists[-1] and (followed or place + 1 == len(tokens)):  # ".X" is read as "-X"
                lists.append([])
            lists[-1].append((False, _SHORT.get(word, word) if followed else word))
        fresh = False
    return lists[:_MAX_DEPTH]


def _word(text: str) -> tuple[bytes, bool]:
    """Key of a qualifier, and whether it is older than the release."""
    rank = _QUALIFIERS.get(text)
    if rank is None:
        return b"\x08" + text.encode("utf-8", "surrogatepass").replace(b"\x00", b"\x01") + b"\x00", False
    return bytes((rank + 1,)), rank < _RELEASE


def _null(item: _Item) -> bool:
    return item[1] == "0" if item[0] else _QUALIFIERS.get(item[1]) == _RELEASE


def _encode(items: list[_Item], tail: bytes, tail_is_word: bool) -> bytes:
    """Key of one list whose last item is the list with key ``tail`` (empty when there is none)."""
    kept: list[_Item] = []
    before_word, last = tail_is_word, not tail
    for item in reversed(items):  # what is as good as absent goes when it is last or stands before a qualifier
        if _null(item) and (last or before_word):
            continue
        kept.append(item)
        before_word, last = not item[0], False
    made = bytearray()
    zeros = 0
    for is_number, text in reversed(kept):
        if is_number:
            if text == "0":
                zeros += 1
                continue
            if zeros:
                made.append(max(_INT_ZEROS - zeros, _INT_ZEROS - 0x1F))
            made.append(_INT)
            made += number(text)
        else:
            code, low = _word(text)
            if zeros:
                made.append((_LOW_ZEROS if low else _HIGH_ZEROS) + min(zeros, 0x1F))
            made.append(_LOW_WORD if low else _HIGH_WORD)
            made += code
        zeros = 0
    if tail:
        low = tail[0] < _END
        if zeros:
            made.append((_LOW_ZEROS if low else _HIGH_ZEROS) + min(zeros, 0x1F))
        made.append(_LOW_LIST if low else _HIGH_LIST)
        made += tail
    else:
        made.append(_END)
    return bytes(made)


def maven_key(version: str) -> bytes:
    """Key of a Maven version; trailing zeros, ``ga``, ``final`` and ``release`` do not count."""
    version = version.strip()
    if _PLAIN.fullmatch(version):
        return _encode([(True, part.lstrip("0") or "0") for part in version.split(".")], b"", False)
    tail, is_word = b"", False
    for items in reversed(_lists(version)):
        code = _encode(items, tail, is_word)
        if code == b"\x40":
            tail, is_word = b"", False
        else:
            tail, is_word = code, code[0] in (_LOW_WORD, _HIGH_WORD)
    return tail or b"\x40"
