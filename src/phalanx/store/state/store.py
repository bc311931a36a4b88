"""Opening the state store and its transactions.

One writer at a time (``BEGIN IMMEDIATE``), any number of readers beside it (WAL). A transaction that has returned is durable: ``synchronous=FULL``
makes SQLite fsync the log at each commit. All functions block; services run them in threads.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, create_engine, event, func, insert, inspect, select, update
from sqlalchemy.exc import DatabaseError, OperationalError

from phalanx.errors import CorruptError, UnavailableError
from phalanx.store.state import migrations
from phalanx.store.state.tables import METADATA, SCHEMA_VERSION, meta

__all__ = ["StateStore"]

_BUSY_MS: Final = 5_000
_READERS: Final = 4


class StateStore:
    """The state of one hub."""

    def __init__(self, path: Path) -> None:
        """Open the store at ``path``, made when it is not there.

        Raises:
            UnavailableError: it cannot be opened, or another version of phalanx made it.
            CorruptError: the file is no database, or a damaged one.
        """
        self.path = path
        self._write_lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise UnavailableError(
                f"the state store {path} cannot be opened: {error.strerror}",
                hint="does its directory exist, and does it belong to the hub's user?",
            ) from error
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"check_same_thread": False, "timeout": _BUSY_MS / 1000},
            pool_size=_READERS,
            max_overflow=_READERS,
        )
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        try:
            self._prepare()
        except OperationalError as error:
            raise UnavailableError(
                f"the state store {path} cannot be opened: {error.orig}",
                hint="is the disk full, or does the file belong to another user?",
            ) from error
        except DatabaseError as error:
            raise CorruptError(
                f"the state store {path} is damaged: {error.orig}",
                hint="restore the file from a backup, or move it away to start anew",
            ) from error

    def _prepare(self) -> None:
        with self.write() as connection:
            fresh = not inspect(connection).has_table(meta.name)
            if fresh:
                METADATA.create_all(connection)
                migrations.stamp(connection, SCHEMA_VERSION)
                connection.execute(insert(meta).values(key="schema", value=str(SCHEMA_VERSION)))
            version = int(connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar() or 0)
        if version > SCHEMA_VERSION:
            raise UnavailableError(
                f"the state store has schema {version}, this phalanx knows {SCHEMA_VERSION}",
                hint="use the version that made it, or a newer one",
            )
        if version < SCHEMA_VERSION:
            self._upgrade(version)

    def _upgrade(self, version: int) -> None:
        """From an older schema, with a copy of the file as it was beside it."""
        copy = self.path.with_name(f"{self.path.name}.schema-{version}")
        copy.unlink(missing_ok=True)
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", phalanx_begin="") as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
        with self.write() as connection:
            migrations.upgrade(connection, SCHEMA_VERSION)
            connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA_VERSION)))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with (
            _told(self.path),
            self._engine.connect().execution_options(phalanx_begin="BEGIN") as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that changes; durable when the block is left without an error, gone otherwise."""
        with (
            _told(self.path),
            self._write_lock,
            self._engine.connect().execution_options(phalanx_begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    def check(self) -> str:
        """A sentence when the file is damaged (SQLite's quick check), empty else."""
        with self.read() as connection:
            answer = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return "" if answer == "ok" else answer

    def sizes(self) -> dict[str, int]:
        """Rows by table, and ``bytes`` on disk."""
        with self.read() as connection:
            found = {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar() or 0)
                for table in METADATA.sorted_tables
            }
        found["bytes"] = sum(_size(Path(f"{self.path}{suffix}")) for suffix in ("", "-wal"))
        return found

    def close(self) -> None:
        """Give up the file; a second call does nothing."""
        self._engine.dispose()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if "disk" in str(error.orig) or "locked" in str(error.orig) or "readonly" in str(error.orig):
            raise UnavailableError(
                f"the state store {path} does not take changes: {error.orig}", hint="is the disk full, or read-only?"
            ) from error
        raise


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say (see _on_begin), not where the driver guesses
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MS}",
        "cache_size=-4096",  # 4 MiB for each connection: the hub must stay small
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get("phalanx_begin", "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)
