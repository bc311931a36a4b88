"""The schema's history: one alembic script for each version in ``versions/``, named ``0001_….py`` after :data:`~phalanx.store.state.tables.SCHEMA_VERSION`.

A new store is made from ``tables`` directly and stamped with the newest version; an older one is upgraded, in one transaction, after a copy of it was put
beside it. A test compares what the scripts make with what ``tables`` says. Alembic is imported only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

__all__ = ["revision", "stamp", "upgrade"]


def revision(version: int) -> str:
    """Alembic's name of a schema version."""
    return f"{version:04d}"


def upgrade(connection: Connection, version: int) -> None:
    """Brings the schema to ``version``, inside the transaction that ``connection`` is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision(version))


def stamp(connection: Connection, version: int) -> None:
    """Notes that the schema is of ``version`` already."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(__file__).parent))
    MigrationContext.configure(connection).stamp(script, revision(version))
