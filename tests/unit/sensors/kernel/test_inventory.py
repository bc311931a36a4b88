"""What /proc tells where no sensor can run, and what the doctor says of such a place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phalanx.model.process import Process
from phalanx.sensors.kernel import doctor
from phalanx.sensors.kernel.inventory import facts, inventory


def test_the_inventory_has_this_process_and_its_ancestors() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    by_pid = {process.pid: process for process in inventory(boot)}
    me = by_pid[os.getpid()]
    assert me.exepath == os.path.realpath(sys.executable)
    assert me.cwd == os.getcwd()
    assert me.ppid == os.getppid()
    assert isinstance(me.parent, Process)
    assert me.parent.pid == os.getppid()
    assert me.id == f"{boot.replace('-', '')[:8]}:{os.getpid()}:{me.start_ns}"
    assert me.env == (), "environments are not read"


def test_a_name_that_imitates_proc_stat_does_not_shift_its_fields(tmp_path: Path) -> None:
    evil = tmp_path / "x) R 1 1 1 ("
    evil.symlink_to("/bin/sleep")
    child = subprocess.Popen([evil, "5"])
    try:
        found = facts(child.pid)
        assert found is not None
        assert (found.ppid, found.name) == (os.getpid(), b"x) R 1 1 1 (")
        assert found.pgid == os.getpgid(child.pid)
    finally:
        child.kill()
        child.wait()
    assert facts(child.pid) is None
    assert facts(2**22 + 1) is None


def checks_of(prepare) -> dict[str, tuple[bool, str | None]]:
    """The doctor's words in a child that ``prepare`` has put into another position."""
    doctor.checks()  # whatever it imports, before the interpreter's own files may be out of reach
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            prepare()
            found = {check.name: (check.ok, check.remedy) for check in doctor.checks()}
            os.write(write, json.dumps(found).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with open(read, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(pid, 0)
    return {name: (ok, remedy) for name, (ok, remedy) in json.loads(raw).items()}


@pytest.mark.needs_root
def test_a_user_is_told_that_only_root_may_load_programs() -> None:
    if os.geteuid():
        pytest.skip("needs root")
    ok, remedy = checks_of(lambda: os.setuid(65534))["rights"]
    assert not ok
    assert remedy is not None
    assert "root" in remedy
    assert checks_of(lambda: None)["rights"] == (True, None)


@pytest.mark.needs_root
def test_inside_a_pid_namespace_it_says_how_to_share_the_hosts() -> None:
    if os.geteuid():
        pytest.skip("needs root")
    code = "import json; from phalanx.sensors.kernel import doctor; print(json.dumps({c.name: [c.ok, c.remedy] for c in doctor.checks()}))"
    run = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    ok, remedy = json.loads(run.stdout)["host"]
    assert not ok
    assert "--pid=host" in remedy


def test_the_doctor_names_a_remedy_for_everything_that_is_missing() -> None:
    for check in doctor.checks():
        assert check.ok or check.remedy, check.name
