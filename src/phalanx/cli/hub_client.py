"""How commands talk to a hub: by its Unix socket as root (or the hub's own user), or by HTTP with a token. Standard library only.

``PHALANX_URL`` and ``PHALANX_TOKEN`` name a hub elsewhere; the token comes from the environment or a file, never from an argument, where every
user of the machine could read it.
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import click
import msgspec

from phalanx.app.unix import UnixConnection
from phalanx.errors import (
    AuthenticationError,
    ConflictError,
    LimitError,
    NotFoundError,
    PermissionError_,
    PhalanxError,
    RuleError,
    UnavailableError,
    UsageError,
)

__all__ = ["HubClient", "clock_text", "hub_options", "parse_time", "write_json"]

_TIMEOUT_S: Final = 60.0
_LARGEST: Final = 256 << 20
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SOCKETS: Final = (Path("/run/phalanx/hub.sock"), Path("~/.local/state/phalanx/run/hub.sock"))

F = TypeVar("F", bound=Callable[..., Any])


class HubClient:
    """Calls to one hub."""

    def __init__(self, *, url: str | None = None, token: str | None = None, socket_path: str | None = None) -> None:
        """``url`` with ``token`` for a hub reached by network; else the socket at ``socket_path`` (or the usual places)."""
        self._token = token
        self._url = url
        self._socket = socket_path

    def _connection(self) -> http.client.HTTPConnection:
        if self._url is None:
            self._socket = self._socket or _find_socket()  # only now: a command may turn out not to need a hub
            return UnixConnection(self._socket, _TIMEOUT_S)
        parts = urlsplit(self._url)
        if parts.scheme == "https" and parts.hostname:
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
            )
        if parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1"):
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        raise UsageError(
            f"the hub's address is {self._url[:120]!r}",
            hint="write https://HOST, or http://127.0.0.1:7430 on this machine",
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer; None when it has no body.

        Raises:
            UnavailableError: no hub answers. Other PhalanxErrors: what the hub said.
        """
        pairs = [
            (name, item)
            for name, value in (query or {}).items()
            for item in (value if isinstance(value, (list, tuple)) else (value,))
            if item not in (None, "")
        ]
        target = f"/api/v1/{path}" + (f"?{urlencode(pairs)}" if pairs else "")
        sent = {"Accept": "application/json", **(headers or {})}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        raw = None if body is None else msgspec.json.encode(body)
        if raw is not None:
            sent["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, target, body=raw, headers=sent)
            response = connection.getresponse()
            answer = response.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            where = self._url or self._socket
            raise UnavailableError(
                f"the hub at {where} does not answer: {error}",
                hint="start it with `phalanx up`; as root for the socket of the system",
            ) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise _error_of(response.status, answer)
        return msgspec.json.decode(answer) if answer else None


def _find_socket() -> str:
    for path in _SOCKETS:
        candidate = path.expanduser()
        if candidate.is_socket():
            return str(candidate)
    raise UnavailableError(
        "no hub's socket was found on this machine",
        hint="start one with `phalanx up`, or name one: --socket PATH, or PHALANX_URL and PHALANX_TOKEN",
    )


_KINDS: Final[dict[str, type[PhalanxError]]] = {
    "not-found": NotFoundError,
    "usage": UsageError,
    "conflict": ConflictError,
    "permission": PermissionError_,
    "authentication": AuthenticationError,
    "limit": LimitError,
    "unavailable": UnavailableError,
}


def _error_of(status: int, answer: bytes) -> PhalanxError:
    try:
        problem = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError:
        return UnavailableError(f"the hub answered HTTP {status}")
    message = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
    hint = str(problem.get("hint") or "") or None
    kind = str(problem.get("type", "")).rpartition(":")[2]
    if kind == "rule":
        return RuleError(
            message,
            hint=hint,
            file=problem.get("file"),
            line=problem.get("line"),
            column=problem.get("column"),
            source=problem.get("source"),
        )
    return _KINDS.get(kind, UnavailableError if status >= 500 else UsageError)(message, hint=hint)


def hub_options(command: F) -> F:
    """The options of every command that talks to a hub; the command gets ``client`` and ``as_json``."""

    @click.option(
        "--socket", "socket_path", envvar="PHALANX_SOCKET", default=None, help="Unix socket of the hub on this machine."
    )
    @click.option(
        "--url",
        envvar="PHALANX_URL",
        default=None,
        help="Address of a hub; needs a token in PHALANX_TOKEN or --token-file.",
    )
    @click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        default=None,
        help="File that holds an API token.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    @functools.wraps(command)
    def wrapped(*args: Any, socket_path: str | None, url: str | None, token_file: Path | None, **kwargs: Any) -> Any:
        token = token_file.read_text("utf-8").strip() if token_file is not None else os.environ.get("PHALANX_TOKEN")
        client = HubClient(url=url, token=token, socket_path=socket_path)
        return command(*args, client=client, **kwargs)

    return wrapped  # type: ignore[return-value]


def parse_time(text: str | None) -> int | None:
    """UTC nanoseconds of ``15m`` (so long ago), of an RFC 3339 time or date, or of a number of nanoseconds; None for None."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,9})([smhdw])", text, re.ASCII)
    if ago is not None:
        return time.time_ns() - int(ago[1]) * _UNITS[ago[2]] * 10**9
    if re.fullmatch(r"\d{16,19}", text, re.ASCII):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text[:60]!r} is no time", hint="write 15m, 1h, 7d, or 2026-11-23T18:40:00Z") from error
    if moment.tzinfo is None:
        raise UsageError(f"{text[:60]!r} has no time zone", hint="write 2026-11-23T18:40:00Z")
    return int(moment.timestamp() * 1_000_000) * 1_000


def clock_text(ns: int | None) -> str:
    """``ns`` as people read it, UTC with milliseconds; a dash for None."""
    if ns is None:
        return "–"
    seconds, rest = divmod(ns, 10**9)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) + f".{rest // 10**6:03d}"


def write_json(values: Sequence[object]) -> None:
    """One JSON object a line."""
    for value in values:
        click.echo(msgspec.json.encode(value))
