"""What the store does on its own: seals closed segments, compacts parts into hours, drops what is too old or too much."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from phalanx.store.events.engine import Engine
from phalanx.store.events.hot import HotSegment
from phalanx.store.events.live import Live
from phalanx.store.events.options import LogOptions
from phalanx.store.events.parts import HOUR_NS, Manifest, write_durably
from phalanx.store.events.seal import compact, seal

__all__ = ["Maintenance", "Retained"]

_CLOCK_STEP_NS: Final = HOUR_NS
_AFTER_STEP_S: Final = 86_400.0
_AHEAD_NS: Final = 24 * HOUR_NS
_HOUR_IS_OVER_NS: Final = 300_000_000_000


class Retained(Struct, frozen=True, kw_only=True):
    """The file ``retained.json``: written before anything is dropped, so that a store never claims what it may have deleted."""

    since_ns: int
    """Nothing older is claimed."""


class Maintenance:
    """One round after the other, by one thread."""

    def __init__(
        self,
        live: Live,
        engine: Engine,
        options: LogOptions,
        next_number: Callable[[], int],
        *,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live = live
        self._engine = engine
        self._options = options
        self._next_number = next_number
        self._clock = clock
        self._monotonic = monotonic
        self._last = (clock(), monotonic())
        self._no_retention_until = 0.0
        self.sealed = 0
        self.compacted = 0
        self.dropped = 0
        self.clock_steps = 0
        """Times the wall clock went another way than the monotonic one by more than an hour; retention by age rests for a day then."""
        self.retained_path = live.directory.root / "retained.json"

    def load_retained(self) -> int | None:
        """Up to when things may have been dropped; None when never."""
        try:
            return msgspec.json.decode(self.retained_path.read_bytes(), type=Retained).since_ns
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # Written by rename, so only a broken disk gets here; the claim that remains is the smaller one.
            return min((part.since_ns for part in self._live.parts()), default=None)

    def seal(self, segment: HotSegment) -> Sequence[Manifest]:
        """Seals a closed segment, or removes it when it is empty."""
        if not segment.batches():
            self._live.add_parts((), instead_of_segment=segment.number)
            segment.path.unlink(missing_ok=True)
            return ()
        parts = seal(segment, self._engine, self._live.directory, self._next_number, self._clock())
        self._live.add_parts(parts, instead_of_segment=segment.number)
        segment.path.unlink(missing_ok=True)
        self.sealed += 1
        return parts

    def compact(self) -> bool:
        """Makes one part out of some; False when there is nothing to gain."""
        old = self._candidates()
        if not old:
            return False
        made = compact(
            old,
            self._engine,
            self._live.directory,
            self._next_number(),
            max_batches=self._options.known_batches,
        )
        self._live.add_parts([made], instead_of=old)
        for part in old:
            self._live.directory.delete_manifest(part.name)
        self.compacted += 1
        return True

    def _candidates(self) -> list[Manifest]:
        now = self._clock()
        parts = sorted(self._live.parts(), key=lambda part: (part.hour, part.number))
        for hour, group in itertools.groupby(parts, key=lambda part: part.hour):
            small = [part for part in group if part.rows < self._options.compact_rows // 2]
            over = now > (hour + 1) * HOUR_NS + _HOUR_IS_OVER_NS
            need = 2 if over else self._options.compact_after
            # Like sizes are merged with each other, so that a running hour is not rewritten for each few new rows.
            for level in sorted({part.level for part in small}) if not over else [-1]:
                chosen = []
                rows = 0
                for part in small:
                    if (
                        level in (-1, part.level)
                        and rows + part.rows <= self._options.compact_rows
                        and self._is_settled(part)
                    ):
                        chosen.append(part)
                        rows += part.rows
                if len(chosen) >= need:
                    return chosen
        return []

    def _is_settled(self, part: Manifest) -> bool:
        """Whether the segment it was sealed from is surely gone (else its count of parts must stay right)."""
        return part.segment is None or not self.segment_path(part.segment).exists()

    def segment_path(self, number: int) -> Path:
        """Where the segment ``number`` lies."""
        from phalanx.store.events.segment import segment_name

        return self._live.directory.root / "hot" / segment_name(number)

    def retain(self) -> None:
        """Drops parts by age and by size."""
        now, mono = self._clock(), self._monotonic()
        last_now, last_mono = self._last
        self._last = (now, mono)
        if abs((now - last_now) - (mono - last_mono) * 1e9) > _CLOCK_STEP_NS:
            self.clock_steps += 1
            self._no_retention_until = mono + _AFTER_STEP_S
        parts = sorted(self._live.parts(), key=lambda part: part.until_ns)
        doomed: list[Manifest] = []
        if mono >= self._no_retention_until:
            cutoff = now - int(self._options.retention_s * 1e9)
            # Events of a clock that was never set are kept as long as others; those of one far ahead do not stay for ever.
            doomed = [
                part
                for part in parts
                if part.stored_ns <= cutoff and (part.until_ns <= cutoff or part.until_ns > part.stored_ns + _AHEAD_NS)
            ]
        total = sum(part.bytes for part in parts) - sum(part.bytes for part in doomed)
        for part in [part for part in parts if part not in doomed]:
            if total <= self._options.max_bytes:
                break
            doomed.append(part)
            total -= part.bytes
        if doomed:
            self.drop(doomed)

    def drop(self, parts: Sequence[Manifest]) -> None:
        """Drops ``parts``; nothing before the end of the latest of them is claimed afterwards (of those that are not ahead of the clock)."""
        now = self._clock()
        ahead = [part for part in parts if part.until_ns > now]
        ends = [part.until_ns for part in parts if part.until_ns <= now]
        since = max(ends, default=None)
        before = self.load_retained()
        if since is not None and (before is None or since > before):
            write_durably(self.retained_path, msgspec.json.encode(Retained(since_ns=since)))
        for part in parts:
            self._live.directory.delete_manifest(part.name)
        # What claims to be of the future says nothing of how far back the rest reaches.
        self._live.drop(ahead, lost=True)
        self._live.drop([part for part in parts if part.until_ns <= now], recorded_before_ns=since)
        self.dropped += len(parts)
