"""Cgroups: where their file system is, and which container a path belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from phalanx.text import hostile

__all__ = ["HOST", "CgroupPaths", "cgroup2_mount", "container_of_cgroup"]

HOST: Final = "host"
"""Container id of what runs in none."""

_ID: Final = re.compile(
    r"(?:^|[-:/])"  # docker-<id>.scope, cri-containerd-<id>.scope, crio-<id>.scope, libpod-<id>.scope, /docker/<id>, kubepods/…/<id>
    r"(?:(?:docker|cri-containerd|crio|libpod|nerdctl|buildkit|containerd)-)?"
    r"([0-9a-f]{64})"
    r"(?:\.scope|$|/)"
)
_STATES: Final = ("/run/runc", "/run/crun")
MAX_PATHS: Final = 65536


def container_of_cgroup(path: str) -> str:
    """First 12 characters of the id of the container whose cgroup ``path`` is, or :data:`HOST`.

    Docker, containerd/CRI, CRI-O and Podman put the 64 digits of the id into the last parts of the path, as a directory or as
    ``<runtime>-<id>.scope``. The innermost counts: a container in a container has its own. An id that runc or crun was given
    by hand is known by its state directory.
    """
    found = None
    for match in _ID.finditer(path):
        found = match.group(1)
    if found is None:
        # runc and crun alone let people choose the id, and their directory is there before the cgroup is
        name = path.rpartition("/")[2].removesuffix(".scope").removeprefix("runc-")
        if name and name not in (".", "..") and any(os.path.isdir(f"{state}/{name}") for state in _STATES):
            found = name
    return found[:12] if found is not None else HOST


def cgroup2_mount() -> str | None:
    """Where the cgroup v2 hierarchy is mounted; None when it is not."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                left, _, right = line.partition(" - ")
                if right.startswith("cgroup2 "):
                    return left.split(" ")[4]
    except OSError:
        return None
    return None


class CgroupPaths:
    """Paths by cgroup id (the inode number of the directory), found in the file system when an event did not tell."""

    def __init__(self) -> None:
        self._mount = cgroup2_mount()
        self._paths: dict[int, str] = {}

    def scan(self) -> None:
        """Learn all that exist, at most :data:`MAX_PATHS`."""
        if self._mount is None:
            return
        found: dict[int, str] = {}
        for directory, _, _ in os.walk(self._mount):
            try:
                number = os.stat(directory).st_ino
            except OSError:
                continue  # removed meanwhile
            found[number] = hostile.decode(
                os.fsencode("/" + str(Path(directory).relative_to(self._mount)).removeprefix("."))
            )
            if len(found) >= MAX_PATHS:
                break
        self._paths = found

    def path(self, number: int) -> str | None:
        """Path below the root of the hierarchy; None when no such cgroup is there."""
        known = self._paths.get(number)
        if known is None:
            self.scan()
            known = self._paths.get(number)
        return known

    def number(self, path: str) -> int:
        """Id of the cgroup at ``path``; 0 when there is none."""
        if self._mount is None:
            return 0
        try:
            return os.stat(os.fsencode(self._mount) + hostile.encode(path)).st_ino
        except OSError:
            return 0
