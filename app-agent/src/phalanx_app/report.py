"""Reporting: findings and health go to a local file and to the hub, through a bounded queue and a bounded disk spool.

One daemon thread for each process sends; it starts with the first message and again after a fork. The application never waits: a full queue drops the
newest message and counts it. The wire format is described in docs/app-agent/wire.md.
"""

from __future__ import annotations

import collections
import json
import os
import sys
import threading
import time
from typing import Any

from . import runtime
from .config import Config
from .version import VERSION

WIRE = 1
BATCH_MESSAGES = 200
_open = open
"""The interpreter's own, taken before sinks are wrapped. Libraries for sending are imported when something is sent, by a thread that belongs to no request."""


def private(directory: str) -> None:
    """Make a directory and the one above it, for this user alone.

    Raises:
        OSError: when one of them belongs to somebody else or others may write there: what is spooled is not for them.
    """
    for one in (os.path.dirname(directory), directory):
        os.makedirs(one, mode=0o700, exist_ok=True)
        stat = os.stat(one)
        if stat.st_uid != os.getuid() or stat.st_mode & 0o022:
            raise PermissionError(f"{one} is not private")


class Spool:
    """Batches that the hub has not acknowledged, one file each, oldest dropped first beyond the bound."""

    def __init__(self, directory: str, bound: int) -> None:
        self.directory = directory
        self.bound = bound
        self.dropped = 0
        """Batches dropped because the bound was reached or the disk refused them."""
        self._number = 0

    def keep(self, data: bytes) -> None:
        """Write one batch; what cannot be written is counted."""
        if len(data) > self.bound:
            self.dropped += 1
            return
        try:
            private(self.directory)
            self._make_room(len(data))
            self._number += 1
            name = os.path.join(self.directory, f"{time.time_ns():020d}-{os.getpid()}-{self._number}.json")
            with _open(name + ".part", "wb") as file:
                file.write(data)
            os.replace(name + ".part", name)
        except OSError:
            self.dropped += 1

    def _make_room(self, wanted: int) -> None:
        files = self.files()
        total = sum(size for _, size in files) + wanted
        for path, size in files:
            if total <= self.bound:
                break
            os.unlink(path)
            total -= size
            self.dropped += 1

    def files(self) -> list[tuple[str, int]]:
        """Path and size of what is kept, oldest first."""
        out = []
        try:
            names = sorted(one for one in os.listdir(self.directory) if one.endswith(".json"))
        except OSError:
            return []
        for name in names:
            path = os.path.join(self.directory, name)
            try:
                out.append((path, os.stat(path).st_size))
            except OSError:
                continue
        return out


class Reporter:
    """Collects messages and sends them."""

    def __init__(self, agent: runtime.Runtime, interval: float = 1.0) -> None:
        self.agent = agent
        self.config: Config = agent.config
        self.interval = interval
        self.dropped = 0
        """Messages dropped because the queue was full."""
        self.sent = 0
        self.failures = 0
        self.file_errors = 0
        self.instance = os.urandom(16).hex()
        self._queue: collections.deque[dict[str, Any]] = collections.deque()
        self._seen: dict[str, int] = {}
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._stopping = False
        self._heard = bool(self.config.hub or self.config.report)
        self._last_health = 0.0
        self._last_inventory = -1
        self.spool = Spool(os.path.join(self.config.state, "spool"), self.config.spool_bytes)
        self._control = os.path.join(self.config.state, "control")
        self._control_stamp: tuple[int, int] | None = None

    # --- taking messages ---------------------------------------------------------------------------------------------------------------

    def finding(self, finding: dict[str, Any]) -> None:
        """A flaw was seen. The full message goes out once for this process; later sightings are counted in the health message."""
        fingerprint = finding["fingerprint"]
        count = self._seen.get(fingerprint, 0)
        if len(self._seen) < 20_000 or count:
            self._seen[fingerprint] = count + 1
        if count == 0:
            self.message("finding", finding)

    def again(self, fingerprint: str) -> None:
        """A flaw that this process told already was seen again."""
        self._seen[fingerprint] = self._seen.get(fingerprint, 0) + 1

    def message(self, kind: str, body: dict[str, Any]) -> None:
        """Put one message into the queue."""
        if len(self._queue) >= self.config.queue_messages:
            self.dropped += 1
            return
        self._queue.append({"kind": kind, "time": _now(), **body})
        self._write_file()
        self._start()
        self._wake.set()

    def health(self) -> None:
        """A health message, now."""
        self.message("health", self.state())

    def state(self) -> dict[str, Any]:
        """What the agent says of itself."""
        counters, importer = self.agent.counters, self.agent.importer
        counts = importer.counts if importer is not None else None
        return {
            "mode": self.agent.mode,
            "uptime_seconds": round(time.time() - self.agent.started, 1),
            "requests": counters.requests,
            "analysed": counters.analysed,
            "findings": counters.findings,
            "errors": counters.errors,
            "last_errors": self.agent.last_errors[:5],
            "tainted_lost": counters.tainted_lost,
            "suspensions": counters.suspensions,
            "hooks_removed": self.agent.check_hooks(),
            "modules_rewritten": counts.rewritten if counts else 0,
            "modules_cached": counts.cached if counts else 0,
            "modules_failed": counts.failed if counts else 0,
            "dropped_messages": self.dropped,
            "dropped_batches": self.spool.dropped,
            "seen": dict(list(self._seen.items())[:2000]),
        }

    # --- the thread ----------------------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._pid != os.getpid():
            self.after_fork()
        if self._thread is None and not self._stopping:
            with self._lock:
                if self._thread is None:
                    from .taint import CURRENT

                    # The thread must not inherit the request that happened to be running.
                    token = CURRENT.set(None)
                    try:
                        thread = threading.Thread(target=self._run, name="phalanx-app", daemon=True)
                        self._thread = thread
                        thread.start()
                    finally:
                        CURRENT.reset(token)

    def after_fork(self) -> None:
        """A child process has no thread and an identity of its own; what was queued before belongs to the parent."""
        self._pid = os.getpid()
        self.instance = os.urandom(16).hex()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = None
        self._queue.clear()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self.interval)
            self._wake.clear()
            try:
                self.tick()
            except Exception:  # noqa: BLE001
                self.agent.failed("reporter")
            if not self._stopping and self.config.hub:
                time.sleep(min(0.2, self.interval))

    def tick(self) -> None:
        """One round: the control file, health once a minute, what changed in the inventory, and sending."""
        self.read_control()
        now = time.monotonic()
        if now - self._last_health > 60:
            self._last_health = now
            self._queue.append({"kind": "health", "time": _now(), **self.state()})
        inventory = self.agent.inventory if self._heard else None
        if (
            inventory is not None
            and inventory.version != self._last_inventory
            and len(self._queue) < self.config.queue_messages
        ):
            self._last_inventory = inventory.version
            self._queue.append({"kind": "inventory", "time": _now(), **inventory.snapshot()})
        self._write_file()
        self.send()

    def _write_file(self) -> None:
        """Append what is new to the local report: one line for each message."""
        if not self.config.report:
            return
        lines = []
        for one in list(self._queue):
            if not one.get("_written"):
                one["_written"] = True
                lines.append(
                    json.dumps(
                        {key: value for key, value in one.items() if key != "_written"}, ensure_ascii=False, default=str
                    )
                )
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        try:
            fd = os.open(self.config.report, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
        except OSError:
            self.file_errors += 1

    def send(self) -> bool:
        """Send what waits, the spool first; False when the hub could not take it."""
        if not self.config.hub:
            while len(self._queue) > 0 and (self._queue[0].get("_written") or not self.config.report):
                self._queue.popleft()
            return True
        while True:
            for path, _ in self.spool.files()[:50]:
                try:
                    with _open(path, "rb") as file:
                        data = file.read()
                except OSError:
                    continue
                if not self._post(data):
                    self._to_spool()
                    return False
                os.unlink(path)
            batch: list[dict[str, Any]] = []
            while self._queue and len(batch) < BATCH_MESSAGES:
                batch.append(self._queue.popleft())
            if not batch:
                return True
            data = self.envelope(batch)
            if not self._post(data):
                self.spool.keep(data)
                self._to_spool()
                return False
            self.sent += len(batch)

    def _to_spool(self) -> None:
        batch: list[dict[str, Any]] = []
        while self._queue:
            batch.append(self._queue.popleft())
        if batch:
            self.spool.keep(self.envelope(batch))

    def envelope(self, messages: list[dict[str, Any]]) -> bytes:
        """A batch as it goes over the wire."""
        import socket

        config = self.config
        return json.dumps(
            {
                "wire": WIRE,
                "batch": os.urandom(16).hex(),
                "agent": {
                    "version": VERSION,
                    "instance": self.instance,
                    "language": "python",
                    "runtime": ".".join(str(one) for one in sys.version_info[:3]),
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "native": _native(),
                },
                "project": config.project,
                "version": config.version,
                "environment": config.environment,
                "messages": [{key: value for key, value in one.items() if key != "_written"} for one in messages],
            },
            ensure_ascii=False,
            default=str,
        ).encode("utf-8", "replace")

    def _post(self, data: bytes) -> bool:
        import urllib.error
        import urllib.request

        headers = {"Content-Type": "application/json", "User-Agent": f"phalanx-app/{VERSION}"}
        if self.config.token:
            headers["Authorization"] = f"Bearer {self.config.token}"
        request = urllib.request.Request(f"{self.config.hub}/api/v1/app-agent/batches", data, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                body = answer.read(65_536)
        except urllib.error.HTTPError as error:
            self.failures += 1
            # A batch that the hub calls malformed will not become better; anything else is tried again.
            if error.code in (400, 413, 422):
                self.spool.dropped += 1
                return True
            return False
        except (OSError, ValueError):
            self.failures += 1
            return False
        try:
            order = json.loads(body or b"{}")
        except ValueError:
            return True
        if isinstance(order, dict) and order.get("mode") in ("on", "off"):
            self.agent.set_mode(order["mode"])
        return True

    # --- the switch -------------------------------------------------------------------------------------------------------------------------

    def read_control(self) -> None:
        """`phalanx-app on|off` writes the control file; a change of it switches this process."""
        try:
            stat = os.stat(self._control)
        except OSError:
            return
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._control_stamp or stat.st_uid != os.getuid():
            return
        self._control_stamp = stamp
        try:
            with _open(self._control, encoding="ascii") as file:
                mode = file.read(16).strip()
        except (OSError, ValueError):
            return
        self.agent.set_mode(mode)

    def close(self) -> None:
        """At the end of the process: one last round."""
        if self._pid != os.getpid():
            return
        self._stopping = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2)
        try:
            self._queue.append({"kind": "health", "time": _now(), **self.state()})
            inventory = self.agent.inventory
            if inventory is not None and self._heard:
                self._queue.append({"kind": "inventory", "time": _now(), **inventory.snapshot()})
            self._write_file()
            self.send()
        except Exception:  # noqa: BLE001
            self.agent.failed("close")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _native() -> bool:
    from .taint import NATIVE

    return NATIVE
