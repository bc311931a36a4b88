"""The state store: what people and the platform decide, and what agents told last. SQLAlchemy Core; SQLite (WAL) by default.

``tables`` is the schema, ``store`` opens it and gives transactions, and the other modules are the questions that services ask, one module for each
noun. Every function takes an open connection, so that a use-case decides what is one transaction.
"""

from __future__ import annotations

from phalanx.store.state.store import StateStore

__all__ = ["StateStore"]
