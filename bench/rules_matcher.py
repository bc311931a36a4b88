"""Rules on a fixed mix of events with 1 % matches: the generated matcher beside a tree of closures, for each event type.

    python bench/rules_matcher.py [FILE…]     rule files to ask; when none is named a made-up large set and phalanx's own rules

Goal, for large public sets: at least ten times the closures, which have the same event-type index and the same field access. The mix is that of a busy node:
mostly reads of files, then program starts, connections, and a little of everything else; it is made from a fixed seed, and one event in a hundred
is one that some rule matches.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import msgspec

from _closures import Closures
from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.language.matcher import Matcher
from phalanx.model.container import Container
from phalanx.model.event import Chmod, Connect, Dup, Event, Exec, Open, Rename, Unlink
from phalanx.model.process import Descriptor, Process

EVENTS = 20_000
MIX = {"openat": 60, "execve": 15, "connect": 12, "unlinkat": 5, "renameat2": 3, "fchmodat": 3, "dup2": 2}
PROGRAMS = [
    "nginx",
    "postgres",
    "java",
    "node",
    "python3",
    "containerd-shim",
    "systemd-journal",
    "dockerd",
    "kubelet",
    "sshd",
    "bash",
    "sh",
    "ls",
    "cat",
    "grep",
    "git",
    "make",
    "cc1",
    "ld",
    "curl",
    "redis-server",
    "envoy",
]
FILES = [
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/etc/ld.so.cache",
    "/proc/self/status",
    "/proc/meminfo",
    "/usr/share/zoneinfo/UTC",
    "/var/lib/postgresql/15/main/base/1/2601",
    "/app/index.js",
    "/usr/lib/python3/dist-packages/x.py",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/sys/fs/cgroup/cpu.stat",
    "/tmp/build-1/a.o",
    "/home/u/.cache/pip/x",
    "/var/log/nginx/access.log",
    "/dev/null",
    "/etc/nsswitch.conf",
    "/usr/share/locale/locale.alias",
    "/srv/www/index.html",
]


def process(chooser: random.Random, depth: int = 4) -> Process:
    parent = None
    for level in range(depth):
        name = "systemd" if level == 0 else chooser.choice(PROGRAMS)
        parent = Process(
            id=f"aabbccdd:{level}:{chooser.random()}",
            pid=100 + level,
            start_ns=level,
            vpid=100 + level,
            ppid=99 + level,
            sid=100,
            pgid=100,
            vpgid=100,
            name=name,
            exe=f"/usr/bin/{name}",
            exepath=f"/usr/bin/{name}",
            argv=("--config", "/etc/app/config.yaml", f"--worker={chooser.randrange(100)}"),
            env=("PATH=/usr/bin:/bin", "HOME=/root"),
            cwd="/",
            uid=0,
            gid=0,
            user="root",
            group="root",
            loginuid=-1,
            loginuser="<NA>",
            cap_permitted=(1 << 41) - 1,
            cap_effective=(1 << 41) - 1,
            container_id="host" if level < 2 else chooser.choice(("host", "0123456789ab")),
            parent=parent,
        )
    assert parent is not None
    return parent


def quiet_event(chooser: random.Random, kind: str, seq: int, processes: list[Process], container: Container) -> Event:
    who = chooser.choice(processes)
    base = {
        "ts_ns": 1_700_000_000_000_000_000 + seq,
        "agent": "0123456789abcdef",
        "seq": seq,
        "type": kind,
        "ret": 0,
        "process": who,
        "container": None if who.container_id == "host" else container,
    }
    path = chooser.choice(FILES)
    if kind == "openat":
        write = chooser.random() < 0.2
        return Open(
            name=path,
            flags="O_WRONLY|O_CREAT" if write else "O_RDONLY|O_CLOEXEC",
            is_read=not write,
            is_write=write,
            fd=Descriptor(num=5, type="f", name=path),
            **base,
        )
    if kind == "execve":
        return Exec(filename=who.exepath, **base)
    if kind == "connect":
        name = "10.0.0.5:40000->10.96.0.1:443"
        return Connect(
            addr="10.96.0.1:443",
            fd=Descriptor(
                num=7,
                type="4",
                name=name,
                l4proto="tcp",
                cip="10.0.0.5",
                cport=40000,
                sip="10.96.0.1",
                sport=443,
                connected=True,
            ),
            **base,
        )
    if kind == "unlinkat":
        return Unlink(name=path, **base)
    if kind == "renameat2":
        return Rename(oldpath=path + ".new", newpath=path, **base)
    if kind == "fchmodat":
        return Chmod(filename=path, mode="S_IRUSR|S_IWUSR", **base)
    return Dup(oldfd=4, newfd=5, fd=Descriptor(num=5, type="f", name=path), **base)


def loud_events(
    chooser: random.Random, ruleset: RuleSet, processes: list[Process], container: Container
) -> list[Event]:
    """Events that some rule matches: variations over what attacks touch, kept when the interpreter says so."""
    matcher = Matcher(ruleset)
    found: list[Event] = []
    paths = (
        "/etc/shadow",
        "/etc/passwd",
        "/root/.ssh/id_rsa",
        "/root/.bashrc",
        "/etc/cron.d/x",
        "/usr/bin/ls",
        "/proc/1/environ",
        "/dev/shm/x",
        "/etc/pam.d/sshd",
        "/sys/kernel/uevent_helper",
    )
    for number in range(4000):
        who = processes[number % len(processes)]
        base = {
            "ts_ns": 1_700_000_000_000_000_000 + number,
            "agent": "0123456789abcdef",
            "seq": number,
            "ret": 0,
            "process": who,
        }
        base["container"] = None if who.container_id == "host" else container
        path = chooser.choice(paths)
        write = chooser.random() < 0.5
        fd = Descriptor(num=5, type="f", name=path)
        culprit = msgspec.structs.replace(who, name=f"bad{chooser.randrange(90)}", container_id="0123456789ab")
        event: Event = chooser.choice(
            (
                Exec(type="execve", filename=path, **{**base, "process": culprit, "container": container}),
                Open(
                    type="openat",
                    name=path,
                    is_read=not write,
                    is_write=write,
                    flags="O_WRONLY" if write else "O_RDONLY",
                    fd=fd,
                    **base,
                ),
                Exec(type="execve", filename=path, **base),
                Dup(
                    type="dup2",
                    oldfd=4,
                    newfd=0,
                    fd=Descriptor(
                        num=0,
                        type="4",
                        name="10.0.0.5:1->1.2.3.4:4444",
                        sip="1.2.3.4",
                        sport=4444,
                        cip="10.0.0.5",
                        cport=1,
                    ),
                    **base,
                ),
                Unlink(type="unlinkat", name="/var/log/auth.log", **base),
                Connect(
                    type="connect",
                    addr="169.254.169.254:80",
                    fd=Descriptor(num=3, type="4", sip="169.254.169.254", sport=80, cip="10.0.0.5", cport=9),
                    **base,
                ),
            )
        )
        if matcher.match(event)[0]:
            found.append(event)
    return found


def main() -> None:
    from phalanx.content import rule_files

    paths = sys.argv[1:]
    if paths:
        measure(", ".join(paths), [RuleSource(path, Path(path).read_text("utf-8")) for path in paths])
        return
    measure("a set in the shape of the large public ones", [RuleSource("large.yaml", large_set())])
    measure("phalanx's own rules", [RuleSource(name, text) for name, text in rule_files()], goal=False)


def measure(title: str, sources: list[RuleSource], *, goal: bool = True) -> None:
    """Print the table of one rule set."""
    print(f"-- {title}")
    began = time.perf_counter()
    ruleset = load_rules(sources)
    load_s = time.perf_counter() - began
    chooser = random.Random(20)
    container = Container(
        id="0123456789ab",
        full_id="0123456789ab" * 4,
        since_ns=0,
        name="web",
        image="web:1",
        image_repository="example/web",
        image_tag="1",
        privileged=False,
    )
    processes = [process(chooser) for _ in range(60)]
    kinds = chooser.choices(list(MIX), list(MIX.values()), k=EVENTS)
    events = [quiet_event(chooser, kind, seq, processes, container) for seq, kind in enumerate(kinds)]
    matcher, closures = Matcher(ruleset), Closures(ruleset)
    events = [event for event in events if not matcher.match(event)[0]]
    loud = loud_events(chooser, ruleset, processes, container)
    if loud:
        for place in range(0, len(events), 100):
            events[place] = chooser.choice(loud)
    began = time.perf_counter()
    Matcher(ruleset).prepare()
    prepare_s = time.perf_counter() - began
    matches = 0
    for event in events:
        hits, undecided = matcher.match(event)
        assert not undecided
        assert hits == closures.match(event), (event, hits, closures.match(event))
        matches += bool(hits)
    by_type: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_type[event.type].append(event)
    print(
        f"{len(matcher.rules)} active rules of {ruleset.rules_read}; read and typed in {load_s * 1000:.0f} ms, compiled in {prepare_s * 1000:.0f} ms"
    )
    print(f"{len(events)} events, {matches} of them match ({matches / len(events):.1%}); same answers from both\n")
    print(f"{'event type':<12}{'rules':>6}{'share':>8}{'closures':>14}{'matcher':>14}{'times':>8}")
    total = Counter[str]()
    for name, some in sorted(by_type.items(), key=lambda item: -len(item[1])):
        slow = best(closures.match, some)
        fast = best(matcher.match, some)
        total["slow"] += int(slow * 1e9)
        total["fast"] += int(fast * 1e9)
        print(row(name, len(matcher.bucket(name)), len(some), len(events), slow, fast))
    ratio = total["slow"] / total["fast"]
    verdict = f"   goal >= 10: {'reached' if ratio >= 10 else 'MISSED'}" if goal else ""
    print(
        row("the mix", len(matcher.rules), len(events), len(events), total["slow"] / 1e9, total["fast"] / 1e9) + verdict
    )
    fast_us = total["fast"] / len(events) / 1000
    print(f"{1e6 / fast_us:,.0f} events a second on one core\n")


def row(name: str, rules: int, some: int, everything: int, slow: float, fast: float) -> str:
    """One line of the table; ``slow`` and ``fast`` are seconds for ``some`` events."""
    times = f"{slow / some * 1e6:>11.2f} µs{fast / some * 1e6:>11.2f} µs{slow / fast:>8.1f}"
    return f"{name:<12}{rules:>6}{some / everything:>8.0%}{times}"


def large_set() -> str:
    """Ninety rules in the shape of the large public sets: a few macros for what happened, and long lists of exceptions by program and path."""
    parts = [
        """
- macro: wrote
  condition: (evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0)
- macro: read
  condition: (evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0)
- macro: started
  condition: (evt.type in (execve, execveat))
- macro: in_container
  condition: (container.id != host)
"""
    ]
    for number in range(120):
        parts.append(  # noqa: PERF401
            f"- macro: tool{number}_at_work\n  condition: >\n    (proc.name in (tool{number}, tool{number}d) and (fd.name startswith /etc/tool{number}/ or\n"
            f'     proc.pname = starter{number} or proc.aname[2] = starter{number} or proc.cmdline startswith "tool{number} --config"))\n'
        )
    exceptions = " ".join(f"and not tool{number}_at_work" for number in range(120))
    for number in range(90):
        some = " ".join(f"and not tool{(number + step) % 120}_at_work" for step in range(25))
        condition = (
            f"wrote and fd.name startswith /etc/area{number}/ {exceptions if number % 10 == 0 else some}",
            f"read and fd.name in (/etc/secret{number}, /etc/secret{number}.bak) and in_container {some}",
            f"started and in_container and proc.name in (bad{number}, worse{number}) and not proc.pname in (sh{number}, bash{number})",
            f"evt.type = connect and fd.sport = {6000 + number} and in_container and not container.image.repository in (a{number}, b{number})",
            f"evt.type in (rename, renameat, renameat2, unlink, unlinkat) and evt.arg.name startswith /usr/area{number}/ and not proc.name in (dpkg, apt, rpm)",
            f'started and proc.cmdline contains "--attack{number}" and not proc.aname in (cron, atd, tool{number})',
        )[number % 6]
        parts.append(
            f"- rule: Rule {number}\n  desc: d\n  condition: >\n    {condition}\n  output: o\n  priority: INFO\n"
        )
    return "".join(parts)


def best(match: object, events: list[Event], rounds: int = 5) -> float:
    """Seconds of the fastest of some rounds."""
    fastest = 1e9
    for _ in range(rounds):
        began = time.perf_counter()
        for event in events:
            match(event)  # type: ignore[operator]
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


if __name__ == "__main__":
    main()
