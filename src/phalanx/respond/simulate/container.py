"""A real container on a stage: runc, an overlay of its own, and the host's programs read-only inside.

The image is made at run time from the host's own files: its top-level links, a small ``/etc`` and two programs in ``/app``; ``/usr`` and this
interpreter are bound in read-only. The upper layer and runc's state lie in the stage's tmpfs and go with it. Its
cgroup is removed by :meth:`Container.close`, and what a killed run left behind by :func:`sweep`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import secrets
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from phalanx.errors import UnavailableError
from phalanx.respond.simulate import linux
from phalanx.respond.simulate.stage import Stage, find_program, plain_environment, python_program

__all__ = ["ORDINARY", "PRIVILEGED", "Container", "sweep"]

CGROUP: Final = "phalanx-simulate"
"""Every container of a simulation lives below this cgroup."""

ORDINARY: Final = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_NET_RAW "
    "CAP_SYS_CHROOT CAP_MKNOD CAP_AUDIT_WRITE CAP_SETFCAP"
).split()
"""What Docker and containerd give a container that asks for nothing."""

PRIVILEGED: Final = [
    *ORDINARY,
    *"CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_MODULE CAP_DAC_READ_SEARCH CAP_NET_ADMIN CAP_SYS_RAWIO CAP_BPF CAP_PERFMON".split(),
]
"""What an attacker needs in the container for most escapes; far from all that ``privileged`` means, and always inside the stage."""

_SECONDS: Final = 20


class Container:
    """One container; make it, :meth:`run` programs as its first process, one after another, then close it."""

    def __init__(self, stage: Stage, *, capabilities: Iterable[str] = ORDINARY, cwd: str = "/") -> None:
        self.runc = str(find_program("runc"))
        self.capabilities = list(capabilities)
        self.cwd = cwd
        self.bundle = stage.place("bundle")
        self.image = stage.place("image")
        self.upper = stage.place("upper")
        """What the container's processes write; empty at the start."""
        self.state = stage.place("runc")
        self._work = stage.place("work")
        self._ids: list[str] = []
        self._binds: list[str] = []
        self._build()

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def python(self, code: str, *arguments: str, terminal: bool = False) -> int:
        """Run Python ``code`` from a script of the image as the container's first process."""
        script = self.image / "app" / f"act{len(self._ids)}.py"
        script.write_text(code)
        return self.run(python_program(), "-S", "-s", f"/app/{script.name}", *arguments, terminal=terminal)

    def run(self, *command: str, terminal: bool = False) -> int:
        """Run ``command`` as the first process of a fresh container over the same layers; its exit code."""
        name = secrets.token_hex(32)
        self._ids.append(name)
        (self.bundle / "config.json").write_text(json.dumps(self._configuration(name, command, terminal)))
        call = [self.runc, "--root", str(self.state), "run", "--bundle", str(self.bundle), name]
        if terminal:
            return _on_terminal(call)
        done = subprocess.run(
            call,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=plain_environment(),
            timeout=_SECONDS,
            check=False,
        )
        if b"container_linux.go" in done.stderr or b"runc run failed" in done.stderr:
            raise UnavailableError(f"runc could not start the container: {done.stderr.decode(errors='replace')[:400]}")
        if done.returncode not in (0, 1):
            print(done.stderr.decode(errors="replace")[-2000:], file=sys.stderr)
        return done.returncode

    def close(self) -> None:
        """Remove what runc keeps and the cgroups, whether or not a container still runs."""
        for name in self._ids:
            subprocess.run(
                [self.runc, "--root", str(self.state), "delete", "--force", name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
            _remove_cgroups(name)

    def _build(self) -> None:
        for entry in Path("/").iterdir():
            if entry.is_symlink() and entry.name.startswith(("bin", "sbin", "lib")):
                (self.image / entry.name).symlink_to(entry.readlink())
            elif entry.is_dir() and (entry.name == "usr" or entry.name.startswith(("bin", "sbin", "lib"))):
                (self.image / entry.name).mkdir()
                self._binds.append(str(entry))
        for name in ("app", "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "var/run", "var/log"):
            (self.image / name).mkdir(parents=True)
        (self.image / "etc" / "passwd").write_text(
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
        )
        (self.image / "etc" / "group").write_text("root:x:0:\n")
        (self.image / "etc" / "hostname").write_text("simulation\n")
        tool = self.image / "app" / "tool"
        shutil.copy(find_program("true"), tool)
        tool.chmod(0o755)
        for place in {os.path.realpath(sys.base_prefix), os.path.dirname(os.path.dirname(python_program()))}:
            if not any(place == bind or place.startswith(bind + "/") for bind in self._binds):
                (self.image / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
                self._binds.append(place)
        (self.bundle / "rootfs").mkdir()
        linux.mount(
            "overlay",
            str(self.bundle / "rootfs"),
            "overlay",
            0,
            f"lowerdir={self.image},upperdir={self.upper},workdir={self._work}",
        )

    def _configuration(self, name: str, command: tuple[str, ...], terminal: bool) -> dict[str, Any]:
        """The OCI runtime configuration (specification 1.0.2)."""
        mounts: list[dict[str, Any]] = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
            },
            {"destination": "/sys", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=1024k"]},
        ]
        mounts += [
            {"destination": bind, "type": "bind", "source": bind, "options": ["rbind", "ro", "rprivate"]}
            for bind in self._binds
        ]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": terminal,
                "user": {"uid": 0, "gid": 0},
                "args": list(command),
                "env": [
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    f"PYTHONHOME={sys.base_prefix}",
                    "PYTHONDONTWRITEBYTECODE=1",
                    "HOME=/root",
                    "TERM=dumb",
                ],
                "cwd": self.cwd,
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), self.capabilities),
                "noNewPrivileges": False,
            },
            "root": {"path": "rootfs", "readonly": False},
            "hostname": "simulation",
            "mounts": mounts,
            "linux": {
                # no network namespace of its own: the stage's, which leads nowhere
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                "cgroupsPath": f"/{CGROUP}/{name}",
                "resources": {"devices": [{"allow": True, "access": "rwm"}]},
            },
        }


def _on_terminal(call: list[str]) -> int:
    """Run ``call`` on a terminal of its own; its exit code."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.execve(call[0], call, plain_environment())
        finally:
            os._exit(127)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                if not os.read(terminal, 4096):
                    break
            except OSError:  # EIO: the other side is closed
                break
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _hierarchies() -> list[Path]:
    """Mount points of all cgroup hierarchies."""
    points = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split(" ")
        if fields[2] in ("cgroup", "cgroup2"):
            points.append(Path(fields[1]))
    return points


def _remove_cgroups(name: str) -> None:
    for point in _hierarchies():
        for path in (point / CGROUP / name, point / CGROUP):
            if path.is_dir():
                with contextlib.suppress(
                    OSError
                ):  # a process in it is still ending, or another run is under way: a sweep takes it
                    path.rmdir()


def sweep() -> int:
    """Remove empty cgroups that a killed run left behind; how many."""
    removed = 0
    for point in _hierarchies():
        parent = point / CGROUP
        if not parent.is_dir():
            continue
        for path in [*parent.iterdir(), parent]:
            if path.is_dir():
                try:
                    path.rmdir()
                    removed += 1
                except OSError:  # not empty: a run is under way
                    continue
    return removed
