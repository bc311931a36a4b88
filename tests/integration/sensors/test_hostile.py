"""Names, arguments and paths that mean harm, floods that mean to blind, and the account of what was not seen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phalanx.errors import SensorError
from phalanx.language.kernel_filter import KernelFilter, TypeFilter
from phalanx.model.event import Event, Exec, Loss, Open, Unlink
from phalanx.model.ids import AgentId
from phalanx.sensors.kernel import KernelSensor
from phalanx.text import hostile

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_kernel]
AGENT = AgentId("00112233445566aa")


def told_of(losses: list[Loss], cause: str) -> list[int]:
    """How many each Loss of this cause tells."""
    return [loss.count or 0 for loss in losses if loss.cause == cause]


def test_two_megabytes_of_arguments_are_cut_and_say_so(wait) -> None:
    longest = "x" * 131_000
    subprocess.run(["/bin/true", "needle", *[longest] * 14], check=True)
    event = wait(lambda e: isinstance(e, Exec) and e.process.argv[:1] == ("needle",))
    assert event.process.args_cut
    assert event.flags_truncated
    assert 3900 < sum(map(len, event.process.argv)) <= 4096


def test_an_empty_argument_list_and_an_environment_of_two_megabytes(wait) -> None:
    subprocess.run(["/bin/true", "roomy"], env={f"V{n}": "y" * 100_000 for n in range(18)}, check=True)
    event = wait(lambda e: isinstance(e, Exec) and e.process.argv == ("roomy",))
    assert event.process.args_cut
    assert len(event.process.env) <= 2
    code = "import ctypes; ctypes.CDLL(None).execve(b'/bin/true', (ctypes.c_char_p * 1)(None), (ctypes.c_char_p * 1)(None))"
    child = subprocess.Popen([sys.executable, "-c", code])
    child.wait()
    event = wait(lambda e: isinstance(e, Exec) and e.process.pid == child.pid and e.filename == "/bin/true")
    assert (event.process.exe, event.process.argv, event.process.env) == ("", (), ())


def test_names_of_any_bytes_come_through_unharmed(wait, tmp_path: Path) -> None:
    name = bytes(b for b in range(1, 256) if b != ord("/"))[:200] + b"\n\r\x1b[2J"
    path = os.fsencode(tmp_path) + b"/" + name
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    opened = wait(lambda e: isinstance(e, Open) and e.fd is not None and "\x1b[2J" in (e.fd.name or ""))
    assert hostile.encode(opened.fd.name) == path
    assert hostile.encode(opened.name) == path
    assert hostile.encode(wait(lambda e: isinstance(e, Unlink) and "\x1b[2J" in (e.name or "")).name) == path


def test_a_path_of_four_kilobytes_keeps_its_end(wait, tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    opened = [here]
    for _ in range(60):  # 60 x 201 bytes: deeper than any single path can be said
        os.mkdir("d" * 200, dir_fd=opened[-1])
        opened.append(os.open("d" * 200, os.O_RDONLY, dir_fd=opened[-1]))
    os.close(os.open("shadow", os.O_CREAT | os.O_WRONLY, dir_fd=opened[-1]))
    for number in opened:
        os.close(number)
    event = wait(lambda e: isinstance(e, Open) and e.name == "shadow")
    assert event.flags_truncated
    assert event.fd.name.startswith(".../")
    assert event.fd.name.endswith("/" + "d" * 200 + "/shadow")
    assert len(event.fd.name) <= 4100
    flat = wait(lambda e: isinstance(e, Open) and e.fd is not None and e.fd.name == str(tmp_path / ("d" * 200)))
    assert not flat.flags_truncated


def test_a_path_of_seventeen_hundred_directories_is_whole(wait, tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1700):
        os.mkdir("a", dir_fd=here)
        inner = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)  # deeper than the test runner's own removal goes
    event = wait(lambda e: isinstance(e, Open) and e.name == "leaf")
    assert event.fd.name == str(tmp_path) + "/a" * 1700 + "/leaf"
    assert not event.flags_truncated


def test_what_a_full_ring_refuses_is_counted_by_cpu_told_as_an_event_and_never_an_exec(rebuild, tmp_path: Path) -> None:
    with KernelSensor(agent=AGENT, host="test", ring_bytes=1 << 20) as sensor:
        sensor.poll(0.01)
        before = sensor.statistics()
        code = "import os\nfor n in range(60000): os.close(os.open('/dev/null', os.O_WRONLY))"
        flood = subprocess.Popen([sys.executable, "-c", code])
        flood.wait()  # nobody reads meanwhile
        subprocess.run(["/bin/true", "after-the-flood"], check=True)
        losses: list[Loss] = []
        events: list[Event] = []
        recorded: list[Event] = []
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            harvest = sensor.poll(0.02)
            losses += harvest.losses
            events += harvest.candidates
            recorded += rebuild(harvest.batch) if harvest.batch else []
        after = sensor.statistics()
        deadline = time.monotonic() + 20
        while sum(told_of(losses, "ring_full")) < after.lost["ring_full"] and time.monotonic() < deadline:
            harvest = sensor.poll(0.02)  # counters are turned into events once a second
            losses += harvest.losses
            recorded += rebuild(harvest.batch) if harvest.batch else []
        latest = sensor.statistics()
    lost = after.lost["ring_full"] - before.lost["ring_full"]
    opens = [
        e
        for e in events
        if isinstance(e, Open) and e.process.pid == flood.pid and e.fd and e.fd.name == "/dev/null" and e.is_write
    ]
    assert lost > 10_000
    assert lost <= sum(told_of(losses, "ring_full")) <= latest.lost["ring_full"], (
        "others may lose meanwhile, nothing is told twice"
    )
    assert sum(after.lost_by_cpu.values()) == after.lost["ring_full"]
    # seen + lost is everything; what other processes lost meanwhile is in the count, too
    assert len(opens) + lost >= 60_000
    assert any(isinstance(e, Exec) and e.process.argv == ("after-the-flood",) for e in events), (
        "an exec finds room that opens may not take"
    )
    told = [e for e in recorded if isinstance(e, Loss)]
    assert [(e.count, e.by_cpu) for e in told] == [(e.count, e.by_cpu) for e in losses][: len(told)]
    assert told


def test_a_flood_that_no_rule_wants_cannot_fill_the_history_nor_hide_what_a_rule_wants(rebuild, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    with KernelSensor(agent=AGENT, host="test", bulk_per_s=500) as sensor:
        sensor.set_filter(KernelFilter(types={"openat": TypeFilter(fd_names=(str(secret),))}))
        code = (
            f"import os\nfor n in range(60000): os.close(os.open('/dev/null', os.O_WRONLY))\nopen({str(secret)!r}, 'w')"
        )
        flood = subprocess.Popen([sys.executable, "-c", code])
        recorded = 0
        candidates: list[Event] = []
        losses: list[Loss] = []
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            harvest = sensor.poll(0.01)
            candidates += harvest.candidates
            losses += harvest.losses
            if harvest.batch is not None:
                recorded += sum(
                    1 for e in rebuild(harvest.batch) if isinstance(e, Open) and e.fd and e.fd.name == "/dev/null"
                )
            if flood.poll() is not None and any(loss.cause == "rate_guard" for loss in losses) and candidates:
                deadline = min(deadline, time.monotonic() + 1.2)
        guarded = sensor.statistics().lost["rate_guard"]
        deadline = time.monotonic() + 20
        while sum(told_of(losses, "rate_guard")) < guarded and time.monotonic() < deadline:
            losses += sensor.poll(0.02).losses
        latest = sensor.statistics().lost["rate_guard"]
    assert [e.fd.name for e in candidates if isinstance(e, Open)] == [str(secret)]
    assert 0 < guarded <= sum(told_of(losses, "rate_guard")) <= latest
    assert recorded < 60_000


def test_a_sensor_that_does_not_run_says_so() -> None:
    sensor = KernelSensor(agent=AGENT, host="test")
    with pytest.raises(SensorError, match="does not run"):
        sensor.poll(0)
    assert sensor.processes() == []
    sensor.close()
