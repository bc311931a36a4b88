"""Errors at the border: one mapping from :class:`PhalanxError` (and what the framework raises) to RFC 9457 problem documents.

A problem has ``type`` (``urn:phalanx:problem:<word>``), ``title``, ``status``, ``detail``, ``hint`` and ``instance`` (the id of the request, which the
log has too); errors of rule texts add ``line``, ``column`` and ``source``. What was not raised on purpose says nothing of itself to the caller.
"""

from __future__ import annotations

import http
import logging
import re
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from phalanx.errors import (
    AuthenticationError,
    ConflictError,
    CorruptError,
    LimitError,
    NotFoundError,
    PermissionError_,
    PhalanxError,
    RuleError,
    UnavailableError,
    UsageError,
)
from phalanx.text.hostile import show

__all__ = ["PROBLEM_JSON", "Problem", "problem_of", "respond"]

PROBLEM_JSON: Final = "application/problem+json"
_LOG: Final = logging.getLogger("phalanx.api")
_MAX_DETAIL: Final = 2_000


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document."""

    type: str
    title: str
    status: int
    detail: str = ""
    hint: str = ""
    instance: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None
    source: str = ""
    retry_after: int | None = None
    """Seconds."""


_WORDS: Final[tuple[tuple[type[PhalanxError], str, str], ...]] = (
    (RuleError, "rule", "The text of a rule, condition or query is wrong"),
    (NotFoundError, "not-found", "There is no such thing"),
    (UsageError, "usage", "The request cannot be"),
    (ConflictError, "conflict", "It changed meanwhile, or exists already"),
    (PermissionError_, "permission", "This is not allowed"),
    (AuthenticationError, "authentication", "Who asks is not known"),
    (LimitError, "limit", "A bound was passed"),
    (UnavailableError, "unavailable", "A part that is needed does not answer"),
    (CorruptError, "corrupt", "Bytes are not what they should be"),
    (PhalanxError, "internal", "phalanx could not do its work"),
)


def problem_of(error: Exception, *, request_id: str) -> Problem:
    """The problem document of ``error``."""
    if isinstance(error, PhalanxError):
        return _of_phalanx(error, request_id)
    if isinstance(error, HTTPException):
        return _of_framework(error, request_id)
    if isinstance(error, (msgspec.ValidationError, msgspec.DecodeError)):
        return Problem(
            type="urn:phalanx:problem:usage",
            title="The request cannot be",
            status=400,
            detail=show(str(error), _MAX_DETAIL),
            instance=request_id,
        )
    return Problem(
        type="urn:phalanx:problem:internal",
        title="phalanx could not do its work",
        status=500,
        detail="An error that was not foreseen; the hub's log has it under this id.",
        instance=request_id,
    )


def _of_phalanx(error: PhalanxError, request_id: str) -> Problem:
    word, title = next((word, title) for kind, word, title in _WORDS if isinstance(error, kind))
    problem = Problem(
        type=f"urn:phalanx:problem:{word}",
        title=title,
        status=error.status,
        detail=show(error.message, _MAX_DETAIL),
        hint=show(error.hint or "", _MAX_DETAIL),
        instance=request_id,
        retry_after=getattr(error, "retry_after_s", None),
    )
    if isinstance(error, RuleError):
        return msgspec.structs.replace(
            problem,
            file=show(error.file or "", 256),
            line=error.line,
            column=error.column,
            source=show(error.source or "", 1_000),
        )
    return problem


def _of_framework(error: HTTPException, request_id: str) -> Problem:
    status = error.status_code
    phrase = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else "Error"
    detail = str(error.detail or "")
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        detail = "; ".join(_told(item) for item in error.extra[:5]) or detail
    if status >= 500:
        detail = ""
    word = {401: "authentication", 403: "permission", 404: "not-found", 405: "method", 413: "limit"}.get(
        status, "usage"
    )
    return Problem(
        type=f"urn:phalanx:problem:{'internal' if status >= 500 else word}",
        title=phrase,
        status=status,
        detail=show(re.sub(r"https?://\S+", "", detail), _MAX_DETAIL),
        instance=request_id,
    )


def _told(item: Any) -> str:
    if isinstance(item, dict):
        return f"{item.get('key', '')}: {item.get('message', '')}".strip(": ")
    return str(item)


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the application."""
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    problem = problem_of(error, request_id=request_id)
    if problem.status >= 500 and not isinstance(error, UnavailableError):
        _LOG.error("request %s: %s %s", request_id, request.method, show(request.url.path, 200), exc_info=error)
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="phalanx"'
    if isinstance(error, HTTPException) and error.status_code == 405 and error.headers:
        headers.update({key: value for key, value in error.headers.items() if key.lower() == "allow"})
    return Response(
        content=msgspec.json.encode(problem), status_code=problem.status, media_type=PROBLEM_JSON, headers=headers
    )
