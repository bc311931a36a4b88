"""A real hub in a process of its own, started as ``phalanx hub`` starts it."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from phalanx.model.detection import Detection
from phalanx.model.event import Exec
from phalanx.model.process import Process
from phalanx.model.severity import Severity

AGENT = "a" * 16


class Hub:
    """One hub, started and stopped by the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "hub.sock"
        self.process: subprocess.Popen[str] | None = None
        self.base = ""
        self.link = ""
        self._clients: list[httpx.Client] = []

    def start(self, *options: str, address: str = "127.0.0.1:0", ready: bool = True) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "phalanx.cli.main",
            "hub",
            "--state-dir",
            str(self.directory),
            "--socket",
            str(self.socket),
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PHALANX_")}
        self.process = subprocess.Popen(
            [*command, "--address", address, *options],
            stdout=subprocess.PIPE,
            stderr=(self.directory / "log").open("a"),
            text=True,
            env=environment,
        )
        if ready:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            found = re.search(r"(https?://[\w.\[\]:]+)(/setup\?token=\S+)?", line)
            assert found, line + (self.directory / "log").read_text()
            self.base, self.link = found[1], found[0]
        return self.process

    def local(self) -> httpx.Client:
        client = httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://hub", timeout=30)
        self._clients.append(client)
        return client

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self) -> None:
        for client in self._clients:
            client.close()
        if self.process is not None:
            if self.process.poll() is None:
                self.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()

    def wait_for(self, work: Callable[[], Any], seconds: float = 10.0) -> Any:
        until = time.monotonic() + seconds
        while True:
            value = work()
            if value or time.monotonic() > until:
                return value
            time.sleep(0.02)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path)
    yield made
    made.end()


@pytest.fixture
def make_event() -> Callable[..., Exec]:
    numbers = itertools.count(1)

    def make(name: str = "nc", **values: Any) -> Exec:
        seq = next(numbers)
        process = Process(
            id=f"b:{seq}:{seq}",  # type: ignore[arg-type]
            pid=seq,
            start_ns=seq,
            name=name,
            exepath=f"/usr/bin/{name}",
            argv=("-l",),
            uid=0,
            user="root",
            parent=None,
        )
        fields: dict[str, Any] = {
            "ts_ns": time.time_ns(),
            "agent": AGENT,
            "seq": seq,
            "type": "execve",
            "process": process,
            "ret": 0,
        }
        return Exec(**(fields | values))

    return make


@pytest.fixture
def make_detection(make_event: Callable[..., Exec]) -> Callable[..., Detection]:
    def make(rule: str = "PHX-EXE-001", **values: Any) -> Detection:
        event = make_event(**values)
        process = event.process
        assert isinstance(process, Process)
        return Detection(
            id=f"{event.id}/{rule}",
            rule=rule,  # type: ignore[arg-type]
            rule_name="A rule",
            rule_version="1",
            severity=Severity.HIGH,
            priority="ERROR",
            output="it ran",
            ts_ns=event.ts_ns,
            decided_ns=event.ts_ns,
            event=event,
            lineage=(process,),
        )

    return make
