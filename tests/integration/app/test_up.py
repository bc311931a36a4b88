"""``phalanx up`` on this machine: who runs as whom, what survives what, and a clean end."""

from __future__ import annotations

import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import phalanx
from phalanx.app.privileges import AGENT_CAPABILITIES, capabilities_of
from phalanx.sensors.kernel import doctor

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(check.required and not check.ok for check in doctor.checks()), reason="the kernel sensor cannot run here"
    ),
]


class Running:
    """A supervised phalanx in a state directory of its own."""

    def __init__(self, process: subprocess.Popen[str], state: Path, log: Path) -> None:
        self.process = process
        self.state = state
        self.log = log

    @property
    def children(self) -> dict[str, int]:
        """``hub`` and ``agent`` → pid, of those that live."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) if entry.name.isdigit() else 0
                arguments = (entry / "cmdline").read_bytes().split(b"\0") if parent == self.process.pid else []
            except (OSError, IndexError):
                continue
            for name in ("hub", "agent"):
                if name.encode() in arguments:
                    found[name] = int(entry.name)
        return found

    def ask(self, route: str) -> Any:
        """The hub's answer at its Unix socket, decoded; OSError while it does not listen."""
        connection = http.client.HTTPConnection("hub", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.state / "run" / "hub.sock"))
        try:
            connection.request("GET", route)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body[:300]
            return msgspec.json.decode(body)
        finally:
            connection.close()

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 40.0) -> Any:
        """What ``condition`` answers once it is true; fails with the log after ``seconds``."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if answer := condition():
                    return answer
            except (OSError, http.client.HTTPException):
                pass  # not listening yet
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()}")


@contextmanager
def started(state: Path, *, package: Path | None = None) -> Iterator[Running]:
    log = state.with_suffix(".log")
    environment = os.environ | ({"PYTHONPATH": str(package)} if package else {})
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "phalanx.cli.main", "up", "--state-dir", str(state), "--address", "127.0.0.1:0"],
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd="/",
        )
    running = Running(process, state, log)
    try:
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="phx-") as scratch:
        Path(scratch).chmod(0o755)
        yield Path(scratch) / "state"


def healthy(running: Running) -> bool:
    return {"hub", "agent"} == set(running.children) and bool(running.ask("/api/v1/health")["agents"])


def execute_from_memory() -> None:
    """A harmless program (``true``) from a memory file: rule PHX-DRF-001."""
    code = (
        "import os; f = os.memfd_create('x'); os.write(f, open('/bin/true', 'rb').read()); os.execve(f, ['true'], {})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_hub_has_no_right_the_agent_few_and_both_come_back_and_end(state: Path) -> None:
    with started(state) as running:
        running.until(lambda: healthy(running), "hub and agent answer")
        hub, agent = running.children["hub"], running.children["agent"]

        rights = capabilities_of(hub)
        assert set(rights.values()) == {frozenset()}
        user = pwd.getpwnam("phalanx")
        status = Path(f"/proc/{hub}/status").read_text()
        assert f"Uid:\t{user.pw_uid}\t{user.pw_uid}\t{user.pw_uid}\t{user.pw_uid}" in status
        assert "NoNewPrivs:\t1" in status
        assert capabilities_of(agent)["permitted"] <= AGENT_CAPABILITIES
        assert capabilities_of(agent)["bounding"] <= AGENT_CAPABILITIES
        assert (state / "hub").stat().st_mode & 0o077 == 0
        assert (state / "agent").stat().st_mode & 0o077 == 0

        execute_from_memory()
        found = running.until(lambda: running.ask("/api/v1/findings")["rows"], "the finding of an act", 10)
        assert "PHX-DRF-001" in {row["rule"] for row in found}

        for name, pid in (("agent", agent), ("hub", hub)):
            os.kill(pid, signal.SIGKILL)
            running.until(lambda n=name, p=pid: running.children.get(n, p) != p, f"{name} comes back")
        running.until(lambda: healthy(running), "both answer again")
        assert "PHX-DRF-001" in {row["rule"] for row in running.ask("/api/v1/findings")["rows"]}
        pids = set(running.children.values())
    assert running.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not (state / "run" / "hub.sock").exists()


def test_a_clone_that_only_root_may_enter_still_gets_a_hub_without_privileges(state: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="phx-closed-") as closed:
        package = Path(closed) / "src"
        source = Path(phalanx.__file__).parent
        shutil.copytree(source, package / "phalanx", ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.pyx"))
        assert Path(closed).stat().st_mode & 0o077 == 0
        with started(state, package=package) as running:
            running.until(lambda: healthy(running), "hub and agent answer")
            hub = running.children["hub"]
            assert set(capabilities_of(hub).values()) == {frozenset()}
            assert Path(os.readlink(f"/proc/{hub}/exe")).is_relative_to("/opt/phalanx")
            assert "is closed to the user phalanx" in running.log.read_text()


def test_a_taken_port_is_said_with_what_to_do(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "phalanx.cli.main", "hub", "--state-dir", str(state), "--address", address],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode in (2, 3)
    assert address in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr
