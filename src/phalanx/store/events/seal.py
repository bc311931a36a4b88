"""Sealing and compaction: sorted zstd Parquet written beside, made durable, and only then told by a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from phalanx.model.columns import BatchHeader
from phalanx.store.events.coverage import CoverageMap
from phalanx.store.events.engine import Engine, text_literal
from phalanx.store.events.hot import HotBatch, HotSegment, loss_notes
from phalanx.store.events.parts import HOUR_NS, AgentCoverage, LossNote, Manifest, PartDirectory, file_sum
from phalanx.store.events.segment import sync_directory

if TYPE_CHECKING:
    import duckdb

__all__ = ["MAX_HOURS", "compact", "known_name", "seal"]

MAX_HOURS: Final = 24
"""Parts that one segment is cut into; what a confused clock spreads over more hours stays together in the last."""

MAX_LOSS_NOTES: Final = 10_000
_ROW_GROUP: Final = 65_536
_ORDER: Final = "kind, ts_ns"
_SEAL_LEVEL: Final = 1
"""Of zstd: a fresh part is written while events come in and is soon compacted."""
_COMPACT_LEVEL: Final = 3


def seal(
    segment: HotSegment,
    engine: Engine,
    parts: PartDirectory,
    next_number: Callable[[], int],
    now_ns: int,
) -> list[Manifest]:
    """Writes a closed segment as parts, one for each hour, and commits them; the segment's file may be deleted afterwards.

    Raises:
        OSError, duckdb.Error: nothing is committed, or not all of it, which the next start undoes.
    """
    for manifest in segment.committed:  # of a former attempt that failed half way
        parts.delete(manifest)
    segment.committed.clear()
    batches = segment.batches()
    with engine.cursor() as cursor:
        cursor.register("hot_events", segment.events(batches))
        cursor.register("hot_processes", segment.processes(batches))
        hours = [
            row[0]
            for row in cursor.execute(
                f"SELECT ts_ns // {HOUR_NS} AS h, count(*) FROM hot_events GROUP BY h ORDER BY count(*) DESC, h",
            ).fetchall()
        ]
        groups: list[list[int]] = [[hour] for hour in hours[: MAX_HOURS - 1]]
        if hours[MAX_HOURS - 1 :]:
            groups.append(hours[MAX_HOURS - 1 :])
        of = max(1, len(groups))
        bare = [
            _seal_hours(cursor, segment, batches, group, parts, next_number(), of, now_ns) for group in groups or [[]]
        ]
    manifests = _with_whole(bare, groups, batches)
    for manifest in manifests:
        segment.committed.append(manifest)
        parts.commit(manifest)
    segment.committed.clear()
    return manifests


def _seal_hours(
    cursor: duckdb.DuckDBPyConnection,
    segment: HotSegment,
    batches: Sequence[HotBatch],
    hours: Sequence[int],
    parts: PartDirectory,
    number: int,
    of: int,
    now_ns: int,
) -> Manifest:
    name = f"{number:012d}"
    where = f"ts_ns // {HOUR_NS} IN ({', '.join(map(str, hours))})" if hours else "false"

    def key(column: str) -> str:
        """With several parts each gets its own copy of the processes, under its own keys."""
        own = f"CASE WHEN {column} < 0 THEN {column} ELSE ({number}::BIGINT << 32) | ({column} & 4294967295) END"
        return column if of == 1 else own

    events, processes = parts.names(name)
    _copy(
        cursor,
        f"SELECT * REPLACE ({key('proc')} AS proc) FROM hot_events WHERE {where} ORDER BY {_ORDER}",
        events,
        _SEAL_LEVEL,
    )
    _copy(
        cursor,
        f"SELECT * REPLACE ({key('proc')} AS proc, {key('proc_parent')} AS proc_parent) FROM hot_processes ORDER BY proc",
        processes,
        _SEAL_LEVEL,
    )
    return _describe(
        cursor,
        name=name,
        number=number,
        events=events,
        processes=processes,
        fallback=batches[0].since_ns,
        stored_ns=now_ns,
        segment=segment.number,
        of=of,
    )


def _copy(cursor: duckdb.DuckDBPyConnection, select: str, path: Path, level: int) -> None:
    temporary = path.with_name(path.name + ".tmp")
    options = f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {level}, ROW_GROUP_SIZE {_ROW_GROUP})"
    cursor.execute(f"COPY ({select}) TO {text_literal(str(temporary))} {options}")
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(path)
    sync_directory(path.parent)


def _describe(
    cursor: duckdb.DuckDBPyConnection,
    *,
    name: str,
    number: int,
    events: Path,
    processes: Path,
    fallback: int,
    **more: Any,
) -> Manifest:
    source = f"read_parquet({text_literal(str(events))})"
    bounds = cursor.execute(f"SELECT min(ts_ns), max(ts_ns), count(*) FROM {source}").fetchone() or (None, None, 0)
    kinds = dict(cursor.execute(f"SELECT kind, count(*) FROM {source} GROUP BY kind ORDER BY kind").fetchall())
    agents = [row[0] for row in cursor.execute(f"SELECT DISTINCT agent FROM {source} ORDER BY agent").fetchall()]
    count = cursor.execute(f"SELECT count(*) FROM read_parquet({text_literal(str(processes))})").fetchone() or (0,)
    return Manifest(
        name=name,
        number=number,
        since_ns=fallback if bounds[0] is None else bounds[0],
        until_ns=fallback if bounds[1] is None else bounds[1] + 1,
        rows=bounds[2],
        processes=count[0],
        agents=tuple(agents),
        kinds=kinds,
        events=file_sum(events),
        process=file_sum(processes),
        **more,
    )


def _with_whole(
    manifests: Sequence[Manifest], groups: Sequence[Sequence[int]], batches: Sequence[HotBatch]
) -> list[Manifest]:
    """``manifests`` with what the batches tell: each part covers its own hours, so that a part which is lost takes its coverage with it; all
    else is in the first."""
    covered = CoverageMap()
    losses: list[LossNote] = []
    for hot in batches:
        covered.add(hot.batch.header.agent, hot.batch.header.coverage)
        losses.extend(loss_notes(hot.batch))
    described = []
    for manifest, hours in list(zip(manifests, groups, strict=False))[1:]:
        own = CoverageMap()
        for hour in hours:
            for agent, interval in covered.cut(hour * HOUR_NS, (hour + 1) * HOUR_NS):
                own.add(agent, (interval,))
            covered.forget(hour * HOUR_NS, (hour + 1) * HOUR_NS)
        described.append(msgspec.structs.replace(manifest, coverage=_coverage_of(own)))
    first = msgspec.structs.replace(
        manifests[0],
        batches=tuple(known_name(hot.batch.header) for hot in batches),
        coverage=_coverage_of(covered),
        losses=tuple(losses[-MAX_LOSS_NOTES:]),
    )
    return [first, *described]


def known_name(header: BatchHeader) -> str:
    """Under what a batch is recognised when it comes again: no agent can name another's."""
    return f"{header.agent}/{header.batch}"


def _coverage_of(covered: CoverageMap) -> tuple[AgentCoverage, ...]:
    by_agent: dict[str, list[Any]] = {}
    for agent, interval in covered.items():
        by_agent.setdefault(agent, []).append(interval)
    return tuple(
        AgentCoverage(agent=agent, intervals=tuple(intervals)) for agent, intervals in sorted(by_agent.items())
    )


def compact(
    old: Sequence[Manifest],
    engine: Engine,
    parts: PartDirectory,
    number: int,
    *,
    max_batches: int,
) -> Manifest:
    """Makes one part out of ``old`` (keys do not collide) and commits it; the old ones may be deleted afterwards."""
    name = f"{number:012d}"
    events, processes = parts.names(name)
    paths = {
        which: ", ".join(text_literal(str(parts.path(manifest, which))) for manifest in old)
        for which in ("events", "process")
    }
    covered = CoverageMap()
    losses: list[LossNote] = []
    batches: list[str] = []
    kinds: Counter[str] = Counter()
    replaces = [manifest.name for manifest in old]
    for manifest in sorted(old, key=lambda manifest: manifest.number):
        for one in manifest.coverage:
            covered.add(one.agent, one.intervals)
        losses.extend(manifest.losses)
        batches.extend(manifest.batches)
        kinds.update(manifest.kinds)
        replaces.extend(name for name in manifest.replaces if parts.exists(name))
    with engine.cursor() as cursor:
        _copy(cursor, f"SELECT * FROM read_parquet([{paths['events']}]) ORDER BY {_ORDER}", events, _COMPACT_LEVEL)
        _copy(cursor, f"SELECT * FROM read_parquet([{paths['process']}]) ORDER BY proc", processes, _COMPACT_LEVEL)
        manifest = _describe(
            cursor,
            name=name,
            number=number,
            events=events,
            processes=processes,
            fallback=min(one.since_ns for one in old),
            stored_ns=max(one.stored_ns for one in old),
            level=max(one.level for one in old) + 1,
            replaces=tuple(replaces),
            batches=tuple(batches[-max_batches:]),
            coverage=_coverage_of(covered),
            losses=tuple(losses[-MAX_LOSS_NOTES:]),
        )
    if manifest.rows != sum(one.rows for one in old):
        raise RuntimeError("compaction has lost rows")
    parts.commit(manifest)
    return manifest
