"""RubyGems' order: ``Gem::Version``; a letter anywhere makes a pre-release."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["gem_key"]

_SEGMENT: Final = re.compile(r"[0-9]+|[a-z]+", re.IGNORECASE | re.ASCII)
_WORD, _LOW_ZEROS, _END, _ZEROS, _NUMBER = 0x01, 0x02, 0x40, 0x9F, 0xA0


def gem_key(version: str) -> bytes:
    """Key of a gem version. Missing segments are 0 and a word is older than 0, so zeros are told by what follows them."""
    segments: list[str] = _SEGMENT.findall(version.strip().replace("-", ".pre."))
    first_word = next((place for place, part in enumerate(segments) if not part[0].isdigit()), len(segments))
    kept = _trim(segments[:first_word]) + _trim(segments[first_word:])
    made = bytearray()
    zeros = 0
    for part in kept:
        if part[0].isdigit():
            if not part.strip("0"):
                zeros += 1
                continue
            if zeros:
                made.append(max(_ZEROS - zeros, _ZEROS - 0x1F))
            made.append(_NUMBER)
            made += number(part)
        else:
            if zeros:
                made.append(_LOW_ZEROS + min(zeros, 0x1F))
            made.append(_WORD)
            made += part.encode("ascii") + b"\x00"
        zeros = 0
    made.append(_END)
    return bytes(made)


def _trim(segments: list[str]) -> list[str]:
    while segments and not segments[-1].strip("0"):
        segments.pop()
    return segments
