"""Streams that undo a compression: told by magic bytes, bounded, buffered so that small reads stay in C."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final, cast

from phalanx.errors import CorruptError, LimitError

__all__ = ["MAX_STREAM", "open_stream"]

MAX_STREAM: Final = 64 << 30
"""Unpacked bytes of one stream; past it the rest is skipped."""
_CHUNK: Final = 256 << 10


class _Unpack(io.RawIOBase):
    """A raw stream over a decompressor object with ``decompress(bytes[, max_length])``."""

    def __init__(self, source: BinaryIO, make: Callable[[], Any], *, bounded: bool) -> None:
        self._source = source
        self._make = make
        self._engine = make()
        self._bounded = bounded
        self._pending = b""
        self._ready = memoryview(b"")
        self._total = 0

    def readable(self) -> bool:
        return True

    def _fill(self) -> bool:
        """Unpack some more; False at the end."""
        while not len(self._ready):
            if self._engine.eof:
                rest = self._engine.unused_data or self._source.read(_CHUNK)
                if not rest.strip(b"\0"):
                    return False
                self._engine = self._make()  # members may follow each other (gzip, pigz, zstd frames)
                self._pending = rest
            if not self._pending:
                self._pending = self._source.read(_CHUNK)
                if not self._pending:
                    raise CorruptError("compressed stream ends too early")
            try:
                if self._bounded:
                    out = self._engine.decompress(self._pending, 4 * _CHUNK)
                    self._pending = getattr(self._engine, "unconsumed_tail", b"")
                else:
                    out = self._engine.decompress(self._pending)
                    self._pending = b""
            except Exception as error:
                raise CorruptError(f"compressed stream is damaged: {error}") from error
            self._ready = memoryview(out)
            self._total += len(out)
            if self._total > MAX_STREAM:
                raise LimitError("compressed stream unpacks to more than 64 GiB")
        return True

    def readinto(self, buffer: Any) -> int:
        if not len(self._ready) and not self._fill():
            return 0
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def open_stream(source: BinaryIO) -> BinaryIO:
    """``source`` with its compression undone: gzip, zstd, xz, bzip2, or as it is. Only the first bytes decide, never a name."""
    buffered = (
        source if isinstance(source, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, source), _CHUNK)
    )
    magic = buffered.peek(6)[:6]
    raw: io.RawIOBase
    if magic[:2] == b"\x1f\x8b":
        raw = _Unpack(buffered, lambda: zlib.decompressobj(31), bounded=True)
    elif magic[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        raw = _Unpack(
            buffered, lambda: zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), bounded=False
        )
    elif magic[:6] == b"\xfd7zXZ\0":
        import lzma

        raw = _Unpack(buffered, lambda: lzma.LZMADecompressor(memlimit=256 << 20), bounded=False)
    elif magic[:3] == b"BZh":
        import bz2

        raw = _Unpack(buffered, bz2.BZ2Decompressor, bounded=False)
    else:
        return buffered
    return cast(BinaryIO, io.BufferedReader(raw, 1 << 20))
