"""Types of the native decoder."""

from collections.abc import Iterable
from typing import Any

from phalanx.model.event import Event
from phalanx.model.process import Process
from phalanx.sensors.kernel._filter import Filter

Buffers = tuple[str, bytes, bytes | None, bytes | None, bytes | None]

class ProcessTable:
    living: int
    bound: int
    refused: int
    def processes(self) -> list[Process]: ...

class Decoder:
    table: ProcessTable
    seen: int
    recorded: int
    wanted: int
    malformed: int
    cut: int
    adopted: int
    newest: int
    @property
    def rows(self) -> int: ...
    def __init__(
        self,
        owner: Any,
        agent: str,
        boot: str,
        processes: int = ...,
        rows: int = ...,
        bytes_: int = ...,
        sequence: int = ...,
    ) -> None: ...
    guarded: int
    dropped: int
    own_skipped: int
    failed: int
    def set_filter(self, chosen: Filter) -> None: ...
    def set_budget(self, per_second: int) -> None: ...
    def set_own(self, pids: Iterable[int]) -> None: ...
    def link(self) -> None: ...
    def feed_bytes(self, record: bytes) -> bool: ...
    def loss(self, ts_ns: int, count: int, cause: str, since_ns: int, extra: str | None = ...) -> int: ...
    def begin_drain(self, now: int) -> None: ...
    def take_lag(self) -> dict[int, int]: ...
    def set_offset(self, offset: int) -> None: ...
    def take(self) -> tuple[int, int, list[Buffers], list[Buffers]]: ...
    def take_candidates(self) -> list[Event]: ...

def layout() -> dict[str, dict[str, int]]: ...
