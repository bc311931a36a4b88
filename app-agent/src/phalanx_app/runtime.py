"""The agent inside one process: settings, catalogue, mode, counters, and what begins and ends a request."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from contextvars import Token
from typing import Any

from . import request as requests
from .config import Config
from .request import Request
from .rewrite.scope import Scope

RUNTIME: Runtime | None = None
"""The agent of this process, None before `start`."""

_guard = threading.local()


class Counters:
    """What the agent did and what it had to give up, since the process started."""

    def __init__(self) -> None:
        self.requests = 0
        self.analysed = 0
        self.findings = 0
        self.errors = 0
        """Failures inside the agent; the application never saw them."""
        self.tainted_lost = 0
        """Tainted values not recorded because a request's table was full."""
        self.suspensions = 0
        self.tampered = 0
        """Hooks that the application removed or replaced."""


class Runtime:
    """State of the agent in this process."""

    def __init__(self, config: Config, scope: Scope, catalogue: dict[str, Any]) -> None:
        self.config = config
        self.scope = scope
        self.catalogue = catalogue
        self.counters = Counters()
        self.mode = config.mode
        """`on`, `off` (a person turned it off) or `suspended` (its own overhead did)."""
        self.importer: Any = None
        self.reporter: Any = None
        self.inventory: Any = None
        self.last_errors: list[str] = []
        self.patched: list[tuple[Any, str, Any]] = []
        """Owner, attribute and wrapper of every patch, to see whether it is still there."""
        self.told: dict[Any, str] = {}
        """What identifies a flaw seen in this process, to its fingerprint: the second time only a count goes up."""
        self._slow_streak = 0
        self._resume_at = 0.0
        self.started = time.time()

    # --- failures ------------------------------------------------------------------------------------------------------------------------

    def failed(self, where: str) -> None:
        """Count and keep a failure of the agent itself. Call it inside `except`."""
        import traceback

        self.counters.errors += 1
        if len(self.last_errors) < 20:
            self.last_errors.append(f"{where}: {traceback.format_exc(limit=-4)[-1500:]}")

    # --- mode ------------------------------------------------------------------------------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """Turn analysis on or off for the requests to come."""
        if mode in ("on", "off") and mode != self.mode:
            self.mode = mode
            self._slow_streak = 0
            if self.reporter is not None:
                self.reporter.health()

    @property
    def analysing(self) -> bool:
        """Whether a request that begins now is analysed."""
        if self.mode == "on":
            return True
        if self.mode == "suspended" and time.monotonic() >= self._resume_at:
            self.mode = "on"
            self._slow_streak = 0
            return True
        return False

    # --- requests ----------------------------------------------------------------------------------------------------------------------------

    def begin(self, kind: str) -> tuple[Request, Token[Any]] | None:
        """A request begins in this context; None when it is not analysed or one is running already."""
        self.counters.requests += 1
        if not self.analysing or requests.current() is not None:
            return None
        request = Request(kind, self.config.max_entries)
        self.counters.analysed += 1
        return request, requests.enter(request)

    def end(self, request: Request, token: Token[Any] | None) -> None:
        """A request ended: its taint is forgotten, its overhead is judged, its route is counted."""
        requests.leave(token)
        try:
            self.counters.tainted_lost += request.table.overflow
            total = time.perf_counter_ns() - request.started_ns
            self._judge(total, request.agent_ns)
            if self.inventory is not None and request.kind == "http":
                self.inventory.exercised(request)
        except Exception:  # noqa: BLE001
            self.failed("end of request")
        finally:
            request.table.clear()
            request.values.clear()

    def _judge(self, total: int, own: int) -> None:
        limit = self.config.overhead_limit
        if not limit or own < 2_000_000:
            self._slow_streak = 0
            return
        bare = max(total - own, 1)
        if own / bare <= limit:
            self._slow_streak = 0
            return
        self._slow_streak += 1
        if self._slow_streak >= 10 and self.mode == "on":
            self.mode = "suspended"
            self.counters.suspensions += 1
            self._resume_at = time.monotonic() + min(600, 30 * 2 ** min(self.counters.suspensions - 1, 5))
            if self.reporter is not None:
                self.reporter.health()

    # --- hooks still there? -----------------------------------------------------------------------------------------------------------------

    def check_hooks(self) -> list[str]:
        """The names of patches that somebody removed or replaced since they were set."""
        gone = []
        for owner, name, wrapper in self.patched:
            now = vars(owner).get(name) if hasattr(owner, "__dict__") else getattr(owner, name, None)
            if now is not wrapper and not _wraps(now, wrapper):
                gone.append(f"{getattr(owner, '__name__', owner)}.{name}")
        if self.importer is not None and not any(one is self.importer.finder for one in sys.meta_path):
            gone.append("sys.meta_path")
        self.counters.tampered = len(gone)
        return gone


def _wraps(now: Any, wrapper: Any) -> bool:
    """Whether another tool put its own wrapper around ours."""
    for _ in range(8):
        now = getattr(now, "__wrapped__", None)
        if now is None:
            return False
        if now is wrapper:
            return True
    return False


class Busy:
    """Marks that the agent's own code runs in this thread, so that what it calls is not analysed; and measures its time."""

    __slots__ = ("_request", "_start")

    def __init__(self, request: Request | None) -> None:
        self._request = request

    def __enter__(self) -> Busy:
        _guard.busy = True
        self._start = time.perf_counter_ns()
        return self

    def __exit__(self, *exc: object) -> None:
        _guard.busy = False
        if self._request is not None:
            self._request.agent_ns += time.perf_counter_ns() - self._start


def busy() -> bool:
    """Whether the agent's own code runs in this thread."""
    return getattr(_guard, "busy", False)


def failed(where: str) -> None:
    """Report a failure of the agent to the runtime, if there is one. Call it inside `except`."""
    if RUNTIME is not None:
        with contextlib.suppress(Exception):
            RUNTIME.failed(where)
