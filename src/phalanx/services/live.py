"""Broadcast inside the hub: one publisher, many listeners, nothing unbounded.

Each listener has its own bounded queue; when it is full the oldest item is dropped and counted, so that a slow browser costs memory to
nobody and learns that it missed something. The last items are kept for listeners that come back with the number of the last one they saw.
All of it lives on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, NamedTuple, TypeVar

from phalanx.errors import LimitError

__all__ = ["UPDATE_INTERVAL_S", "Broadcast", "Numbered", "Subscription"]

T = TypeVar("T")

UPDATE_INTERVAL_S: Final = 0.25
"""A page is updated at most four times a second; the first item after a quiet time goes out at once."""
MAX_LISTENERS: Final = 256
"""More listeners of one broadcast are refused."""


class Numbered(NamedTuple, Generic[T]):
    """An item with its place in the broadcast."""

    number: int
    item: T


class Subscription(Generic[T]):
    """One listener; leave it by :meth:`close`."""

    def __init__(self, owner: Broadcast[T], backlog: list[Numbered[T]], size: int) -> None:
        self._owner = owner
        self._queue: deque[Numbered[T]] = deque(backlog[-size:])
        self._size = size
        self._ready = asyncio.Event()
        self.dropped = max(len(backlog) - size, 0)
        """Items this listener did not get, since it was last asked for them."""
        if self._queue:
            self._ready.set()

    def _put(self, item: Numbered[T]) -> None:
        if len(self._queue) >= self._size:
            self._queue.popleft()
            self.dropped += 1
            self._owner.dropped += 1
        self._queue.append(item)
        self._ready.set()

    def take(self) -> list[Numbered[T]]:
        """Everything that waits, without waiting."""
        items = list(self._queue)
        self._queue.clear()
        self._ready.clear()
        return items

    async def wait(self) -> None:
        """Until something waits to be taken, or the broadcast ends."""
        await self._ready.wait()

    async def batches(self) -> AsyncIterator[list[Numbered[T]]]:
        """What comes, in batches at least :data:`UPDATE_INTERVAL_S` apart, until the broadcast ends."""
        last = 0.0
        while True:
            await self._ready.wait()
            pause = last + UPDATE_INTERVAL_S - time.monotonic()
            if pause > 0 and not self._owner.closed:
                await asyncio.sleep(pause)
            items = self.take()
            last = time.monotonic()
            if items:
                yield items
            if self._owner.closed:
                return

    def close(self) -> None:
        """Stop listening. A second call does nothing."""
        self._owner._leave(self)


class Broadcast(Generic[T]):
    """Sends items to all listeners and remembers the last ones."""

    def __init__(self, *, keep: int = 1024, queue: int = 512, start: int = 0) -> None:
        """``start``: the number before the first item; a number that grows over restarts lets listeners of a former process come back."""
        self._kept: deque[Numbered[T]] = deque(maxlen=keep)
        self._listeners: set[Subscription[T]] = set()
        self._queue = queue
        self._start = start
        self.number = start
        """Number of the last item."""
        self.dropped = 0
        """Items that listeners did not get, in all."""
        self.closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def publish(self, item: T, number: int | None = None) -> int:
        """Send ``item``; its number is ``number``, when given and larger than the last, else the next one."""
        self.number = number if number is not None and number > self.number else self.number + 1
        numbered = Numbered(self.number, item)
        self._kept.append(numbered)
        for listener in self._listeners:
            listener._put(numbered)
        return self.number

    def subscribe(self, after: int | None = None) -> Subscription[T]:
        """Listen, from the item after number ``after`` as far as it is kept, else from now. LimitError when too many listen."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise LimitError("too many live streams are open", hint="close some of the console's tabs")
        backlog = [] if after is None else [item for item in self._kept if item.number > after]
        subscription = Subscription(self, backlog, self._queue)
        if self._kept and after is not None and self._start <= after < self._kept[0].number - 1:
            subscription.dropped += self._kept[0].number - after - 1
        if not self.closed:
            self._listeners.add(subscription)
        else:
            subscription._ready.set()
        return subscription

    def _leave(self, subscription: Subscription[T]) -> None:
        self._listeners.discard(subscription)

    def close(self) -> None:
        """End all streams: the hub stops."""
        self.closed = True
        for listener in self._listeners:
            listener._ready.set()
