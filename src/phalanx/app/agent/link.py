"""The agent's way to the hub: HTTP/1.1 over a Unix socket, standard library only, one connection for each kind of call."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Final

import msgspec

from phalanx.app.unix import UnixConnection
from phalanx.errors import CorruptError, LimitError, UnavailableError
from phalanx.model.report import Acknowledgement, Command, CommandResult, RuleBundle

__all__ = ["HubLink"]

_TIMEOUT_S: Final = 15.0
_LONG_POLL_S: Final = 30.0
_LARGEST_ANSWER: Final = 16 << 20


class HubLink:
    """Calls of one thread to the hub; keeps its connection, opens it again after any failure. Not thread-safe: one for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: UnixConnection | None = None

    @property
    def hub_pid(self) -> int | None:
        """Pid of the hub at the other end; None while there is no connection."""
        return self._connection.peer or None if self._connection is not None else None

    def deliver(self, route: str, identity: str, body: bytes, content_type: str) -> None:
        """Post ``body`` and return once the hub acknowledged it as durable under ``identity``.

        Raises:
            UnavailableError: no hub, no answer in time, or an error of the hub's: try again later.
            LimitError: the hub will never take it (HTTP 4xx): it must be set aside, not tried again.
            CorruptError: the answer acknowledges something else.
        """
        status, answer = self._call("POST", route, body, {"Content-Type": content_type}, _TIMEOUT_S)
        if 400 <= status < 500 and status not in (401, 403, 408, 429):
            raise LimitError(f"the hub refused it with HTTP {status}: {answer[:300].decode('utf-8', 'replace')}")
        if status != 200:
            raise UnavailableError(f"the hub answered HTTP {status}: {answer[:300].decode('utf-8', 'replace')}")
        try:
            acknowledged = msgspec.json.decode(answer, type=Acknowledgement).acknowledged
        except msgspec.DecodeError as error:
            raise CorruptError(f"the hub's acknowledgement cannot be read: {error}") from error
        if acknowledged != identity:
            raise CorruptError(f"the hub acknowledged {acknowledged[:80]!r} and not {identity!r}")

    def rules(self, version: str) -> RuleBundle | None:
        """Wait for a rule set other than ``version``; None when there is none within the long poll.

        Raises:
            UnavailableError: no hub, or an error of the hub's.
            CorruptError: the answer is not a rule bundle.
        """
        status, answer = self._call("GET", f"/agent/v1/rules?version={version}", None, {}, _LONG_POLL_S + _TIMEOUT_S)
        if status == 204:
            return None
        if status != 200:
            raise UnavailableError(f"the hub answered HTTP {status}: {answer[:300].decode('utf-8', 'replace')}")
        try:
            return msgspec.json.decode(answer, type=RuleBundle)
        except msgspec.DecodeError as error:
            raise CorruptError(f"the hub's rule set cannot be read: {error}") from error

    def command(self, agent: str) -> Command | None:
        """Wait for something that this agent is asked to do; None when there is nothing within the long poll.

        Raises:
            UnavailableError: no hub, or an error of the hub's.
            CorruptError: the answer is not a command.
        """
        status, answer = self._call("GET", f"/agent/v1/commands?agent={agent}", None, {}, _LONG_POLL_S + _TIMEOUT_S)
        if status == 204:
            return None
        if status != 200:
            raise UnavailableError(f"the hub answered HTTP {status}: {answer[:300].decode('utf-8', 'replace')}")
        try:
            return msgspec.json.decode(answer, type=Command)
        except msgspec.DecodeError as error:
            raise CorruptError(f"the hub's command cannot be read: {error}") from error

    def result(self, agent: str, result: CommandResult) -> None:
        """Tell what became of a command, or of a part of it.

        Raises:
            UnavailableError: the hub did not take it.
        """
        body = msgspec.json.encode(result)
        headers = {"Content-Type": "application/json"}
        status, answer = self._call("POST", f"/agent/v1/results?agent={agent}", body, headers, _TIMEOUT_S)
        if status >= 300:
            raise UnavailableError(f"the hub answered HTTP {status}: {answer[:300].decode('utf-8', 'replace')}")

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(
        self, method: str, route: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> tuple[int, bytes]:
        try:
            if self._connection is None:
                self._connection = UnixConnection(self._path, timeout)
            self._connection.request(method, route, body=body, headers=headers)
            response = self._connection.getresponse()
            answer = response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnavailableError(f"the hub at {self._path} does not answer: {error}") from error
        return response.status, answer
