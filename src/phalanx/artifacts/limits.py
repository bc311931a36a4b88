"""Bounds on what a hostile artifact can cost. Past one, the thing is skipped with its reason and the scan goes on."""

from __future__ import annotations

from typing import Final

__all__ = [
    "MAX_COMPONENTS",
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "MAX_FILE",
    "MAX_NESTED_TOTAL",
    "MAX_PATH",
    "MAX_RATIO",
    "MAX_SKIPPED",
    "MAX_TEXT_FILE",
]

MAX_DEPTH: Final = 8
"""Archives in archives."""
MAX_ENTRIES: Final = 2_000_000
"""Entries of one layer or archive (a full distribution has 300,000)."""
MAX_FILE: Final = 256 << 20
"""Bytes of one file that is read into memory."""
MAX_TEXT_FILE: Final = 64 << 20
"""Bytes of one lock file or package database."""
MAX_NESTED_TOTAL: Final = 2 << 30
"""Bytes unpacked from one outermost archive."""
MAX_RATIO: Final = 200
"""Unpacked bytes to packed bytes of one archive entry over 1 MiB; DEFLATE cannot pass 1032, real files stay under 100."""
MAX_PATH: Final = 4096
"""Characters of a path (Linux: PATH_MAX)."""
MAX_COMPONENTS: Final = 200_000
"""Components of one artifact."""
MAX_SKIPPED: Final = 1_000
"""Skips that are told one by one; the rest is a count."""
