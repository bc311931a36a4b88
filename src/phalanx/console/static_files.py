"""The console's own files: served under a path that holds their hash, so that they can be kept for ever and never go stale."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.static_files import create_static_files_router

from phalanx.api.access import open_to_all

__all__ = ["FOLDER", "missing_assets", "static_router", "static_version"]

FOLDER: Final = Path(__file__).parent / "static"
_YEAR: Final = 365 * 86_400


@functools.cache
def static_version() -> str:
    """Twelve hexadecimal digits over names and contents of all static files."""
    hasher = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            hasher.update(path.relative_to(FOLDER).as_posix().encode())
            hasher.update(hashlib.sha256(path.read_bytes()).digest())
    return hasher.hexdigest()[:12]


def missing_assets() -> tuple[str, ...]:
    """What the build has not made: empty when the console is whole."""
    return tuple(name for name in ("vendor/icons.svg", "vendor/manifest.json") if not (FOLDER / name).is_file())


def static_router() -> Router:
    """Serves the files; they hold nothing that is secret."""
    return create_static_files_router(
        path=f"/static/{static_version()}",
        directories=[FOLDER],
        name="console-static",
        cache_control=CacheControlHeader(max_age=_YEAR, public=True, immutable=True),
        opt=open_to_all("style, scripts, fonts and icons are the same for everybody and hold no data"),
        resolve_symlinks=False,
    )
