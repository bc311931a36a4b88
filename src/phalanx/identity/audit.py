"""The operators' trail as a chain of hashes: what each entry commits to, and how a chain is verified.

Each entry's hash covers its own content and the hash of the entry before it, so an entry that was changed, removed from the middle, or put in
shows at its place. A chain cannot show that its *end* was cut: ``phalanx audit verify`` prints the head, to be kept elsewhere,
and takes one to compare with. Format 1: SHA-256 over the JSON array of all fields in the order of :func:`entry_hash`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

__all__ = [
    "GENESIS",
    "MAX_DETAIL",
    "MAX_TEXT",
    "AuditEntry",
    "ChainReport",
    "bounded_detail",
    "entry_hash",
    "verify_chain",
]

GENESIS: Final = "0" * 64
"""``previous`` of the first entry."""
MAX_DETAIL: Final = 24
"""Most keys in the detail of an entry."""
MAX_TEXT: Final = 1_024
"""Longest text in an entry, in characters; what is longer is cut with a mark."""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One act of somebody."""

    number: int
    """1, 2, 3 … without gaps."""
    ts_ns: int
    actor: str
    via: str
    credential: str
    """Public id of the session or token."""
    source: str
    action: str
    object: str
    outcome: str
    """``done`` or ``refused``."""
    detail: dict[str, str]
    previous: str
    """Hash of the entry before."""
    hash: str


class ChainReport(Struct, frozen=True, kw_only=True):
    """What :func:`verify_chain` found."""

    entries: int
    """How many fit, from the first."""
    head: str
    until_ns: int | None
    broken_at: int | None = None
    why: str = ""


def bounded_detail(detail: dict[str, str]) -> dict[str, str]:
    """``detail`` within the bounds of an entry."""
    return {key[:64]: _cut(value) for key, value in list(detail.items())[:MAX_DETAIL]}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… (+{len(text) - MAX_TEXT})"


def entry_hash(
    *,
    number: int,
    ts_ns: int,
    actor: str,
    via: str,
    credential: str,
    source: str,
    action: str,
    object: str,
    outcome: str,
    detail: dict[str, str],
    previous: str,
) -> str:
    """Hash of an entry, hexadecimal."""
    content = ["phalanx audit 1", number, ts_ns, actor, via, credential, source, action, object, outcome]
    raw = msgspec.json.encode([*content, sorted(detail.items()), previous])
    return hashlib.sha256(raw).hexdigest()


def verify_chain(entries: Iterable[AuditEntry]) -> ChainReport:
    """Recompute every hash, in order of number from the first; memory does not grow with the length."""
    count, head, until = 0, GENESIS, None
    for entry in entries:
        why = _misfit(entry, count + 1, head)
        if why:
            return ChainReport(entries=count, head=head, until_ns=until, broken_at=count + 1, why=why)
        count, head, until = count + 1, entry.hash, entry.ts_ns
    return ChainReport(entries=count, head=head, until_ns=until)


def _misfit(entry: AuditEntry, number: int, head: str) -> str:
    if entry.number != number:
        return f"entry {number} is missing" if entry.number > number else f"entry {entry.number} stands twice"
    if entry.previous != head:
        return "it does not continue the entry before it"
    fields = msgspec.structs.asdict(entry)
    stored = fields.pop("hash")
    return "" if entry_hash(**fields) == stored else "its content does not fit its hash"
