"""Records in a file: checksummed frames one after the other, readable again after any cut or damage.

A frame is::

    0   4  magic "PXS1"
    4   4  CRC-32 of all that follows in the frame, unsigned little endian
    8   1  kind: 1 record, 2 forgotten, 3 totals
    9   1  zero
    10  2  length of the id in bytes
    12  4  length of the payload in bytes
    16  …  id (UTF-8), payload

A wrong frame is not the end: the next valid one is looked for, so that damage costs what it hit and no more.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from phalanx.bus.interface import MAX_IDENTITY_BYTES, MAX_RECORD_BYTES

__all__ = ["FORGOTTEN", "HEADER_BYTES", "RECORD", "TOTALS", "Frame", "Scan", "encode_frame", "read_payload"]

MAGIC: Final = b"PXS1"
RECORD: Final = 1
FORGOTTEN: Final = 2
TOTALS: Final = 3
_HEAD: Final = struct.Struct("<4sIBBHI")
HEADER_BYTES: Final = _HEAD.size


class Frame(Struct, frozen=True):
    """Where one valid frame lies."""

    kind: int
    identity: bytes
    offset: int
    """Of its first byte in the file."""
    payload_bytes: int

    @property
    def end(self) -> int:
        """Offset after it."""
        return self.offset + HEADER_BYTES + len(self.identity) + self.payload_bytes


def encode_frame(kind: int, identity: bytes, payload: bytes | bytearray | memoryview = b"") -> list[bytes | memoryview]:
    """A frame in pieces that are written one after the other."""
    view = memoryview(payload).cast("B") if not isinstance(payload, bytes) else memoryview(payload)
    tail = struct.pack("<BBHI", kind, 0, len(identity), view.nbytes) + identity
    crc = zlib.crc32(view, zlib.crc32(tail))
    return [MAGIC + crc.to_bytes(4, "little") + tail, view]


class Scan:
    """Reads the frames of a file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.corrupt = 0
        """Stretches of bytes that are no frame and are followed by valid ones."""
        self.good_end = 0
        """Offset after the last valid frame."""
        self.size = os.fstat(fd).st_size

    def frames(self) -> Iterator[Frame]:
        """The valid frames in order; afterwards the counters are complete."""
        if not self.size:
            return
        with mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ) as mapped:
            at = 0
            bad = False
            while 0 <= at <= self.size - HEADER_BYTES:
                frame = self._frame(mapped, at)
                if frame is None:
                    bad = True
                    at = mapped.find(MAGIC, at + 1)
                    continue
                self.corrupt += bad
                bad = False
                at = self.good_end = frame.end
                yield frame

    def _frame(self, mapped: mmap.mmap, at: int) -> Frame | None:
        magic, crc, kind, zero, identity_bytes, payload_bytes = _HEAD.unpack_from(mapped, at)
        end = at + HEADER_BYTES + identity_bytes + payload_bytes
        if magic != MAGIC or zero or kind not in (RECORD, FORGOTTEN, TOTALS):
            return None
        if identity_bytes > MAX_IDENTITY_BYTES or payload_bytes > MAX_RECORD_BYTES or end > self.size:
            return None
        with memoryview(mapped) as view, view[at + 8 : end] as body:
            if zlib.crc32(body) != crc:
                return None
        return Frame(kind, mapped[at + HEADER_BYTES : at + HEADER_BYTES + identity_bytes], at, payload_bytes)


def read_payload(fd: int, frame: Frame) -> bytes | None:
    """The payload of ``frame``, checked again; None when its bytes have changed since."""
    raw = os.pread(fd, frame.end - frame.offset, frame.offset)
    if (
        len(raw) != frame.end - frame.offset
        or raw[:4] != MAGIC
        or zlib.crc32(memoryview(raw)[8:]) != int.from_bytes(raw[4:8], "little")
    ):
        return None
    return raw[HEADER_BYTES + len(frame.identity) :]
