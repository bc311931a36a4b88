"""A running kernel sensor, and how to wait for what it sees."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from phalanx.model.event import Event
from phalanx.model.ids import AgentId
from phalanx.sensors.kernel import KernelSensor, doctor

Wait = Callable[[Callable[[Event], bool]], Event]


@pytest.fixture(scope="module")
def sensor() -> Iterator[KernelSensor]:
    """One sensor for the tests of a module."""
    lacks = [check for check in doctor.checks() if check.required and not check.ok]
    if lacks:
        pytest.skip(f"needs a kernel that runs the sensor: {lacks[0].found}: {lacks[0].remedy}")
    with KernelSensor(agent=AgentId("00112233445566aa"), host="test") as running:
        yield running


@pytest.fixture
def wait(sensor: KernelSensor) -> Wait:
    """``wait(condition)``: the first candidate for which ``condition`` holds; what was seen before stays in ``wait.seen``."""
    seen: list[Event] = []

    def until(condition: Callable[[Event], bool]) -> Event:
        for event in seen:
            if condition(event):
                return event
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            fresh = sensor.poll(0.02).candidates
            seen.extend(fresh)
            for event in fresh:
                if condition(event):
                    return event
        raise AssertionError(
            f"no such event among {len(seen)}: {[(e.type, e.process and e.process.cmdline) for e in seen][-30:]}"
        )

    return until


def _unit_helpers() -> ModuleType:
    """The reader of batches that the unit tests use, too."""
    path = Path(__file__).parents[2] / "unit/sensors/kernel/conftest.py"
    spec = importlib.util.spec_from_file_location("decoder_helpers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def rebuild() -> Callable[[bytes], list[Event]]:
    """``rebuild(batch)``: its events as objects, made from the columns alone."""
    made: Callable[[bytes], list[Event]] = _unit_helpers().rebuild
    return made
