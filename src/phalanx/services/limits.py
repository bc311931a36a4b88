"""How often somebody may ask: windows of failures for sign-ins, buckets for tokens. In memory, bounded, forgotten at a restart."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from phalanx.errors import LimitError

__all__ = ["Bucket", "RateLimitError", "Window"]


class RateLimitError(LimitError):
    """Somebody asks too often."""

    status = 429

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, hint=f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
        """After how many seconds asking makes sense again."""


class Window:
    """Counts failures by key within a time; at ``most`` of them :meth:`check` refuses until the oldest has passed out of the window.

    At most ``keys`` are remembered; the key that failed longest ago is forgotten first.
    """

    def __init__(self, *, most: int, seconds: float, clock: Callable[[], float], keys: int = 10_000) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._keys = keys
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, key: str) -> None:
        """RateLimitError when ``key`` has failed too often."""
        failures = self._recent(key)
        if len(failures) >= self._most:
            wait = math.ceil(failures[0] + self._seconds - self._clock())
            raise RateLimitError("too many tries have failed", retry_after_s=max(wait, 1))

    def fail(self, key: str) -> None:
        """Count a failure."""
        failures = [*self._recent(key), self._clock()][-self._most :]
        self._failures[key] = failures
        self._failures.move_to_end(key)
        while len(self._failures) > self._keys:
            self._failures.popitem(last=False)

    def forget(self, key: str) -> None:
        """It worked: the failures before do not count any more."""
        self._failures.pop(key, None)

    def _recent(self, key: str) -> list[float]:
        since = self._clock() - self._seconds
        return [moment for moment in self._failures.get(key, ()) if moment > since]


class Bucket:
    """A token bucket by key: ``burst`` at once, ``rate`` per second after that."""

    def __init__(self, *, rate: float, burst: float, clock: Callable[[], float], keys: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._keys = keys
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """RateLimitError when the bucket of ``key`` is empty."""
        now = self._clock()
        level, since = self._levels.get(key, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        if level < 1.0:
            raise RateLimitError(
                "this token asks too often", retry_after_s=max(1, math.ceil((1.0 - level) / self._rate))
            )
        self._levels[key] = (level - 1.0, now)
        self._levels.move_to_end(key)
        while len(self._levels) > self._keys:
            self._levels.popitem(last=False)
