"""Names of users and groups, from the passwd and group files of the host or of the container that the ids belong to."""

from __future__ import annotations

import os
import time
from typing import Final

from msgspec import Struct

from phalanx.sensors.kernel.groups import HOST
from phalanx.text import hostile

__all__ = ["ABSENT", "Names", "Passwd"]

ABSENT: Final = "<NA>"
"""What Falco's fields return for an id that has no name."""

MAX_FILE_BYTES: Final = 1 << 20
"""A passwd or group file is read no further: it belongs to whoever owns the container."""
MAX_CONTAINERS: Final = 512
REFRESH_S: Final = 10.0
"""How long a file that was read is believed."""


class Passwd(Struct, frozen=True):
    """One reading of a root's passwd and group files."""

    users: dict[int, tuple[str, str, str]]
    """uid → (name, home, shell); the first line of a uid counts."""
    groups: dict[int, str]
    read_at: float
    """Monotonic seconds."""


def parse_passwd(raw: bytes) -> dict[int, tuple[str, str, str]]:
    """passwd(5): uid → (name, home, shell). Lines that are none are skipped."""
    users: dict[int, tuple[str, str, str]] = {}
    for line in raw.split(b"\n"):
        fields = line.split(b":")
        if len(fields) < 7 or not fields[2].isdigit() or len(fields[2]) > 10:
            continue
        name, home, shell = (hostile.decode(fields[index][:256]) for index in (0, 5, 6))
        users.setdefault(int(fields[2]), (name, home, shell))
    return users


def parse_group(raw: bytes) -> dict[int, str]:
    """group(5): gid → name."""
    groups: dict[int, str] = {}
    for line in raw.split(b"\n"):
        fields = line.split(b":")
        if len(fields) < 3 or not fields[2].isdigit() or len(fields[2]) > 10:
            continue
        groups.setdefault(int(fields[2]), hostile.decode(fields[0][:256]))
    return groups


class Names:
    """Looks ids up; bounded, and re-read after :data:`REFRESH_S`."""

    def __init__(self) -> None:
        self._read: dict[str, Passwd] = {}

    def _passwd(self, container: str, pid: int) -> Passwd:
        known = self._read.get(container)
        now = time.monotonic()
        if known is not None and now - known.read_at < REFRESH_S:
            return known
        root = "/" if container == HOST else f"/proc/{pid}/root"
        if container != HOST and _same_root(root):
            return self._passwd(HOST, pid)  # on its way into the container: it still sees the host's files
        users, groups = read_beneath(root, "etc/passwd"), read_beneath(root, "etc/group")
        if users is None and known is not None:
            return known  # this process is gone; what another of its container had still holds
        found = Passwd(parse_passwd(users or b""), parse_group(groups or b""), now)
        if users is not None:
            while len(self._read) >= MAX_CONTAINERS:
                self._read.pop(next(iter(self._read)))
            self._read[container] = found
        return found

    def lookup(self, container: str, uid: int, gid: int, loginuid: int, pid: int) -> tuple[str, str, str, str, str]:
        """``(user, home, shell, group, login user)``; :data:`ABSENT` for each that has no name."""
        passwd = self._passwd(container, pid)
        user, home, shell = passwd.users.get(uid, (ABSENT, ABSENT, ABSENT))
        login = ABSENT
        if loginuid >= 0:
            login = self._passwd(HOST, 1).users.get(loginuid, (ABSENT,))[0]
        return user, home, shell, passwd.groups.get(gid, ABSENT), login


def _same_root(root: str) -> bool:
    """True when ``root`` is the directory that this process has for its own."""
    try:
        return os.path.samefile(root, "/")
    except OSError:
        return False


def read_beneath(root: str, path: str) -> bytes | None:
    """The file ``path`` below ``root``, cut at :data:`MAX_FILE_BYTES`; None when it is not there. No link is followed out of
    ``root`` and nothing but a plain file is read: the tree belongs to the container."""
    try:
        directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for part in path.split("/")[:-1]:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            os.close(directory)
            directory = inner
        number = os.open(
            path.rsplit("/", 1)[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
        )
        with open(number, "rb") as file:
            if not os.path.isfile(f"/proc/self/fd/{number}"):
                return None
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return None
    finally:
        os.close(directory)
