"""Numbers inside byte keys: one byte of length, then the digits, so that bytes order as numbers of any size do."""

from __future__ import annotations

from typing import Final

__all__ = ["number"]

_SMALL: Final = {str(n): (b"\x00" if n == 0 else bytes([len(str(n))]) + str(n).encode()) for n in range(3000)}


def number(digits: str) -> bytes:
    """Key of a number written in ASCII ``digits``; leading zeros do not count, no digits at all are 0.

    A number has at most 512 digits here (the longest version), so lengths over 254 are two bytes.
    """
    small = _SMALL.get(digits)
    if small is not None:
        return small
    digits = digits.lstrip("0")
    size = len(digits)
    head = bytes((size,)) if size < 255 else b"\xff" + size.to_bytes(2, "big")
    return head + digits.encode("ascii")
