"""Programs that should not run: from memory, from where anybody can write, under false names, with telling arguments."""

from __future__ import annotations

import os
from typing import Final

from phalanx.respond.simulate import linux
from phalanx.respond.simulate.acts.base import APPEND, Act, copy_of, ignored, stray_python
from phalanx.respond.simulate.stage import REMOTE, Stage, python_program

__all__ = ["ACTS"]

_FROM_MEMORY: Final = """
import os, sys
program = os.memfd_create("simulation")
with open(sys.argv[1], "rb") as file:
    os.write(program, file.read())
os.execve(program, ["simulation"], {})
"""
_FROM_FILE: Final = "import os, sys\nos.execve(sys.argv[1], ['simulation'], {})\n"
_CONNECT: Final = """
import socket, sys
with socket.socket() as client:
    client.settimeout(1)
    client.connect_ex((sys.argv[1], int(sys.argv[2])))
"""
_LISTEN: Final = """
import socket
with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()
"""
_POOL: Final = "stratum+tcp://203.0.113.66:3333"
_PAGES: Final = "/proc/sys/vm/nr_hugepages"


def _true() -> str:
    return os.path.realpath("/bin/true")


def _from_directory(stage: Stage, directory: str) -> None:
    stage.run(copy_of(stage, "true", "simulation", directory), check=True)


def _tuned(stage: Stage, writer: str | None = None) -> None:
    stand_in = stage.place("stand-in") / "nr_hugepages"
    stand_in.touch()
    executable = None if writer is None else stage.impostor(writer, python_program())
    linux.mount(str(stand_in), _PAGES, None, linux.MS_BIND)
    stage.python(APPEND, _PAGES, executable=executable)


def _named(stage: Stage, name: str, *arguments: str) -> None:
    stage.run(copy_of(stage, "true", name), *arguments, check=True)


def _connects(stage: Stage, address: str, port: int) -> None:
    stage.python(_CONNECT, address, str(port), executable=stray_python(stage))


ACTS: Final = (
    Act(
        id="PHX-DRF-001",
        attack=lambda stage: ignored(stage.python(_FROM_MEMORY, _true())),
        twin=lambda stage: ignored(stage.python(_FROM_FILE, _true())),
    ),
    Act(
        id="PHX-DRF-003",
        attack=lambda stage: _from_directory(stage, "/dev/shm"),
        twin=lambda stage: _from_directory(stage, "/tmp/.mount_simulation"),
    ),
    Act(
        id="PHX-MIN-001",
        attack=lambda stage: ignored(stage.run("true", _POOL)),
        twin=lambda stage: ignored(stage.run("grep", _POOL, "/dev/null")),
    ),
    Act(
        id="PHX-MIN-002",
        attack=lambda stage: _connects(stage, REMOTE, 3333),
        twin=lambda stage: _connects(stage, REMOTE, 443),
    ),
    Act(id="PHX-MIN-003", attack=_tuned, twin=lambda stage: _tuned(stage, "/usr/sbin/sysctl")),
    Act(
        id="PHX-TUL-001",
        attack=lambda stage: ignored(stage.run("true", REMOTE, "4444", "-e", "/bin/sh")),
        twin=lambda stage: ignored(stage.run("true", "-e", "/bin/sh")),
    ),
    Act(
        id="PHX-TUL-002",
        attack=lambda stage: _named(stage, "nmap", REMOTE),
        twin=lambda stage: _named(stage, "nmap", "--version"),
    ),
    Act(
        id="PHX-TUL-003",
        attack=lambda stage: ignored(stage.run("sh", "-c", "echo dHJ1ZQo= | base64 -d | sh")),
        twin=lambda stage: ignored(stage.run("sh", "-c", "echo dHJ1ZQo= | base64 -d")),
    ),
    Act(
        id="PHX-DIS-001",
        attack=lambda stage: _connects(stage, "169.254.169.254", 80),
        twin=lambda stage: _connects(stage, REMOTE, 80),
    ),
    Act(
        id="PHX-NET-001",
        attack=lambda stage: ignored(stage.python(_LISTEN, executable=stray_python(stage))),
        twin=lambda stage: ignored(stage.python(_LISTEN)),
    ),
    Act(
        id="PHX-DEF-003",
        attack=lambda stage: _named(stage, "systemctl", "stop", "auditd"),
        twin=lambda stage: _named(stage, "systemctl", "status", "auditd"),
    ),
    Act(
        id="PHX-DEF-004",
        attack=lambda stage: ignored(stage.run("[kworker/0:1]", executable=_true())),
        twin=lambda stage: ignored(stage.run("[", executable=_true())),
    ),
    Act(
        id="PHX-DEF-005",
        attack=lambda stage: ignored(stage.run("true", environment={"LD_PRELOAD": "/tmp/simulation.so"})),
        twin=lambda stage: ignored(stage.run("true", environment={"LD_PRELOAD": "/usr/lib/simulation.so"})),
    ),
)
