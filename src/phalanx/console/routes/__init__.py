"""The handlers of the console, one module for each screen; :func:`pages` is the router that holds them."""

from __future__ import annotations

from litestar import Router
from litestar.exceptions import HTTPException

from phalanx.console.routes import (
    audit,
    estate,
    events,
    findings,
    health,
    live,
    overview,
    problems,
    rule_editor,
    rules,
    search,
    session,
    settings,
    simulations,
)
from phalanx.errors import PhalanxError

__all__ = ["pages"]


def pages() -> Router:
    """All pages; errors become pages too where a person asks."""
    handlers = [
        *session.HANDLERS,
        *overview.HANDLERS,
        *live.HANDLERS,
        *events.HANDLERS,
        *findings.HANDLERS,
        *estate.HANDLERS,
        *rules.HANDLERS,
        *rule_editor.HANDLERS,
        *simulations.HANDLERS,
        *audit.HANDLERS,
        *health.HANDLERS,
        *settings.HANDLERS,
        *search.HANDLERS,
    ]
    return Router(
        path="/",
        route_handlers=handlers,
        include_in_schema=False,
        exception_handlers={
            PhalanxError: problems.page_of_error,
            HTTPException: problems.page_of_error,
            Exception: problems.page_of_error,
        },
    )
