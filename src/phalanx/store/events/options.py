"""The bounds of the log-structured event store."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["LogOptions"]

_MIB = 1024 * 1024


class LogOptions(Struct, frozen=True, kw_only=True):
    """Sizes, ages and limits; the defaults are for one machine."""

    seal_rows: int = 500_000
    """A segment with so many events is closed and sealed."""
    seal_bytes: int = 32 * _MIB
    """… or with so many bytes."""
    seal_age_s: float = 300.0
    """… or so long after its first batch."""
    retention_s: float = 14 * 86_400.0
    """Parts whose latest event is older are dropped."""
    max_bytes: int = 50 * 1024 * _MIB
    """When the parts are larger together, the oldest are dropped."""
    queue_bytes: int = 64 * _MIB
    """Batches that wait to be written; ``submit`` waits beyond it."""
    hot_bytes: int = 192 * _MIB
    """Segments in memory together; beyond it nothing is written until one is sealed, so the queue fills and senders wait."""
    group_bytes: int = 16 * _MIB
    """Most that is written between two fsyncs."""
    known_batches: int = 262_144
    """Ids of batches that are recognised when they come again, the youngest."""
    memory_bytes: int = 384 * _MIB
    """What the engine may hold in memory for all questions together."""
    seal_memory_bytes: int = 256 * _MIB
    """The same for sealing and compaction, which spill beyond it."""
    temporary_bytes: int = 8 * 1024 * _MIB
    """What it may spill to the disk."""
    threads: int = 2
    """Threads of the engine."""
    compact_after: int = 8
    """So many parts of one running hour are made one; of a past hour two suffice."""
    compact_rows: int = 8_000_000
    """No part is made larger by compaction."""
    maintenance_s: float = 5.0
    """Pause between two rounds of sealing, compaction and retention."""
