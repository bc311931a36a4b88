"""One machine: start the hub without privileges and the agent as root, restart what dies, end both cleanly.

The supervisor itself listens nowhere and reads no observed data; it performs simulations when the agent asks
(:mod:`phalanx.app.perform`). It starts two children::

    hub     the system user ``phalanx``; no capability, empty bounding set, no new privileges
    agent   root with :data:`~phalanx.app.privileges.AGENT_CAPABILITIES` only

A child that ends is started again after 0.5 s, doubling to 30 s while it keeps ending; a child that lived for a minute starts afresh. Signals
TERM and INT end both: agent first, so that its last batches find the hub.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Final

from phalanx.app.perform import ENVIRONMENT as PERFORM_FD
from phalanx.app.perform import Stage
from phalanx.app.privileges import AGENT_CAPABILITIES, confine, ensure_user
from phalanx.app.readable import launch_for
from phalanx.errors import UnavailableError

__all__ = ["Child", "Supervisor", "prepare_directories"]

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_STEADY_S: Final = 60.0
_GRACE_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.2
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "TERM", "NO_COLOR", "PYTHONPATH", "LD_LIBRARY_PATH")


@dataclass(kw_only=True)
class Child:
    """One process under supervision."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    user: tuple[int, int] | None = None
    """(uid, gid) that it runs as; None for the supervisor's own."""
    keep: frozenset[str] = frozenset()
    """Capabilities that may remain in its bounding set."""
    passed: tuple[int, ...] = ()
    """File descriptors that it inherits."""
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    delay_s: float = _FIRST_DELAY_S
    due_s: float = 0.0
    restarts: int = 0
    refused: bool = field(default=False)
    """True after exit code 2: its call is wrong, so starting it again cannot help."""

    def start(self, now_s: float) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        keep, user = self.keep, self.user
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=self.passed,
            preexec_fn=lambda: confine(keep, user=user),
        )
        self.started_s = now_s


class Supervisor:
    """Runs hub and agent until it is told to stop."""

    def __init__(
        self, *, state: Path, run: Path, options: tuple[str, ...], hub_user: str, out: IO[str] = sys.stderr
    ) -> None:
        """``options`` are passed to the hub as they are (address, configuration file …)."""
        self._out = out
        self._stopping = False
        self._state = state
        self._run = run
        self._stage = Stage()
        self.children = self._children(options, hub_user)

    def _children(self, options: tuple[str, ...], hub_user: str) -> tuple[Child, ...]:
        base = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        base["PYTHONUNBUFFERED"] = "1"
        root = os.geteuid() == 0
        places = ("--state-dir", str(self._state), "--socket", str(self._run / "hub.sock"))
        identity: tuple[int, int] | None = None
        command: tuple[str, ...] = (sys.executable, "-m", "phalanx.cli.main")
        environment = base
        if root:
            user = ensure_user(hub_user)
            identity = (user.pw_uid, user.pw_gid)
            prepare_directories(self._state, self._run, *identity)
            launch = launch_for(*identity)
            if launch.blocked_by is not None:
                self._say(
                    f"{launch.blocked_by} is closed to the user {hub_user}: the hub runs from {launch.command[0]}"
                )
            command, environment = launch.command, base | {"HOME": str(self._state / "hub")} | launch.environment
        else:
            prepare_directories(self._state, self._run, os.geteuid(), os.getegid())
        hub = Child(name="hub", command=(*command, "hub", *places, *options), environment=environment, user=identity)
        if not root:
            self._say("not root: no kernel events; starting the hub with what /proc shows (as root: sudo make run)")
        agent = Child(
            name="agent",
            command=(sys.executable, "-m", "phalanx.cli.main", "agent", *places),
            environment=base | {PERFORM_FD: str(self._stage.agents.fileno())},
            keep=AGENT_CAPABILITIES,
            passed=(self._stage.agents.fileno(),),
        )
        return hub, agent

    def run(self) -> int:
        """Supervise until TERM or INT; returns the exit code: 0 after a clean stop, 3 when a child cannot be started at all."""
        previous = {
            number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            while not self._stopping:
                now = time.monotonic()
                for child in self.children:
                    self._tend(child, now)
                self._stage.tend()
                if any(child.refused for child in self.children):
                    return 2
                time.sleep(
                    _LOOK_EVERY_S
                )  # a signal handler cuts it short only at its end: the stop waits that long at most
            return 0
        finally:
            self._end_all()
            self._stage.close()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _tend(self, child: Child, now_s: float) -> None:
        if child.process is None:
            if now_s >= child.due_s:
                child.start(now_s)
            return
        code = child.process.poll()
        if code is None:
            return
        child.process = None
        if code == 2:
            child.refused = True
            return
        lived = now_s - child.started_s
        child.delay_s = _FIRST_DELAY_S if lived > _STEADY_S else min(_LONGEST_DELAY_S, child.delay_s * 2)
        child.due_s = now_s + (child.delay_s if lived <= _STEADY_S else 0.0)
        child.restarts += 1
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._say(
            f"{child.name} ended ({why}) after {lived:.0f} s; starting it again in {max(0.0, child.due_s - now_s):.1f} s"
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end_all(self) -> None:
        """Agent first, then the hub; who does not end in time is killed."""
        for child in reversed(self.children):
            process = child.process
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._say(f"{child.name} did not end within {_GRACE_S:.0f} s: killed")
                process.kill()
                process.wait()
            child.process = None

    def _say(self, text: str) -> None:
        print(f"phalanx: {text}", file=self._out, flush=True)


def prepare_directories(state: Path, run: Path, uid: int, gid: int) -> None:
    """Make the state and run directories with owners and modes that keep everybody else out.

    ``state/hub`` belongs to the hub's user, ``state/agent`` to root; ``run`` to the hub's user, because it makes the socket there.

    Raises:
        UnavailableError: one could not be made, or belongs to somebody else.
    """
    wanted: tuple[tuple[Path, int, int, int], ...] = (
        (state, os.geteuid(), os.getegid(), 0o755),
        (state / "hub", uid, gid, 0o700),
        (state / "agent", os.geteuid(), os.getegid(), 0o700),
        (run, uid, gid, 0o755),
    )
    for path, owner, group, mode in wanted:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stat = path.lstat()
            if (stat.st_uid, stat.st_gid) != (owner, group):
                os.chown(path, owner, group)
            os.chmod(path, mode)
        except OSError as error:
            raise UnavailableError(
                f"the directory {path} could not be prepared: {error.strerror}",
                hint="name another one by --state-dir",
            ) from error
