"""A directory on this machine: a root file system, a source tree, a running container through /proc/PID/root."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from phalanx.artifacts.limits import MAX_DEPTH
from phalanx.artifacts.sources.entry import Entry
from phalanx.errors import NotFoundError
from phalanx.text.hostile import decode

__all__ = ["walk_directory"]

_KERNEL_DIRECTORIES = frozenset({"proc", "sys", "dev"})
_MAX_DEPTH = MAX_DEPTH * 32
"""Directories in directories; deeper trees are made by loops of mounts or on purpose."""


def walk_directory(
    root: Path,
    *,
    skipped: Callable[[str, str], None],
    exclude: frozenset[str] = frozenset(),
    one_file_system: bool = False,
) -> Iterator[Entry]:
    """The regular files below ``root``. Links are never followed, special files never opened; a file seen by two hard links comes once a path.

    Args:
        root: where to begin.
        skipped: told (path, reason) of what cannot be read.
        exclude: names of directories, or paths from ``root``, that are left out.
        one_file_system: stay on the file system of ``root``.
    """
    top = os.fsencode(root)
    try:
        device = os.stat(top).st_dev
    except OSError as error:
        raise NotFoundError(f"no directory {root}") from error
    is_root = os.path.realpath(top) == b"/" or top.startswith(b"/proc/")
    stack: list[tuple[bytes, str, int]] = [(top, "", 0)]
    while stack:
        directory, prefix, depth = stack.pop()
        try:
            listing = sorted(os.scandir(directory), key=lambda one: one.name, reverse=True)
        except OSError as error:
            skipped(prefix, f"directory not readable: {error.strerror}")
            continue
        for item in listing:
            path = prefix + decode(item.name)
            try:
                if item.is_symlink():
                    continue
                if item.is_dir(follow_symlinks=False):
                    name = decode(item.name)
                    if name in exclude or path in exclude or (is_root and not prefix and name in _KERNEL_DIRECTORIES):
                        continue
                    if depth >= _MAX_DEPTH:
                        skipped(path, "directories nested too deep")
                    elif not one_file_system or item.stat(follow_symlinks=False).st_dev == device:
                        stack.append((item.path, path + "/", depth + 1))
                    continue
                status = item.stat(follow_symlinks=False)
            except OSError as error:
                skipped(path, f"not readable: {error.strerror}")
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            yield _entry(item.path, path, status)


def _entry(real: bytes, path: str, status: os.stat_result) -> Entry:
    def open_() -> BinaryIO:
        # O_NOFOLLOW and O_NONBLOCK: what was a file when it was listed may be a link or a FIFO now.
        return os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")

    def read(limit: int) -> bytes:
        with open_() as stream:
            return stream.read(limit)

    return Entry(path, status.st_size, status.st_mode, read, open_=open_)
