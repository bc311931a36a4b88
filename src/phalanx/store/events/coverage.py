"""The intervals that are recorded, per agent and kind: what lets an answer say "complete" or "not recorded before"."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from phalanx.model.columns import Coverage
from phalanx.store.events.interface import Gap

__all__ = ["CoverageMap", "Intervals"]

MAX_INTERVALS: Final = 4096
"""Intervals kept for one agent and kind; beyond it the oldest are forgotten, so that the store claims less, never more."""

MAX_KEYS: Final = 100_000
"""(agent, kind) pairs kept; further ones are not recorded, which claims less."""


class Intervals:
    """A set of instants as disjoint half-open intervals, oldest first."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def end(self) -> int | None:
        """End of the newest; None when empty."""
        return self._ends[-1] if self._ends else None

    def add(self, since: int, until: int) -> None:
        """Includes ``[since, until)``; touching intervals become one."""
        if until <= since:
            return
        low = bisect_left(self._ends, since)
        high = bisect_right(self._starts, until)
        if low < high:
            since = min(since, self._starts[low])
            until = max(until, self._ends[high - 1])
        self._starts[low:high] = [since]
        self._ends[low:high] = [until]
        if len(self._starts) > MAX_INTERVALS:
            del self._starts[0], self._ends[0]

    def remove(self, since: int, until: int) -> None:
        """Takes ``[since, until)`` out."""
        kept = [
            piece
            for start, end in self
            for piece in ((start, min(end, since)), (max(start, until), end))
            if piece[0] < piece[1]
        ]
        # A piece that lies wholly outside comes twice from the two cuts only when the cut is empty.
        self._starts, self._ends = [], []
        for start, end in sorted(set(kept)):
            self.add(start, end)

    def missing(self, since: int, until: int) -> list[tuple[int, int]]:
        """The parts of ``[since, until)`` that are not included, oldest first."""
        found = []
        at = since
        index = bisect_right(self._ends, since)
        while at < until and index < len(self._starts) and self._starts[index] < until:
            if self._starts[index] > at:
                found.append((at, self._starts[index]))
            at = max(at, self._ends[index])
            index += 1
        if at < until:
            found.append((at, until))
        return found


class CoverageMap:
    """What each agent recorded of each kind. Not safe for threads; its owner locks."""

    def __init__(self) -> None:
        self._map: dict[tuple[str, str], Intervals] = {}
        self.refused = 0
        """Pairs that did not fit into :data:`MAX_KEYS`."""

    def add(self, agent: str, intervals: Iterable[Coverage]) -> None:
        """``agent`` recorded all of ``intervals``."""
        for interval in intervals:
            key = (agent, interval.kind)
            held = self._map.get(key)
            if held is None:
                if len(self._map) >= MAX_KEYS:
                    self.refused += 1
                    continue
                held = self._map[key] = Intervals()
            held.add(interval.since_ns, interval.until_ns)

    def forget(self, since: int, until: int, agents: Iterable[str] | None = None) -> None:
        """Nothing of ``[since, until)`` is recorded any more (of ``agents``; of all when None)."""
        chosen = None if agents is None else set(agents)
        for (agent, _), held in self._map.items():
            if chosen is None or agent in chosen:
                held.remove(since, until)

    def agents(self) -> list[str]:
        """Every agent that ever recorded something, sorted."""
        return sorted({agent for agent, _ in self._map})

    def items(self) -> Iterator[tuple[str, Coverage]]:
        """(agent, interval), for writing down."""
        for (agent, kind), held in self._map.items():
            for since, until in held:
                yield agent, Coverage(kind=kind, since_ns=since, until_ns=until)

    def cut(self, since: int, until: int) -> Iterator[tuple[str, Coverage]]:
        """What of :meth:`items` lies in ``[since, until)``."""
        for agent, interval in list(self.items()):
            low, high = max(since, interval.since_ns), min(until, interval.until_ns)
            if low < high:
                yield agent, Coverage(kind=interval.kind, since_ns=low, until_ns=high)

    def of(self, agent: str, kind: str) -> Intervals:
        """What ``agent`` recorded of ``kind``: told for the kind itself or for the whole profile (``*``)."""
        both = Intervals()
        for name in {kind, "*"}:
            for since, until in self._map.get((agent, name), ()):
                both.add(since, until)
        return both

    def gaps(
        self, agents: Iterable[str], kinds: Iterable[str], since: int, until: int
    ) -> tuple[list[Gap], int | None, int | None]:
        """``(gaps, recorded_since, recorded_until)`` for all of ``agents`` and ``kinds`` in ``[since, until)``.

        The end is judged as far as each has reported: the time after an agent's last interval is no gap but moves ``recorded_until`` back.
        """
        gaps: list[Gap] = []
        starts: list[int] = []
        ends: list[int] = []
        for agent in agents:
            for kind in kinds:
                held = self.of(agent, kind)
                end = held.end
                if end is None or end <= since:
                    gaps.append(Gap(agent=agent, kind=kind, since_ns=since, until_ns=until))
                    ends.append(since if end is None else end)
                    starts.append(until)
                    continue
                missing = held.missing(since, min(until, end))
                gaps.extend(Gap(agent=agent, kind=kind, since_ns=low, until_ns=high) for low, high in missing)
                starts.append(missing[-1][1] if missing else since)
                ends.append(min(until, end))
        gaps.sort(key=lambda gap: (gap.since_ns, gap.agent, gap.kind))
        return gaps, max(starts, default=None), min(ends, default=None)
