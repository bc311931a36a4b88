"""Rights, the kernel, traces: what an intruder does on a machine once inside."""

from __future__ import annotations

from typing import Final

from phalanx.respond.simulate.acts.base import Act, copy_of, writes
from phalanx.respond.simulate.stage import Stage, python_program

__all__ = ["ACTS"]

_CHMOD: Final = "import os, sys\nos.chmod(sys.argv[1], int(sys.argv[2], 8))\n"
_UNLINK: Final = "import os, sys\nos.unlink(sys.argv[1])\n"
_ATTACH: Final = """
import ctypes, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    time.sleep(5)
    os._exit(0)
if libc.ptrace(16, child, None, None):  # PTRACE_ATTACH
    raise OSError(ctypes.get_errno(), "ptrace")
os.waitpid(child, 0)
os.kill(child, signal.SIGKILL)
libc.ptrace(17, child, None, None)
os.waitpid(child, 0)
"""
_MODULE: Final = """
import ctypes, os, platform
number = {"x86_64": 313, "aarch64": 273}[platform.machine()]
ctypes.CDLL(None).syscall(number, os.open("/dev/null", os.O_RDONLY), b"", 0)  # finit_module: refused
"""
_BPF: Final = """
import ctypes, platform, struct, sys
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)
if sys.argv[1] == "program":  # r0 = 0; exit: a socket filter that drops nothing because it is attached nowhere
    code = ctypes.create_string_buffer(struct.pack("<QQ", 0xB7, 0x95))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack("<IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(licence)) + bytes(104)
    command = 5
else:  # pin an object that does not exist: refused
    path = ctypes.create_string_buffer(b"/sys/fs/bpf/simulation")
    attributes = struct.pack("<QiI", ctypes.addressof(path), -1, 0) + bytes(112)
    command = 6
libc.syscall(number, command, attributes, len(attributes))
"""
_HIDE: Final = """
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    time.sleep(5)
    os._exit(0)
place = sys.argv[1].replace("PID", str(child)).encode()
if libc.mount(b"tmpfs", place, b"tmpfs", 0, None):
    raise OSError(ctypes.get_errno(), "mount")
libc.umount2(place, 2)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""
_PACKET: Final = "import socket, sys\nsocket.socket(getattr(socket, sys.argv[1]), socket.SOCK_DGRAM).close()\n"
_SEARCH: Final = "import subprocess\nsubprocess.run(['/usr/bin/find', '/tmp', '-perm', '-4000'], check=True)\n"
_SUDOERS: Final = "/etc/sudoers.d/simulation"


def _mode(stage: Stage, mode: str) -> None:
    stage.python(_CHMOD, copy_of(stage, "true", "simulation"), mode)


def _sudoers(stage: Stage, writer: str | None = None) -> None:
    stage.veil("/etc", {"sudoers.d/README": b""})
    writes(stage, _SUDOERS, writer)


def _by(stage: Stage, code: str, *arguments: str, program: str | None = None) -> None:
    stage.python(
        code, *arguments, executable=None if program is None else stage.impostor(program, python_program()), check=False
    )


def _log(stage: Stage, program: str | None = None) -> None:
    stage.veil("/var/log", {"auth.log": b"simulation\n"})
    _by(stage, _UNLINK, "/var/log/auth.log", program=program)


def _history(stage: Stage, program: str | None = None) -> None:
    stage.veil("/root", {".bash_history": b""})
    _by(stage, _UNLINK, "/root/.bash_history", program=program)


def _search(stage: Stage) -> None:
    stage.run("find", "/tmp", "-perm", "-4000")


def _search_by_auditor(stage: Stage) -> None:
    stage.python(_SEARCH, executable=stage.impostor("/usr/sbin/lynis", python_program()))


ACTS: Final = (
    Act(id="PHX-PRV-001", attack=lambda stage: _mode(stage, "4755"), twin=lambda stage: _mode(stage, "755")),
    Act(id="PHX-PRV-002", attack=_sudoers, twin=lambda stage: _sudoers(stage, "/usr/sbin/visudo")),
    Act(
        id="PHX-PRV-003",
        attack=lambda stage: _by(stage, _ATTACH),
        twin=lambda stage: _by(stage, _ATTACH, program="/usr/bin/gdb"),
    ),
    Act(
        id="PHX-KRN-001",
        attack=lambda stage: _by(stage, _MODULE),
        twin=lambda stage: _by(stage, _MODULE, program="/usr/bin/kmod"),
    ),
    Act(
        id="PHX-KRN-002",
        attack=lambda stage: _by(stage, _BPF, "program"),
        twin=lambda stage: _by(stage, _BPF, "pin"),
    ),
    Act(id="PHX-DEF-001", attack=_log, twin=lambda stage: _log(stage, "/usr/sbin/logrotate")),
    Act(id="PHX-DEF-002", attack=_history, twin=lambda stage: _history(stage, "/usr/bin/bash")),
    Act(
        id="PHX-DEF-006",
        attack=lambda stage: _by(stage, _HIDE, "/proc/PID"),
        twin=lambda stage: _by(stage, _HIDE, "/proc/fs"),
    ),
    Act(
        id="PHX-DIS-002",
        attack=lambda stage: _by(stage, _PACKET, "AF_PACKET"),
        twin=lambda stage: _by(stage, _PACKET, "AF_INET"),
    ),
    Act(id="PHX-DIS-003", attack=_search, twin=_search_by_auditor),
)
