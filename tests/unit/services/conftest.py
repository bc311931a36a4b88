"""Services over real stores, and things that an agent would send."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Role
from phalanx.model.detection import Detection, Match
from phalanx.model.event import Exec
from phalanx.model.process import Process
from phalanx.model.severity import Severity
from phalanx.services.hub import Services
from phalanx.services.wiring import ServiceOptions, open_services

NOW = 1_795_000_000_000_000_000
S = 10**9


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    opened = open_services(tmp_path, ServiceOptions(login_attempts=3), clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def admin() -> Actor:
    return Actor(name="ann", roles=frozenset({Role.ADMIN}), credential="c1", source="127.0.0.1")


@pytest.fixture
def make_detection() -> Callable[..., Detection]:
    numbers = itertools.count(1)

    def make(**values: Any) -> Detection:
        seq = next(numbers)
        ts = values.pop("ts_ns", NOW - 60 * S + seq)
        rule = values.pop("rule", "PHX-EXE-001")
        exepath = values.pop("exepath", "/usr/bin/nc")
        container = values.pop("container_id", "host")
        name = exepath.rpartition("/")[2]
        shell = Process(id="b:10:1", pid=10, start_ns=1, name="bash", exepath="/bin/bash", user="root", uid=0)  # type: ignore[arg-type]
        process = Process(
            id=f"b:{seq + 1000}:{seq}",  # type: ignore[arg-type]
            pid=seq + 1000,
            start_ns=seq,
            ppid=10,
            name=name,
            exepath=exepath,
            argv=values.pop("argv", ("-e", "/bin/sh")),
            uid=0,
            user="root",
            container_id=container,
            parent=shell,
        )
        event = Exec(ts_ns=ts, agent="a" * 16, seq=seq, type="execve", process=process, filename=exepath)
        fields: dict[str, Any] = {
            "id": f"{event.id}/{rule}",
            "rule": rule,
            "rule_name": "A rule",
            "rule_version": "v1",
            "severity": Severity.HIGH,
            "priority": "ERROR",
            "output": f"{name} ran",
            "ts_ns": ts,
            "decided_ns": ts + 1_000_000,
            "event": event,
            "lineage": (process, shell),
            "matches": (Match(text=f"proc.name = {name}", field="proc.name", value=name),),
        }
        return Detection(**(fields | values))

    return make
