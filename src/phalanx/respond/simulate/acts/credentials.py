"""Reading what opens other doors: stand-ins for secrets at their real paths, in a veil that hides the real ones."""

from __future__ import annotations

from typing import Final

from phalanx.respond.simulate.acts.base import READ, Act, reads
from phalanx.respond.simulate.stage import Stage, python_program

__all__ = ["ACTS"]

_KEYS: Final = {".ssh/id_ed25519": b"simulation\n", ".ssh/id_ed25519.pub": b"simulation\n"}
_CLOUD: Final = {".aws/credentials": b"simulation\n"}
_MEMORY: Final = "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').close()\n"


def _shadow(stage: Stage, reader: str | None = None) -> None:
    stage.veil("/etc", {"shadow": b"root:*:1:0:99999:7:::\n"})
    reads(stage, "/etc/shadow", reader)


def _key(stage: Stage, name: str) -> None:
    stage.veil("/root", _KEYS)
    reads(stage, f"/root/.ssh/{name}")


def _cloud_by_cat(stage: Stage) -> None:
    stage.veil("/root", _CLOUD)
    stage.run("cat", "/root/.aws/credentials", check=True)


def _cloud_by_script(stage: Stage) -> None:
    stage.veil("/root", _CLOUD)
    reads(stage, "/root/.aws/credentials")


def _memory(stage: Stage, reader: str | None = None) -> None:
    stage.python(_MEMORY, executable=None if reader is None else stage.impostor(reader, python_program()))


ACTS: Final = (
    Act(id="PHX-CRD-001", attack=_shadow, twin=lambda stage: _shadow(stage, "/usr/sbin/unix_chkpwd")),
    Act(
        id="PHX-CRD-002",
        attack=lambda stage: _key(stage, "id_ed25519"),
        twin=lambda stage: _key(stage, "id_ed25519.pub"),
    ),
    Act(id="PHX-CRD-003", attack=_cloud_by_cat, twin=_cloud_by_script),
    Act(
        id="PHX-CRD-005",
        attack=lambda stage: reads(stage, "/proc/1/environ"),
        twin=lambda stage: _own_environment(stage),
    ),
    Act(id="PHX-CRD-006", attack=_memory, twin=lambda stage: _memory(stage, "/usr/bin/gdb")),
)


def _own_environment(stage: Stage) -> None:
    stage.python(READ, "/proc/self/environ")
