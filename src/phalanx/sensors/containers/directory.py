"""Which containers are known: asked without waiting, filled by one thread."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from phalanx.model.container import Container
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.sensors.containers import files, sockets

__all__ = ["ContainerDirectory", "DirectoryStatistics"]

HOST: Final = "host"
MAX_CONTAINERS: Final = 4096
"""Containers remembered; the one not asked for longest goes first."""
MAX_WAITING: Final = 1024
"""Containers waiting to be looked up; more are dropped, counted, and asked for again at their next event."""
RETRY_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)
"""A runtime writes its files while the container starts: look again after these pauses, then leave it UNKNOWN."""
BEFORE_NS: Final = 1_000_000_000
"""What a runtime tells holds from this much before the container was first seen: its first events came before the question."""

Lookup = Callable[[str, int], Container | None]


class DirectoryStatistics(Struct, frozen=True, kw_only=True):
    """How the directory is doing."""

    known: int
    waiting: int
    found: int
    """Look-ups that brought a container, since the start."""
    failed: int
    """Containers of which no runtime knew anything, after all retries."""
    dropped: int
    """Look-ups that found the queue full."""


class ContainerDirectory:
    """Metadata of containers by the first 12 characters of their id."""

    def __init__(self, lookups: tuple[Lookup, ...] = (files.find, sockets.ask)) -> None:
        self._lookups = lookups
        self._known: OrderedDict[str, Container] = OrderedDict()
        self._tries: OrderedDict[str, tuple[int, float, int]] = OrderedDict()
        self._changes: deque[Container] = deque(maxlen=MAX_CONTAINERS)
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._closed = False
        self._thread: threading.Thread | None = None
        self._found = self._failed = self._dropped = 0

    def start(self) -> None:
        """Begin to look up what is asked for."""
        self._thread = threading.Thread(target=self._run, name="containers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; a look-up under way ends within its own time limit."""
        with self._work:
            self._closed = True
            self._work.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def lookup(self, id: str) -> Maybe[Container]:
        """None for the host; UNKNOWN until a runtime has told, which this call sets going. Never waits."""
        if id == HOST:
            return None
        with self._work:
            found = self._known.get(id)
            if found is not None:
                self._known.move_to_end(id)
                return found
            if id not in self._tries:
                if len(self._tries) >= MAX_WAITING:
                    # those that have failed for good make room first
                    stale = next((name for name, (n, _, _) in self._tries.items() if n >= len(RETRY_S)), None)
                    if stale is None:
                        self._dropped += 1
                        return UNKNOWN
                    del self._tries[stale]
                self._tries[id] = (0, time.monotonic(), time.time_ns() - BEFORE_NS)
                self._work.notify_all()
        return UNKNOWN

    def ended(self, id: str) -> None:
        """The container's cgroup is gone: what is known holds until now."""
        with self._work:
            self._tries.pop(id, None)
            found = self._known.pop(id, None)
            if found is not None:
                values = {name: getattr(found, name) for name in found.__struct_fields__}
                self._changes.append(Container(**{**values, "until_ns": time.time_ns()}))

    def changes(self) -> list[Container]:
        """What was learnt since the last call, for the hub."""
        with self._work:
            out = list(self._changes)
            self._changes.clear()
            return out

    def known(self) -> list[Container]:
        """All containers that are known now."""
        with self._work:
            return list(self._known.values())

    def statistics(self) -> DirectoryStatistics:
        """How the directory is doing."""
        with self._work:
            return DirectoryStatistics(
                known=len(self._known),
                waiting=sum(1 for tries, _, _ in self._tries.values() if tries < len(RETRY_S)),
                found=self._found,
                failed=self._failed,
                dropped=self._dropped,
            )

    def _next(self) -> tuple[str, int, int] | None:
        """The id that is due, after waiting for one; None when closed."""
        with self._work:
            while not self._closed:
                now = time.monotonic()
                soonest = None
                for id, (tries, due, since_ns) in self._tries.items():
                    if tries >= len(RETRY_S):
                        continue
                    if due <= now:
                        return id, tries, since_ns
                    soonest = due if soonest is None else min(soonest, due)
                self._work.wait(None if soonest is None else soonest - now)
        return None

    def _run(self) -> None:
        while (due := self._next()) is not None:
            id, tries, since_ns = due
            found = next((c for look in self._lookups if (c := look(id, since_ns)) is not None), None)
            with self._work:
                if id not in self._tries:
                    continue  # it ended meanwhile
                if found is None:
                    self._tries[id] = (tries + 1, time.monotonic() + RETRY_S[tries], since_ns)
                    self._failed += tries + 1 == len(RETRY_S)
                    continue
                del self._tries[id]
                self._found += 1
                self._known[id] = found
                while len(self._known) > MAX_CONTAINERS:
                    self._known.popitem(last=False)
                self._changes.append(found)
