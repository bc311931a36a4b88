"""Runtimes that answer on a Unix socket by HTTP: Docker's Engine API and Podman's compatible one.

An answer is bounded in size and time; a runtime that stalls delays nobody, because only the directory's own thread asks.
"""

from __future__ import annotations

import http.client
import os
import socket
from typing import Any, Final

import msgspec

from phalanx.model.container import Container
from phalanx.sensors.containers.files import from_docker

__all__ = ["SOCKETS", "ask"]

SOCKETS: Final = (
    ("/run/docker.sock", "docker"),
    ("/var/run/docker.sock", "docker"),
    ("/run/podman/podman.sock", "podman"),
)
TIMEOUT_S: Final = 2.0
MAX_BYTES: Final = 4 << 20


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def ask(id: str, since_ns: int, sockets: tuple[tuple[str, str], ...] = SOCKETS) -> Container | None:
    """The container whose id begins with ``id``, from the first runtime that knows it; None when none does."""
    if not id.replace("-", "").replace("_", "").replace(".", "").isalnum():
        return None
    for path, runtime in sockets:
        if not os.path.exists(path):
            continue
        found = _inspect(path, id)
        if found is not None:
            container = from_docker(found, since_ns, runtime)
            if container is not None:
                return container
    return None


def _inspect(path: str, id: str) -> dict[str, Any] | None:
    connection = _Connection(path)
    try:
        connection.request("GET", f"/v1.40/containers/{id}/json", headers={"Connection": "close"})
        answer = connection.getresponse()
        raw = answer.read(MAX_BYTES + 1)
        if answer.status != 200 or len(raw) > MAX_BYTES:
            return None
        found = msgspec.json.decode(raw)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()
    return found if isinstance(found, dict) else None
