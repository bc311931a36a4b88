"""Simulations need rights that neither hub nor agent has: the supervisor performs them for the agent, one at a time.

Agent and supervisor hold the two ends of a socket pair that nobody else can open. The agent writes the id of a simulation and a newline; the
supervisor, which alone is fully root, starts ``phalanx simulate perform ID`` as a child of its own and writes back one JSON line
(:class:`~phalanx.respond.simulate.perform.Performed`). Nothing but an id that the child knows can be asked for, and the simulations are harmless by design.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from phalanx.errors import UnavailableError
from phalanx.respond.simulate.perform import Performed

__all__ = ["ENVIRONMENT", "Performer", "Stage"]

ENVIRONMENT: Final = "PHALANX_PERFORM_FD"
"""Names the agent's end of the socket pair."""
_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_S: Final = 60.0
_MAX_LINE: Final = 4096


class Stage:
    """The supervisor's end: takes ids, runs children, answers. Never blocks; :meth:`tend` is called several times a second."""

    def __init__(self, command: Callable[[str], list[str]] | None = None) -> None:
        """``command`` makes the child's command line of an id; by default this interpreter's ``simulate perform``."""
        self._ours, self.agents = socket.socketpair()
        self._ours.setblocking(False)
        self._command = command or (
            lambda name: [sys.executable, "-m", "phalanx.cli.main", "simulate", "perform", name, "--json"]
        )
        self._buffer = b""
        self._child: tuple[str, subprocess.Popen[bytes], float] | None = None

    def tend(self) -> None:
        """Answer for a child that ended, then take the next id."""
        if self._child is not None:
            self._tend_child()
        if self._child is None:
            self._take()

    def close(self) -> None:
        """End a running child and both ends."""
        if self._child is not None:
            self._child[1].kill()
            self._child[1].communicate()
            self._child = None
        self._ours.close()
        self.agents.close()

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._buffer += self._ours.recv(_MAX_LINE)
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            if len(self._buffer) >= _MAX_LINE:
                self._buffer = b""
            return
        self._buffer = rest
        if _ID.fullmatch(line) is None:
            self._answer(Performed(id="", error="that is not the id of a simulation"))
            return
        name = line.decode("ascii")
        try:
            process = subprocess.Popen(
                self._command(name),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._answer(Performed(id=name, error=f"it could not be started: {error.strerror}"))
            return
        self._child = (name, process, time.monotonic() + _LONGEST_S)

    def _tend_child(self) -> None:
        assert self._child is not None
        name, process, deadline = self._child
        if process.poll() is None:
            if time.monotonic() < deadline:
                return
            process.kill()
        out, err = process.communicate()
        self._child = None
        try:
            self._answer(msgspec.json.decode(out.splitlines()[-1], type=Performed))
        except (msgspec.DecodeError, IndexError):
            said = err.decode("utf-8", "replace").strip()[-500:]
            self._answer(Performed(id=name, error=said or f"it ended with {process.returncode} and told nothing"))

    def _answer(self, performed: Performed) -> None:
        try:
            self._ours.send(msgspec.json.encode(performed) + b"\n")
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return  # the agent went away; its successor asks anew


class Performer:
    """The agent's end. One call at a time."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.settimeout(_LONGEST_S + 10)
        self._buffer = b""

    @classmethod
    def inherited(cls) -> Performer | None:
        """The end that a supervisor passed to this process; None without a supervisor."""
        number = os.environ.get(ENVIRONMENT, "")
        return cls(int(number)) if number.isdigit() else None

    def perform(self, name: str) -> Performed:
        """Have the simulation performed and wait for it.

        Raises:
            UnavailableError: the supervisor does not answer.
        """
        try:
            self._socket.sendall(name.encode() + b"\n")
            while True:
                while b"\n" not in self._buffer:
                    received = self._socket.recv(_MAX_LINE)
                    if not received:
                        raise UnavailableError("the supervisor went away")
                    self._buffer += received
                line, _, self._buffer = self._buffer.partition(b"\n")
                performed = msgspec.json.decode(line, type=Performed)
                if performed.id in (name, ""):  # else it was for an agent that has ended since
                    return performed
        except OSError as error:
            raise UnavailableError(f"the supervisor does not answer: {error}") from error
