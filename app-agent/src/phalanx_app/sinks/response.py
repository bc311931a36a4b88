"""What is sent back: reflected output, headers, debug mode, stack traces."""

from __future__ import annotations

from typing import Any

from .. import marks
from ..request import Request
from . import engine

_PAGE_TYPES = ("text/html", "application/xhtml+xml", "image/svg+xml")
_WANTED = (
    ("content-security-policy", "Content-Security-Policy"),
    ("x-content-type-options", "X-Content-Type-Options"),
    ("x-frame-options", "X-Frame-Options"),
)
_TRACE = b"Traceback (most recent call last)"


def body(request: Request, values: list[Any], content_type: str, nothing: Any) -> None:
    """A page's body, before the framework encodes it: tainted parts that nothing escaped."""
    kind = content_type.partition(";")[0].strip().lower() or "text/html"
    if kind not in _PAGE_TYPES:
        return
    for value in values:
        found = engine.unsafe(request, value, marks.XSS)
        if found:
            engine.report("cross-site-scripting", "response:body", value, found, location=_location(request, value))
            return


def _location(request: Request, value: Any) -> tuple[str, int, str] | None:
    """The line of first-party code that runs, else the one that last touched the value: frameworks send after the view returned."""
    from .. import flow, runtime

    if engine.app_frame(30) is not None:
        return None
    agent = runtime.RUNTIME
    number = request.table.step(value)
    last: tuple[str, int, str] | None = None
    for _ in range(100):
        if number < 0 or agent is None:
            break
        _, code, lasti, first, _, source, _ = request.table.step_at(number)
        if source == -1 and code is not None and agent.scope.has(code.co_filename):
            return code.co_filename, flow.line_of(code, lasti), getattr(code, "co_qualname", code.co_name)
        if code is not None and agent.scope.has(code.co_filename):
            last = code.co_filename, flow.line_of(code, lasti), getattr(code, "co_qualname", code.co_name)
        number = first
    if last is not None:
        return last
    path, _, line = request.handler.rpartition(":")
    if path and agent is not None:
        for root in agent.scope.roots:
            import os

            if os.path.isfile(root + path):
                return root + path, int(line), "handler"
    return "", 0, request.route or request.path


def headers(request: Request, pairs: list[tuple[str, str]]) -> None:
    """The final headers: a page without the protective ones (told once for the application), and the kind of page for `chunks`."""
    names = {name.lower(): value for name, value in pairs}
    kind = names.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _PAGE_TYPES or request.status >= 400:
        return
    for name, shown in _WANTED:
        if name not in names and not (
            name == "x-frame-options" and "frame-ancestors" in names.get("content-security-policy", "")
        ):
            engine.report(
                "missing-security-header",
                "response:headers",
                None,
                None,
                location=("", 0, ""),
                detail=f"{shown} is missing",
                once=f"missing header {name}",
            )


def chunks(request: Request, values: Any) -> None:
    """Bytes on their way out: a stack trace in an error page; and tainted bytes that reached the output as they are."""
    for value in values:
        if isinstance(value, bytes) and request.status >= 500 and (_TRACE in value[:200_000]):
            engine.report(
                "stack-trace-leak",
                "response:body",
                None,
                None,
                location=("", 0, request.route or request.path),
                detail="the response contains a traceback",
                once=f"trace {request.route}",
            )


def debug(request: Request, handler: str) -> None:
    """The framework runs in debug mode."""
    engine.report(
        "debug-mode",
        "application:debug",
        None,
        None,
        location=("", 0, ""),
        detail="the framework's debug switch is on",
        once="debug mode",
    )
