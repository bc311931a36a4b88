"""A simulation leaves nothing behind, also when it is killed in the middle, and changes nothing outside of its stage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import which

import pytest

from phalanx.respond.simulate.container import CGROUP, sweep

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
PERFORM = [sys.executable, "-m", "phalanx.respond.simulate.perform"]
WRITERS = ("PHX-PER-001", "PHX-PER-005", "PHX-PER-007", "PHX-PER-009", "PHX-PRV-002", "PHX-DEF-001", "PHX-DEF-002")
WATCHED = (
    "/etc/passwd",
    "/etc/shadow",
    "/etc/cron.d",
    "/etc/ld.so.preload",
    "/etc/sudoers.d",
    "/usr/bin",
    "/usr/sbin",
    "/var/log/auth.log",
    "/root/.bash_history",
)


def state() -> dict[str, tuple[int, int] | None]:
    """Path → (inode, time of its last change); None where there is nothing."""
    found: dict[str, tuple[int, int] | None] = {}
    for path in WATCHED:
        try:
            seen = os.lstat(path)
            found[path] = (seen.st_ino, seen.st_mtime_ns)
        except FileNotFoundError:
            found[path] = None
    return found


def members(namespace: str) -> list[str]:
    """Processes of this machine that are in the pid namespace."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                found.append(entry)
        except OSError:  # it ended meanwhile
            continue
    return found


def test_the_machine_is_as_before(tmp_path: Path) -> None:
    before, mounts = state(), Path("/proc/self/mounts").read_text()
    for name in WRITERS:
        done = subprocess.run([*PERFORM, name], capture_output=True, text=True, timeout=60, check=False)
        assert json.loads(done.stdout.splitlines()[-1]).get("error", "") == "", done.stderr
    assert state() == before
    assert Path("/proc/self/mounts").read_text() == mounts


@pytest.mark.skipif(which("runc") is None, reason="needs runc")
@pytest.mark.parametrize("after_s", [0.1, 0.25, 0.5])
def test_a_killed_simulation_takes_all_its_processes_with_it(after_s: float) -> None:
    own = os.readlink("/proc/self/ns/pid")
    runner = subprocess.Popen([*PERFORM, "PHX-ESC-003"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    namespace = own
    end = time.monotonic() + 20
    while namespace == own and runner.poll() is None and time.monotonic() < end:
        try:
            namespace = os.readlink(f"/proc/{runner.pid}/ns/pid_for_children")
        except OSError:
            continue  # unshared, but nothing lives in it yet
    time.sleep(after_s)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert namespace != own
    while members(namespace) and time.monotonic() < end:
        time.sleep(0.02)
    assert members(namespace) == []


@pytest.mark.skipif(which("runc") is None, reason="needs runc")
def test_cgroups_of_killed_simulations_are_swept() -> None:
    points = [
        Path(line.split()[1])
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if line.split()[2] in ("cgroup", "cgroup2")
    ]
    left = points[0] / CGROUP / "left-behind"
    left.mkdir(parents=True)
    sweep()
    assert not left.exists()
