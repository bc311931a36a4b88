"""Out of a container: what escapes begin with, done where nothing can be escaped from."""

from __future__ import annotations

from typing import Final

from phalanx.respond.simulate import linux
from phalanx.respond.simulate.acts.base import APPEND, READ, Act, Performance, ignored
from phalanx.respond.simulate.container import ORDINARY, PRIVILEGED, Container
from phalanx.respond.simulate.stage import Stage

__all__ = ["ACTS"]

_LIBC: Final = "import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_MOUNT: Final = _LIBC + "libc.mount(sys.argv[1].encode(), b'/mnt', sys.argv[2].encode(), 0, None)\n"
_ENTER: Final = _LIBC + "libc.setns(os.open('/proc/self/ns/uts', os.O_RDONLY), 0x04000000)\n"
_LEAVE: Final = _LIBC + "libc.unshare(int(sys.argv[1]))\n"
_CONNECT: Final = """
import os, socket, sys
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
client.connect(sys.argv[1])
"""
_HANDLE: Final = (
    _LIBC
    + """
class Handle(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint), ("type", ctypes.c_int), ("bytes", ctypes.c_char * 128))
handle, mount = Handle(128, 0), ctypes.c_int()
libc.name_to_handle_at(-100, b"/etc/hostname", ctypes.byref(handle), ctypes.byref(mount), 0)
libc.open_by_handle_at(os.open("/", os.O_RDONLY), ctypes.byref(handle), 0)
"""
)
_NODE: Final = "import os, stat, sys\nos.mknod('/tmp/node', int(sys.argv[1]) | 0o600, os.makedev(250, 250))\n"
_OPEN: Final = "import sys\ntry:\n    open(sys.argv[1], sys.argv[2]).close()\nexcept OSError:\n    sys.exit(0)\n"
_COPY_AND_RUN: Final = "import os, shutil\nshutil.copy('/app/tool', '/tmp/tool')\nos.execv('/tmp/tool', ['tool'])\n"
_RUN: Final = "import os\nos.execv('/app/tool', ['tool'])\n"
_IFBLK: Final = "24576"
_IFIFO: Final = "4096"
_NEWUSER: Final = str(linux.CLONE_NEWUSER)
_NEWUTS: Final = str(linux.CLONE_NEWUTS)
_HELPER: Final = "/proc/sys/kernel/core_pattern"
_COVER: Final = (
    _LIBC
    + """
open("/tmp/stand-in", "w").close()
if libc.mount(b"/tmp/stand-in", sys.argv[1].encode(), None, 0x1000, None):
    raise OSError(ctypes.get_errno(), "mount")
open(sys.argv[1], "w").write("core")
"""
)


def _inside(code: str, *arguments: str, capabilities: list[str] = ORDINARY) -> Performance:
    """Run ``code`` in a container."""

    def act(stage: Stage) -> None:
        with Container(stage, capabilities=capabilities) as container:
            container.python(code, *arguments)

    return act


def _command(*command: str, capabilities: list[str] = ORDINARY, terminal: bool = False) -> Performance:
    """Run a program in a container."""

    def act(stage: Stage) -> None:
        with Container(stage, capabilities=capabilities) as container:
            container.run(*command, terminal=terminal)

    return act


def _outside(code: str, *arguments: str) -> Performance:
    """Run ``code`` on the stage, in no container."""
    return lambda stage: ignored(stage.python(code, *arguments, check=False))


def _covered_outside(stage: Stage) -> None:
    stand_in = stage.place("stand-in") / "core_pattern"
    stand_in.touch()
    linux.mount(str(stand_in), _HELPER, None, linux.MS_BIND)
    stage.python(APPEND, _HELPER)


def _token(name: str) -> Performance:
    def act(stage: Stage) -> None:
        with Container(stage) as container:
            secrets = container.image / "run/secrets/kubernetes.io/serviceaccount"
            secrets.mkdir(parents=True)
            (secrets / "token").write_text("simulation")
            (secrets / "namespace").write_text("default")
            container.run("/bin/cat", f"/run/secrets/kubernetes.io/serviceaccount/{name}")

    return act


def _act(name: str, attack: Performance, twin: Performance) -> Act:
    return Act(id=name, attack=attack, twin=twin, container=True)


ACTS: Final = (
    _act("PHX-ESC-001", _inside(_MOUNT, "/dev/simulation", "ext4"), _inside(_MOUNT, "tmpfs", "tmpfs")),
    _act("PHX-ESC-002", _inside(APPEND, "/tmp/release_agent"), _inside(APPEND, "/tmp/cgroup.procs")),
    _act("PHX-ESC-003", _inside(_COVER, _HELPER, capabilities=PRIVILEGED), _covered_outside),
    _act("PHX-ESC-004", _inside(_CONNECT, "/var/run/docker.sock"), _inside(_CONNECT, "/var/run/application.sock")),
    _act("PHX-ESC-005", _inside(_ENTER), _outside(_ENTER)),
    _act("PHX-ESC-006", _inside(_LEAVE, _NEWUSER), _inside(_LEAVE, _NEWUTS)),
    _act("PHX-ESC-007", _inside(READ, "/proc/1/root/etc/hostname"), _inside(READ, "/etc/hostname")),
    _act("PHX-ESC-008", _inside(_HANDLE), _outside(_HANDLE)),
    _act("PHX-ESC-009", _inside(_NODE, _IFBLK), _inside(_NODE, _IFIFO)),
    _act("PHX-ESC-010", _inside(_OPEN, "/proc/self/exe", "r+b"), _inside(_OPEN, "/proc/self/exe", "rb")),
    _act("PHX-CTR-001", _command("/usr/bin/dpkg", "--print-architecture"), _command("/usr/bin/dpkg", "-l")),
    _act("PHX-CTR-002", _command("/app/tool", capabilities=PRIVILEGED), _command("/app/tool")),
    _act("PHX-CRD-004", _token("token"), _token("namespace")),
    _act("PHX-DRF-002", _inside(_COPY_AND_RUN), _inside(_RUN)),
    _act("PHX-DIS-004", _inside(READ, "/proc/kallsyms"), _outside(READ, "/proc/kallsyms")),
    _act("PHX-SHL-004", _command("/bin/sh", "-c", "true", terminal=True), _command("/bin/sh", "-c", "true")),
)
