"""The console: pages that people live in, drawn by the server, with small islands where something moves.

- :func:`routes` are the handlers that the application mounts; they call :mod:`phalanx.services` and nothing below it.
- ``templates/`` holds one page each and ``m.html`` one macro for each component; ``static/css`` the tokens and the look;
  ``static/js`` typed ES modules; ``translations/`` the words of both languages.
- Observed text is hostile: it passes :mod:`phalanx.console.hostile` on the server, and becomes text nodes only in the browser.
- No page needs script to be read; links and forms work without. No style attribute and no inline script exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar import Router

__all__ = ["routes"]


def routes() -> list[Router]:
    """The console's routers: its pages and its static files."""
    from phalanx.console.routes import pages
    from phalanx.console.static_files import static_router

    return [pages(), static_router()]
