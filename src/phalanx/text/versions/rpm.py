"""RPM's order: ``[epoch:]version[-release]`` by ``rpmvercmp``, with ``~`` (before the end) and ``^`` (just after it); Arch's ``vercmp``."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["pacman_key", "rpm_key", "split_evr"]

_PARTS: Final = re.compile(r"([0-9]+)|([a-zA-Z]+)|(~)|(\^)")
_TILDE, _END, _CARET, _ALPHA, _NUMBER = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"


def _segments(text: str) -> bytes:
    """Key of a version or a release: separators only part segments, a number is newer than a word, what is longer is newer."""
    made = []
    for digits, word, tilde, _caret in _PARTS.findall(text):
        if digits:
            made.append(_NUMBER + number(digits))
        elif word:
            made.append(_ALPHA + word.encode("ascii") + b"\x00")
        else:
            made.append(_TILDE if tilde else _CARET)
    return b"".join(made) + _END


def split_evr(text: str) -> tuple[str, str, str]:
    """Epoch (``0`` when not written), version and release (empty when not written) of ``text``."""
    epoch, colon, rest = text.strip().partition(":")
    if not colon:
        epoch, rest = "0", text.strip()
    if not (epoch.isascii() and epoch.isdigit()):
        epoch = "0"
    version, dash, release = rest.rpartition("-")
    return (epoch, version, release) if dash else (epoch, rest, "")


def rpm_key(version: str) -> bytes:
    """Key of an RPM ``epoch:version-release``."""
    epoch, ver, release = split_evr(version)
    return number(epoch) + _segments(ver) + _segments(release)


def _pacman(text: str) -> bytes:
    """As rpm before ``~`` and ``^``, but a word at the end is older than the end: ``1.0rc`` < ``1.0``, while ``1.0.a`` > ``1.0``."""
    made, at = [], 0
    for match in re.finditer(r"[0-9]+|[a-zA-Z]+", text):
        separated = match.start() > at
        at = match.end()
        if match.group().isdigit():
            made.append(b"\x06" + number(match.group()))
        else:
            made.append((b"\x04" if separated else b"\x01") + match.group().encode("ascii") + b"\x00")
    return b"".join(made) + b"\x02"


def pacman_key(version: str) -> bytes:
    """Key of an Arch ``epoch:version-release``."""
    epoch, ver, release = split_evr(version)
    return number(epoch) + _pacman(ver) + _pacman(release)
