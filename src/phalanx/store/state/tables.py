"""The schema of the state store.

Times are UTC nanoseconds. What is filtered or sorted by is a column; the rest of a thing is its JSON (``body``), read back by msgspec into the type
that wrote it. The audit table is append-only: triggers refuse to change or remove its rows.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
)

__all__ = [
    "METADATA",
    "SCHEMA_VERSION",
    "agents",
    "audit",
    "channels",
    "containers",
    "detections",
    "drafts",
    "findings",
    "history",
    "idempotency",
    "losses",
    "meta",
    "reports",
    "runs",
    "sessions",
    "switches",
    "tokens",
    "undos",
    "users",
]

SCHEMA_VERSION: Final = 1
METADATA: Final = MetaData()
_BIG = BigInteger().with_variant(Integer, "sqlite")

meta = Table("meta", METADATA, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

findings = Table(
    "findings",
    METADATA,
    Column("number", _BIG, primary_key=True, autoincrement=True),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("kind", String(24), nullable=False),
    Column("title", Text, nullable=False),
    Column("severity", Integer, nullable=False),  # rank, 0 to 4
    Column("state", String(16), nullable=False),
    Column("proof", String(16), nullable=False),
    Column("stopped", String(16), nullable=False),
    Column("asset_kind", String(32), nullable=False),
    Column("asset_key", Text, nullable=False),
    Column("asset_name", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("techniques", Text, nullable=False),  # ",T1059,T1611,"
    Column("score", Integer, nullable=False),
    Column("likelihood", Float, nullable=False),
    Column("impact", Float, nullable=False),
    Column("reasons", LargeBinary, nullable=False),  # the four strongest, JSON
    Column("owner", String(64), nullable=False, default=""),
    Column("due_ns", _BIG),
    Column("expires_ns", _BIG),
    Column("first_seen_ns", _BIG, nullable=False),
    Column("last_seen_ns", _BIG, nullable=False),
    Column("count", _BIG, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the whole Finding without its history, JSON
    Index("findings_by_risk", "score", "number"),
    Index("findings_by_last_seen", "last_seen_ns", "number"),
    Index("findings_by_state", "state", "score", "number"),
    Index("findings_by_asset", "asset_key"),
    Index("findings_by_rule", "rule"),
    sqlite_autoincrement=True,
)

history = Table(
    "finding_history",
    METADATA,
    Column("number", _BIG, primary_key=True, autoincrement=True),
    Column("finding", _BIG, nullable=False),
    Column("ts_ns", _BIG, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("what", String(32), nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("history_by_finding", "finding", "number"),
    Index("history_by_time", "ts_ns"),
)

detections = Table(
    "detections",
    METADATA,
    Column("id", Text, primary_key=True),  # <event id>/<rule>
    Column("event", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("finding", _BIG, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("ts_ns", _BIG, nullable=False),
    Column("asset_key", Text, nullable=False),
    Index("detections_by_time", "ts_ns"),
    Index("detections_by_event", "event"),
    Index("detections_by_asset", "asset_key", "ts_ns"),
)

undos = Table(
    "finding_undos",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("created_ns", _BIG, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

reports = Table(
    "reports",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("agent", String(64), nullable=False),
    Column("received_ns", _BIG, nullable=False),
    Index("reports_by_time", "received_ns"),
)

agents = Table(
    "agents",
    METADATA,
    Column("agent", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("boot", String(64), nullable=False),
    Column("first_seen_ns", _BIG, nullable=False),
    Column("heard_ns", _BIG, nullable=False),
    Column("status", LargeBinary),  # AgentStatus, JSON
)

losses = Table(
    "losses",
    METADATA,
    Column("agent", String(64), primary_key=True),
    Column("seq", _BIG, primary_key=True),
    Column("ts_ns", _BIG, primary_key=True),
    Column("since_ns", _BIG),
    Column("cause", String(64), nullable=False),
    Column("count", _BIG),
    Index("losses_by_time", "ts_ns"),
)

containers = Table(
    "containers",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("since_ns", _BIG, primary_key=True),
    Column("until_ns", _BIG),
    Column("name", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("heard_ns", _BIG, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("containers_by_id", "id"),
    Index("containers_by_end", "until_ns"),
)

users = Table(
    "users",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("display", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("roles", Text, nullable=False),  # comma separated
    Column("active", Boolean, nullable=False),
    Column("created_ns", _BIG, nullable=False),
    Column("last_login_ns", _BIG),
    Column("preferences", LargeBinary, nullable=False),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("user", String(64), nullable=False),
    Column("created_ns", _BIG, nullable=False),
    Column("seen_ns", _BIG, nullable=False),
    Column("expires_ns", _BIG, nullable=False),
    Column("source", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("sessions_by_user", "user"),
)

tokens = Table(
    "tokens",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("scopes", Text, nullable=False),  # comma separated
    Column("created_ns", _BIG, nullable=False),
    Column("expires_ns", _BIG),
    Column("used_ns", _BIG),
    Column("source", Text, nullable=False),
    Index("tokens_by_owner", "owner"),
)

audit = Table(
    "audit",
    METADATA,
    Column("number", _BIG, primary_key=True, autoincrement=False),
    Column("ts_ns", _BIG, nullable=False),
    Column("actor", Text, nullable=False),
    Column("via", String(16), nullable=False),
    Column("credential", String(64), nullable=False),
    Column("source", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", LargeBinary, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_actor", "actor", "number"),
)

for _act in ("UPDATE", "DELETE"):
    event.listen(
        audit,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER IF NOT EXISTS audit_no_{_act.lower()} BEFORE {_act} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )

idempotency = Table(
    "idempotency",
    METADATA,
    Column("actor", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_ns", _BIG, nullable=False),
)

channels = Table(
    "channels",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("sent", _BIG, nullable=False, default=0),
    Column("failed", _BIG, nullable=False, default=0),
    Column("suppressed", _BIG, nullable=False, default=0),
    Column("last_ns", _BIG),
    Column("last_error", Text, nullable=False, default=""),
)

drafts = Table(
    "rule_drafts",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("created_ns", _BIG, nullable=False),
    Column("applied_ns", _BIG),
    Column("undone_ns", _BIG),
    Column("body", LargeBinary, nullable=False),
)

switches = Table(
    "rule_switches",
    METADATA,
    Column("rule", Text, primary_key=True),
    Column("off_since_ns", _BIG, nullable=False),
)

runs = Table(
    "simulation_runs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("started_ns", _BIG, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
