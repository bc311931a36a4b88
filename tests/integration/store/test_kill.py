"""SIGKILL at any instant: nothing that was acknowledged is lost, nothing is doubled, nothing is there by half.

The ledger of acknowledged batches is kept by this process, outside of the one that is killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.integration.store.appender import ROWS

from phalanx.bus.spool import Spool
from phalanx.language.query import EventQuery
from phalanx.store.events.log import LogEventStore
from phalanx.store.events.options import LogOptions

REPOSITORY = Path(__file__).parents[3]

INSTANTS = (
    "fdatasync:before:5",
    "fdatasync:after:9",
    "fsync:before:7",
    "fsync:after:12",
    "rename:before:2",
    "rename:after:2",
    "rename:before:3",
    "rename:after:5",
    "unlink:before:1",
    "unlink:after:3",
)


class Ledger:
    """What a sender knows to be kept."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.taken: set[int] = set()
        """Records of a spool that were handed out and forgotten."""
        self.next = 0

    def run(self, what: str, root: Path, *, kill: str = "never", after_s: float | None = None) -> int:
        """Runs an appender until it is killed; answers how many acknowledgements it gave."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, str(Path(__file__).with_name("appender.py")), what, str(root), str(self.next), kill]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        count = 0
        end: float | None = None
        while line := process.stdout.readline():
            if line.startswith(b"-"):
                self.taken.add(int(line[1:]))
                continue
            number = int(line)
            self.acknowledged.add(number)
            self.next = max(self.next, number + 1)
            count += 1
            if after_s is not None and end is None:
                end = time.monotonic() + after_s
            if end is not None and time.monotonic() >= end:
                process.send_signal(signal.SIGKILL)
        process.stdout.close()
        code = process.wait()
        assert code == -signal.SIGKILL, f"it ended by itself with {code}, see its standard error"
        # The batch on its way when it died may or may not be there; its number is not used again.
        self.next += 1
        return count


def compare_store(root: Path, ledger: Ledger) -> None:
    with LogEventStore(root, options=LogOptions(retention_s=1e9), maintain=False) as store:
        seen: Counter[int] = Counter()
        cursor = ""
        while True:
            answer = store.query(EventQuery(fields=("seq",), limit=2_000, cursor=cursor))
            seen.update(row["seq"] for row in answer.rows())
            if answer.cursor is None:
                break
            cursor = answer.cursor
        assert max(seen.values(), default=1) == 1, "an event is stored twice"
        batches = Counter(seq // ROWS for seq in seen)
        assert set(batches.values()) <= {ROWS}, "a batch is there by half"
        lost = ledger.acknowledged - batches.keys()
        assert not lost, f"acknowledged and lost: {sorted(lost)[:10]}"
        statistics = store.statistics()
        assert statistics.corrupt_parts == statistics.corrupt_batches == 0
        assert statistics.events == len(seen)


def kill_store_at_random(root: Path, ledger: Ledger, rounds: int) -> None:
    chooser = random.Random(rounds)
    for _ in range(rounds):
        assert ledger.run("store", root, after_s=chooser.uniform(0, 0.6)) > 0
        compare_store(root, ledger)


def test_an_event_store_survives_being_killed_at_random_moments(tmp_path: Path) -> None:
    kill_store_at_random(tmp_path / "events", Ledger(), 6)


@pytest.mark.timeout(300)
def test_an_event_store_survives_being_killed_between_write_fsync_and_rename(tmp_path: Path) -> None:
    ledger = Ledger()
    for instant in INSTANTS:
        ledger.run("store", tmp_path / "events", kill=instant)
        compare_store(tmp_path / "events", ledger)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_an_event_store_survives_a_hundred_kills(tmp_path: Path) -> None:
    ledger = Ledger()
    kill_store_at_random(tmp_path / "events", ledger, 70)
    chooser = random.Random(1)
    for _ in range(30):
        call = chooser.choice(("fdatasync", "fsync", "rename", "unlink", "writev", "open"))
        ledger.run(
            "store",
            tmp_path / "events",
            kill=f"{call}:{chooser.choice(('before', 'after'))}:{chooser.randrange(1, 25)}",
        )
        compare_store(tmp_path / "events", ledger)


def compare_spool(root: Path, ledger: Ledger) -> None:
    spool = Spool(root, max_bytes=1024 * 1024, segment_bytes=8192)
    held = []
    while (entry := spool.first()) is not None:
        number = int(entry.id.removeprefix("record-"))
        assert entry.payload == b"%d " % number * 50
        held.append(number)
        spool.forget(entry.id)
    assert held == sorted(held), "the order is kept"
    assert len(held) == len(set(held))
    statistics = spool.statistics()
    assert statistics.corrupt == statistics.dropped == 0
    lost = ledger.acknowledged - ledger.taken - set(held)
    assert not lost, f"acknowledged and lost: {sorted(lost)[:10]}"
    ledger.taken |= set(held)
    spool.close()


def test_a_spool_survives_being_killed_at_random_moments(tmp_path: Path) -> None:
    ledger = Ledger()
    chooser = random.Random(4)
    for _ in range(6):
        assert ledger.run("spool", tmp_path / "spool", after_s=chooser.uniform(0, 0.2)) > 0
        compare_spool(tmp_path / "spool", ledger)


def test_a_spool_survives_being_killed_between_write_fsync_and_unlink(tmp_path: Path) -> None:
    ledger = Ledger()
    for call, moment, number in (
        ("pwrite", "before", 30),
        ("pwrite", "after", 31),
        ("fdatasync", "before", 20),
        ("fsync", "before", 2),
        ("open", "after", 9),
        ("unlink", "before", 1),
    ):
        ledger.run("spool", tmp_path / "spool", kill=f"{call}:{moment}:{number}")
        compare_spool(tmp_path / "spool", ledger)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_spool_survives_a_hundred_kills(tmp_path: Path) -> None:
    ledger = Ledger()
    chooser = random.Random(9)
    for _ in range(100):
        ledger.run("spool", tmp_path / "spool", after_s=chooser.uniform(0, 0.1))
        compare_spool(tmp_path / "spool", ledger)
