"""What every state store promises: transactions, durability, one writer and many readers, a schema with a history. A further member (PostgreSQL) is
added to MEMBERS and has to pass."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, delete, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from phalanx.errors import CorruptError, PhalanxError, UnavailableError
from phalanx.store.state import StateStore, ledger, migrations
from phalanx.store.state.tables import METADATA, SCHEMA_VERSION, audit, meta, switches

Open = Callable[[], StateStore]

MEMBERS = ("sqlite",)


@pytest.fixture(params=MEMBERS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    assert request.param == "sqlite"
    opened: list[StateStore] = []

    def make() -> StateStore:
        opened.append(StateStore(tmp_path / "state.db"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def rules(store: StateStore) -> list[str]:
    with store.read() as connection:
        return sorted(connection.execute(select(switches.c.rule)).scalars())


def switch(store: StateStore, *names: str) -> None:
    with store.write() as connection:
        for name in names:
            connection.execute(insert(switches).values(rule=name, off_since_ns=1))


def test_what_was_written_is_there_when_opened_again(open_store: Open) -> None:
    store = open_store()
    switch(store, "a", "b")
    store.close()
    assert rules(open_store()) == ["a", "b"]


def test_an_error_takes_the_whole_transaction_back(open_store: Open) -> None:
    store = open_store()
    switch(store, "kept")

    def fail_half_way() -> None:
        with store.write() as connection:
            connection.execute(insert(switches).values(rule="gone", off_since_ns=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with pytest.raises(IntegrityError):
        switch(store, "gone too", "kept")
    assert rules(store) == ["kept"]


def test_a_reader_sees_one_state_while_a_writer_goes_on(open_store: Open) -> None:
    store = open_store()
    switch(store, "first")
    with store.read() as connection:
        assert len(connection.execute(select(switches)).all()) == 1
        writer = threading.Thread(target=switch, args=(store, "second"))
        writer.start()
        writer.join(30)
        assert not writer.is_alive(), "a reader does not hold a writer up"
        assert len(connection.execute(select(switches)).all()) == 1
    assert rules(store) == ["first", "second"]


def test_writers_wait_for_each_other_and_lose_nothing(open_store: Open) -> None:
    store = open_store()
    with store.write() as connection:
        connection.execute(insert(switches).values(rule="counter", off_since_ns=0))

    def count() -> None:
        for _ in range(20):
            with store.write() as connection:
                value = connection.execute(select(switches.c.off_since_ns)).scalar()
                connection.execute(update(switches).values(off_since_ns=(value or 0) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert connection.execute(select(switches.c.off_since_ns)).scalar() == 80


def test_large_numbers_and_hostile_text_come_back_as_they_were(open_store: Open) -> None:
    store = open_store()
    hostile = "'; DROP TABLE rule_switches; --\x1b[31m\n\U0001f4a5\uf7ff\x00"
    with store.write() as connection:
        connection.execute(insert(switches).values(rule=hostile, off_since_ns=2**63 - 1))
    with store.read() as connection:
        row = connection.execute(select(switches)).one()
    assert tuple(row) == (hostile, 2**63 - 1)


# --- the trail --------------------------------------------------------------------------------------------------------


def seal_of(**fields: object) -> str:
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()


def act(store: StateStore, number: int) -> None:
    content = {
        "ts_ns": number,
        "actor": "ada",
        "via": "session",
        "credential": "",
        "source": "",
        "action": "test",
        "object": str(number),
    }
    with store.write() as connection:
        ledger.append(
            connection, {**content, "outcome": "done", "detail": {"n": str(number)}}, genesis="0" * 64, seal=seal_of
        )


def test_entries_of_the_trail_are_chained_without_gaps(open_store: Open) -> None:
    store = open_store()
    threads = [threading.Thread(target=act, args=(store, number)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.number)).all()
    assert [row.number for row in rows] == list(range(1, 13))
    assert [row.previous for row in rows] == ["0" * 64, *(row.hash for row in rows[:-1])]


@pytest.mark.parametrize("change", [delete(audit), update(audit).values(actor="somebody else")])
def test_the_trail_cannot_be_changed_through_the_store(open_store: Open, change: object) -> None:
    store = open_store()
    act(store, 1)
    with pytest.raises((DBAPIError, PhalanxError)), store.write() as connection:
        connection.execute(change)  # type: ignore[call-overload]
    with store.read() as connection:
        assert connection.execute(select(audit.c.actor)).scalar() == "ada"


# --- its schema -------------------------------------------------------------------------------------------------------


def shape(path: Path) -> dict[str, object]:
    """Tables, columns, indexes and triggers of a file."""
    engine = create_engine(f"sqlite:///{path}")
    try:
        found = inspect(engine)
        tables = {
            name: (
                sorted((column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)),
                sorted(
                    (index["name"], tuple(index["column_names"]), index["unique"]) for index in found.get_indexes(name)
                ),
                sorted(tuple(unique["column_names"]) for unique in found.get_unique_constraints(name)),
                found.get_pk_constraint(name)["constrained_columns"],
            )
            for name in found.get_table_names()
        }
    finally:
        engine.dispose()
    with sqlite3.connect(path) as connection:
        triggers = sorted(
            connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        )
        counting = sorted(
            connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
            ).fetchall()
        )
    connection.close()
    return {"tables": tables, "triggers": triggers, "autoincrement": counting}


def test_the_migrations_make_the_schema_that_the_tables_say(open_store: Open, tmp_path: Path) -> None:
    open_store().close()
    migrated = tmp_path / "migrated.db"
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.begin() as connection:
        migrations.upgrade(connection, SCHEMA_VERSION)
    engine.dispose()
    assert shape(migrated) == shape(tmp_path / "state.db")
    assert set(METADATA.tables) | {"alembic_version"} == set(shape(migrated)["tables"]) - {"sqlite_sequence"}  # type: ignore[call-overload]


def test_a_store_of_a_newer_version_is_refused_and_not_touched(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    with store.write() as connection:
        connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA_VERSION + 1)))
    store.close()
    with pytest.raises(UnavailableError, match=f"schema {SCHEMA_VERSION + 1}"):
        open_store()


def test_a_store_of_an_older_version_is_copied_before_it_is_upgraded(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    switch(store, "kept")
    with store.write() as connection:
        connection.execute(update(meta).where(meta.c.key == "schema").values(value="0"))
    store.close()
    assert rules(open_store()) == ["kept"]
    with sqlite3.connect(tmp_path / "state.db.schema-0") as copy:
        assert copy.execute("SELECT rule FROM rule_switches").fetchall() == [("kept",)]
    copy.close()


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_a_plain_error(open_store: Open, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(CorruptError, match="damaged"):
        open_store()


def test_a_directory_that_is_not_there_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be opened"):
        StateStore(tmp_path / "nowhere" / "state.db")


def test_a_killed_writer_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from sqlalchemy import insert\n"
        "from phalanx.store.state import StateStore; from phalanx.store.state.tables import switches\n"
        "store = StateStore(Path(sys.argv[1])); first = int(sys.argv[2])\n"
        "for number in range(first, first + 10**6):\n"
        "    with store.write() as connection:\n"
        "        connection.execute(insert(switches).values(rule=f'{number}-a', off_since_ns=number))\n"
        "        connection.execute(insert(switches).values(rule=f'{number}-b', off_since_ns=number))\n"
        "    os.write(1, b'%d\\n' % number)\n"
    )
    committed: set[int] = set()
    first = 0
    for count in (1, 7, 40):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "state.db"), str(first)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        seen = 0
        while line := process.stdout.readline():
            committed.add(int(line))
            seen += 1
            if seen == count:
                os.kill(process.pid, signal.SIGKILL)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        first = max(committed) + 2
        store = StateStore(tmp_path / "state.db")
        held = rules(store)
        assert store.check() == ""
        store.close()
        whole = {int(name.partition("-")[0]) for name in held}
        assert committed <= whole
        assert len(held) == 2 * len(whole), "both rows of a transaction or none"
