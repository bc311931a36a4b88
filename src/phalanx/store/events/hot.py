"""The hot part: batches that are durable in a segment and not sealed yet, as tables that the engine reads in place."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from phalanx.store.events.parts import LossNote, Manifest
from phalanx.store.events.relation import HOT_EVENT_SCHEMA, PROCESS_RELATION, event_rows, process_key, process_rows
from phalanx.store.events.wrap import Batch

__all__ = ["HotBatch", "HotSegment", "loss_notes"]

_GROUP = 64
"""Batches whose process tables are laid out together once they are many: fewer, larger pieces are cheaper to scan."""


class HotBatch(Struct, frozen=True, kw_only=True):
    """One durable batch."""

    position: int
    """Number in the order of arrival at this store, since it was opened."""
    batch: Batch
    base: int
    """Key of its first process."""
    since_ns: int
    """Time of its earliest event; of now when it has none."""
    until_ns: int
    """Time of its latest event plus one."""


class HotSegment:
    """One segment, open or closed, with its batches in memory. Safe for threads."""

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.path = path
        self.rows = 0
        self.bytes = 0
        self.opened_ns = 0
        """When the first batch came, by the monotonic clock; 0 while there is none."""
        self.committed: list[Manifest] = []
        """Manifests of an attempt to seal it that has not ended well."""
        self._lock = threading.Lock()
        self._build = threading.Lock()
        self._batches: list[HotBatch] = []
        self._processes = 0
        self._events: list[pa.RecordBatch] = []
        self._relation: list[pa.RecordBatch] = []
        self._related = 0

    def add(self, batch: Batch, position: int, now_ns: int) -> HotBatch:
        """Takes a durable batch."""
        bounds = pc.min_max(batch.event.column("ts_ns")).as_py()
        with self._lock:
            hot = HotBatch(
                position=position,
                batch=batch,
                base=process_key(self.number, self._processes),
                since_ns=now_ns if bounds["min"] is None else bounds["min"],
                until_ns=now_ns if bounds["max"] is None else bounds["max"] + 1,
            )
            self._processes += batch.process.num_rows
            self.rows += batch.event.num_rows
            self.bytes += batch.nbytes
            self._batches.append(hot)
        return hot

    def batches(self) -> list[HotBatch]:
        """All of them, in order."""
        with self._lock:
            return list(self._batches)

    def events(self, batches: Sequence[HotBatch] | None = None) -> pa.Table:
        """The events of the first ``len(batches)`` batches (of all when None)."""
        batches = self.batches() if batches is None else batches
        with self._build:
            for hot in batches[len(self._events) :]:
                self._events.append(event_rows(hot.batch, hot.base))
            return pa.Table.from_batches(self._events[: len(batches)], schema=HOT_EVENT_SCHEMA)

    def processes(self, batches: Sequence[HotBatch] | None = None) -> pa.Table:
        """The process relation of at least the first ``len(batches)`` batches."""
        batches = self.batches() if batches is None else batches
        with self._build:
            fresh = batches[self._related :]
            for start in range(0, len(fresh), _GROUP):
                group = fresh[start : start + _GROUP]
                self._relation.append(process_rows([(hot.batch, hot.base) for hot in group]))
                self._related += len(group)
            return pa.Table.from_batches(self._relation, schema=PROCESS_RELATION)


def loss_notes(batch: Batch) -> list[LossNote]:
    """The ``Loss`` events of a batch."""
    if "loss" not in batch.kinds:
        return []
    mask = pc.equal(batch.event.column("kind"), "loss")
    rows = batch.event.select(["ts_ns", "since_ns", "count"]).filter(mask).to_pylist()
    return [
        LossNote(agent=batch.header.agent, ts_ns=row["ts_ns"], since_ns=row["since_ns"], count=row["count"])
        for row in rows
    ]
