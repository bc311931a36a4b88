"""Disks that are full, bytes that change, files that vanish, clocks that jump: said, counted, and nothing else is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance.event_samples import AGENT, HOUR, SECOND, T0, batch_of, samples

from phalanx.bus.spool import Spool
from phalanx.errors import UnavailableError
from phalanx.language.query import EventQuery
from phalanx.store.events.log import LogEventStore
from phalanx.store.events.options import LogOptions
from phalanx.store.events.segment import SCHEMA_MESSAGE

NOW = T0 + 50 * HOUR


def open_store(root: Path, *, clock: Callable[[], int] = lambda: NOW, **options: float) -> LogEventStore:
    return LogEventStore(root, options=LogOptions(**{"retention_s": 1e9, **options}), clock=clock, maintain=False)  # type: ignore[arg-type]


def fill(store: LogEventStore, count: int, *, step: int = SECOND) -> None:
    """``count`` batches of ten events, one after the other in time, without gaps."""
    for number in range(count):
        start = T0 + number * 10 * step
        store.append(
            batch_of(
                samples(10, start=start, step=step, first_seq=number * 10),
                f"batch-{number}",
                since=start,
                until=start + 10 * step,
            )
        )


def seal(store: LogEventStore) -> None:
    store.rotate()
    deadline = time.monotonic() + 30
    while store.statistics().hot_events and time.monotonic() < deadline:
        store.maintain()
    assert store.statistics().hot_events == 0


def stored(store: LogEventStore) -> list[int]:
    return sorted(row["seq"] for row in store.query(EventQuery(fields=("seq",), limit=10_000)).rows())


def segment_of(root: Path) -> Path:
    return next((root / "hot").glob("*.arrows"))


# --- torn and changed segments ----------------------------------------------------------------------------------------


def test_a_segment_cut_at_any_place_keeps_its_whole_batches(tmp_path: Path) -> None:
    with open_store(tmp_path / "whole") as store:
        fill(store, 4)
    size = segment_of(tmp_path / "whole").stat().st_size
    step = (size - len(SCHEMA_MESSAGE)) // 4
    for cut in (
        0,
        3,
        len(SCHEMA_MESSAGE) - 1,
        len(SCHEMA_MESSAGE),
        len(SCHEMA_MESSAGE) + 5,
        size - step - 1,
        size - step,
        size - 8,
        size - 1,
    ):
        root = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "whole", root)
        os.truncate(segment_of(root), cut)
        with open_store(root) as store:
            whole = max(0, (cut - len(SCHEMA_MESSAGE)) // step)
            assert stored(store) == list(range(whole * 10)), cut
            kept = len(SCHEMA_MESSAGE) + whole * step if cut >= len(SCHEMA_MESSAGE) else 0
            assert store.statistics().cut_bytes == cut - kept
            store.append(batch_of(samples(1, first_seq=900, start=T0 + HOUR), "after"))
            seal(store)
            assert 900 in stored(store)


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_in_a_segment_costs_its_batch_and_shows_as_a_gap(tmp_path: Path, seed: int) -> None:
    with open_store(tmp_path) as store:
        fill(store, 5)
    path = segment_of(tmp_path)
    raw = bytearray(path.read_bytes())
    step = (len(raw) - len(SCHEMA_MESSAGE)) // 5
    # Not in the last message: there it could not be told from a write that was never acknowledged.
    place = random.Random(seed).randrange(len(SCHEMA_MESSAGE), len(SCHEMA_MESSAGE) + 4 * step)
    raw[place] ^= 0x40
    path.write_bytes(raw)
    hit = (place - len(SCHEMA_MESSAGE)) // step
    with open_store(tmp_path) as store:
        assert stored(store) == [seq for seq in range(50) if seq // 10 != hit]
        assert store.statistics().corrupt_batches == 1
        told = store.query(EventQuery(since_ns=T0, until_ns=T0 + 50 * SECOND)).completeness
        assert not told.complete
        assert [(gap.since_ns, gap.until_ns) for gap in told.gaps] == [
            (T0 + hit * 10 * SECOND, T0 + (hit + 1) * 10 * SECOND)
        ]
        again = store.append(batch_of(samples(10, start=T0 + hit * 10 * SECOND, first_seq=hit * 10), f"batch-{hit}"))
        assert not again.duplicate, "what is lost is taken again when its sender still has it"


def test_a_file_of_junk_among_the_segments_stops_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        fill(store, 2)
    (tmp_path / "hot" / "000000000099.arrows").write_bytes(random.Random(1).randbytes(50_000))
    with open_store(tmp_path) as store:
        assert stored(store) == list(range(20))
        assert store.statistics().corrupt_batches == 1
        fill(store, 3)
        assert stored(store) == list(range(30))


# --- changed and missing parts ----------------------------------------------------------------------------------------


def two_parts(root: Path) -> None:
    """Two hours, each in its part."""
    with open_store(root) as store:
        fill(store, 12, step=60 * SECOND)
        seal(store)
        assert store.statistics().parts >= 2


def test_a_part_of_the_wrong_size_is_set_aside_when_the_store_opens(tmp_path: Path) -> None:
    two_parts(tmp_path)
    victim = sorted((tmp_path / "parts").glob("*.events.parquet"))[0]
    os.truncate(victim, victim.stat().st_size - 100)
    with open_store(tmp_path) as store:
        assert store.statistics().corrupt_parts == 1
        left = stored(store)
        assert 0 < len(left) < 120
        told = store.query(EventQuery(since_ns=T0, until_ns=T0 + 120 * 60 * SECOND)).completeness
        assert not told.complete
        assert told.gaps
        assert (tmp_path / "corrupt" / victim.name).exists()


@pytest.mark.parametrize("which", ["events", "processes"])
def test_a_flipped_byte_in_a_part_is_found_by_verify_and_shows_as_a_gap(tmp_path: Path, which: str) -> None:
    two_parts(tmp_path)
    victim = sorted((tmp_path / "parts").glob(f"*.{which}.parquet"))[-1]
    raw = bytearray(victim.read_bytes())
    raw[len(raw) // 3] ^= 1
    victim.write_bytes(raw)
    with open_store(tmp_path) as store:
        found = store.verify()
        assert len(found) == 1
        assert victim.name in found[0]
        assert store.verify() == [], "it is set aside"
        assert not store.query(EventQuery(since_ns=T0, until_ns=T0 + 120 * 60 * SECOND)).completeness.complete


def test_a_query_that_stumbles_over_damage_says_so_and_the_next_one_answers(tmp_path: Path) -> None:
    two_parts(tmp_path)
    victim = sorted((tmp_path / "parts").glob("*.events.parquet"))[0]
    raw = bytearray(victim.read_bytes())
    raw[4 : len(raw) - 4] = bytes(len(raw) - 8)
    victim.write_bytes(raw)
    with open_store(tmp_path) as store:
        with pytest.raises(UnavailableError, match="damaged"):
            store.query(EventQuery(limit=1000))
        answer = store.query(EventQuery(limit=1000, since_ns=T0, until_ns=T0 + 120 * 60 * SECOND))
        assert len(answer.rows()) > 0
        assert not answer.completeness.complete


@pytest.mark.parametrize("harm", ["flip", "junk", "empty"])
def test_a_manifest_that_is_not_what_it_was_is_not_believed(tmp_path: Path, harm: str) -> None:
    two_parts(tmp_path)
    victim = sorted((tmp_path / "manifests").glob("*.json"))[0]
    raw = bytearray(victim.read_bytes())
    raw[len(raw) // 2] ^= 1
    victim.write_bytes({"flip": bytes(raw), "junk": b"\xff{", "empty": b""}[harm])
    with open_store(tmp_path) as store:
        assert store.statistics().corrupt_parts == 1
        assert 0 < len(stored(store)) < 120
        assert not store.query(EventQuery(since_ns=T0, until_ns=T0 + 120 * 60 * SECOND)).completeness.complete
        fill(store, 1)


def test_files_without_a_manifest_are_cleared_away(tmp_path: Path) -> None:
    two_parts(tmp_path)
    left = tmp_path / "parts" / "000000009999.events.parquet"
    left.write_bytes(b"PAR1 half")
    with open_store(tmp_path) as store:
        assert not left.exists()
        assert stored(store) == list(range(120))


def test_another_process_cannot_open_the_same_store(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, pytest.raises(UnavailableError, match="another process"):
        open_store(tmp_path)
    assert store is not None


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.needs_root
def test_a_full_disk_refuses_batches_and_loses_none_that_was_acknowledged(small_disk: Path) -> None:
    acknowledged = []
    with open_store(small_disk / "events") as store:
        refused = None
        for number in range(1000):
            try:
                store.append(batch_of(samples(10, first_seq=number * 10), f"batch-{number}"))
                acknowledged.append(number)
            except UnavailableError as error:
                refused = error
                break
        assert refused is not None
        assert "No space left" in refused.message
        assert refused.hint
        assert len(acknowledged) > 2
        assert stored(store) == list(range(len(acknowledged) * 10)), (
            "questions are answered although nothing can be written"
        )
        (small_disk / "ballast").unlink(missing_ok=True)
    with open_store(small_disk / "events") as store:
        assert stored(store) == list(range(len(acknowledged) * 10))
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        ack = store.append(batch_of(samples(10, first_seq=len(acknowledged) * 10), f"batch-{len(acknowledged)}"))
        assert not ack.duplicate
        seal(store)
        assert stored(store) == list(range(len(acknowledged) * 10 + 10))


@pytest.mark.needs_root
def test_sealing_on_a_full_disk_fails_harmlessly_and_is_done_later(small_disk: Path) -> None:
    with open_store(small_disk / "events") as store:
        fill(store, 5, step=600 * SECOND)
        free = shutil.disk_usage(small_disk).free
        (small_disk / "ballast").write_bytes(bytes(free - 8192))
        store.rotate()
        time.sleep(0.2)
        import duckdb

        with pytest.raises((OSError, duckdb.Error)):
            store.maintain()
        assert stored(store) == list(range(50))
        (small_disk / "ballast").unlink()
        seal(store)
        assert stored(store) == list(range(50))
    with open_store(small_disk / "events") as store:
        assert stored(store) == list(range(50))


@pytest.mark.needs_root
def test_a_spool_on_a_full_disk_drops_its_oldest_and_keeps_the_newest(small_disk: Path) -> None:
    with Spool(small_disk / "spool", max_bytes=64 * 1024 * 1024, segment_bytes=256 * 1024) as spool:
        for number in range(100):
            spool.append(f"record-{number}", bytes(100_000))
        statistics = spool.statistics()
        assert statistics.dropped > 0
        held = []
        while (entry := spool.first()) is not None:
            held.append(int(entry.id.removeprefix("record-")))
            spool.forget(entry.id)
        assert held == list(range(100 - len(held), 100))
        assert statistics.dropped + len(held) == 100


# --- clocks, retention ------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_ahead_does_not_empty_the_store(tmp_path: Path) -> None:
    now = T0 + HOUR
    with open_store(tmp_path, clock=lambda: now, retention_s=86_400.0) as store:
        fill(store, 5)
        seal(store)
        now += 365 * 24 * HOUR
        store.maintain()
        assert stored(store) == list(range(50))
        assert store.statistics().clock_steps == 1


def test_events_of_a_wrong_clock_are_kept_and_found_at_the_time_they_claim(tmp_path: Path) -> None:
    with open_store(tmp_path, retention_s=1.0) as store:
        for number, start in enumerate((0, 5, -(10**15), T0, 2**62)):
            store.append(batch_of(samples(2, start=start, step=1, first_seq=number * 2), f"batch-{number}"))
        seal(store)
        assert stored(store) == list(range(10))
        assert [row["seq"] for row in store.query(EventQuery(fields=("seq",), limit=2)).rows()] == [9, 8]
        assert (
            store.query(EventQuery(since_ns=T0 - SECOND, until_ns=T0 + SECOND, agents=(AGENT,))).rows()[0]["seq"] == 7
        )


def test_what_a_clock_far_ahead_wrote_goes_with_what_was_stored_beside_it(tmp_path: Path) -> None:
    now = T0
    with open_store(tmp_path, clock=lambda: now) as store:
        store.append(batch_of(samples(2, start=2**62), "ahead"))
        store.append(batch_of(samples(2, start=T0, first_seq=2), "right"))
        seal(store)
    now += 10 * HOUR
    with open_store(tmp_path, clock=lambda: now, retention_s=5 * 3600.0) as store:
        fresh = T0 + 9 * HOUR
        store.append(batch_of(samples(2, start=fresh, first_seq=4), "fresh", until=now))
        store.maintain()
        assert stored(store) == [4, 5]
        assert store.query(EventQuery(since_ns=fresh, until_ns=now)).completeness.complete


def test_events_spread_over_a_thousand_hours_make_few_parts(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.append(batch_of(samples(1000, step=HOUR), "wide"))
        store.rotate()
        time.sleep(0.2)
        store.maintain()
        assert store.statistics().parts <= 24
        assert len(stored(store)) == 1000


def test_retention_drops_whole_parts_and_the_record_is_said_to_begin_later(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=lambda: T0 + HOUR) as store:
        fill(store, 18, step=60 * SECOND)
        seal(store)
        before = store.statistics()
    with open_store(tmp_path, retention_s=48.5 * 3600) as store:
        store.maintain()
        after = store.statistics()
        assert 0 < after.parts < before.parts
        assert after.dropped_parts == before.parts - after.parts
        left = stored(store)
        assert left
        assert left == list(range(left[0], 180))
        told = store.query(EventQuery(since_ns=T0, until_ns=T0 + 180 * 60 * SECOND)).completeness
        assert not told.complete
        assert told.recorded_since_ns is not None
        assert told.recorded_since_ns > T0
    with open_store(tmp_path) as store:
        again = store.query(EventQuery(since_ns=T0, until_ns=T0 + 180 * 60 * SECOND)).completeness
        assert again.recorded_since_ns is not None
        assert again.recorded_since_ns >= told.recorded_since_ns, (
            "what was dropped is not claimed after a restart either"
        )


def test_the_bound_of_bytes_drops_the_oldest_parts(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        fill(store, 18, step=60 * SECOND)
        seal(store)
        size = store.statistics().bytes_on_disk
    with open_store(tmp_path, max_bytes=size - 1) as store:
        store.maintain()
        assert store.statistics().bytes_on_disk < size
        assert stored(store)[-1] == 179


def test_a_question_that_runs_while_its_part_is_dropped_is_answered(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        fill(store, 12, step=60 * SECOND)
        seal(store)
        with store._live.snapshot() as snapshot:
            store._maintenance.drop(store._live.parts())
            assert store.query(EventQuery()).rows() == []
            assert all(Path(snapshot.directory.path(part, "events")).exists() for part in snapshot.parts)
        assert list((tmp_path / "parts").iterdir()) == []


def test_an_agent_that_left_no_coverage_is_never_called_complete(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.append(batch_of(samples(3), "one", since=T0, until=T0))
        assert not store.query(EventQuery(since_ns=T0, until_ns=T0 + SECOND, agents=(AGENT,))).completeness.complete
