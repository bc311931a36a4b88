"""One file of a source, readable while it is the current one."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["Entry"]


class Entry:
    """One regular file. ``read`` and ``open`` work until the source moves on to the next file."""

    __slots__ = ("_open", "_read", "executable", "layer", "path", "setuid", "size", "world_writable")

    def __init__(
        self,
        path: str,
        size: int,
        mode: int,
        read: Callable[[int], bytes],
        *,
        layer: str = "",
        open_: Callable[[], BinaryIO] | None = None,
    ) -> None:
        self.path = path
        """Without a leading slash, normalised, hostile bytes lifted (``phalanx.text.hostile``)."""
        self.size = size
        self.executable = bool(mode & 0o111)
        self.setuid = bool(mode & 0o6000)
        self.world_writable = bool(mode & 0o002)
        self.layer = layer
        self._read = read
        self._open = open_

    def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes from the start; may be called once on a stream."""
        return self._read(limit)

    def open(self) -> BinaryIO:
        """A seekable file of the whole content; in memory when the source is a stream."""
        if self._open is not None:
            return self._open()
        return io.BytesIO(self._read(self.size))

    def data(self, limit: int) -> bytes | mmap.mmap:
        """The whole content if it is at most ``limit`` bytes, mapped where the source is a file on disk; ValueError when it is larger."""
        if self._open is not None and self.size > 1 << 20:
            with self._open() as stream:
                return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        if self.size > limit:
            raise ValueError(f"larger than {limit >> 20} MiB")
        return self._read(limit)
