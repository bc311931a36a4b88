"""Identifiers: what is told apart by what, and how it is written."""

from __future__ import annotations

import hashlib
from typing import Final, NewType

__all__ = [
    "AgentId",
    "EventId",
    "FindingId",
    "ProcessId",
    "RuleId",
    "event_id",
    "event_id_time_ns",
    "finding_id",
    "parse_event_id",
    "process_id",
]

AgentId = NewType("AgentId", str)
"""Stable name of one agent: 16 hexadecimal digits, from the machine id, so that a restart keeps it."""

EventId = NewType("EventId", str)
"""One event of one agent: 16 hex digits of time (ns since 1970), ``-``, agent id, ``-``, 12 hex digits of sequence.

It sorts by time, names its place in the store (time prunes, agent and sequence select) and needs no column."""

ProcessId = NewType("ProcessId", str)
"""One process, for ever: ``<boot>:<pid>:<start>``, never the pid alone, which is used again.

``boot`` is the first 8 hexadecimal digits of the kernel's boot id, ``start`` the start of the thread group
leader in nanoseconds since boot."""

FindingId = NewType("FindingId", str)
"""``F-`` and a decimal number that the state store gives: what people say to each other."""

RuleId = NewType("RuleId", str)
"""Name of a rule: own rules ``PHX-XXX-000``, others as their file names them."""

_SEQUENCE_BITS: Final = 48


def event_id(ts_ns: int, agent: str, seq: int) -> EventId:
    """The id of the event that ``agent`` numbered ``seq`` and that happened at ``ts_ns``."""
    return EventId(f"{ts_ns:016x}-{agent}-{seq & ((1 << _SEQUENCE_BITS) - 1):012x}")


def parse_event_id(text: str) -> tuple[int, str, int]:
    """``(ts_ns, agent, seq)`` of an event id; ValueError when ``text`` is not one."""
    time, agent, seq = text.split("-")
    if len(time) != 16 or len(seq) != 12 or not agent:
        raise ValueError(f"not an event id: {text[:80]!r}")
    return int(time, 16), agent, int(seq, 16)


def event_id_time_ns(text: str) -> int:
    """The time in an event id, in nanoseconds since 1970."""
    return parse_event_id(text)[0]


def process_id(boot: str, pid: int, start_ns: int) -> ProcessId:
    """The id of the process ``pid`` that started ``start_ns`` after the boot ``boot``."""
    return ProcessId(f"{boot[:8]}:{pid}:{start_ns}")


def finding_id(number: int) -> FindingId:
    """The id of the finding with this number."""
    return FindingId(f"F-{number}")


def digest(*parts: str) -> str:
    """32 hexadecimal digits over ``parts``; each is length-prefixed, so that no two lists of parts collide by joining."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "little"))
        hasher.update(raw)
    return hasher.hexdigest()
