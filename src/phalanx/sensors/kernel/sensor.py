"""The kernel sensor as the agent sees it: start, poll, statistics, close."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
from msgspec import Struct

from phalanx.errors import SensorError
from phalanx.model.columns import Coverage
from phalanx.model.container import Container
from phalanx.model.event import Event, Loss
from phalanx.model.ids import AgentId
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.sensors.kernel.batch import encode_batch
from phalanx.sensors.kernel.groups import HOST, CgroupPaths, container_of_cgroup
from phalanx.sensors.kernel.names import Names
from phalanx.text import hostile

__all__ = ["Capability", "Harvest", "KernelSensor", "Statistics"]

OBJECT: Final = Path(__file__).with_name("phalanx.bpf.o")
RING_BYTES: Final = 32 << 20
"""Default size of the ring buffer: at 400 bytes a record, 0.3 s of 250,000 events/s."""
BATCH_NS: Final = 200_000_000
"""A batch is handed over when its first event is this old …"""
BATCH_ROWS: Final = 16_384
"""… or it has this many events."""
IDLE_NS: Final = 10_000_000_000
"""So long without an event, an empty batch tells that the time is covered."""
POLL_S: Final = 0.01
"""Programs never wake the reader (BPF_RB_NO_WAKEUP): it looks this often."""
STEP_NS: Final = 500_000_000
"""A change of the wall clock against the kernel's that is reported."""
MAX_ARGUMENT_BYTES: Final = 4096


class Capability(Struct, frozen=True, kw_only=True):
    """One program and whether it runs."""

    program: str
    hook: str
    runs: bool
    reason: str | None = None
    """Why it does not run; None when it does."""


class Harvest(Struct, frozen=True, kw_only=True):
    """What one poll brought."""

    batch: bytes | None
    """A column batch (:mod:`phalanx.model.columns`); None while the present one still fills."""
    candidates: list[Event]
    """Events that some loaded rule can match, in the order in which they happened."""
    losses: list[Loss]
    """What was not seen since the last poll; these are rows of the batch, too."""


class Statistics(Struct, frozen=True, kw_only=True):
    """How the sensor is doing; counters are since its start."""

    events: int
    """Records read from the ring."""
    recorded: int
    """Rows written to batches."""
    candidates: int
    """Events handed to the rules."""
    events_per_s: float
    """Records read in the last second."""
    lost: dict[str, int]
    """Events lost, by cause."""
    lost_by_cpu: dict[str, int]
    """Events that the full ring refused, by CPU; CPUs without loss are left out."""
    truncated: int
    """Events of which some text was cut at its bound."""
    malformed: int
    """Records that did not add up; never by an attack that we know of."""
    adopted: int
    """Processes whose birth was not seen."""
    lag_ns: int
    """From the newest event read to the present; what waits in the ring is older than that."""
    ring_bytes: int
    ring_waiting_bytes: int
    processes: int
    """Living processes in the table."""
    processes_refused: int
    """Processes that found the table full."""


class KernelSensor:
    """Loads the programs, keeps the process table, and gives batches and candidates. One thread polls; other methods may be called from any.

    ``container`` is asked for the metadata of a container when a candidate is made; without it, or when it answers UNKNOWN, a candidate's
    container is UNKNOWN.
    """

    def __init__(
        self,
        *,
        agent: AgentId,
        host: str,
        ring_bytes: int = RING_BYTES,
        container: Callable[[str], Maybe[Container]] | None = None,
        batch_ns: int = BATCH_NS,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._agent = agent
        self._host = host
        self._ring_bytes = ring_bytes
        self._container = container
        self._batch_ns = batch_ns
        self._batch_rows = batch_rows
        self._names = Names()
        self._paths = CgroupPaths()
        self._lock = threading.Lock()
        self._object: Any = None
        self._decoder: Any = None
        self._capabilities: list[Capability] = []
        self._boot = ""
        self._offset = 0
        self._batch_since = 0
        self._covered_until = 0
        self._first_row_at = 0
        self._counters: list[tuple[int, ...]] = []
        self._counted_at = 0
        self._rate = (0, 0, 0.0)
        self._losses: list[Loss] = []

    # --- what the decoder asks ---------------------------------------------------------------------------------------------

    def names(self, container: str, uid: int, gid: int, loginuid: int, pid: int) -> tuple[str, str, str, str, str]:
        """Names of user, home, shell, group and login user."""
        return self._names.lookup(container, uid, gid, loginuid, pid)

    def cgroup(self, number: int, path: str | None) -> tuple[str, str]:
        """Path and container id of a cgroup."""
        if path is None:
            path = self._paths.path(number)
        if path is None:
            return "", HOST
        return path, container_of_cgroup(path)

    def arguments(self, pid: int, start: int) -> tuple[bytes, bytes, str | None, str | None]:
        """``(argv, environment, executed file, working directory)`` of a process that lives, as /proc tells; empty when it is gone."""
        argv = _read(f"/proc/{pid}/cmdline")
        env = _read(f"/proc/{pid}/environ")
        return argv, env, _link(f"/proc/{pid}/exe"), _link(f"/proc/{pid}/cwd")

    def container(self, number: str | None) -> Maybe[Container]:
        """Metadata of a container as far as it is known."""
        if number is None or number == HOST:
            return None
        return UNKNOWN if self._container is None else self._container(number)

    # --- life ----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load, attach, take the snapshot. SensorError, with what to do, when this machine cannot."""
        from phalanx.sensors.kernel import doctor

        doctor.require()
        from phalanx.sensors.kernel._decode import Decoder
        from phalanx.sensors.kernel.load import load

        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._decoder = Decoder(
            self,
            self._agent,
            self._boot.replace("-", ""),
            rows=self._batch_rows,
            sequence=time.clock_gettime_ns(time.CLOCK_BOOTTIME) >> 10,
        )
        self._paths.scan()
        self._offset = _offset()
        self._decoder.set_offset(self._offset)
        try:
            self._object, self._capabilities = load(OBJECT.read_bytes(), self._ring_bytes)
            self._object.iterate("snapshot_tasks", self._decoder)
            self._decoder.link()
        except OSError as error:
            self.close()
            raise SensorError(
                f"the kernel sensor does not start: {error.strerror or error}", hint=doctor.hint()
            ) from error
        self._counters = self._object.counters()
        self._counted_at = time.monotonic_ns()
        self._covered_until = time.time_ns()

    def close(self) -> None:
        """Detach and unload everything; again is harmless."""
        with self._lock:
            if self._object is not None:
                self._object.close()
                self._object = None

    def __enter__(self) -> KernelSensor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- work ----------------------------------------------------------------------------------------------------------------

    def poll(self, timeout_s: float = POLL_S) -> Harvest:
        """Read what happened, waiting at most ``timeout_s`` when nothing did. SensorError when the sensor does not run."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                if self._object is None:
                    raise SensorError("the kernel sensor does not run", hint="call start() first")
                read = self._object.drain(self._decoder, self._batch_rows)
                if read or self._decoder.rows or time.monotonic() >= deadline:
                    harvest = self._harvest()
                    if (
                        harvest.batch is not None
                        or harvest.candidates
                        or harvest.losses
                        or time.monotonic() >= deadline
                    ):
                        return harvest
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))

    def _harvest(self) -> Harvest:
        now = time.monotonic_ns()
        self._check_clock()
        if now - self._counted_at >= 1_000_000_000:
            self._count(now)
        losses, self._losses = self._losses, []
        rows = self._decoder.rows
        if rows and not self._first_row_at:
            self._first_row_at = now
        batch = None
        due = rows and (rows >= self._batch_rows or now - self._first_row_at >= self._batch_ns)
        if due or (not rows and time.time_ns() - self._covered_until >= IDLE_NS):
            batch = self._take_batch()
        return Harvest(batch=batch, candidates=self._decoder.take_candidates(), losses=losses)

    def _take_batch(self) -> bytes:
        rows, processes, events, states = self._decoder.take()
        self._first_row_at = 0
        until = time.time_ns()
        since, self._covered_until = min(self._covered_until, until), until
        return encode_batch(
            agent=self._agent,
            host=self._host,
            boot=self._boot,
            rows=rows,
            processes=processes,
            tables={"event": events, "process": states},
            coverage=(Coverage(kind="*", since_ns=since, until_ns=until),),
        )

    def _check_clock(self) -> None:
        offset = _offset()
        if abs(offset - self._offset) > STEP_NS:
            self._lose("clock_step", 0, {}, since_ns=time.time_ns() - (offset - self._offset))
        self._offset = offset
        self._decoder.set_offset(offset)

    def _count(self, now: int) -> None:
        """Read the kernel's counters and turn what was lost since the last time into Loss events."""
        counters = self._object.counters()
        for cause, columns in (("ring_full", (1, 2)),):
            by_cpu = {
                str(cpu): lost
                for cpu, (new, old) in enumerate(zip(counters, self._counters, strict=True))
                if (lost := sum(new[c] - old[c] for c in columns))
            }
            if by_cpu:
                self._lose(cause, sum(by_cpu.values()), by_cpu, since_ns=time.time_ns() - (now - self._counted_at))
        seen, at, _ = self._rate
        self._rate = (self._decoder.seen, now, (self._decoder.seen - seen) * 1e9 / max(now - at, 1) if at else 0.0)
        self._counters = counters
        self._counted_at = now

    def _lose(self, cause: str, count: int | None, by_cpu: dict[str, int], since_ns: int) -> None:
        ts_ns = time.time_ns()
        extra = msgspec.json.encode({"by_cpu": by_cpu}).decode() if by_cpu else None
        seq = self._decoder.loss(ts_ns, -1 if count is None else count, cause, since_ns, extra)
        self._losses.append(
            Loss(
                ts_ns=ts_ns,
                agent=self._agent,
                seq=seq,
                type="loss",
                process=None,
                container=None,
                count=count,
                cause=cause,
                since_ns=since_ns,
                by_cpu=by_cpu,
            )
        )

    def processes(self) -> list[Process]:
        """Everything that lives, by pid."""
        with self._lock:
            if self._decoder is None:
                return []
            found: list[Process] = self._decoder.table.processes()
            return found

    def capabilities(self) -> list[Capability]:
        """Which programs run and why others do not."""
        return list(self._capabilities)

    def statistics(self) -> Statistics:
        """How the sensor is doing."""
        with self._lock:
            if self._object is None:
                raise SensorError("the kernel sensor does not run", hint="call start() first")
            counters = self._object.counters()
            decoder = self._decoder
            lost_by_cpu = {
                str(cpu): values[1] + values[2] for cpu, values in enumerate(counters) if values[1] + values[2]
            }
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            return Statistics(
                events=decoder.seen,
                recorded=decoder.recorded,
                candidates=decoder.wanted,
                events_per_s=self._rate[2],
                lost={"ring_full": sum(lost_by_cpu.values()), "table_full": decoder.table.refused},
                lost_by_cpu=lost_by_cpu,
                truncated=decoder.cut,
                malformed=decoder.malformed,
                adopted=decoder.adopted,
                lag_ns=max(0, now - decoder.newest) if self._object.waiting() else 0,
                ring_bytes=self._ring_bytes,
                ring_waiting_bytes=self._object.waiting(),
                processes=decoder.table.living,
                processes_refused=decoder.table.refused,
            )


def _offset() -> int:
    """Nanoseconds from boot time to UTC."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    utc = time.time_ns()
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return utc - (before + after) // 2


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(MAX_ARGUMENT_BYTES) or b""
    except OSError:
        return b""


def _link(path: str) -> str | None:
    try:
        return hostile.decode(os.readlink(os.fsencode(path)))
    except OSError:
        return None
