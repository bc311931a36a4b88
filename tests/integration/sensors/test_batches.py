"""The history and the rules see the same: a batch read back equals the candidates of the same system calls."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from phalanx.model.event import Event
from phalanx.model.ids import AgentId
from phalanx.model.values import UNKNOWN
from phalanx.sensors.kernel import KernelSensor

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_kernel]


def act(directory: Path) -> None:
    """Something of nearly every kind."""
    subprocess.run(
        ["/bin/sh", "-c", "echo x > a; mv a b; ln -s b c; chmod 4755 b; rm -f b c; mkdir d; rmdir d"],
        cwd=directory,
        check=True,
    )
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        taken, _ = server.accept()
        os.dup2(taken.fileno(), 200)
        os.close(200)
        taken.close()
        client.close()
    with socket.socket(socket.AF_INET6) as refused, contextlib.suppress(OSError):
        refused.connect(("::1", 9))
    os.close(os.memfd_create("some", 0))
    with contextlib.suppress(OSError):
        subprocess.run(["/not/there"], check=False)
    (directory / "last \udcff\n\x1b[31m<b>").write_text("hostile")


def test_a_batch_read_back_equals_the_candidates(tmp_path: Path, rebuild: Callable[[bytes], list[Event]]) -> None:
    with KernelSensor(agent=AgentId("00112233445566aa"), host="test") as sensor:
        act(tmp_path)
        candidates: list[Event] = []
        recorded: list[Event] = []
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            harvest = sensor.poll(0.02)
            candidates += harvest.candidates
            if harvest.batch is not None:
                recorded += rebuild(harvest.batch)
        statistics = sensor.statistics()
    stripped = [msgspec.structs.replace(event, container=UNKNOWN) for event in candidates[: len(recorded)]]
    assert len(recorded) > 40
    assert stripped == recorded
    assert {event.__struct_config__.tag for event in recorded} >= {
        *(
            "exec",
            "fork",
            "exit",
            "open",
            "rename",
            "link",
            "chmod",
            "unlink",
            "mkdir",
            "bind",
            "listen",
            "connect",
            "accept",
            "dup",
            "memfd",
        ),
    }
    assert [event.seq for event in recorded] == list(range(recorded[0].seq, recorded[0].seq + len(recorded)))
    assert statistics.malformed == 0
    assert statistics.lost == {"ring_full": 0, "rate_guard": 0, "table_full": 0, "not_evaluated": 0}


def test_after_close_nothing_of_the_sensor_is_left_in_the_kernel() -> None:
    def held() -> set[int]:
        """Ids of the programs that this process holds, by itself or through a link."""
        found = set()
        for entry in Path("/proc/self/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                found |= {
                    int(line.split()[1]) for line in entry.read_text().splitlines() if line.startswith("prog_id:")
                }
        return found

    def loaded() -> set[int]:
        """Ids of all programs in the kernel; other sensors may come and go meanwhile."""
        listing = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout
        return {program["id"] for program in json.loads(listing)}

    before = held()
    sensor = KernelSensor(agent=AgentId("00112233445566aa"), host="test")
    sensor.start()
    ours = held() - before
    assert len(ours) >= 10
    assert ours <= loaded()
    sensor.close()
    sensor.close()
    assert not held() & ours
    deadline = time.monotonic() + 5
    while loaded() & ours and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel frees programs after a grace period
    assert not loaded() & ours
