"""The node agent at work: read the sensor, ask the rules, keep what was seen until the hub has it.

One thread senses; two deliver, so that a detection never waits behind a batch of events; one follows the hub's rule sets; one asks the container
runtimes. They meet in the outboxes, which are durable, and in two small queues into the sensing thread, which alone touches the engine.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from phalanx.app.agent.identity import Identity
from phalanx.app.agent.link import HubLink
from phalanx.app.agent.outbox import outboxes
from phalanx.app.agent.ruleset import RuleKeeper, compile_bundle
from phalanx.app.agent.status import StatusKeeper
from phalanx.app.perform import Performer
from phalanx.detect import Engine
from phalanx.errors import CorruptError, PhalanxError, UnavailableError
from phalanx.language import RuleSet
from phalanx.model.columns import MAGIC, BatchHeader
from phalanx.model.container import Container
from phalanx.model.detection import Detection
from phalanx.model.event import Loss
from phalanx.model.process import Process
from phalanx.model.report import AgentStatus, CommandResult, Report, RuleBundle
from phalanx.model.values import UNKNOWN
from phalanx.sensors.containers import ContainerDirectory
from phalanx.sensors.kernel import Harvest, KernelSensor

__all__ = ["AgentRuntime", "alone", "batch_id"]

_POLL_S: Final = 0.01
_STATUS_EVERY_S: Final = 5.0
_PROCESSES_EVERY_S: Final = 30.0
_RULES_RETRY_S: Final = 2.0
_DETECTIONS_A_REPORT: Final = 200
"""A flood of detections goes out in reports of this size, so that none is larger than the hub takes."""


class AgentRuntime:
    """Everything that runs in the agent's process. :meth:`run` blocks until :meth:`stop`."""

    def __init__(self, *, state: Path, socket: Path, identity: Identity, say: Callable[[str], None]) -> None:
        self._identity = identity
        self._say = say
        self._stopping = threading.Event()
        self._encoder = msgspec.json.Encoder()
        self._keeper = RuleKeeper(state)
        self._offered: queue.Queue[tuple[RuleBundle, RuleSet]] = queue.Queue(maxsize=1)
        self._batches, self._reports = outboxes(state, socket, say)
        self._hub: int | None = None
        self._rules_link = HubLink(socket)
        self._commands_link = HubLink(socket)
        bundle, ruleset = self._keeper.last_good()
        self._status = StatusKeeper(identity, bundle.version)
        self._containers = ContainerDirectory()
        self._engine = Engine(ruleset)
        self._sensor = KernelSensor(agent=identity.agent, host=identity.host, container=self._containers.lookup)
        self._sensor.set_filter(ruleset.kernel_filter())

    def run(self) -> None:
        """Start the sensor and work until :meth:`stop`.

        Raises:
            SensorError: the sensor cannot run on this machine.
        """
        self._sensor.start()
        self._containers.start()
        self._status.features = self._sensor.capabilities()
        threads = [
            threading.Thread(target=self._batches.run, name="deliver-batches"),
            threading.Thread(target=self._reports.run, name="deliver-reports"),
            threading.Thread(target=self._follow_rules, name="follow-rules", daemon=True),
        ]
        performer = Performer.inherited()
        if performer is not None:
            threads.append(
                threading.Thread(target=self._follow_commands, args=(performer,), name="follow-commands", daemon=True)
            )
        for thread in threads:
            thread.start()
        try:
            self._sense()
        finally:
            self._sensor.close()
            self._containers.close()
            self._batches.stop()
            self._reports.stop()
            for thread in threads[:2]:
                thread.join()
            self._batches.close()
            self._reports.close()

    def stop(self) -> None:
        """Ask :meth:`run` to end after what was read is kept."""
        self._stopping.set()

    # --- the sensing thread ------------------------------------------------------------------------------------------------

    def _sense(self) -> None:
        next_status = next_processes = 0.0
        while not self._stopping.is_set():
            harvest = self._sensor.poll(_POLL_S)
            detections = self._evaluate(harvest)
            if harvest.batch is not None:
                self._batches.put(batch_id(harvest.batch), harvest.batch)
            if detections or harvest.losses:
                self._report(detections, harvest.losses)
            now = time.monotonic()
            if now >= next_status:
                next_status = now + _STATUS_EVERY_S
                self._know_own()
                processes = None
                if now >= next_processes:
                    next_processes = now + _PROCESSES_EVERY_S
                    processes = self._living()
                self._report([], [], status=self._status_now(), processes=processes)

    def _evaluate(self, harvest: Harvest) -> list[Detection]:
        self._take_rules()
        detections: list[Detection] = []
        for event in harvest.candidates:
            detections += self._engine.feed(event)
        facts = self._containers.changes()
        for container in facts:
            detections += self._engine.facts_arrived(container)
        if facts:
            self._report([], [], facts=facts)
        now_ns = time.time_ns()
        self._engine.tick(now_ns)
        if harvest.candidates:
            self._status.decided(now_ns - harvest.candidates[0].ts_ns, len(harvest.candidates))
        return detections

    def _know_own(self) -> None:
        """The hub writes down what it is sent; recorded, that would be sent again, for ever. What rules want of it is judged all the same."""
        hub = self._reports.hub_pid
        if hub is not None and hub != self._hub:
            self._hub = hub
            self._sensor.set_own_processes([hub])

    def _living(self) -> list[Process]:
        """What lives, without parents (``ppid`` tells them); containers in which nothing lives any more have ended."""
        processes = self._sensor.processes()
        inhabited = {process.container_id for process in processes}
        for container in self._containers.known():
            if container.id not in inhabited:
                self._containers.ended(container.id)
        return alone(processes)

    def _take_rules(self) -> None:
        """Put a rule set that was offered in force: between two events, so that each is seen by exactly one set."""
        try:
            bundle, ruleset = self._offered.get_nowait()
        except queue.Empty:
            return
        self._sensor.set_filter(ruleset.kernel_filter())
        self._engine.reload(ruleset)
        self._status.rules_version = bundle.version
        self._status.rules_errors = 0

    def _report(
        self,
        detections: Sequence[Detection],
        losses: Sequence[Loss],
        *,
        facts: Sequence[Container] = (),
        status: AgentStatus | None = None,
        processes: Sequence[Process] | None = None,
    ) -> None:
        for start in range(0, max(1, len(detections)), _DETECTIONS_A_REPORT):
            first = start == 0
            report = Report(
                report=uuid.uuid4().hex,
                agent=self._identity.agent,
                host=self._identity.host,
                boot=self._identity.boot,
                sent_ns=time.time_ns(),
                detections=tuple(detections[start : start + _DETECTIONS_A_REPORT]),
                facts=tuple(facts) if first else (),
                losses=tuple(losses) if first else (),
                status=status if first else None,
                processes=tuple(processes) if first and processes is not None else None,
            )
            self._status.detections += len(report.detections)
            self._reports.put(report.report, self._encoder.encode(report))

    def _status_now(self) -> AgentStatus:
        return self._status.snapshot(
            self._sensor.statistics(), self._engine.statistics(), outboxes=(self._batches, self._reports)
        )

    # --- the following thread ----------------------------------------------------------------------------------------------

    def _follow_rules(self) -> None:
        version = self._status.rules_version
        while not self._stopping.is_set():
            try:
                bundle = self._rules_link.rules(version)
            except (UnavailableError, CorruptError):
                self._stopping.wait(_RULES_RETRY_S)  # the outboxes say that the hub is away
                continue
            if bundle is None:
                continue
            version = bundle.version
            try:
                ruleset = compile_bundle(bundle)
                _ = ruleset.matcher  # compiled here, so that the sensing thread does not wait for it
                self._keeper.keep(bundle)
            except PhalanxError as error:
                self._status.rules_errors += 1
                self._say(f"the hub's rule set {bundle.version[:12]} is not in force: {error}")
                continue
            self._offered.put((bundle, ruleset))

    def _follow_commands(self, performer: Performer) -> None:
        """Have simulations performed, in order; what cannot be told to the hub is told by the findings themselves."""
        link, agent = self._commands_link, self._identity.agent
        while not self._stopping.is_set():
            try:
                command = link.command(agent)
                if command is None:
                    continue
                for step in command.arguments:
                    done = performer.perform(step)
                    link.result(agent, CommandResult(command=command.id, step=step, ts_ns=done.ts_ns, error=done.error))
                link.result(agent, CommandResult(command=command.id, last=True))
            except (UnavailableError, CorruptError):
                self._stopping.wait(_RULES_RETRY_S)


def alone(processes: Sequence[Process]) -> list[Process]:
    """The processes without their parents: a snapshot holds each of them once already."""
    return [msgspec.structs.replace(process, parent=UNKNOWN) for process in processes]


def batch_id(batch: bytes) -> str:
    """The id in the header of a column batch; CorruptError when it has none."""
    if batch[:8] != MAGIC:
        raise CorruptError("not a column batch: wrong magic")
    length = int.from_bytes(batch[8:16], "little")
    return msgspec.json.decode(batch[16 : 16 + length], type=BatchHeader).batch
