"""Who is at the other end of the Unix socket: the kernel says it (``SO_PEERCRED``, unix(7)), no header can.

A small subclass of uvicorn's protocol puts it into the ASGI scope as ``extensions["phalanx.peer"]``. TCP connections have none, so a route for
local peers cannot be reached by network, whatever a request claims.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any, Final

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["PEER", "Peer", "PeerProtocol", "peer_of"]

PEER: Final = "phalanx.peer"
_UCRED: Final = struct.Struct("iII")


class Peer(Struct, frozen=True, kw_only=True):
    """A process at the other end of a Unix socket, when it connected."""

    pid: int
    uid: int
    gid: int

    @property
    def trusted(self) -> bool:
        """Root, or the hub's own user."""
        return self.uid in (0, os.geteuid())


def peer_of(connection: Any) -> Peer | None:
    """The peer of a connected socket; None when it is no Unix socket."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    # asyncio hands out a TransportSocket, which has getsockopt
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(raw)
    return Peer(pid=pid, uid=uid, gid=gid)


class PeerProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with the peer's credentials in the scope."""

    _peer: Peer | None = None

    def connection_made(self, transport: Any) -> None:
        """Ask the kernel once for each connection."""
        super().connection_made(transport)
        self._peer = peer_of(transport.get_extra_info("socket"))

    def on_message_begin(self) -> None:
        """Give each request what is known of its connection."""
        super().on_message_begin()
        if self._peer is not None:
            self.scope["extensions"] = {PEER: self._peer}  # type: ignore[dict-item]
