"""Sensor and engine in this process: perform something, see which rules fire."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from phalanx.content import rule_files
from phalanx.detect import Engine
from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.model.detection import Detection
from phalanx.model.event import Event
from phalanx.model.ids import AgentId
from phalanx.respond.simulate.perform import Performed
from phalanx.sensors.containers import ContainerDirectory
from phalanx.sensors.kernel import KernelSensor

__all__ = ["Watch", "caused_by", "own_rules", "perform", "watching"]


def own_rules() -> RuleSet:
    """phalanx's rules as a user gets them."""
    return load_rules([RuleSource(name, text) for name, text in rule_files()])


class Watch:
    """What the sensor saw and the rules said; filled by a thread."""

    def __init__(self, ruleset: RuleSet, *, keep_events: bool = False) -> None:
        self.detections: list[Detection] = []
        self.events: list[Event] = []
        """Candidates, when they are kept."""
        self._keep = keep_events
        self._containers = ContainerDirectory()
        self._sensor = KernelSensor(agent=AgentId("a" * 16), host="test", container=self._containers.lookup)
        self._sensor.set_filter(ruleset.kernel_filter())
        self._engine = Engine(ruleset)
        self._stop = threading.Event()
        self._polls = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            harvest = self._sensor.poll(0.01)
            for event in harvest.candidates:
                self.detections += self._engine.feed(event)
            if self._keep:
                self.events += harvest.candidates
            for container in self._containers.changes():
                self.detections += self._engine.facts_arrived(container)
            self._engine.tick()
            self._polls += 1

    def settle(self) -> None:
        """Wait until everything that happened before this call was read and judged."""
        seen = self._polls
        deadline = time.monotonic() + 10
        while self._polls < seen + 3 and time.monotonic() < deadline:
            time.sleep(0.005)

    def start(self) -> None:
        self._sensor.start()
        self._containers.start()
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._containers.close()
        self._sensor.close()


@contextmanager
def watching(ruleset: RuleSet | None = None, *, keep_events: bool = False) -> Iterator[Watch]:
    watch = Watch(ruleset or own_rules(), keep_events=keep_events)
    watch.start()
    try:
        yield watch
    finally:
        watch.close()


def perform(watch: Watch, name: str, *words: str) -> tuple[Performed, list[Detection]]:
    """Perform one act in a process of its own; what became of it and what fired because of it or its children."""
    watch.settle()
    before = len(watch.detections)
    command: Sequence[str] = [sys.executable, "-m", "phalanx.respond.simulate.perform", name, *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    time.sleep(0.02)
    watch.settle()
    lines = out.splitlines()
    performed = msgspec.json.decode(lines[-1], type=Performed) if lines else Performed(id=name, error=err)
    if performed.error:
        performed = Performed(id=name, ts_ns=performed.ts_ns, error=f"{performed.error}\n{err}")
    return performed, caused_by(child.pid, watch.detections[before:])


def caused_by(pid: int, detections: Sequence[Detection]) -> list[Detection]:
    """Those of a process and its descendants: others work on this machine, too."""
    return [hit for hit in detections if any(process.pid == pid for process in hit.lineage)]
