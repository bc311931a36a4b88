"""What one channel sends and when: the first finding at once, further ones of the next seconds as one message, never more than an hour's limit.

Pure logic over an injected clock (seconds, monotonic). Bounded: at most :data:`MAX_WAITING` findings wait; what is over is counted and told. Nothing
is kept over a restart: the findings themselves are, and a message about what is old would be noise.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Final

from phalanx.respond.notify.message import Notice, Notification

__all__ = ["MAX_WAITING", "RETRY_S", "ChannelQueue"]

MAX_WAITING: Final = 100
"""Findings that one message names at most; more are counted in it."""
RETRY_S: Final = (5.0, 15.0, 60.0, 300.0)
"""Pauses before the second, third … try of a message; after the last it is given up and counted."""
_HOUR_S: Final = 3_600.0


class ChannelQueue:
    """The state of one channel."""

    def __init__(self, *, group_s: float, per_hour: int) -> None:
        self._group_s = group_s
        self._per_hour = per_hour
        self._waiting: list[Notice] = []
        self._more = 0
        self._sent: deque[float] = deque()
        self._quiet_until = 0.0
        self._flight: Notification | None = None
        self._tries = 0
        self._retry_at: float | None = None
        self._suppressed = 0
        self._failed = 0
        self.suppressed = 0
        """Findings that the hourly limit kept back, in all."""
        self.failed = 0
        """Findings whose message was given up, in all."""

    def offer(self, notice: Notice, now: float) -> None:
        """A finding to tell."""
        if len(self._waiting) >= MAX_WAITING:
            self._more += 1
            return
        self._waiting.append(notice)

    def due(self, now: float, *, base_url: str) -> Notification | None:
        """The message to send now; None when none is due. The same message again until :meth:`done` or :meth:`broken` says what became of it."""
        if self._flight is not None:
            if self._retry_at is None or now < self._retry_at:
                return None
            self._retry_at = None
            return self._flight
        if not self._waiting or now < self._quiet_until:
            return None
        self._forget(now)
        if len(self._sent) >= self._per_hour:
            self._suppressed += len(self._waiting) + self._more
            self.suppressed += len(self._waiting) + self._more
            self._waiting, self._more = [], 0
            self._quiet_until = now + self._group_s
            return None
        worst_first = sorted(self._waiting, key=lambda notice: (-notice.severity.rank, -notice.score, notice.finding))
        self._flight = Notification(
            id=secrets.token_hex(8),
            notices=tuple(worst_first),
            more=self._more,
            suppressed=self._suppressed,
            failed=self._failed,
            base_url=base_url,
        )
        self._waiting, self._more, self._tries = [], 0, 0
        self._sent.append(now)
        self._quiet_until = now + self._group_s
        return self._flight

    def done(self) -> None:
        """The message that was due was delivered, and with it the counts of what was not."""
        if self._flight is not None:
            self._suppressed -= self._flight.suppressed
            self._failed -= self._flight.failed
        self._flight = None

    def broken(self, now: float) -> bool:
        """The message could not be delivered; True when it is given up."""
        if self._flight is None:
            return False
        if self._tries < len(RETRY_S):
            self._retry_at = now + RETRY_S[self._tries]
            self._tries += 1
            return False
        lost = len(self._flight.notices) + self._flight.more
        self._failed += lost
        self.failed += lost
        self._flight = None
        return True

    def wake_at(self, now: float) -> float | None:
        """When :meth:`due` may have something next; None when only a new finding can change that."""
        if self._flight is not None:
            return self._retry_at
        return max(self._quiet_until, now) if self._waiting else None

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0] <= now - _HOUR_S:
            self._sent.popleft()
