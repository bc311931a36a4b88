"""What is stored at this moment: hot segments and parts, what they cover, and who is reading which file."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from phalanx.store.events.coverage import CoverageMap
from phalanx.store.events.hot import HotBatch, HotSegment, loss_notes
from phalanx.store.events.interface import Completeness
from phalanx.store.events.parts import LossNote, Manifest, PartDirectory
from phalanx.store.events.sql import Sources

__all__ = ["Live", "Snapshot"]

_MAX_GAPS = 100
_MAX_LOSSES = 100_000


class Snapshot(Struct, frozen=True, kw_only=True):
    """What one question looks at; its files stay until it is released."""

    parts: tuple[Manifest, ...]
    hot: tuple[tuple[HotSegment, tuple[HotBatch, ...]], ...]
    directory: PartDirectory

    def spans(self) -> list[tuple[int, int, int]]:
        """Time range and number of events of each part and of each segment."""
        found = [(part.since_ns, part.until_ns, part.rows) for part in self.parts if part.rows]
        for _, batches in self.hot:
            full = [hot for hot in batches if hot.batch.event.num_rows]
            if full:
                rows = sum(hot.batch.event.num_rows for hot in full)
                found.append((min(hot.since_ns for hot in full), max(hot.until_ns for hot in full), rows))
        return found

    def sources(
        self, since: int, until: int, kinds: Sequence[str], agents: Sequence[str], *, processes: bool
    ) -> Sources:
        """What can hold events of ``[since, until)`` of these kinds and agents (any when empty)."""
        parts = [
            part
            for part in self.parts
            if part.since_ns < until
            and part.until_ns > since
            and (not kinds or any(kind in part.kinds for kind in kinds))
            and (not agents or any(agent in part.agents for agent in agents))
        ]
        chosen = []
        for segment, batches in self.hot:
            if any(hot.since_ns < until and hot.until_ns > since for hot in batches):
                chosen.append((segment, batches))
        return Sources(
            events=tuple(str(self.directory.path(part, "events")) for part in parts),
            processes=tuple(str(self.directory.path(part, "process")) for part in parts) if processes else (),
            hot_events={f"hot_events_{segment.number}": segment.events(batches) for segment, batches in chosen},
            hot_processes={f"hot_processes_{segment.number}": segment.processes(batches) for segment, batches in chosen}
            if processes
            else {},
            rows=sum(part.rows for part in parts)
            + sum(hot.batch.event.num_rows for _, batches in chosen for hot in batches),
        )


class Live:
    """The set of live segments and parts. Safe for threads; nothing slow happens under its lock."""

    def __init__(self, directory: PartDirectory) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._segments: dict[int, HotSegment] = {}
        self._parts: dict[str, Manifest] = {}
        self._readers: dict[str, int] = {}
        self._dead: dict[str, Manifest] = {}
        """Parts without a manifest whose files somebody still reads."""
        self._coverage = CoverageMap()
        self._losses: list[LossNote] = []

    def add_segment(self, segment: HotSegment) -> None:
        """A segment exists; batches follow by :meth:`add_batch`."""
        with self._lock:
            self._segments[segment.number] = segment

    def add_batch(self, hot: HotBatch) -> None:
        """A durable batch of a live segment: what it covers and what it says was lost."""
        losses = loss_notes(hot.batch)
        with self._lock:
            self._coverage.add(hot.batch.header.agent, hot.batch.header.coverage)
            self._note(losses)

    def add_parts(
        self, parts: Sequence[Manifest], *, instead_of_segment: int | None = None, instead_of: Sequence[Manifest] = ()
    ) -> None:
        """Parts exist; what they were made of goes in the same instant."""
        with self._lock:
            if instead_of_segment is not None:
                self._segments.pop(instead_of_segment, None)
            else:
                for part in parts:
                    for one in part.coverage:
                        self._coverage.add(one.agent, one.intervals)
                    if not instead_of:
                        self._note(part.losses)
            for old in instead_of:
                self._bury(old)
            for part in parts:
                self._parts[part.name] = part
        self._sweep()

    def drop(self, parts: Sequence[Manifest], *, recorded_before_ns: int | None = None, lost: bool = False) -> None:
        """Parts are gone. Nothing is recorded before ``recorded_before_ns`` then; with ``lost`` nothing of the parts' own time and agents."""
        with self._lock:
            for part in parts:
                self._bury(part)
                if lost:
                    self._coverage.forget(part.since_ns, part.until_ns, part.agents)
            if recorded_before_ns is not None:
                self._coverage.forget(-(2**63), recorded_before_ns)
        self._sweep()

    def forget(self, since: int, until: int, agents: Sequence[str] | None = None) -> None:
        """Nothing of this time is recorded."""
        with self._lock:
            self._coverage.forget(since, until, agents)

    def _note(self, losses: Sequence[LossNote]) -> None:
        self._losses.extend(losses)
        if len(self._losses) > _MAX_LOSSES:
            del self._losses[: len(self._losses) - _MAX_LOSSES]

    def _bury(self, part: Manifest) -> None:
        if self._parts.pop(part.name, None) is not None:
            self._dead[part.name] = part

    def _sweep(self) -> None:
        with self._lock:
            free = [part for name, part in self._dead.items() if not self._readers.get(name)]
            for part in free:
                del self._dead[part.name]
        for part in free:
            self.directory.unlink_files(part)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """What is stored now; its files are kept while the block runs."""
        with self._lock:
            parts = tuple(self._parts.values())
            segments = [(segment, tuple(segment.batches())) for segment in self._segments.values()]
            for part in parts:
                self._readers[part.name] = self._readers.get(part.name, 0) + 1
        try:
            yield Snapshot(parts=parts, hot=tuple(segments), directory=self.directory)
        finally:
            with self._lock:
                for part in parts:
                    left = self._readers[part.name] - 1
                    if left:
                        self._readers[part.name] = left
                    else:
                        del self._readers[part.name]
                again = bool(self._dead)
            if again:
                self._sweep()

    def parts(self) -> list[Manifest]:
        """All live parts."""
        with self._lock:
            return list(self._parts.values())

    def segments(self) -> list[HotSegment]:
        """All live segments, oldest first."""
        with self._lock:
            return [self._segments[number] for number in sorted(self._segments)]

    def agents(self) -> list[str]:
        """Every agent that told what it covers."""
        with self._lock:
            return self._coverage.agents()

    def completeness(
        self,
        *,
        agents: Sequence[str],
        kinds: Sequence[str],
        since: int | None,
        until: int,
        undecided: int | None = None,
    ) -> Completeness:
        """What is known about the record of ``[since, until)``; ``since`` None means from the beginning, which is never called a gap."""
        with self._lock:
            chosen = list(agents) or self._coverage.agents()
            start = since
            if start is None:
                begins = [interval.since_ns for agent, interval in self._coverage.items() if agent in chosen]
                start = min(begins, default=until)
            gaps, recorded_since, recorded_until = self._coverage.gaps(chosen, list(kinds) or ["*"], start, until)
            losses = [
                note
                for note in self._losses
                if note.agent in chosen
                and note.ts_ns >= start
                and (note.since_ns if note.since_ns is not None else note.ts_ns) < until
            ]
        nothing = not chosen
        return Completeness(
            complete=not nothing and not gaps and not losses and not undecided,
            recorded_since_ns=None
            if recorded_since is not None and recorded_since >= until and gaps
            else recorded_since,
            recorded_until_ns=recorded_until,
            gaps=tuple(gaps[:_MAX_GAPS]),
            lost=sum(note.count for note in losses if note.count is not None),
            lost_unknown=any(note.count is None for note in losses),
            undecided=undecided,
        )
