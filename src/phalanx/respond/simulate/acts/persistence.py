"""Staying: files through which a program runs again, written in a veil over the directory."""

from __future__ import annotations

from typing import Final

from phalanx.respond.simulate.acts.base import Act, Performance, started_by, writes
from phalanx.respond.simulate.stage import Stage

__all__ = ["ACTS"]

_DPKG: Final = "/usr/bin/dpkg"
_EDITOR: Final = "/usr/bin/nano"


def _written(path: str, directory: str, *, writer: str | None = None, parent: str | None = None) -> Performance:
    """Append to ``path`` below ``directory``, which is veiled: by this interpreter, by ``writer``, or by a child of ``parent``."""

    def act(stage: Stage) -> None:
        beside = path.removeprefix(directory + "/").rpartition("/")[0]
        stage.veil(directory, {f"{beside}/.keep" if beside else ".keep": b""})
        if parent is not None:
            started_by(stage, parent, path)
        else:
            writes(stage, path, writer)

    return act


def _program_written(stage: Stage) -> None:
    stage.veil("/usr/bin")
    writes(stage, "/usr/bin/simulation")


def _program_written_by_dpkg(stage: Stage) -> None:
    started_by(stage, _DPKG, "/usr/bin/simulation")  # the impostor veils /usr/bin


def _pair(name: str, path: str, directory: str, *, writer: str | None = None, parent: str | None = None) -> Act:
    return Act(
        id=name,
        attack=_written(path, directory),
        twin=_written(path, directory, writer=writer, parent=parent),
    )


ACTS: Final = (
    _pair("PHX-PER-001", "/etc/cron.d/simulation", "/etc", writer=_DPKG),
    _pair("PHX-PER-002", "/root/.ssh/authorized_keys", "/root", writer="/usr/bin/google_guest_agent"),
    _pair("PHX-PER-003", "/etc/profile.d/simulation.sh", "/etc", writer=_EDITOR),
    _pair("PHX-PER-004", "/root/.bashrc", "/root", writer="/usr/sbin/useradd"),
    _pair("PHX-PER-005", "/etc/ld.so.preload", "/etc", parent=_DPKG),
    _pair("PHX-PER-006", "/etc/systemd/system/simulation.service", "/etc", writer="/usr/bin/systemctl"),
    _pair("PHX-PER-007", "/etc/passwd", "/etc", writer="/usr/sbin/usermod"),
    _pair("PHX-PER-008", "/etc/pam.d/simulation", "/etc", parent=_DPKG),
    Act(id="PHX-PER-009", attack=_program_written, twin=_program_written_by_dpkg),
    _pair("PHX-PER-010", "/etc/udev/rules.d/99-simulation.rules", "/etc", writer=_EDITOR),
)
