"""The log-structured event store: the member that needs nothing but a directory.

Files under its root::

    hot/000000000007.arrows         segments: Arrow IPC streams, appended to (``segment``)
    parts/000000000009.*.parquet    parts: sorted, compressed, never changed (``parts``, ``seal``)
    manifests/000000000009.json     what makes a part exist
    retained.json                   before when things may have been dropped
    corrupt/                        what was set aside
    tmp/                            what the engine spills
    LOCK                            held by the one process that writes

An acknowledgement means: written and fsynced in a segment. Everything after it (sealing, compaction) can be cut off at any instant.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from phalanx.errors import NotFoundError, UnavailableError, UsageError
from phalanx.language.query import EventQuery
from phalanx.model.event import Event
from phalanx.model.ids import parse_event_id
from phalanx.store.events import ask, point
from phalanx.store.events.engine import Engine
from phalanx.store.events.facts import fact_table
from phalanx.store.events.hot import HotSegment
from phalanx.store.events.interface import (
    Ack,
    Answer,
    Cancel,
    Completeness,
    EventStore,
    FactSource,
    StoreStatistics,
)
from phalanx.store.events.live import Live, Snapshot
from phalanx.store.events.maintain import Maintenance
from phalanx.store.events.options import LogOptions
from phalanx.store.events.parts import PartDirectory
from phalanx.store.events.schema import COLUMNS
from phalanx.store.events.seal import known_name
from phalanx.store.events.segment import SegmentReader, segment_name, segment_number, sync_directory
from phalanx.store.events.sql import Sources, flat
from phalanx.store.events.wrap import read_header, wrap
from phalanx.store.events.writer import HotWriter

__all__ = ["LogEventStore"]


class LogEventStore(EventStore):
    """An :class:`EventStore` in a directory of its own."""

    def __init__(
        self,
        root: Path,
        *,
        options: LogOptions | None = None,
        facts: FactSource | None = None,
        clock: Callable[[], int] = time.time_ns,
        maintain: bool = True,
    ) -> None:
        """Opens the store, recovering what a sudden end has left.

        Args:
            root: its directory; made when it is not there.
            facts: where container facts come from; None: all of them are UNKNOWN.
            maintain: seal, compact and drop on its own; False: only by :meth:`maintain`.

        Raises:
            UnavailableError: another process has it open, or the directory cannot be written.
        """
        self._options = options or LogOptions()
        self._facts = facts
        self._clock = clock
        self._ended = threading.Event()
        try:
            self._directory = PartDirectory(root)
            self._hot = root / "hot"
            self._hot.mkdir(exist_ok=True)
            self._lock_file = self._take_lock(root)
        except OSError as error:
            raise UnavailableError(f"the event store {root} cannot be opened: {error.strerror or error}") from error
        self._numbers = threading.Lock()
        self._number = 0
        self._engine = Engine(
            root,
            name="ask",
            memory_bytes=self._options.memory_bytes,
            temporary_bytes=self._options.temporary_bytes,
            threads=self._options.threads,
        )
        # Of its own, with one thread, so that sealing leaves a core to those that answer questions. (A lower priority would be worse: on
        # a busy host sealing would starve, and batches would wait.)
        self._sealer = Engine(
            root,
            name="seal",
            memory_bytes=self._options.seal_memory_bytes,
            temporary_bytes=self._options.temporary_bytes,
            threads=1,
        )
        self._live = Live(self._directory)
        self._wake = threading.Event()
        self._round = threading.Lock()
        self._writer = HotWriter(
            self._hot, self._live, self._options, self._next_number, clock=clock, on_closed=self._wake.set
        )
        self._maintenance = Maintenance(self._live, self._sealer, self._options, self._next_number, clock=clock)
        self._cut_bytes = 0
        self._corrupt_batches = 0
        self._failures = 0
        self._last_failure = ""
        self._recover()
        self._writer.start()
        self._maintainer: threading.Thread | None = None
        if maintain:
            self._maintainer = threading.Thread(
                target=self._maintain_always, name="event-store-maintenance", daemon=True
            )
            self._maintainer.start()

    @staticmethod
    def _take_lock(root: Path) -> int:
        fd = os.open(root / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise UnavailableError(
                f"another process has the event store {root} open",
                hint="one hub writes to a state directory; stop the other one or give this one its own",
            ) from error
        return fd

    def _next_number(self) -> int:
        with self._numbers:
            self._number += 1
            return self._number

    def _recover(self) -> None:
        files = {number: path for path in self._hot.iterdir() if (number := segment_number(path)) is not None}
        manifests = self._directory.load(set(files))
        self._number = max([0, *files, *(manifest.number for manifest in manifests), *self._numbers_set_aside()])
        for manifest in manifests:
            for name in manifest.batches:
                self._writer.know(name, 0)
        self._live.add_parts(manifests)
        for broken in self._directory.set_aside:
            self._live.forget(broken.since_ns, broken.until_ns, broken.agents)
        sealed = self._directory.sealed_segments(manifests)
        for number in sorted(files):
            if number in sealed:
                files[number].unlink()
            else:
                self._recover_segment(number, files[number])
        retained = self._maintenance.load_retained()
        if retained is not None:
            self._live.forget(-(2**63), retained)

    def _numbers_set_aside(self) -> Iterator[int]:
        if self._directory.aside.exists():
            for path in self._directory.aside.iterdir():
                stem = path.name.partition(".")[0]
                if stem.isdigit():
                    yield int(stem)

    def _recover_segment(self, number: int, path: Path) -> None:
        reader = SegmentReader(path)
        segment = HotSegment(number, path)
        self._live.add_segment(segment)
        for recovered in reader.read():
            header = recovered.batch.header
            if not self._writer.know(known_name(header), header.rows):
                continue
            self._writer.position += 1
            self._live.add_batch(segment.add(recovered.batch, self._writer.position, recovered.received_ns))
        self._corrupt_batches += reader.corrupt
        if reader.cut_bytes:
            self._cut_bytes += reader.cut_bytes
            with path.open("r+b") as file:
                file.truncate(reader.good_end)
                os.fsync(file.fileno())
            sync_directory(path.parent)
        self._writer.closed_segments.append(segment)
        self._wake.set()

    # --- appending -------------------------------------------------------------------------------------------------

    def submit(self, block: bytes | bytearray | memoryview) -> Future[Ack]:
        """See :meth:`EventStore.submit`. ``block`` must not change afterwards."""
        if self._ended.is_set():
            raise UnavailableError("the event store is closed")
        header = read_header(block)
        return self._writer.submit(wrap(block, header=header))

    # --- asking ----------------------------------------------------------------------------------------------------

    def query(self, query: EventQuery, *, time_limit_s: float = 10.0, cancel: Cancel | None = None) -> Answer:
        """See :meth:`EventStore.query`."""
        started = time.monotonic_ns()
        plan = ask.plan_of(query)
        until = query.until_ns if query.until_ns is not None else 2**63 - 1
        since = query.since_ns if query.since_ns is not None else -(2**63)
        counting = bool(query.group_by or query.bucket_ns)
        undecided = None
        cursor_text = None
        with (
            self._checked() as snapshot,
            self._engine.cursor(time_limit_s=time_limit_s, cancel=cancel) as cursor,
        ):
            if counting:
                sources = self._sources(plan, snapshot, since, until)
                scanned = sources.rows
                table, undecided = self._counts(cursor, plan, sources, since, until)
            else:
                table, scanned, cursor_text = self._rows(cursor, plan, snapshot, since, until)
        return Answer(
            table=table,
            completeness=self._completeness(query, plan, undecided),
            cursor=cursor_text,
            scanned=scanned,
            took_ns=time.monotonic_ns() - started,
        )

    def _counts(
        self, cursor: Any, plan: ask.Plan, sources: Sources, since: int, until: int
    ) -> tuple[pa.Table, int | None]:
        if not sources.events and not sources.hot_events:
            return ask.empty_counts(plan), 0 if plan.where is not None else None
        sources = ask.register(cursor, sources, plan.query.text)
        table = self._fetch(cursor, *ask.count_plan(plan, sources, since, until))
        more = None if plan.query.undecided else ask.undecided_sql(plan, sources, since, until)
        if more is None:
            return table, None
        row = cursor.execute(*more).fetchone()
        return table, 0 if row is None else int(row[0])

    def _rows(
        self, cursor: Any, plan: ask.Plan, snapshot: Snapshot, since: int, until: int
    ) -> tuple[pa.Table, int, str | None]:
        limit = plan.query.limit
        pieces: list[pa.Table] = []
        scanned = found = 0
        for low, high in ask.windows(plan, snapshot.spans(), since, until):
            sources = self._sources(plan, snapshot, low, high)
            if not sources.events and not sources.hot_events:
                continue
            scanned += sources.rows
            sources = ask.register(cursor, sources, plan.query.text)
            keys = self._fetch(cursor, *ask.key_plan(plan, sources, low, high, limit + 1 - found))
            pieces.append(keys)
            found += keys.num_rows
            if found > limit:
                break
        if not found:
            return ask.empty_rows(plan), scanned, None
        keys = pa.concat_tables(pieces)
        more = keys.num_rows > limit
        keys = keys.slice(0, limit)
        times = pc.min_max(keys.column("ts_ns")).as_py()
        sources = self._sources(plan, snapshot, times["min"], times["max"] + 1, rows=True)
        ask.register(cursor, sources)
        cursor.register("found", keys)
        table = self._fetch(cursor, *ask.row_plan(plan, sources, keys))
        last = keys.slice(keys.num_rows - 1, 1).to_pylist()[0]
        return table, scanned, ask.write_cursor([last["ts_ns"], last["agent"], last["seq"]]) if more else None

    @staticmethod
    def _fetch(cursor: Any, sql: str, parameters: Sequence[Any]) -> pa.Table:
        return cursor.sql(sql, params=parameters).to_arrow_table()

    def _sources(self, plan: ask.Plan, snapshot: Snapshot, since: int, until: int, *, rows: bool = False) -> Sources:
        counting = bool(plan.query.group_by or plan.query.bucket_ns)
        names = set(plan.where.columns) if plan.where is not None else set()
        if counting or rows:
            names |= {name for _, output in plan.outputs for name in output.columns}
        joined = {COLUMNS[name].source for name in names if name in COLUMNS}
        sources = snapshot.sources(
            since,
            until,
            plan.kinds,
            plan.query.agents,
            processes=bool(joined & {"process", "container"} or plan.query.text),
        )
        if "container" not in joined:
            return sources
        told = () if self._facts is None else self._facts(max(since, 0), until)
        return Sources(
            events=sources.events,
            processes=sources.processes,
            hot_events=sources.hot_events,
            hot_processes=sources.hot_processes,
            facts=fact_table(told),
            rows=sources.rows,
        )

    @contextlib.contextmanager
    def _checked(self) -> Iterator[Snapshot]:
        """A snapshot; when the engine stumbles over a part whose bytes are wrong, that part is set aside and the caller is told to ask again."""
        import duckdb

        if self._ended.is_set():
            raise UnavailableError("the event store is closed")
        with self._live.snapshot() as snapshot:
            try:
                yield snapshot
            except (duckdb.InterruptException, duckdb.OutOfMemoryException):
                raise
            except duckdb.Error as error:
                bad = self._set_broken_aside(snapshot)
                if not bad:
                    raise UsageError(f"the engine refuses this question: {str(error)[:300]}") from error
                raise UnavailableError(
                    "stored events were damaged on the disk and have been set aside",
                    hint=f"ask again: the answer names the gap. {'; '.join(bad)[:500]}",
                ) from error

    def _set_broken_aside(self, snapshot: Snapshot) -> list[str]:
        bad = []
        for part in snapshot.parts:
            wrong = self._directory.full_check(part)
            if wrong and any(live.name == part.name for live in self._live.parts()):
                self._directory.put_aside(part)
                self._live.drop([part], lost=True)
                bad.append(wrong)
        return bad

    def completeness(self, query: EventQuery) -> Completeness:
        """See :meth:`EventStore.completeness`."""
        return self._completeness(query, ask.plan_of(query), None)

    def _completeness(self, query: EventQuery, plan: ask.Plan, undecided: int | None) -> Completeness:
        until = query.until_ns if query.until_ns is not None else self._clock()
        return self._live.completeness(
            agents=query.agents,
            kinds=[kind for kind in plan.kinds if kind != "none"],
            since=query.since_ns,
            until=until,
            undecided=undecided,
        )

    def get(self, event_id: str) -> Event:
        """See :meth:`EventStore.get`."""
        try:
            ts_ns, agent, seq = parse_event_id(event_id)
        except ValueError as error:
            raise NotFoundError(f"{event_id[:80]!r} is no id of an event") from error
        with self._checked() as snapshot, self._engine.cursor(time_limit_s=10.0) as cursor:
            sources = snapshot.sources(ts_ns, ts_ns + 1, (), (agent,), processes=True)
            if sources.events or sources.hot_events:
                ask.register(cursor, sources)
                found = point.event(cursor, sources, ts_ns, agent, seq)
                if found is not None:
                    return found
        raise NotFoundError(f"the event {event_id} is not stored (any more)")

    def tail(self, after: int, *, columns: Sequence[str] = (), limit: int = 1000) -> tuple[pa.Table, int, int]:
        """See :meth:`EventStore.tail`."""
        names = list(columns) or list(ask.ROW_COLUMNS)
        position = self._writer.position
        fresh = []
        if 0 < after < position:
            for segment in self._live.segments():
                fresh += [(segment, hot) for hot in segment.batches() if after < hot.position <= position]
        seen = len({hot.position for _, hot in fresh})
        skipped_batches = (position - after - seen) if 0 < after < position else 0
        fresh.sort(key=lambda pair: -pair[1].position)
        chosen = []
        rows = skipped = 0
        for pair in fresh:
            count = pair[1].batch.event.num_rows
            if rows >= limit:
                skipped += count
                continue
            chosen.append(pair)
            rows += count
        if not chosen:
            return pa.table({name: pa.array([], pa.string()) for name in names}), position, skipped + skipped_batches
        tables = point.tables([hot for _, hot in chosen])
        facts = None
        if any(COLUMNS[name].source == "container" for name in names if name in COLUMNS):
            low = min(hot.since_ns for _, hot in chosen)
            facts = fact_table(() if self._facts is None else self._facts(low, self._clock()))
        sources = Sources(
            hot_events={"tail_events": tables[0]}, hot_processes={"tail_processes": tables[1]}, facts=facts
        )
        with self._engine.cursor(time_limit_s=10.0) as cursor:
            ask.register(cursor, sources)
            selected = ", ".join(names)
            text = (
                f"SELECT {selected} FROM (SELECT * FROM ({flat(sources, names, ())}) ORDER BY ts_ns DESC, agent DESC, seq DESC LIMIT {int(limit)}) "
                "ORDER BY ts_ns, agent, seq"
            )
            table = self._fetch(cursor, text, ())
        return table, position, skipped + skipped_batches + max(0, rows - table.num_rows)

    def wait(self, after: int, timeout_s: float) -> bool:
        """See :meth:`EventStore.wait`."""
        return self._writer.wait(after, timeout_s)

    # --- on its own ------------------------------------------------------------------------------------------------

    def rotate(self) -> None:
        """Closes the open segment soon, so that the next round seals it."""
        self._writer.rotate()

    def maintain(self) -> None:
        """One round: seals what is closed, compacts, drops what is too old or too much.

        Raises:
            OSError, duckdb.Error: the round ended early; nothing is lost, the next one begins again.
        """
        with self._round:
            while self._writer.closed_segments and not self._ended.is_set():
                self._maintenance.seal(self._writer.closed_segments[0])
                self._writer.closed_segments.popleft()
                pa.default_memory_pool().release_unused()
            while not self._ended.is_set() and self._maintenance.compact():
                pass
            self._maintenance.retain()

    def _maintain_always(self) -> None:
        import duckdb

        while not self._ended.is_set():
            self._wake.wait(self._options.maintenance_s)
            self._wake.clear()
            if self._ended.is_set():
                return
            try:
                self.maintain()
            except (OSError, duckdb.Error, RuntimeError, pa.ArrowException) as error:
                self._failures += 1
                self._last_failure = f"{type(error).__name__}: {error}"[:500]
                # Not again at once: a full disk does not get better by trying.
                if not self._ended.is_set():
                    time.sleep(min(1.0, self._options.maintenance_s))

    def verify(self) -> list[str]:
        """See :meth:`EventStore.verify`."""
        with self._live.snapshot() as snapshot:
            found = self._set_broken_aside(snapshot)
            for segment, _ in snapshot.hot:
                if segment.path.exists():
                    reader = SegmentReader(segment.path)
                    count = sum(1 for _ in reader.read())
                    if reader.corrupt:
                        found.append(
                            f"{segment.path.name}: {reader.corrupt} batches of {count + reader.corrupt} have a wrong checksum on the disk"
                        )
        return found

    def statistics(self) -> StoreStatistics:
        """See :meth:`EventStore.statistics`."""
        parts = self._live.parts()
        segments = self._live.segments()
        hot = sum(segment.rows for segment in segments)
        full = [(part.since_ns, part.until_ns) for part in parts if part.rows]
        full += [
            (batch.since_ns, batch.until_ns)
            for segment in segments
            for batch in segment.batches()
            if batch.batch.event.num_rows
        ]
        size = sum(part.bytes for part in parts)
        for segment in segments:
            with contextlib.suppress(FileNotFoundError):
                size += (self._hot / segment_name(segment.number)).stat().st_size
        return StoreStatistics(
            events=hot + sum(part.rows for part in parts),
            hot_events=hot,
            segments=len(segments),
            parts=len(parts),
            bytes_on_disk=size,
            oldest_ns=min((low for low, _ in full), default=None),
            newest_ns=max((high - 1 for _, high in full), default=None),
            batches=self._writer.batches,
            duplicates=self._writer.duplicates,
            refused=self._writer.refused,
            syncs=self._writer.syncs,
            cut_bytes=self._cut_bytes,
            corrupt_batches=self._corrupt_batches,
            corrupt_parts=len(self._directory.set_aside) + len(self._directory.unreadable),
            sealed=self._maintenance.sealed,
            compacted=self._maintenance.compacted,
            dropped_parts=self._maintenance.dropped,
            clock_steps=self._maintenance.clock_steps,
            failures=self._failures,
            last_failure=self._last_failure,
        )

    def close(self) -> None:
        """See :meth:`EventStore.close`."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._wake.set()
        self._writer.close()
        if self._maintainer is not None:
            self._maintainer.join()
        self._engine.close()
        self._sealer.close()
        os.close(self._lock_file)
