"""Events as a test would see them: processes with parents, of every kind, hostile text included."""

from __future__ import annotations

import random
from collections.abc import Sequence

from phalanx.model.columns import Coverage
from phalanx.model.event import Cgroup, Chmod, Connect, Cred, Event, Exec, Exit, Loss, Mkdir, Open, Record, Rename
from phalanx.model.ids import ProcessId
from phalanx.model.process import Descriptor, Process
from phalanx.store.events.flatten import flatten

AGENT = "00112233aabbccdd"
OTHER = "ffee998877665544"
T0 = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
HOUR = 3600 * SECOND

INIT = Process(
    id=ProcessId("b007:1:0"),
    pid=1,
    start_ns=0,
    name="systemd",
    exe="/sbin/init",
    exepath="/usr/lib/systemd/systemd",
    parent=None,
)
SHELL = Process(
    id=ProcessId("b007:40:7"),
    pid=40,
    start_ns=7,
    ppid=1,
    name="bash",
    exe="-bash",
    exepath="/usr/bin/bash",
    argv=("-l",),
    uid=1000,
    user="ada",
    parent=INIT,
)
CURL = Process(
    id=ProcessId("b007:77:9"),
    pid=77,
    start_ns=9,
    ppid=40,
    name="curl",
    exe="curl",
    exepath="/usr/bin/curl",
    argv=("-s", "http://10.0.0.1/x"),
    env=("PATH=/bin", "TOKEN=***"),
    cwd="/home/ada",
    uid=1000,
    user="ada",
    cap_effective=2**40,
    parent=SHELL,
)
BOXED = Process(
    id=ProcessId("b007:90:9"),
    pid=90,
    start_ns=9,
    ppid=1,
    name="nginx",
    exepath="/usr/sbin/nginx",
    container_id="c0ffee012345",
    parent=INIT,
)
ORPHAN = Process(id=ProcessId("b007:91:9"), pid=91, start_ns=9, name="orphan", exepath="/opt/orphan")
CHILD_OF_ORPHAN = Process(id=ProcessId("b007:92:9"), pid=92, start_ns=10, name="kid", exepath="/opt/kid", parent=ORPHAN)
HOSTILE = "'; DROP TABLE events; --\x1b[31m %_\\ <script>\U0001f4a5\uf7ff\n"


def samples(
    count: int, *, start: int = T0, step: int = SECOND, agent: str = AGENT, first_seq: int = 0, seed: int = 0
) -> list[Event]:
    """``count`` events of mixed kinds, ``step`` apart."""
    chooser = random.Random(seed)
    made: list[Event] = []
    for number in range(count):
        ts, seq = start + number * step, first_seq + number
        process = chooser.choice((CURL, SHELL, BOXED, CHILD_OF_ORPHAN))
        pick = chooser.randrange(6)
        if pick == 0:
            made.append(
                Exec(
                    ts_ns=ts,
                    agent=agent,
                    seq=seq,
                    type="execve",
                    ret=0,
                    process=process,
                    filename=process.exepath,
                    tid=process.pid,
                )
            )
        elif pick == 1:
            fd = Descriptor(num=3, type="f", name=f"/etc/file{number % 7}", ino=number)
            made.append(
                Open(
                    ts_ns=ts,
                    agent=agent,
                    seq=seq,
                    type="openat",
                    ret=3,
                    process=process,
                    name=f"file{number % 7}",
                    fd=fd,
                    flags="O_WRONLY",
                    is_write=True,
                )
            )
        elif pick == 2:
            fd = Descriptor(
                num=4,
                type="4",
                name="10.0.0.2:1234->10.0.0.1:443",
                l4proto="tcp",
                cip="10.0.0.2",
                cport=1234,
                sip="10.0.0.1",
                sport=443,
            )
            made.append(
                Connect(
                    ts_ns=ts,
                    agent=agent,
                    seq=seq,
                    type="connect",
                    ret=-115,
                    process=process,
                    addr="10.0.0.1:443",
                    fd=fd,
                )
            )
        elif pick == 3:
            made.append(Exit(ts_ns=ts, agent=agent, seq=seq, type="exit", ret=0, process=process, duration_ns=5))
        elif pick == 4:
            made.append(
                Rename(
                    ts_ns=ts,
                    agent=agent,
                    seq=seq,
                    type="rename",
                    ret=0,
                    process=process,
                    oldpath="/tmp/a",
                    newpath=f"/tmp/{HOSTILE}{number}",
                )
            )
        else:
            made.append(Exec(ts_ns=ts, agent=agent, seq=seq, type="execve", ret=0, filename="/lost"))
    return made


def every_kind(start: int = T0) -> list[Event]:
    """Kinds whose fields do not simply have the name of their column."""
    made: list[Event] = [
        Cred(
            ts_ns=start,
            agent=AGENT,
            seq=0,
            type="setuid",
            ret=0,
            process=CURL,
            uid=0,
            gid=5,
            euid=-1,
            capabilities="CAP_SYS_ADMIN",
            option="x",
        ),
        Chmod(ts_ns=start + 1, agent=AGENT, seq=1, type="fchown", ret=0, process=CURL, filename="/x", uid=3, gid=4),
        Mkdir(
            ts_ns=start + 2,
            agent=AGENT,
            seq=2,
            type="mknod",
            ret=0,
            process=CURL,
            path="/dev/x",
            dev=259,
            mode="S_IFBLK",
        ),
        Record(
            ts_ns=start + 3,
            agent=AGENT,
            seq=3,
            type="log",
            source="log",
            process=None,
            fields={"a": 1, "b": None, "c": "x"},
            message=HOSTILE,
        ),
        Loss(
            ts_ns=start + 4,
            agent=AGENT,
            seq=4,
            type="loss",
            process=None,
            count=17,
            cause="ring_full",
            since_ns=start,
            by_cpu={"0": 17},
        ),
        Cgroup(ts_ns=start + 5, agent=AGENT, seq=5, type="cgroup_mkdir", path="/sys/fs/cgroup/x", process=BOXED),
        Exec(
            ts_ns=start + 6,
            agent=AGENT,
            seq=2**48 - 1,
            type="execve",
            ret=-2,
            cpu=7,
            tid=9,
            flags_truncated=True,
            compat32=True,
            process=CHILD_OF_ORPHAN,
        ),
        Open(
            ts_ns=start + 7,
            agent=AGENT,
            seq=7,
            type="openat",
            ret=None,
            process=SHELL,
            name=HOSTILE,
            fd=Descriptor(num=-1, name=HOSTILE),
        ),
    ]
    return made


def batch_of(
    events: Sequence[Event],
    name: str,
    *,
    agent: str = AGENT,
    host: str = "host-a",
    since: int | None = None,
    until: int | None = None,
    kind: str = "*",
) -> bytes:
    """A column batch that covers the time of its events, or the one that is told."""
    low = since if since is not None else min(event.ts_ns for event in events)
    high = until if until is not None else max(event.ts_ns for event in events) + 1
    return flatten(
        events,
        batch=name,
        agent=agent,
        host=host,
        boot="b007",
        coverage=[Coverage(kind=kind, since_ns=low, until_ns=high)],
    )
