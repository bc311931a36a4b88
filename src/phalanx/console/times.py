"""Time in the address: ``range=15m|1h|24h|7d|30d`` moves with the clock, ``from`` and ``to`` (RFC 3339) stand still."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from phalanx.errors import UsageError

__all__ = ["RANGES", "Window", "rfc3339", "window"]

_SECOND: Final = 1_000_000_000
RANGES: Final[dict[str, int]] = {
    "5m": 300 * _SECOND,
    "15m": 900 * _SECOND,
    "1h": 3600 * _SECOND,
    "24h": 86_400 * _SECOND,
    "7d": 7 * 86_400 * _SECOND,
    "30d": 30 * 86_400 * _SECOND,
}
"""Relative ranges, in nanoseconds."""


class Window(Struct, frozen=True, kw_only=True):
    """The asked time."""

    since_ns: int
    until_ns: int
    name: str = ""
    """Key of :data:`RANGES`; empty for an absolute window."""

    @property
    def length_ns(self) -> int:
        """Until minus since."""
        return self.until_ns - self.since_ns

    def moved(self, share: float) -> dict[str, str | None]:
        """Address parameters of the window that lies ``share`` of its length later."""
        shift = int(self.length_ns * share)
        return {
            "range": None,
            "from": rfc3339(self.since_ns + shift),
            "to": rfc3339(self.until_ns + shift),
            "cursor": None,
        }


def rfc3339(ts_ns: int) -> str:
    """UTC with milliseconds: ``2026-11-23T18:36:41.207Z``."""
    at = datetime.fromtimestamp(ts_ns // _SECOND, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ts_ns // 1_000_000 % 1000:03d}Z"


def window(query: Mapping[str, str], now_ns: int, default: str = "1h") -> Window:
    """The window that the address asks for. UsageError for one that is none."""
    start, end = query.get("from", ""), query.get("to", "")
    if start:
        since_ns = _parse(start)
        until_ns = _parse(end) if end else now_ns
        if until_ns <= since_ns:
            raise UsageError("the time window ends before it begins", hint="`to` must be later than `from`")
        return Window(since_ns=since_ns, until_ns=until_ns)
    name = query.get("range", "") or default
    if name not in RANGES:
        raise UsageError(f"no such range: {name[:20]}", hint=f"one of {', '.join(RANGES)}")
    return Window(since_ns=now_ns - RANGES[name], until_ns=now_ns, name=name)


def _parse(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return round(at.timestamp() * 1000) * 1_000_000
    except (ValueError, OverflowError) as error:
        raise UsageError(f"not a time: {text[:40]}", hint="write it as 2026-11-23T18:36:41Z") from error
