"""From suspicion to proof, the agent's side: a signed request carries a harmless marker, and the agent watches what it does at the sink.

A request verifies when it has the header `X-Phalanx-Verify: v1;<fingerprint>;<rule>;<marker>;<time>;<signature>`, where the signature is the
HMAC-SHA256 of the parts before it, with the key of `PHALANX_APP_VERIFY_KEY`. Only environments marked as `test` answer; a request is honoured within
five minutes of its time. The answer is in the response header `X-Phalanx-Verify-Result`: ``confirmed`` (the marker changed the sink's structure),
``sanitized`` (it arrived and changed nothing), ``not reachable``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Any

from . import runtime
from .marks import BIT
from .request import Request
from .structure import changed

_HEADER = "X-Phalanx-Verify"
_FORM = re.compile(r"v1;([0-9a-f]{32});([a-z-]{3,60});(px[0-9a-z]{6,30});(\d{1,12});([0-9a-f]{64})\Z")
WINDOW_SECONDS = 300


def sign(key: str, fingerprint: str, rule: str, marker: str, now: int) -> str:
    """The header value of a request that verifies."""
    text = f"v1;{fingerprint};{rule};{marker};{now}"
    return f"{text};{hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()}"


class Verification:
    """What was seen of one marker at the sinks of one rule."""

    def __init__(self, fingerprint: str, rule: str, marker: str) -> None:
        self.fingerprint = fingerprint
        self.rule = rule
        self.bit = BIT.get(rule, 0)
        self.marker = marker
        self.answer = "not reachable"
        self.detail = ""

    def watch(self, value: Any, ranges: Any) -> None:
        """Tainted text is at a sink of the rule, whatever marks it carries: only what it does there counts."""
        outcome = changed(self.rule, value, ranges, self.marker)
        if outcome:
            self.answer, self.detail = "confirmed", outcome
        elif self.answer != "confirmed" and self._arrived(value, ranges):
            self.answer, self.detail = "sanitized", "the marker arrived and changed nothing"

    def _arrived(self, value: Any, ranges: Any) -> bool:
        marker: Any = self.marker.encode() if isinstance(value, (bytes, bytearray)) else self.marker
        return isinstance(value, (str, bytes, bytearray)) and any(
            marker in value[low:high].lower() for low, high, _, _ in ranges
        )

    def saw(self, rule: str) -> None:
        """A flaw of a rule without taint was reported while this request ran."""
        if rule == self.rule and not self.bit:
            self.answer, self.detail = "confirmed", "seen again"

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
    fingerprint, rule, marker, moment, signature = match.groups()
    if abs(time.time() - int(moment)) > WINDOW_SECONDS:
        return None
    wanted = sign(agent.config.verify_key, fingerprint, rule, marker, int(moment)).rpartition(";")[2]
    if not hmac.compare_digest(wanted, signature):
        return None
    return Verification(fingerprint, rule, marker)
