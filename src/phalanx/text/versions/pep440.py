"""Python's order: PEP 440, and before all of it what is not PEP 440 (setuptools' old reading)."""

from __future__ import annotations

import re
from typing import Final

from phalanx.text.versions.numbers import number

__all__ = ["pypi_key"]

_GRAMMAR: Final = re.compile(
    r"""v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>[0-9]*))?
    (?:-(?P<post_implicit>[0-9]+)|(?P<post>[-_.]?(?:post|rev|r))[-_.]?(?P<post_number>[0-9]*))?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SIMPLE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_PRE: Final = {"a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
_FINAL: Final = b"\x01\x04\x00\x01\x00"
"""End of the release, no pre, no post, no dev, no local part."""


def _release(text: str) -> bytes:
    parts = text.split(".")
    while len(parts) > 1 and not parts[-1].strip("0"):
        parts.pop()
    return b"".join([b"\x02" + number(part) for part in parts])


def pypi_key(version: str) -> bytes:
    """Key of a Python version; ``3.2`` and ``3.2.0`` have the same."""
    version = version.strip()
    if _SIMPLE.fullmatch(version):
        return b"\x01\x00" + _release(version) + _FINAL
    match = _GRAMMAR.fullmatch(version)
    if match is None:
        return b"\x00" + _legacy(version)
    post = None
    if match["post"] is not None:
        post = match["post_number"]
    elif match["post_implicit"] is not None:
        post = match["post_implicit"]
    has_dev = match["dev"] is not None
    if match["pre"] is not None:
        pre = bytes((_PRE[match["pre"].lower()],)) + number(match["pre_number"])
    else:
        pre = b"\x00" if post is None and has_dev else b"\x04"
    made = [b"\x01", number(match["epoch"] or "0"), _release(match["release"]), b"\x01", pre]
    made.append(b"\x00" if post is None else b"\x01" + number(post))
    made.append(b"\x00" + number(match["dev_number"]) if has_dev else b"\x01")
    made.extend(
        b"\x02" + number(part) if part.isdigit() else b"\x01" + part.lower().encode() + b"\x00"
        for part in (re.split(r"[-_.]", match["local"]) if match["local"] else ())
    )
    made.append(b"\x00")
    return b"".join(made)


def _legacy(version: str) -> bytes:
    """Numbers over words, words by their letters; enough to order the 75 such versions that real advisories name."""
    made = [
        b"\x02" + number(part) if part[0] in "0123456789" else b"\x01" + part.encode() + b"\x00"
        for part in re.findall(r"[0-9]+|[a-z]+", version.lower())
    ]
    return b"".join(made) + b"\x00" + version.encode("utf-8", "surrogatepass")
