"""What an act is, and the few programs that most acts are made of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phalanx.respond.simulate.stage import Stage, find_program, python_program

__all__ = [
    "APPEND",
    "READ",
    "SPAWN",
    "Act",
    "Performance",
    "copy_of",
    "ignored",
    "reads",
    "started_by",
    "stray_python",
    "writes",
]

Performance = Callable[[Stage], None]


@dataclass(frozen=True, kw_only=True)
class Act:
    """An attack and its twin."""

    id: str
    """Id of the rule."""
    attack: Performance
    twin: Performance
    container: bool = False
    """True when it needs runc."""


READ: Final = "import sys\nwith open(sys.argv[1], 'rb') as file:\n    file.read(64)\n"
APPEND: Final = "import sys\nwith open(sys.argv[1], 'a') as file:\n    file.write('# simulation\\n')\n"
SPAWN: Final = "import subprocess, sys\nsubprocess.run(sys.argv[1:], check=True)\n"


def ignored(code: int) -> None:
    """Take an exit code that says nothing: the kernel may refuse, the attempt is the act."""


def copy_of(stage: Stage, program: str, name: str, directory: str | None = None) -> str:
    """A copy of a program of this machine under another name; its path."""
    target = (Path(directory) if directory else stage.place("programs")) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(find_program(program) if "/" not in program else program, target)
    target.chmod(0o755)
    return str(target)


def stray_python(stage: Stage) -> str:
    """A copy of the interpreter where anybody can put one."""
    return copy_of(stage, python_program(), "simulation", "/tmp")


def reads(stage: Stage, path: str, reader: str | None = None) -> None:
    """Read a little of ``path`` with this interpreter, or with a copy of it that lies at ``reader``."""
    stage.python(READ, path, executable=None if reader is None else stage.impostor(reader, python_program()))


def writes(stage: Stage, path: str, writer: str | None = None) -> None:
    """Append a comment to ``path`` with this interpreter, or with a copy of it that lies at ``writer``."""
    stage.python(APPEND, path, executable=None if writer is None else stage.impostor(writer, python_program()))


def started_by(stage: Stage, parent: str, path: str) -> None:
    """Append to ``path`` with this interpreter, started by a program at ``parent``."""
    script = stage.place("script") / "append.py"
    script.write_text(APPEND)
    stage.python(
        SPAWN, python_program(), "-S", "-s", str(script), path, executable=stage.impostor(parent, python_program())
    )
