"""A private world for one simulation: what is done in it cannot reach the machine and is gone with its last process.

A stage is a process with mount, pid, network, IPC and host-name namespaces of its own:

- its scratch directory is a tmpfs that only its mount namespace holds, so the kernel frees it when the last process ends, also after SIGKILL;
- a directory in which an act writes (``/etc``, ``/root``) is *veiled*: an overlay whose upper layer lies in that tmpfs, so that
  the path is the real one for every observer and the host's file is never touched, nor a real secret read;
- ``/tmp``, ``/dev/shm`` and ``/run`` are fresh; ``/proc`` shows only the stage's processes;
- the network is a loopback device that leads nowhere;
- every process dies with the stage's first one (pid namespace), and that one with the program that asked for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from phalanx.errors import UnavailableError
from phalanx.respond.simulate import linux

__all__ = ["REMOTE", "Stage", "on_stage"]

REMOTE: Final = "203.0.113.66"
"""The address of "the attacker" on the stage's loopback device (TEST-NET-3 of RFC 5737: documentation only)."""

METADATA: Final = "169.254.169.254"
"""Where clouds serve instance metadata; on the stage it is the loopback device."""

_SCRATCH_PLACES: Final = ("/mnt", "/media", "/srv")
_FRESH: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run")
_ACT_SECONDS: Final = 20


class Stage:
    """The world as an act sees it. Made by :func:`on_stage`; lives in the stage's own processes only."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        """A tmpfs that is gone with the stage."""
        self._count = 0

    def place(self, name: str) -> Path:
        """A new directory below the scratch directory."""
        self._count += 1
        path = self.scratch / f"{self._count:02d}-{name}"
        path.mkdir(mode=0o755)
        return path

    def veil(self, directory: str, files: Mapping[str, bytes | Path] | None = None) -> None:
        """Let acts change ``directory`` without changing the host's; ``files`` (relative paths) appear in it from the start.

        A value that is a Path is copied with its mode (programs), bytes become a file of mode 0600.
        """
        upper, work = self.place("upper"), self.place("work")
        shutil.copystat(directory, upper)
        for name, content in (files or {}).items():
            target = upper / name
            for parent in reversed(target.relative_to(upper).parents[:-1]):
                if not (upper / parent).exists():
                    (upper / parent).mkdir(mode=0o755)
            if isinstance(content, Path):
                shutil.copy(content, target)
            elif not content:
                os.mknod(target, 0o600)  # no open: setting the stage must not look like the act
            else:
                target.write_bytes(content)
                target.chmod(0o600)
        linux.mount("overlay", directory, "overlay", 0, f"lowerdir={directory},upperdir={upper},workdir={work}")

    def impostor(self, path: str, program: str) -> str:
        """Make a copy of ``program`` appear at ``path``: what a benign twin is told apart by. Returns ``path``."""
        directory, name = os.path.split(path)
        if not os.path.isdir(directory):
            raise UnavailableError(f"there is no {directory} on this machine")
        real = os.path.realpath(directory)
        self.veil(real, {name: find_program(program)})
        return path

    def run(
        self,
        *command: str,
        executable: str | None = None,
        check: bool = False,
        environment: Mapping[str, str] | None = None,
        text: str = "",
    ) -> int:
        """Run a program to its end without a terminal; its exit code. ``executable`` is the file when argv[0] says otherwise."""
        done = subprocess.run(
            command,
            executable=executable,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=plain_environment(environment),
            timeout=_ACT_SECONDS,
            check=check,
        )
        return done.returncode

    def python(self, code: str, *arguments: str, executable: str | None = None, check: bool = True) -> int:
        """Run Python ``code`` in a process of its own, from a script, with this interpreter or a copy of it at ``executable``."""
        script = self.place("script") / "act.py"
        script.write_text(code)
        prefix = sys.base_prefix
        return self.run(
            executable or python_program(),
            "-S",
            "-s",
            str(script),
            *arguments,
            check=check,
            environment={"PYTHONHOME": prefix, "LD_LIBRARY_PATH": f"{prefix}/lib", "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def apart(self, act: Callable[[], None]) -> None:
        """Do ``act`` in a child process, so that what it does to itself stays there."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                linux.die_with_parent()
                act()
                code = 0
            except OSError as error:
                print(f"simulation: {error}", file=sys.stderr)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise UnavailableError("the act could not be done here", hint="its own message is above")


def find_program(name: str) -> Path:
    """The file of a program of this machine, links followed; UnavailableError when there is none."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", ""))
    if found is None:
        raise UnavailableError(f"{name} is not installed on this machine")
    return Path(found).resolve()


def python_program() -> str:
    """The file of this interpreter, links followed."""
    return str(Path(sys.executable).resolve())


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small environment, so that an act does not depend on the caller's."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        **(more or {}),
    }


def on_stage(act: Callable[[Stage], None]) -> int:
    """Set a stage, do ``act`` on it in a forked process and take everything down; the exit code (0 done).

    Must be called in a process of its own that has one thread: it leaves its namespaces for good. Needs root.
    """
    linux.die_with_parent()
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    first = os.fork()
    if first == 0:
        os._exit(_first_process(act))
    _, status = os.waitpid(first, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _first_process(act: Callable[[Stage], None]) -> int:
    """Pid 1 of the stage: builds it, does the act in a child, reaps; when it ends the kernel kills what is left."""
    linux.die_with_parent()
    try:
        stage = _build()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                act(stage)
                code = 0
            except UnavailableError as error:
                print(str(error), file=sys.stderr)
                code = 3
            except (OSError, subprocess.SubprocessError) as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            finally:
                sys.stderr.flush()
                os._exit(code)
        return _reap_until(child)
    except OSError as error:
        print(f"the stage could not be set: {error}", file=sys.stderr)
        return 3


def _reap_until(child: int) -> int:
    end = time.monotonic() + 2 * _ACT_SECONDS
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            return os.waitstatus_to_exitcode(status) & 0xFF
        if ended == 0:
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)


def _build() -> Stage:
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("proc", "/proc", "proc")
    scratch = next((place for place in _SCRATCH_PLACES if os.path.isdir(place)), None)
    if scratch is None:
        raise OSError(2, f"none of {', '.join(_SCRATCH_PLACES)} exists to mount the scratch file system on")
    linux.mount("tmpfs", scratch, "tmpfs", 0, "mode=0755,size=512m")
    for directory in _FRESH:
        if os.path.isdir(directory) and not _holds_python(directory):
            linux.mount("tmpfs", directory, "tmpfs", 0, "mode=1777,size=256m")
    linux.loopback_up()
    linux.add_address("lo:1", REMOTE)
    linux.add_address("lo:2", METADATA)
    return Stage(Path(scratch))


def _holds_python(directory: str) -> bool:
    """True when this interpreter or this package lies below ``directory``, which then must stay as it is."""
    places: Sequence[str] = (sys.prefix, sys.base_prefix, os.path.dirname(__file__))
    return any(os.path.realpath(place).startswith(directory + "/") for place in places)
