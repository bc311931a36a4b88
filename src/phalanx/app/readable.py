"""A copy of this installation that an unprivileged user can read, for when the original lies where only root may enter.

A hub never runs as root. Where the clone, the environment or the interpreter is under, say, a home directory of mode 0700, ``phalanx up`` installs a copy
of the interpreter, of phalanx and of exactly the distributions that it needs under ``/opt/phalanx/<digest>`` and runs the hub from there. The copy is made once
for each state of the original (the digest) and replaced as a whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from msgspec import Struct

import phalanx
from phalanx.errors import UnavailableError

__all__ = ["Launch", "blocked_by", "launch_for", "needed_distributions", "readable_copy"]

PLACE: Final = Path("/opt/phalanx")
_SKIPPED_STDLIB: Final = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "site-packages",
}
_COMPLETE: Final = ".complete"


def blocked_by(path: Path, uid: int, gids: frozenset[int]) -> Path | None:
    """The first directory or file on the way to ``path`` that the user may not enter or read; None when all are open."""
    resolved = path.resolve()
    for part in (*reversed(resolved.parents), resolved):
        try:
            stat = part.stat()
        except OSError:
            return part
        shift = 6 if stat.st_uid == uid else 3 if stat.st_gid in gids else 0
        wanted = 5 if part == resolved and part.is_dir() else 1 if part.is_dir() else 4
        if (stat.st_mode >> shift) & wanted != wanted:
            return part
    return None


class Launch(Struct, frozen=True):
    """How a user starts phalanx."""

    command: tuple[str, ...]
    """Interpreter and arguments, up to the name of the phalanx command."""
    environment: dict[str, str] = {}
    """Variables that the command needs beside the usual ones."""
    blocked_by: Path | None = None
    """What kept the user out of the original, so that this is a copy; None for the original."""


def launch_for(uid: int, gid: int, place: Path = PLACE) -> Launch:
    """How the user ``uid`` starts phalanx: from the original when all of it can be read, else from a copy made here.

    Raises:
        UnavailableError: the copy could not be made.
    """
    gids = frozenset({gid})
    package = Path(phalanx.__file__).parent
    for original in (Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), Path(os.__file__).parent, package):
        blocker = blocked_by(original, uid, gids)
        if blocker is not None:
            python = readable_copy(place)
            # an interpreter linked to libpython finds the copy's first, whatever its own run path says
            library = str(python.parent.parent / "lib")
            return Launch((str(python), "-I", "-m", "phalanx.cli.main"), {"LD_LIBRARY_PATH": library}, blocker)
    return Launch((sys.executable, "-m", "phalanx.cli.main"))


def needed_distributions(
    root: str = "phalanx", extras: tuple[str, ...] = ("agent", "hub")
) -> list[importlib.metadata.Distribution]:
    """``root`` and what it needs, transitively, as installed; environment markers and extras are minded."""
    from packaging.requirements import Requirement

    found: dict[str, importlib.metadata.Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(root, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        key = (re.sub(r"[-_.]+", "-", name).lower(), wanted)
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[key[0]] = distribution
        for text in distribution.requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return [found[name] for name in sorted(found)]


def readable_copy(place: Path = PLACE) -> Path:
    """Make the copy unless it is there; returns its interpreter.

    Raises:
        UnavailableError: it could not be written.
    """
    target = place / _digest()
    python = target / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if (target / _COMPLETE).exists():
        return python
    work = place / f".making-{os.getpid()}"
    try:
        shutil.rmtree(work, ignore_errors=True)
        _fill(work, python.name)
        _compile(work, python.name)
        _open_to_all(work)
        (work / _COMPLETE).touch()
        shutil.rmtree(target, ignore_errors=True)
        os.rename(work, target)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise UnavailableError(
            f"no copy of phalanx that the hub's user can read could be made in {place}: {error}",
            hint=f"free space there, or install phalanx where every user may read, not below {sys.prefix}",
        ) from error
    for old in place.iterdir():
        if old != target and not old.name.startswith(".making-") and not _in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    return python


def _in_use(copy: Path) -> bool:
    """True when a process runs from this copy: another phalanx of another state directory may."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if Path(os.readlink(process / "exe")).is_relative_to(copy):
                return True
        except OSError:
            continue  # it ended, or is a kernel thread
    return False


def _fill(work: Path, python: str) -> None:
    base = Path(sys.base_prefix)
    library = Path(os.__file__).parent
    (work / "bin").mkdir(parents=True, mode=0o755)
    shutil.copy2(os.path.realpath(sys.executable), work / "bin" / python)
    stdlib = work / library.relative_to(base)
    shutil.copytree(
        library,
        stdlib,
        symlinks=False,
        ignore=lambda _, names: _SKIPPED_STDLIB & set(names),
        ignore_dangling_symlinks=True,
    )
    for shared in sorted((base / "lib").glob("libpython*.so*")):
        shutil.copy2(shared, work / "lib" / shared.name)
    site = stdlib / ("dist-packages" if library.as_posix().startswith("/usr/lib/") else "site-packages")
    site.mkdir(exist_ok=True)
    for distribution in needed_distributions():
        if distribution.metadata["Name"].lower() == "phalanx":
            continue
        for source, relative in _files(distribution):
            destination = site / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination)
    shutil.copytree(Path(phalanx.__file__).parent, site / "phalanx", ignore=shutil.ignore_patterns("*.pyx", "*.c"))


def _compile(work: Path, python: str) -> None:
    """Import the hub once as root: its user could not keep the compiled modules, and would compile them at each start."""
    environment = {"LD_LIBRARY_PATH": str(work / "lib"), "PATH": os.defpath}
    command = [str(work / "bin" / python), "-I", "-c", "import phalanx.app.hub"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"the copy does not run: {done.stderr.strip()[-300:]}")


def _files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[Path, Path]]:
    """Files of a distribution inside its site directory, with their path there."""
    for file in distribution.files or ():
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        source = Path(str(distribution.locate_file(file)))
        if source.is_file():
            yield source, Path(*file.parts)
            if source.suffix == ".py":
                compiled = Path(cache_from_source(str(source)))
                if compiled.is_file():
                    yield compiled, Path(*file.parts[:-1], "__pycache__", compiled.name)


def _open_to_all(root: Path) -> None:
    for directory, _, files in os.walk(root):
        os.chmod(directory, 0o755)  # noqa: S103 — a copy of public code, owned by root
        for name in files:
            path = os.path.join(directory, name)
            os.chmod(path, 0o755 if os.access(path, os.X_OK) else 0o644)


def _digest() -> str:
    """Changes when the interpreter, a needed distribution or a file of phalanx does."""
    hasher = hashlib.blake2b(digest_size=8)
    hasher.update(f"{sys.version}{sys.base_prefix}".encode())
    for distribution in needed_distributions():
        hasher.update(f"{distribution.metadata['Name']}=={distribution.version}\n".encode())
    package = Path(phalanx.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            stat = path.stat()
            hasher.update(f"{path.relative_to(package)}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return hasher.hexdigest()
