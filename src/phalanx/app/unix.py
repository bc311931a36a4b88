"""HTTP over a Unix stream socket with the standard library only: how the agent and root's commands reach the hub."""

from __future__ import annotations

import http.client
import socket
import struct
from pathlib import Path

__all__ = ["UnixConnection"]


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection whose transport is a Unix stream socket."""

    def __init__(self, path: str | Path, timeout: float) -> None:
        super().__init__("hub", timeout=timeout)
        self._path = str(path)
        self.peer = 0
        """Pid of who listens, as the kernel tells it (SO_PEERCRED); 0 before the connection stands."""

    def connect(self) -> None:
        """Connect to the socket's path; OSError when nobody listens there."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
            self.peer = struct.unpack("3i", self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            self.sock.close()
            raise
