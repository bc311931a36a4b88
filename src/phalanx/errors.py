"""The exceptions of phalanx, drawn first.

::

    PhalanxError                 message + hint; everything that phalanx raises on purpose
    ├── UsageError               the caller asked for what cannot be (exit 2, HTTP 400)
    │   ├── RuleError            a rule, condition or query text is wrong; file, line, column, caret
    │   └── NotFoundError        no such finding, rule, event … (exit 2, HTTP 404)
    ├── ConflictError            the thing changed since it was read, or exists already (HTTP 409)
    ├── PermissionError_         who asks may not (exit 4, HTTP 403)
    ├── AuthenticationError      who asks is not known (exit 4, HTTP 401)
    ├── LimitError               a stated bound was passed (HTTP 413, 429)
    ├── UnavailableError         a part that is needed does not answer (exit 3, HTTP 503)
    │   └── SensorError          a kernel feature, library or right is missing
    └── CorruptError             stored or received bytes are not what their checksum or layout says (exit 3)

HTTP status and exit codes are mapped once, at the border (``phalanx.api.problems``, ``phalanx.cli.main``).
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "ConflictError",
    "CorruptError",
    "LimitError",
    "NotFoundError",
    "PermissionError_",
    "PhalanxError",
    "RuleError",
    "SensorError",
    "UnavailableError",
    "UsageError",
]


class PhalanxError(Exception):
    """Root of everything that phalanx raises on purpose."""

    exit_code = 3
    """Exit code of a command that ends with this error."""
    status = 500
    """HTTP status of a response that ends with this error."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """What happened, in one plain sentence."""
        self.hint = hint
        """What the reader can do next; None when the message says it."""

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


class UsageError(PhalanxError):
    """The caller asked for something that cannot be: a bad option, filter, value or file."""

    exit_code = 2
    status = 400


class RuleError(UsageError):
    """The text of a rule, condition or query is wrong; knows where.

    Attributes:
        file: name of the file or of the input field; None for text that was given directly.
        line: 1-based line in ``file``; None when the place is not known.
        column: 1-based column in that line, counted in characters; None when not known.
        source: the text of that line, for the caret; None when not known.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.column = column
        self.source = source


class NotFoundError(UsageError):
    """There is no such thing: finding, rule, event, user …"""

    status = 404


class ConflictError(PhalanxError):
    """The thing changed since it was read, or exists already."""

    exit_code = 2
    status = 409


class PermissionError_(PhalanxError):
    """Who asks is known and may not do this."""

    exit_code = 4
    status = 403


class AuthenticationError(PhalanxError):
    """Who asks is not known: no session, token or certificate, or one that has ended."""

    exit_code = 4
    status = 401


class LimitError(PhalanxError):
    """A stated bound was passed: size, depth, rate."""

    status = 413


class UnavailableError(PhalanxError):
    """A part that is needed does not answer or is not there."""

    status = 503


class SensorError(UnavailableError):
    """A kernel feature, a library or a right that a sensor needs is missing."""


class CorruptError(PhalanxError):
    """Stored or received bytes are not what their checksum or layout says."""
