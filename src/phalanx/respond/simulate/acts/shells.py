"""Shells that somebody else holds, with both ends on the stage's loopback device."""

from __future__ import annotations

import os
import pty
import sys
from typing import Final

from phalanx.respond.simulate.acts.base import SPAWN, Act, copy_of, ignored
from phalanx.respond.simulate.stage import REMOTE, Stage, plain_environment, python_program

__all__ = ["ACTS"]

_REVERSE: Final = """
import os, socket, sys
server = socket.socket()
server.bind((sys.argv[1], 4444))
server.listen()
client = socket.create_connection((sys.argv[1], 4444))
for number in map(int, sys.argv[2:]):
    os.dup2(client.fileno(), number)
"""
_BIND: Final = """
import os, socket, sys
server = socket.socket()
server.bind((sys.argv[1], 4445))
server.listen()
client = socket.create_connection((sys.argv[1], 4445))
accepted, _ = server.accept()
os.dup2(accepted.fileno(), 0)
"""


def _bind(stage: Stage, program: str | None = None) -> None:
    stage.python(_BIND, REMOTE, executable=None if program is None else stage.impostor(program, python_program()))


def _server(stage: Stage, itself: bool) -> None:
    server = copy_of(stage, python_program(), "nginx")
    command = (server, "-S", "-c", "pass") if itself else (copy_of(stage, "true", "simulation"),)
    stage.python(SPAWN, *command, executable=server)


def _on_terminal(stage: Stage) -> None:
    """``sh -i`` on a terminal of its own, which is told to exit."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.execve("/bin/sh", ["sh", "-i"], plain_environment())
        finally:
            os._exit(127)
    os.write(terminal, b"exit\n")
    try:
        while os.read(terminal, 4096):
            continue
    except OSError:  # EIO: the shell has ended
        print("the shell ended", file=sys.stderr)
    os.close(terminal)
    os.waitpid(child, 0)


ACTS: Final = (
    Act(
        id="PHX-SHL-001",
        attack=lambda stage: ignored(stage.python(_REVERSE, REMOTE, "0", "1")),
        twin=lambda stage: ignored(stage.python(_REVERSE, REMOTE, "1")),
    ),
    Act(id="PHX-SHL-002", attack=_bind, twin=lambda stage: _bind(stage, "/usr/sbin/xinetd")),
    Act(
        id="PHX-SHL-003",
        attack=lambda stage: _server(stage, itself=False),
        twin=lambda stage: _server(stage, itself=True),
    ),
    Act(
        id="PHX-SHL-005",
        attack=lambda stage: ignored(stage.run("sh", "-i", text="exit\n")),
        twin=_on_terminal,
    ),
)
