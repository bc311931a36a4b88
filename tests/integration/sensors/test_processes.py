"""Birth, change and end of real processes, seen by the real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from phalanx.model.event import Exec, Exit, Fork
from phalanx.model.process import Process
from phalanx.sensors.kernel import KernelSensor

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_kernel]


def test_an_exec_tells_who_ran_what_from_where_and_all_ancestors(sensor: KernelSensor, wait, tmp_path: Path) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "cd /tmp && /bin/true one 'two words' ''; exit 7"], cwd=tmp_path)
    child.wait()
    event = wait(lambda e: isinstance(e, Exec) and e.process.name == "true" and e.process.ppid == child.pid)
    process = event.process
    assert event.type == "execve"
    assert event.filename == "/bin/true"
    assert process.exe == "/bin/true"
    assert process.exepath == os.path.realpath("/bin/true")
    assert process.argv == ("one", "two words", "")
    assert process.cwd == "/tmp"
    assert process.exe_ino == os.stat("/bin/true").st_ino
    assert process.exe_mtime_ns == os.stat("/bin/true").st_mtime_ns
    assert process.exe_ctime_ns == os.stat("/bin/true").st_ctime_ns
    assert (process.uid, process.gid, process.user, process.group) == (0, 0, "root", "root")
    chain = list(process.ancestors())
    assert [p.pid for p in chain[:2]] == [child.pid, os.getpid()]
    assert chain[1].exepath == os.path.realpath(sys.executable)
    ended = wait(lambda e: isinstance(e, Exit) and e.process.pid == child.pid)
    assert ended.ret == 7
    assert ended.duration_ns > 0
    assert ended.process.id.endswith(f":{child.pid}:{ended.process.start_ns}")


def test_a_fork_without_exec_is_a_child_with_its_parents_program(sensor: KernelSensor, wait) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    event = wait(lambda e: isinstance(e, Fork) and e.process.pid == pid)
    assert event.ret == pid
    assert isinstance(event.process.parent, Process)
    assert event.process.parent.pid == os.getpid()
    assert event.process.exepath == os.path.realpath(sys.executable)


def test_a_process_that_dies_by_a_signal_ends_with_minus_the_signal(sensor: KernelSensor, wait) -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    child.kill()
    child.wait()
    assert wait(lambda e: isinstance(e, Exit) and e.process.pid == child.pid).ret == -9


def test_a_script_names_its_interpreter(sensor: KernelSensor, wait, tmp_path: Path) -> None:
    script = tmp_path / "job"
    script.write_text("#!/bin/sh -e\nexit 0\n")
    script.chmod(0o755)
    subprocess.run([script, "x"], check=True)
    event = wait(lambda e: isinstance(e, Exec) and e.filename == str(script))
    assert event.interpreter == "/bin/sh"
    assert event.process.name == "job"
    assert event.process.exepath == os.path.realpath("/bin/sh")
    assert event.process.argv == ("-e", str(script), "x")


def test_a_program_that_lives_in_memory_only_is_told(sensor: KernelSensor, wait) -> None:
    number = os.memfd_create("payload", 0)
    os.write(number, Path("/bin/true").read_bytes())
    subprocess.run([f"/proc/self/fd/{number}"], pass_fds=[number], check=True)
    event = wait(lambda e: isinstance(e, Exec) and e.process.exe_memfd)
    assert event.process.exepath == "memfd:payload"
    os.close(number)


def test_secrets_in_the_environment_are_masked_before_anything_keeps_them(sensor: KernelSensor, wait) -> None:
    subprocess.run(
        ["/bin/true", "masked"],
        env={"DB_PASSWORD": "hunter2", "LD_PRELOAD": "/tmp/x.so"},
        check=False,
        stderr=subprocess.DEVNULL,
    )
    event = wait(lambda e: isinstance(e, Exec) and e.process.argv == ("masked",))
    assert event.process.env == ("DB_PASSWORD=***", "LD_PRELOAD=/tmp/x.so")


def test_everything_that_lived_before_is_in_the_snapshot(sensor: KernelSensor) -> None:
    by_pid = {process.pid: process for process in sensor.processes()}
    assert os.getpid() in by_pid
    assert by_pid[os.getpid()].exepath == os.path.realpath(sys.executable)
    assert by_pid[os.getpid()].cwd == os.getcwd()
