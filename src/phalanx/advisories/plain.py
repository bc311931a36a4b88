"""Files that may be compressed, opened as what they hold."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

__all__ = ["lines_of", "open_plain"]


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file that may be compressed."""
    with open_plain(path) as stream:
        yield from (
            io.BufferedReader(stream, 1 << 20) if not isinstance(stream, (io.BufferedReader, gzip.GzipFile)) else stream
        )


def open_plain(path: Path) -> io.BufferedIOBase | io.RawIOBase | gzip.GzipFile:
    """``path`` opened with its compression (``.gz``, ``.zst``, ``.bz2``, ``.xz``) undone."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        import zstandard

        return zstandard.open(path, "rb")  # type: ignore[no-any-return]
    if path.suffix == ".bz2":
        import bz2

        return bz2.open(path, "rb")
    if path.suffix == ".xz":
        import lzma

        return lzma.open(path, "rb")
    return path.open("rb")
