"""Every framework module's patches, by the name of the library module that they wait for.

Parsed structures are tainted when the framework makes them, leaf by leaf and in place, so that application code finds tainted values however it looks
them up.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from . import for_aiohttp, for_django, for_flask, for_starlette, servers

WATCH: dict[str, Callable[[ModuleType], None]] = {
    **for_flask.WATCH,
    **for_django.WATCH,
    **for_starlette.WATCH,
    **for_aiohttp.WATCH,
    **servers.WATCH,
}
