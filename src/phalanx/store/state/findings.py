"""Findings in the state store: kept, filtered, paged, counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    asc,
    delete,
    desc,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from phalanx.model.finding import Finding, HistoryEntry, Reason
from phalanx.model.ids import FindingId, finding_id
from phalanx.model.severity import Severity
from phalanx.store.state.tables import detections, findings, history, undos

__all__ = [
    "FACETS",
    "SEVERITY_OF_RANK",
    "SORTS",
    "DetectionRow",
    "Selection",
    "add_detections",
    "add_history",
    "between",
    "by_fingerprint",
    "by_number",
    "count",
    "count_detections",
    "detections_by_bucket",
    "detections_of_events",
    "drop_detections",
    "expired",
    "facet",
    "first_detection",
    "findings_of_event",
    "history_of",
    "insert_finding",
    "list_rows",
    "next_number",
    "number_of",
    "numbers",
    "open_by_asset",
    "open_by_rule",
    "reasons_of",
    "recent_history",
    "rules_near",
    "save_undo",
    "seen_detections",
    "stopped",
    "take_undo",
    "update_finding",
]

_RANK: Final = {severity.value: severity.rank for severity in Severity}
SEVERITY_OF_RANK: Final = {rank: word for word, rank in _RANK.items()}

SORTS: Final[dict[str, Any]] = {
    "risk": findings.c.score,
    "last_seen": findings.c.last_seen_ns,
    "first_seen": findings.c.first_seen_ns,
    "severity": findings.c.severity,
    "count": findings.c.count,
    "title": findings.c.title,
}
"""Word of a sort → its column; the number of the finding breaks ties."""

FACETS: Final[dict[str, Any]] = {
    "kind": findings.c.kind,
    "severity": findings.c.severity,
    "state": findings.c.state,
    "proof": findings.c.proof,
    "owner": findings.c.owner,
    "rule": findings.c.rule,
}

_ROW: Final = tuple(column for column in findings.c if column.name not in ("body", "fingerprint"))
_ENCODER: Final = msgspec.json.Encoder()
_FINDING: Final = msgspec.json.Decoder(Finding)
_REASONS: Final = msgspec.json.Decoder(tuple[Reason, ...])


class Selection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which findings: within a field any value fits, between fields all must; empty does not restrict."""

    kind: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    asset: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    technique: tuple[str, ...] = ()
    text: str = ""
    min_score: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    due_before_ns: int | None = None


class DetectionRow(Struct, frozen=True, kw_only=True):
    """One detection, as kept beside its finding."""

    id: str
    event: str
    rule: str
    finding: int
    severity: int
    ts_ns: int
    asset_key: str


def number_of(identifier: str) -> int | None:
    """The number in ``F-12``; None when it is no finding's id."""
    digits = identifier.removeprefix("F-")
    if not identifier.startswith("F-") or not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        return None
    return int(digits)


def _conditions(selection: Selection, *, without: str = "") -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    plain = {
        "kind": selection.kind,
        "state": selection.state,
        "proof": selection.proof,
        "owner": selection.owner,
        "rule": selection.rule,
    }
    found.extend(FACETS[name].in_(values) for name, values in plain.items() if values and name != without)
    if selection.severity and without != "severity":
        found.append(findings.c.severity.in_([_RANK[word] for word in selection.severity]))
    if selection.asset:
        found.append(findings.c.asset_key.in_(selection.asset))
    if selection.technique:
        found.append(
            or_(*(findings.c.techniques.contains(f",{item},", autoescape=True) for item in selection.technique))
        )
    if selection.text:
        number = number_of(selection.text.strip().upper())
        text = selection.text.lower()
        like = or_(
            func.lower(findings.c.title).contains(text, autoescape=True),
            func.lower(findings.c.asset_name).contains(text, autoescape=True),
            func.lower(findings.c.rule).contains(text, autoescape=True),
        )
        found.append(like if number is None else or_(like, findings.c.number == number))
    if selection.min_score is not None:
        found.append(findings.c.score >= selection.min_score)
    if selection.since_ns is not None:
        found.append(findings.c.last_seen_ns >= selection.since_ns)
    if selection.until_ns is not None:
        found.append(findings.c.first_seen_ns < selection.until_ns)
    if selection.due_before_ns is not None:
        found.append(findings.c.due_ns < selection.due_before_ns)
    return found


def list_rows(
    connection: Connection,
    selection: Selection,
    *,
    sort: str,
    descending: bool,
    after: tuple[Any, int] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Rows without their bodies, in order; ``after`` is ``(sort key, number)`` of the last row of the page before."""
    column = SORTS[sort]
    conditions = _conditions(selection)
    if after is not None:
        here = tuple_(column, findings.c.number)
        there = tuple_(literal(after[0]), literal(after[1]))
        conditions.append(here < there if descending else here > there)
    order = (desc(column), desc(findings.c.number)) if descending else (asc(column), asc(findings.c.number))
    return connection.execute(select(*_ROW).where(*conditions).order_by(*order).limit(limit)).all()


def between(
    connection: Connection, selection: Selection, *, sort: str, descending: bool, number: int, cap: int
) -> tuple[int | None, int | None, int | None]:
    """``(position, number before, number after)`` of a finding in a list; position is None beyond ``cap`` or when it is not in it."""
    column = SORTS[sort]
    key = connection.execute(select(column).where(findings.c.number == number)).scalar()
    if key is None:
        return None, None, None
    conditions = _conditions(selection)
    here, there = tuple_(column, findings.c.number), tuple_(literal(key), literal(number))
    earlier, later = (here > there, here < there) if descending else (here < there, here > there)
    up, down = (desc, asc) if descending else (asc, desc)
    before = connection.execute(
        select(findings.c.number).where(*conditions, earlier).order_by(down(column), down(findings.c.number)).limit(1)
    ).scalar()
    after = connection.execute(
        select(findings.c.number).where(*conditions, later).order_by(up(column), up(findings.c.number)).limit(1)
    ).scalar()
    inside = connection.execute(select(findings.c.number).where(*conditions, findings.c.number == number)).scalar()
    if inside is None:
        return None, before, after
    counted = select(literal(1)).select_from(findings).where(*conditions, earlier).limit(cap).subquery()
    position = int(connection.execute(select(func.count()).select_from(counted)).scalar() or 0) + 1
    return (position if position <= cap else None), before, after


def count(connection: Connection, selection: Selection, *, cap: int) -> int:
    """How many findings fit, at most ``cap``."""
    inner: Select[Any] = select(literal(1)).select_from(findings).where(*_conditions(selection)).limit(cap)
    return int(connection.execute(select(func.count()).select_from(inner.subquery())).scalar() or 0)


def numbers(connection: Connection, selection: Selection, *, limit: int) -> list[int]:
    """Numbers of findings that fit, at most ``limit``."""
    return [
        int(row[0]) for row in connection.execute(select(findings.c.number).where(*_conditions(selection)).limit(limit))
    ]


def facet(connection: Connection, selection: Selection, field: str, *, limit: int) -> list[tuple[str, int]]:
    """Values of ``field`` with their counts, most first, ignoring the selection's own restriction of it."""
    column = FACETS[field]
    rows = connection.execute(
        select(column, func.count().label("n"))
        .where(*_conditions(selection, without=field))
        .group_by(column)
        .order_by(desc("n"), column)
        .limit(limit)
    ).all()
    return [(SEVERITY_OF_RANK[row[0]] if field == "severity" else str(row[0]), int(row[1])) for row in rows]


def reasons_of(row: Row[Any]) -> tuple[Reason, ...]:
    """The strongest reasons that a row carries."""
    return _REASONS.decode(row.reasons)


def by_number(connection: Connection, number: int) -> Finding | None:
    """The finding without its history; None when there is none."""
    body = connection.execute(select(findings.c.body).where(findings.c.number == number)).scalar()
    return None if body is None else _FINDING.decode(body)


def by_fingerprint(connection: Connection, fingerprint: str) -> tuple[int, Finding] | None:
    """``(number, finding)`` without its history; None when there is none."""
    row = connection.execute(
        select(findings.c.number, findings.c.body).where(findings.c.fingerprint == fingerprint)
    ).first()
    return None if row is None else (int(row.number), _FINDING.decode(row.body))


def next_number(connection: Connection) -> int:
    """The number that the next finding gets; numbers are never used again."""
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'findings'").scalar()
    return int(last or 0) + 1


def _values(finding: Finding) -> dict[str, Any]:
    return {
        "fingerprint": finding.fingerprint,
        "kind": finding.kind.value,
        "title": finding.title,
        "severity": finding.severity.rank,
        "state": finding.state.value,
        "proof": finding.proof.value,
        "stopped": finding.stopped.value,
        "asset_kind": finding.asset.kind,
        "asset_key": finding.asset.key,
        "asset_name": finding.asset.name,
        "rule": finding.rule,
        "techniques": f",{','.join(finding.techniques)}," if finding.techniques else "",
        "score": finding.risk.score,
        "likelihood": finding.risk.likelihood,
        "impact": finding.risk.impact,
        "reasons": _ENCODER.encode(finding.risk.reasons[:4]),
        "owner": finding.owner,
        "due_ns": finding.due_ns,
        "expires_ns": finding.expires_ns,
        "first_seen_ns": finding.first_seen_ns,
        "last_seen_ns": finding.last_seen_ns,
        "count": finding.count,
        "version": finding.version,
        "body": _ENCODER.encode(msgspec.structs.replace(finding, history=())),
    }


def insert_finding(connection: Connection, number: int, finding: Finding) -> None:
    """Keep a new finding under ``number``."""
    connection.execute(insert(findings).values(number=number, **_values(finding)))


def update_finding(connection: Connection, number: int, finding: Finding, *, version: int) -> bool:
    """Replace the finding if its version is still ``version``; False when it is not."""
    values = _values(finding)
    values.pop("fingerprint")
    done = connection.execute(
        update(findings).where(findings.c.number == number, findings.c.version == version).values(**values)
    )
    return done.rowcount == 1


def add_history(connection: Connection, number: int, entries: Sequence[HistoryEntry]) -> None:
    """Append to a finding's history."""
    if entries:
        connection.execute(insert(history), [{"finding": number, **msgspec.structs.asdict(entry)} for entry in entries])


def history_of(connection: Connection, number: int, *, limit: int) -> tuple[HistoryEntry, ...]:
    """The last ``limit`` entries of a finding's history, oldest first."""
    rows = connection.execute(
        select(history).where(history.c.finding == number).order_by(desc(history.c.number)).limit(limit)
    ).all()
    return tuple(_entry(row) for row in reversed(rows))


def recent_history(
    connection: Connection, *, since_ns: int, limit: int
) -> list[tuple[FindingId, str, int, HistoryEntry]]:
    """The latest changes of all findings, newest first: ``(id, title, severity rank, entry)``."""
    rows = connection.execute(
        select(history, findings.c.title, findings.c.severity)
        .join(findings, findings.c.number == history.c.finding)
        .where(history.c.ts_ns >= since_ns)
        .order_by(desc(history.c.ts_ns), desc(history.c.number))
        .limit(limit)
    ).all()
    return [(finding_id(row.finding), row.title, row.severity, _entry(row)) for row in rows]


def _entry(row: Row[Any]) -> HistoryEntry:
    return HistoryEntry(
        ts_ns=row.ts_ns, actor=row.actor, what=row.what, before=row.before, after=row.after, reason=row.reason
    )


def seen_detections(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Which of these detections are known, with the number of their finding."""
    found: dict[str, int] = {}
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        rows = connection.execute(select(detections.c.id, detections.c.finding).where(detections.c.id.in_(part)))
        found.update((row.id, int(row.finding)) for row in rows)
    return found


def add_detections(connection: Connection, rows: Sequence[DetectionRow]) -> None:
    """Keep detections; those that are known are left as they are."""
    if rows:
        connection.execute(
            sqlite_insert(detections).on_conflict_do_nothing(), [msgspec.structs.asdict(row) for row in rows]
        )


_NEAR_ROWS: Final = 500


def rules_near(connection: Connection, asset_key: str, *, since_ns: int, until_ns: int, without: str) -> int:
    """How many other rules matched for this asset in a time, among its last 500 detections: a storm must not make each further one dearer."""
    last = (
        select(detections.c.rule)
        .where(detections.c.asset_key == asset_key, detections.c.ts_ns.between(since_ns, until_ns))
        .order_by(detections.c.ts_ns.desc())
        .limit(_NEAR_ROWS)
        .subquery()
    )
    statement = select(func.count(last.c.rule.distinct())).where(last.c.rule != without)
    return int(connection.execute(statement).scalar() or 0)


def detections_of_events(connection: Connection, events: Sequence[str]) -> dict[str, DetectionRow]:
    """The worst detection on each of these events."""
    worst: dict[str, DetectionRow] = {}
    for start in range(0, len(events), 500):
        part = events[start : start + 500]
        for row in connection.execute(select(detections).where(detections.c.event.in_(part))):
            known = worst.get(row.event)
            if known is None or row.severity > known.severity:
                worst[row.event] = DetectionRow(**row._mapping)
    return worst


def findings_of_event(connection: Connection, event: str) -> list[int]:
    """Numbers of the findings that rest on an event."""
    rows = connection.execute(
        select(detections.c.finding).where(detections.c.event == event).distinct().order_by(detections.c.finding)
    )
    return [int(row[0]) for row in rows]


def detections_by_bucket(
    connection: Connection, *, since_ns: int, until_ns: int, width_ns: int
) -> list[tuple[int, int, int]]:
    """``(start of the bucket, severity rank, count)``."""
    bucket = (detections.c.ts_ns - since_ns) // width_ns
    rows = connection.execute(
        select(bucket.label("bucket"), detections.c.severity, func.count())
        .where(detections.c.ts_ns >= since_ns, detections.c.ts_ns < until_ns)
        .group_by("bucket", detections.c.severity)
    ).all()
    return [(since_ns + int(row[0]) * width_ns, int(row[1]), int(row[2])) for row in rows]


def count_detections(connection: Connection, *, since_ns: int, until_ns: int) -> int:
    """Detections in a time."""
    return int(
        connection.execute(
            select(func.count())
            .select_from(detections)
            .where(detections.c.ts_ns >= since_ns, detections.c.ts_ns < until_ns)
        ).scalar()
        or 0
    )


def expired(connection: Connection, now_ns: int, *, limit: int) -> list[int]:
    """Numbers of accepted findings whose acceptance has ended."""
    rows = connection.execute(
        select(findings.c.number)
        .where(and_(findings.c.state == "accepted", findings.c.expires_ns <= now_ns))
        .limit(limit)
    )
    return [int(row[0]) for row in rows]


def open_by_asset(connection: Connection) -> list[tuple[str, str, int, int]]:
    """``(kind, key, open findings, worst severity rank)`` of assets with open findings; at most 5,000."""
    rows = connection.execute(
        select(findings.c.asset_kind, findings.c.asset_key, func.count(), func.max(findings.c.severity))
        .where(findings.c.state.in_(("open", "confirmed", "in_progress")))
        .group_by(findings.c.asset_kind, findings.c.asset_key)
        .limit(5_000)
    )
    return [(row[0], row[1], int(row[2]), int(row[3])) for row in rows]


def open_by_rule(connection: Connection) -> dict[str, int]:
    """Open findings of each rule."""
    rows = connection.execute(
        select(findings.c.rule, func.count())
        .where(findings.c.state.in_(("open", "confirmed", "in_progress")))
        .group_by(findings.c.rule)
    )
    return {str(row[0]): int(row[1]) for row in rows}


def stopped(connection: Connection) -> tuple[int, int, int | None]:
    """``(stopped, of these proven, time of the last stop)``."""
    rows = connection.execute(
        select(findings.c.stopped, func.count()).where(findings.c.stopped != "no").group_by(findings.c.stopped)
    )
    counts = {str(row[0]): int(row[1]) for row in rows}
    last = connection.execute(select(func.max(history.c.ts_ns)).where(history.c.what == "stopped")).scalar()
    return sum(counts.values()), counts.get("proven", 0), last


def save_undo(connection: Connection, identifier: str, *, actor: str, now_ns: int, body: bytes) -> None:
    """Keep what is needed to take a change back."""
    connection.execute(insert(undos).values(id=identifier, actor=actor, created_ns=now_ns, body=body))


def take_undo(connection: Connection, identifier: str, *, actor: str, since_ns: int) -> bytes | None:
    """Take out what :func:`save_undo` kept for ``actor``; None when there is none, or an older one than ``since_ns``."""
    body: bytes | None = connection.execute(
        select(undos.c.body).where(undos.c.id == identifier, undos.c.actor == actor, undos.c.created_ns >= since_ns)
    ).scalar()
    connection.execute(
        delete(undos).where((undos.c.created_ns < since_ns) | (undos.c.id == identifier) & (undos.c.actor == actor))
    )
    return body


def first_detection(connection: Connection, rule: str, *, since_ns: int, until_ns: int) -> DetectionRow | None:
    """The first detection of a rule in a time; None when there is none."""
    row = connection.execute(
        select(detections)
        .where(detections.c.rule == rule, detections.c.ts_ns >= since_ns, detections.c.ts_ns <= until_ns)
        .order_by(detections.c.ts_ns)
        .limit(1)
    ).first()
    return None if row is None else DetectionRow(**row._mapping)


def drop_detections(connection: Connection, *, before_ns: int) -> int:
    """Forget detections older than ``before_ns``; their findings stay."""
    return connection.execute(delete(detections).where(detections.c.ts_ns < before_ns)).rowcount
