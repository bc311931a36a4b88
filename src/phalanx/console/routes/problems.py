"""Errors as pages: what happened, what to do, and the id to find it by. Who is not signed in is asked to sign in, and comes back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.response import Redirect

from phalanx.api.access import page_session
from phalanx.api.problems import problem_of, respond
from phalanx.console.view import build_view, page

__all__ = ["page_of_error"]

_HEADLINES = (400, 403, 404, 409, 429, 500, 503)


def page_of_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The exception handler of the console's router; programs get the problem document."""
    plain = respond(request, error)  # also logs what was not foreseen
    if "text/html" not in request.headers.get("accept", ""):
        return plain
    session = page_session(request)
    view = build_view(request, session, {}, None)
    if plain.status_code == 401:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?next={quote(target, safe='')}" if request.method == "GET" and target != "/" else ""
        return Redirect(f"{view.root}/login{back}", status_code=303)
    problem = problem_of(error, request_id=str(request.scope.get("state", {}).get("request_id", "")))
    status = problem.status if problem.status in _HEADLINES else 500 if problem.status >= 500 else 400
    return page(
        view,
        "error.html",
        status=problem.status,
        active="",
        headline=view.words(f"error.{status}"),
        message=problem.detail or problem.title,
        hint=problem.hint,
        source=problem.source,
        request_id=problem.instance,
    )
