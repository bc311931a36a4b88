"""The kernel sensor as the agent sees it: start, poll, statistics, close."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from phalanx.errors import SensorError
from phalanx.model.columns import Coverage
from phalanx.model.container import Container
from phalanx.model.event import Event, Loss
from phalanx.model.ids import AgentId
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.sensors.kernel import inventory
from phalanx.sensors.kernel.batch import encode_batch
from phalanx.sensors.kernel.groups import HOST, CgroupPaths, container_of_cgroup
from phalanx.sensors.kernel.names import Names

if TYPE_CHECKING:
    from phalanx.language.kernel_filter import KernelFilter
    from phalanx.sensors.kernel._decode import Decoder
    from phalanx.sensors.kernel._object import KernelObject
    from phalanx.sensors.kernel.load import Capability

__all__ = ["Harvest", "KernelSensor", "Statistics"]

OBJECT: Final = Path(__file__).with_name("phalanx.bpf.o")
RING_BYTES: Final = 16 << 20
"""Default size of the ring buffer: at 400 bytes a record, 0.2 s of 200,000 events/s."""
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
BULK_PER_S: Final = 20_000
"""Rows a second, for each kind, of opens, datagrams and duplicated descriptors that no rule wants; the excess is counted as a loss."""


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
    own_skipped: int
    """Bulk events of this product's own processes that no rule wanted; not recorded."""
    lag_ns: int
    """How long ago the newest event that was read happened, while more wait in the ring; 0 when none does."""
    lag_ns_by_cpu: dict[str, int]
    """Age of each CPU's oldest event when it was read, in the last second; some 10 ms is the pause between two looks."""
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
        bulk_per_s: int = BULK_PER_S,
    ) -> None:
        self._agent = agent
        self._host = host
        self._ring_bytes = ring_bytes
        self._container = container
        self._batch_ns = batch_ns
        self._batch_rows = batch_rows
        self._bulk_per_s = bulk_per_s
        self._names = Names()
        self._paths = CgroupPaths()
        self._lock = threading.Lock()
        self._running: tuple[KernelObject, Decoder] | None = None
        self._filter: KernelFilter | None = None
        self._capabilities: list[Capability] = []
        self._boot = ""
        self._offset = 0
        self._batch_since = 0
        self._covered_until = 0
        self._first_row_at = 0
        self._counters: list[tuple[int, ...]] = []
        self._counted_at = 0
        self._rate = 0.0
        self._lag: dict[str, int] = {}
        self._seen = 0
        self._told: dict[str, int] = {}
        self._losses: list[Loss] = []

    # --- what the decoder asks ---------------------------------------------------------------------------------------------

    def names(self, container: str, uid: int, gid: int, loginuid: int, pid: int) -> tuple[str, str, str, str, str]:
        """Names of user, home, shell, group and login user."""
        return self._names.lookup(container, uid, gid, loginuid, pid)

    def cgroup(self, number: int, path: str | None) -> tuple[str, str]:
        """Path and container id of a cgroup."""
        if path is None:
            path = self._paths.path(number)
        return ("", HOST) if path is None else (path, container_of_cgroup(path))

    def cgroup_id(self, path: str) -> int:
        """Id of the cgroup at ``path``; 0 when there is none."""
        return self._paths.number(path)

    def arguments(self, pid: int, start: int) -> tuple[bytes, bytes, str | None, str | None]:
        """``(argv, environment, executed file, working directory)`` of a process that lives, as /proc tells; empty when it is gone."""
        return (
            inventory.read(f"/proc/{pid}/cmdline"),
            inventory.read(f"/proc/{pid}/environ"),
            inventory.link(f"/proc/{pid}/exe"),
            inventory.link(f"/proc/{pid}/cwd"),
        )

    def facts(self, pid: int) -> inventory.Facts | None:
        """What /proc says of a process that the snapshot did not bring."""
        return inventory.facts(pid)

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
        decoder = Decoder(
            self,
            self._agent,
            self._boot.replace("-", ""),
            rows=self._batch_rows,
            sequence=time.clock_gettime_ns(time.CLOCK_BOOTTIME) >> 10,
        )
        self._paths.scan()
        self._offset = _offset()
        decoder.set_offset(self._offset)
        loaded = None
        try:
            loaded, self._capabilities = load(OBJECT.read_bytes(), self._ring_bytes)
            loaded.iterate("snapshot_tasks", decoder)
            decoder.link()
        except OSError as error:
            if loaded is not None:
                loaded.close()
            raise SensorError(
                f"the kernel sensor does not start: {error.strerror or error}", hint=doctor.hint()
            ) from error
        decoder.set_own([os.getpid()])
        decoder.set_budget(self._bulk_per_s)
        self._running = loaded, decoder
        self.set_filter(self._filter)
        self._counters = loaded.counters()
        self._counted_at = time.monotonic_ns()
        self._covered_until = time.time_ns()

    def set_filter(self, chosen: KernelFilter | None) -> None:
        """From now on, only events that ``chosen`` can match become candidates (None: all). May be called before :meth:`start`.

        What is always recorded is recorded all the same; of the rest the kernel sends only the types that ``chosen`` names.
        """
        from phalanx.sensors.kernel.filters import native_filter, wants

        with self._lock:
            self._filter = chosen
            if self._running is None:
                return
            loaded, decoder = self._running
            decoder.set_filter(native_filter(chosen))
            for number, want in wants(chosen).items():
                loaded.update("wanted", number.to_bytes(4, "little"), want)

    def set_own_processes(self, pids: list[int]) -> None:
        """Further processes of this product, at most 16 in all: their bulk events are recorded only when a rule wants them.

        What they execute, connect to, or have done to them is recorded like everybody's.
        """
        with self._lock:
            if self._running is not None:
                self._running[1].set_own([os.getpid(), *pids])

    def close(self) -> None:
        """Detach and unload everything; again is harmless."""
        with self._lock:
            if self._running is not None:
                self._running[0].close()
                self._running = None

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
                loaded, decoder = self._need()
                decoder.begin_drain(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
                if loaded.drain(decoder, self._batch_rows) or decoder.rows or time.monotonic() >= deadline:
                    harvest = self._harvest(loaded, decoder)
                    if (
                        harvest.batch is not None
                        or harvest.candidates
                        or harvest.losses
                        or time.monotonic() >= deadline
                    ):
                        return harvest
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))

    def _need(self) -> tuple[KernelObject, Decoder]:
        if self._running is None:
            raise SensorError("the kernel sensor does not run", hint="call start() first")
        return self._running

    def _harvest(self, loaded: KernelObject, decoder: Decoder) -> Harvest:
        now = time.monotonic_ns()
        self._check_clock(decoder)
        if now - self._counted_at >= 1_000_000_000:
            self._count(loaded, decoder, now)
        losses, self._losses = self._losses, []
        rows = decoder.rows
        if rows and not self._first_row_at:
            self._first_row_at = now
        batch = None
        due = rows and (rows >= self._batch_rows or now - self._first_row_at >= self._batch_ns)
        if due or (not rows and time.time_ns() - self._covered_until >= IDLE_NS):
            batch = self._take_batch(decoder)
        return Harvest(batch=batch, candidates=decoder.take_candidates(), losses=losses)

    def _take_batch(self, decoder: Decoder) -> bytes:
        rows, processes, events, states = decoder.take()
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

    def _check_clock(self, decoder: Decoder) -> None:
        """Follow the wall clock; a step is told, because times before and after it do not compare."""
        offset = _offset()
        if abs(offset - self._offset) > STEP_NS:
            self._lose(decoder, "clock_step", 0, since_ns=time.time_ns() - (offset - self._offset))
        self._offset = offset
        decoder.set_offset(offset)

    def _count(self, loaded: KernelObject, decoder: Decoder, now: int) -> None:
        """Read the counters and turn what was lost since the last time into Loss events."""
        counters = loaded.counters()
        since_ns = time.time_ns() - (now - self._counted_at)
        by_cpu = {
            str(cpu): lost
            for cpu, (new, old) in enumerate(zip(counters, self._counters, strict=True))
            if (lost := _refused(new) - _refused(old))
        }
        if by_cpu:
            self._lose(decoder, "ring_full", sum(by_cpu.values()), since_ns, by_cpu)
        for cause, total in self._dropped(decoder).items():
            if total > self._told.get(cause, 0):
                self._lose(decoder, cause, total - self._told.get(cause, 0), since_ns)
                self._told[cause] = total
        self._rate = (decoder.seen - self._seen) * 1e9 / max(now - self._counted_at, 1)
        self._seen = decoder.seen
        self._lag = {str(cpu): lag for cpu, lag in decoder.take_lag().items()}
        self._counters = counters
        self._counted_at = now

    @staticmethod
    def _dropped(decoder: Decoder) -> dict[str, int]:
        """What the decoder did not pass on, by cause: over the budget, no room in the process table, no object for the rules."""
        return {
            "rate_guard": decoder.guarded,
            "table_full": decoder.table.refused,
            "not_evaluated": decoder.failed,
        }

    def _lose(
        self, decoder: Decoder, cause: str, count: int, since_ns: int, by_cpu: dict[str, int] | None = None
    ) -> None:
        ts_ns = time.time_ns()
        extra = msgspec.json.encode({"by_cpu": by_cpu}).decode() if by_cpu else None
        self._losses.append(
            Loss(
                ts_ns=ts_ns,
                agent=self._agent,
                seq=decoder.loss(ts_ns, count, cause, since_ns, extra),
                type="loss",
                process=None,
                container=None,
                count=count,
                cause=cause,
                since_ns=since_ns,
                by_cpu=by_cpu or {},
            )
        )

    def processes(self) -> list[Process]:
        """Everything that lives, by pid."""
        with self._lock:
            return [] if self._running is None else self._running[1].table.processes()

    def capabilities(self) -> list[Capability]:
        """Which programs run and why others do not."""
        return list(self._capabilities)

    def statistics(self) -> Statistics:
        """How the sensor is doing."""
        with self._lock:
            loaded, decoder = self._need()
            lost_by_cpu = {str(cpu): lost for cpu, values in enumerate(loaded.counters()) if (lost := _refused(values))}
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            return Statistics(
                events=decoder.seen,
                recorded=decoder.recorded,
                candidates=decoder.wanted,
                events_per_s=self._rate,
                lost={"ring_full": sum(lost_by_cpu.values()), **self._dropped(decoder)},
                lost_by_cpu=lost_by_cpu,
                truncated=decoder.cut,
                malformed=decoder.malformed,
                adopted=decoder.adopted,
                own_skipped=decoder.own_skipped,
                lag_ns=max(0, now - decoder.newest) if loaded.waiting() else 0,
                lag_ns_by_cpu=dict(self._lag),
                ring_bytes=self._ring_bytes,
                ring_waiting_bytes=loaded.waiting(),
                processes=decoder.table.living,
                processes_refused=decoder.table.refused,
            )


def _refused(counters: tuple[int, ...]) -> int:
    """Records that the full ring refused on one CPU (``PH_C_LOST_CRITICAL``, ``PH_C_LOST_BULK``)."""
    return counters[1] + counters[2]


def _offset() -> int:
    """Nanoseconds from boot time to UTC."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    utc = time.time_ns()
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return utc - (before + after) // 2
