"""DuckDB as the engine over segments and parts: bounded memory, its own temporary directory, no way out to the network or other files."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phalanx.errors import LimitError
from phalanx.store.events.interface import Cancel

if TYPE_CHECKING:
    import duckdb

__all__ = ["Engine", "text_literal"]

_AGAIN_S: Final = 0.02
"""Pause between two interruptions of a question that is to end."""


def text_literal(text: str) -> str:
    """``text`` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class Engine:
    """One in-memory database without tables; every question gets a connection of its own to it."""

    def __init__(self, root: Path, *, name: str, memory_bytes: int, temporary_bytes: int, threads: int) -> None:
        """
        Args:
            root: the store's directory; the only one that the engine may read and write.
            name: of its temporary directory under ``root/tmp``.
            memory_bytes: what the engine may hold in memory over all questions; it spills beyond.
            temporary_bytes: what it may spill there.
        """
        import duckdb

        self.temporary = root / "tmp" / name
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        self._database = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{memory_bytes}B",
                "temp_directory": str(self.temporary),
                "max_temp_directory_size": f"{temporary_bytes}B",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_scan_all_frames": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": False,
            },
        )
        # Parts never change, so their footers are read once.
        self._database.execute("SET parquet_metadata_cache = true")
        self._database.execute(f"SET allowed_directories = [{text_literal(str(root))}]")
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")

    @contextmanager
    def cursor(
        self, *, time_limit_s: float | None = None, cancel: Cancel | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one question; LimitError when the time has passed or ``cancel`` was called."""
        import duckdb

        cursor = self._database.cursor()
        wake = threading.Event()
        over = threading.Event()
        late = threading.Event()
        alive = threading.Lock()

        def watch() -> None:
            if not wake.wait(time_limit_s):
                late.set()
            # Again and again: an interruption between two statements would be forgotten.
            while not over.is_set():
                with alive:
                    if not over.is_set():
                        cursor.interrupt()
                over.wait(_AGAIN_S)

        watcher = None
        if time_limit_s is not None or cancel is not None:
            watcher = threading.Thread(target=watch, name="event-store-query-limit", daemon=True)
        try:
            if cancel is not None:
                cancel.on_cancel(wake.set)
            if watcher is not None:
                watcher.start()
            if cancel is not None and cancel.cancelled:
                raise LimitError("the query was cancelled")
            yield cursor
            if late.is_set():  # it ended between two interruptions: the limit holds all the same
                raise _too_long(time_limit_s)
        except duckdb.InterruptException as error:
            if late.is_set():
                raise _too_long(time_limit_s) from error
            raise LimitError("the query was cancelled") from error
        except duckdb.OutOfMemoryException as error:
            raise LimitError(
                "the query needs more memory than the store may use", hint="ask for a shorter time or fewer groups"
            ) from error
        finally:
            with alive:
                over.set()
                cursor.close()
            wake.set()

    def close(self) -> None:
        """Ends the engine and clears its temporary directory."""
        self._database.close()
        shutil.rmtree(self.temporary, ignore_errors=True)


def _too_long(time_limit_s: float | None) -> LimitError:
    return LimitError(
        f"the query took longer than {time_limit_s:g} seconds",
        hint="ask for a shorter time, fewer kinds of events, or raise the limit",
    )
