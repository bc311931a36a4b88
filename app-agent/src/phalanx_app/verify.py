"""From suspicion to proof, the agent's side: a signed request carries a harmless marker, and the agent watches what it does at the sink.

A request verifies when it has the header `X-Phalanx-Verify: v1;<fingerprint>;<marker>;<time>;<signature>`, where the signature is the HMAC-SHA256 of the parts before it, with the key of
`PHALANX_APP_VERIFY_KEY`. Only environments marked as `test` answer; a request is honoured within five minutes of its time. The answer is in the response header
`X-Phalanx-Verify-Result` (and a `verification` message): ``confirmed`` (the marker changed the sink's structure), ``sanitized`` (it arrived and changed nothing), ``not reachable``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Any

from . import runtime
from .request import Request
from .structure import changed

_HEADER = "X-Phalanx-Verify"
_FORM = re.compile(r"v1;([0-9a-f]{32});(px[0-9a-z]{6,30});(\d{1,12});([0-9a-f]{64})\Z")
WINDOW_SECONDS = 300


def sign(key: str, fingerprint: str, marker: str, now: int) -> str:
    """The header value of a request that verifies."""
    text = f"v1;{fingerprint};{marker};{now}"
    return f"{text};{hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()}"


class Verification:
    """What was seen of one marker."""

    def __init__(self, fingerprint: str, marker: str) -> None:
        self.fingerprint = fingerprint
        self.marker = marker
        self.answer = "not reachable"
        self.detail = ""
        self.sinks: list[str] = []

    def saw(self, rule: str, sink: str, path: str, line: int, value: Any, ranges: Any, fingerprint: str) -> None:
        """A flaw was reported while this request ran."""
        if fingerprint != self.fingerprint:
            return
        self.sinks.append(f"{sink} {path}:{line}")
        if ranges is None:
            self.answer, self.detail = "confirmed", "seen again"
            return
        outcome = changed(rule, value, ranges, self.marker)
        if outcome:
            self.answer, self.detail = "confirmed", outcome
        elif self.answer != "confirmed":
            self.answer, self.detail = "sanitized", "the marker arrived and changed nothing"

    def result(self) -> str:
        """The answer as a header value."""
        return f"{self.answer};{self.fingerprint}"


def offered(request: Request) -> Verification | None:
    """The verification that this request asks for, if it may."""
    text = request.headers.get(_HEADER)
    agent = runtime.RUNTIME
    if not text or agent is None or agent.config.environment != "test" or not agent.config.verify_key:
        return None
    match = _FORM.match(text)
    if match is None:
        return None
    fingerprint, marker, moment, signature = match.groups()
    if abs(time.time() - int(moment)) > WINDOW_SECONDS:
        return None
    wanted = sign(agent.config.verify_key, fingerprint, marker, int(moment)).rpartition(";")[2]
    if not hmac.compare_digest(wanted, signature):
        return None
    return Verification(fingerprint, marker)
