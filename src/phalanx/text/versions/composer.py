"""Composer's order: up to four numbers, then PHP's stabilities (``composer/semver`` normalisation)."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["composer_key"]

_GRAMMAR: Final = re.compile(
    r"""v?(?P<numbers>[0-9]+(?:\.[0-9x*]+)*)
    (?:[._-]?(?P<stability>stable|beta|b|rc|alpha|a|patch|pl|p)(?P<digits>(?:[.-]?[0-9]+)*))?
    (?P<dev>[.-]?dev)?(?:\+.*)?(?:\s.*)?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_RANKS: Final = {"alpha": 2, "a": 2, "beta": 3, "b": 3, "rc": 4, "stable": 5, "": 5, "patch": 6, "pl": 6, "p": 6}


def composer_key(version: str) -> bytes:
    """Key of a Composer version; a branch (``dev-main``) sorts before every release."""
    version = version.strip()
    match = _GRAMMAR.fullmatch(version)
    if match is None:
        return b"\x00" + version.lower().encode("utf-8", "surrogatepass")
    parts = [part if part.isdigit() else "9999999" for part in match["numbers"].split(".")]
    while len(parts) > 1 and not parts[-1].strip("0"):
        parts.pop()
    made = [b"\x01"] + [b"\x02" + number(part) for part in parts] + [b"\x01"]
    made.append(
        b"\x01" if match["dev"] and not match["stability"] else bytes((_RANKS[(match["stability"] or "").lower()],))
    )
    made.extend(b"\x02" + number(part) for part in re.findall(r"[0-9]+", match["digits"] or ""))
    made.append(b"\x00" if match["dev"] else b"\x01")
    return b"".join(made)
