"""The spool against the disk: kills, cuts, flipped bytes, a full file system."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phalanx.bus.spool import Spool
from phalanx.errors import UnavailableError


def ids(spool: Spool) -> list[str]:
    taken = []
    while (entry := spool.first()) is not None:
        taken.append(entry.id)
        spool.forget(entry.id)
    return taken


def files(path: Path) -> list[Path]:
    return sorted(path.glob("*.spool"))


def crash(spool: Spool) -> None:
    """What a kill leaves: the files as they are, the descriptors closed, nothing tidied."""
    for segment in spool._segments.values():
        os.close(segment.fd)
    os.close(spool._lock_fd)
    spool._closed = True


def test_what_was_appended_is_there_after_a_crash(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(20):
        spool.append(f"id-{number}", b"payload %d" % number)
    spool.forget("id-0")
    crash(spool)
    with Spool(tmp_path) as again:
        assert again.statistics().records == 19
        entry = again.first()
        assert entry is not None
        assert (entry.id, entry.payload) == ("id-1", b"payload 1")


def test_a_second_process_is_told_that_the_spool_is_in_use(tmp_path: Path) -> None:
    with Spool(tmp_path), pytest.raises(UnavailableError, match="another process"):
        Spool(tmp_path)


def test_a_directory_that_cannot_be_made_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be opened"):
        Spool(tmp_path / "file" / "spool")


def test_files_go_when_all_their_records_are_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1024 * 1024)
    for number in range(100):
        spool.append(f"id-{number}", bytes(8192))
    assert len(files(tmp_path)) > 5
    ids(spool)
    assert len(files(tmp_path)) == 1
    assert spool.statistics().bytes <= 64 * 1024
    spool.close()


def test_the_number_of_dropped_records_outlives_the_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=256 * 1024)
    for number in range(100):
        spool.append(f"id-{number}", bytes(8192))
    before = spool.statistics()
    assert before.dropped > 0
    crash(spool)
    with Spool(tmp_path, max_bytes=256 * 1024) as again:
        after = again.statistics()
        assert (after.dropped, after.dropped_bytes) == (before.dropped, before.dropped_bytes)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=3000))
def test_a_torn_end_is_cut_and_counted_and_whole_records_stay(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("spool")
    spool = Spool(path)
    ends = []
    for number in range(10):
        spool.append(f"id-{number}", bytes([number]) * 200)
        ends.append(spool.statistics().bytes)
    crash(spool)
    file = files(path)[0]
    size = file.stat().st_size
    os.truncate(file, min(cut, size))
    whole = [f"id-{number}" for number, end in enumerate(ends) if end <= cut]
    with Spool(path) as again:
        torn = again.statistics().cut_bytes
        good = max([0, *(end for end in ends if end <= cut)])
        assert torn == min(cut, size) - good
        again.append("after", b"x")
        assert ids(again) == [*whole, "after"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0, max_value=2**32), flips=st.integers(min_value=1, max_value=6))
def test_flipped_bytes_cost_what_they_hit_and_never_give_a_wrong_record(
    tmp_path_factory: pytest.TempPathFactory, seed: int, flips: int
) -> None:
    path = tmp_path_factory.mktemp("spool")
    spool = Spool(path)
    sent = {f"id-{number}": bytes([number]) * 100 for number in range(20)}
    for identity, payload in sent.items():
        spool.append(identity, payload)
    crash(spool)
    file = files(path)[0]
    raw = bytearray(file.read_bytes())
    chooser = random.Random(seed)
    for _ in range(flips):
        raw[chooser.randrange(len(raw))] ^= 1 << chooser.randrange(8)
    file.write_bytes(raw)
    with Spool(path) as again:
        found = {}
        while (entry := again.first()) is not None:
            found[entry.id] = entry.payload
            again.forget(entry.id)
        assert found.items() <= sent.items()
        assert len(found) >= 20 - flips
        statistics = again.statistics()
        if len(found) < 20:
            assert statistics.corrupt or statistics.cut_bytes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=4096))
def test_any_bytes_as_a_spool_file_are_survived(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("spool")
    (path / "000000000001.spool").write_bytes(junk)
    with Spool(path) as spool:
        assert spool.statistics().cut_bytes == len(junk)
        spool.append("a", b"1")
        assert ids(spool) == ["a"]


def test_a_record_that_rots_while_the_spool_is_open_is_left_out_and_counted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append("rotten", b"A" * 100)
        spool.append("good", b"B" * 100)
        with files(tmp_path)[0].open("r+b") as file:
            file.seek(60)
            file.write(b"!")
        entry = spool.first()
        assert entry is not None
        assert entry.id == "good"
        assert spool.statistics().corrupt == 1


def test_a_hostile_id_comes_back_as_it_was(tmp_path: Path) -> None:
    name = "../../etc/\x1b[31m\n\x00\udcff💥"
    spool = Spool(tmp_path)
    spool.append(name, b"1")
    crash(spool)
    with Spool(tmp_path) as again:
        assert ids(again) == [name]
