"""Hostile bytes as text that loses nothing and harms nothing.

What the kernel, a request or an archive names is bytes. Inside phalanx it is ``str`` that is always valid Unicode (so that Arrow, JSON
and every database take it): a byte that is not part of valid UTF-8 becomes the code point ``U+F700 + byte``. The encoding of
a real ``U+F780..U+F7FF`` is treated as three such bytes, so the mapping is one to one and :func:`encode` gives back the
very bytes (the idea is that of MirBSD's OPTU-8).

:func:`show` is for people: control characters, bidirectional controls, zero-width and private-use characters are written as visible tags.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["decode", "encode", "show", "tags"]

_BASE: Final = 0xF700
_OURS: Final = re.compile("[\uf780-\uf7ff]")

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners and fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"  # zero width, separators, bidirectional controls
    "\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)

_NAMES: Final = {0: "NUL", 7: "BEL", 8: "BS", 9: "TAB", 10: "LF", 13: "CR", 27: "ESC", 127: "DEL"}


def decode(raw: bytes) -> str:
    """``raw`` as text; valid UTF-8 stays as it is, every other byte becomes ``U+F700 + byte``."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "surrogateescape")
        lifted = "".join(chr(_BASE + ord(c) - 0xDC00) if "\udc80" <= c <= "\udcff" else _lift(c) for c in text)
        return lifted
    if _OURS.search(text) is None:
        return text
    return "".join(_lift(c) for c in text)


def _lift(char: str) -> str:
    if "\uf780" <= char <= "\uf7ff":
        return "".join(chr(_BASE + byte) for byte in char.encode("utf-8"))
    return char


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` read."""
    if _OURS.search(text) is None:
        return text.encode("utf-8", "surrogatepass")
    lowered = "".join(chr(ord(c) - _BASE + 0xDC00) if "\uf780" <= c <= "\uf7ff" else c for c in text)
    return lowered.encode("utf-8", "surrogateescape")


def tags(text: str) -> list[tuple[str, bool]]:
    """``text`` cut into pieces ``(piece, is_tag)``: a tag (``ESC``, ``U+202E``, ``\\xff``) stands for one unsafe character."""
    pieces: list[tuple[str, bool]] = []
    end = 0
    for match in _UNSAFE.finditer(text):
        if match.start() > end:
            pieces.append((text[end : match.start()], False))
        pieces.append((_tag(match.group()), True))
        end = match.end()
    if end < len(text):
        pieces.append((text[end:], False))
    return pieces


def show(text: str, limit: int | None = None) -> str:
    """``text`` for a terminal or a log: unsafe characters as ``<ESC>``; cut at ``limit`` characters with a count of the rest."""
    cut = text if limit is None or len(text) <= limit else text[:limit]
    shown = "".join(f"<{piece}>" if tag else piece for piece, tag in tags(cut))
    return shown if cut is text else f"{shown}… (+{len(text) - len(cut)})"


def _tag(char: str) -> str:
    code = ord(char)
    if 0xF780 <= code <= 0xF7FF:
        return f"\\x{code - _BASE:02x}"
    if code in _NAMES:
        return _NAMES[code]
    return f"\\x{code:02x}" if code < 0x20 else f"U+{code:04X}"
