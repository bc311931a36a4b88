"""Findings: detections become findings, people judge them."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row

from phalanx.errors import ConflictError, LimitError, NotFoundError, UsageError
from phalanx.identity.actor import PLATFORM, Actor
from phalanx.identity.permissions import Permission
from phalanx.model.container import Container
from phalanx.model.detection import Detection
from phalanx.model.finding import (
    TRANSITIONS,
    AssetRef,
    Finding,
    FindingKind,
    HistoryEntry,
    Proof,
    State,
    Stopped,
)
from phalanx.model.ids import finding_id
from phalanx.model.severity import Severity
from phalanx.risk import fingerprint
from phalanx.risk.rank import rank_threat
from phalanx.services import threats
from phalanx.services.base import State as StateOf
from phalanx.services.base import record
from phalanx.services.finding_types import (
    BulkResult,
    FindingChange,
    FindingFacet,
    FindingFilter,
    FindingRow,
    FindingUpdate,
    Neighbours,
)
from phalanx.services.live import Broadcast, Numbered, Subscription
from phalanx.services.paging import COUNT_CAP, Count, Page, bounded_limit, decode_cursor, encode_cursor
from phalanx.services.threats import RuleText
from phalanx.store.state import accounts as accounts_store
from phalanx.store.state import estate as estate_store
from phalanx.store.state import findings as store
from phalanx.text.hostile import show

__all__ = [
    "BulkResult",
    "FindingChange",
    "FindingFacet",
    "FindingFilter",
    "FindingRow",
    "FindingUpdate",
    "Findings",
    "Neighbours",
]


_WINDOW_NS: Final = 600 * 10**9
"""Detections of other rules so near count as one attack."""
_UNDO_NS: Final = 600 * 10**9
_MAX_BULK: Final = 10_000
_MAX_HISTORY: Final = 200
_YEAR_NS: Final = 366 * 86_400 * 10**9
_CHUNK: Final = 100
_SORT_TYPES: Final[dict[str, type]] = {
    "risk": int,
    "last_seen": int,
    "first_seen": int,
    "severity": int,
    "count": int,
    "title": str,
}


class _Undo(Struct, frozen=True, kw_only=True):
    """What a bulk change did: ``(number, version after it, state, owner, justification, due, expires)`` before it."""

    before: tuple[tuple[int, int, State, str, str, int | None, int | None], ...]


_Done: TypeAlias = list[tuple[int, int, State, str, str, int | None, int | None]]
_Skipped: TypeAlias = list[tuple[str, str]]
_Changed: TypeAlias = list[Finding]
_Updates: TypeAlias = list[FindingUpdate]
RuleLookup = Callable[[str], RuleText]
"""Id of a rule → what the hub knows of it."""


class Findings:
    """Everything that happens to findings.

    Sorts: ``risk``, ``last_seen``, ``first_seen``, ``severity``, ``count``, ``title``; ``-`` before it is descending.
    """

    def __init__(self, state: StateOf, *, rule_text: RuleLookup, sightings: int = 8) -> None:
        """``sightings``: how many of one finding keep their evidence."""
        self._state = state
        self._rule_text = rule_text
        self._sightings = sightings
        self.updates: Broadcast[FindingUpdate] = Broadcast(keep=2_000, queue=1_000, start=time.time_ns() // 1_000_000)
        """Changes as they happen; notifications listen here too."""

    # --- from detections ------------------------------------------------------------------------

    async def ingest(self, detections: Sequence[Detection], *, host: str, agent: str) -> tuple[str, ...]:
        """Detections of one report as findings, new or seen again; answers the ids in the order of ``detections``.

        Durable when it returns. A detection that was delivered before counts once.
        """
        if not detections:
            return ()
        ids, updates = await self._state.write(lambda connection: self.take(connection, detections, host))
        self.announce(updates)
        return ids

    def announce(self, updates: Sequence[FindingUpdate]) -> None:
        """Tell live streams and notifications, after the transaction of :meth:`take` is durable."""
        for update in updates:
            self.updates.publish(update)

    def take(self, connection: Connection, batch: Sequence[Detection], host: str) -> tuple[tuple[str, ...], _Updates]:
        """:meth:`ingest` inside a transaction of the caller, who calls :meth:`announce` when it is durable."""
        known = store.seen_detections(connection, [detection.id for detection in batch])
        open_now: dict[str, _Working] = {}
        rows: list[store.DetectionRow] = []
        for detection in batch:
            if detection.id in known:
                continue
            working = self._sighted(connection, open_now, detection, host)
            known[detection.id] = working.number
            rows.append(
                store.DetectionRow(
                    id=detection.id,
                    event=detection.event.id,
                    rule=detection.rule,
                    finding=working.number,
                    severity=detection.severity.rank,
                    ts_ns=detection.ts_ns,
                    asset_key=working.finding.asset.key,
                )
            )
        store.add_detections(connection, rows)
        updates = [working.save(connection) for working in open_now.values()]
        return tuple(finding_id(known[detection.id]) for detection in batch), updates

    def _sighted(
        self, connection: Connection, open_now: dict[str, _Working], detection: Detection, host: str
    ) -> _Working:
        process = threats.process_of(detection)
        container_id = process.container_id if process is not None else "host"
        container = detection.container or estate_store.container_at(connection, host, container_id, detection.ts_ns)
        asset = fingerprint.workload_of(host, container_id, container)
        print_ = fingerprint.threat(detection.rule, asset, fingerprint.program_of(process))
        working = open_now.get(print_.value)
        if working is None:
            found = store.by_fingerprint(connection, print_.value)
            if found is not None:
                working = _Working.again(*found)
            else:
                number = store.next_number(connection) + sum(1 for other in open_now.values() if other.what == "new")
                working = _Working.fresh(
                    number, self._first(connection, number, detection, host, container, asset, print_)
                )
            open_now[print_.value] = working
            if working.what == "new":
                return working
        working.seen(detection, self._rule_text(detection.rule), self._sightings, self._state.clock())
        return working

    def _first(
        self,
        connection: Connection,
        number: int,
        detection: Detection,
        host: str,
        container: Container | None,
        asset: AssetRef,
        print_: fingerprint.Fingerprint,
    ) -> Finding:
        process = threats.process_of(detection)
        rule = self._rule_text(detection.rule)
        near = store.rules_near(
            connection,
            asset.key,
            since_ns=detection.ts_ns - _WINDOW_NS,
            until_ns=detection.ts_ns + _WINDOW_NS,
            without=detection.rule,
        )
        risk = rank_threat(
            detection.severity, process, detection.lineage, container, rule=detection.rule, other_rules=near
        )
        return Finding(
            id=finding_id(number),
            kind=FindingKind.THREAT,
            fingerprint=print_.value,
            recipe=print_.recipe,
            title=threats.title_of(detection, rule),
            severity=detection.severity,
            proof=Proof.OBSERVED,
            asset=asset,
            entities=threats.entities_of(asset, host, container),
            techniques=detection.techniques[:16],
            rule=detection.rule,
            refs=rule.refs,
            story=threats.story_of(detection, process, container, host),
            advice=rule.advice,
            risk=risk,
            first_seen_ns=detection.ts_ns,
            last_seen_ns=detection.ts_ns,
            evidence=threats.evidence_of(detection, rule),
        )

    # --- lists ----------------------------------------------------------------------------------

    async def list(
        self,
        actor: Actor,
        where: FindingFilter | None = None,
        *,
        sort: str = "-risk",
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[FindingRow]:
        """Findings, worst first by default."""
        actor.require(Permission.FINDINGS_READ)
        word, descending = _sort(sort)
        limit = bounded_limit(limit)
        after = None
        if cursor is not None:
            key, number = decode_cursor(cursor, sort, (_SORT_TYPES[word], int))
            after = (key, int(number))
        selection = _selection(where, self._state.clock())

        def work(connection: Connection) -> tuple[Sequence[Row[Any]], int]:
            rows = store.list_rows(
                connection, selection, sort=word, descending=descending, after=after, limit=limit + 1
            )
            return rows, store.count(connection, selection, cap=COUNT_CAP)

        rows, total = await self._state.read(work)
        shown = rows[:limit]
        following = None
        if len(rows) > limit:
            last = shown[-1]
            following = encode_cursor(sort, (getattr(last, store.SORTS[word].name), last.number))
        return Page(rows=tuple(_row(row) for row in shown), next=following, count=_count(total))

    async def get(self, actor: Actor, finding_id: str) -> Finding:
        """One finding, whole."""
        actor.require(Permission.FINDINGS_READ)
        number = _number(finding_id)
        return await self._state.read(lambda connection: _whole(connection, number))

    async def neighbours(
        self, actor: Actor, finding_id: str, where: FindingFilter | None = None, *, sort: str = "-risk"
    ) -> Neighbours:
        """The findings before and after this one in a list, for ``j`` and ``k``."""
        actor.require(Permission.FINDINGS_READ)
        word, descending = _sort(sort)
        number = _number(finding_id)
        selection = _selection(where, self._state.clock())

        def work(connection: Connection) -> tuple[int, tuple[int | None, int | None, int | None]]:
            around = store.between(
                connection, selection, sort=word, descending=descending, number=number, cap=COUNT_CAP
            )
            return store.count(connection, selection, cap=COUNT_CAP), around

        total, (position, before, after) = await self._state.read(work)
        return Neighbours(position=position, count=_count(total), previous=_identified(before), next=_identified(after))

    async def facets(self, actor: Actor, where: FindingFilter | None = None) -> tuple[FindingFacet, ...]:
        """Counts by kind, severity, state, proof, owner and rule; each facet ignores its own restriction."""
        actor.require(Permission.FINDINGS_READ)
        selection = _selection(where, self._state.clock())

        def work(connection: Connection) -> tuple[FindingFacet, ...]:
            return tuple(
                FindingFacet(field=field, values=tuple(store.facet(connection, selection, field, limit=20)))
                for field in store.FACETS
            )

        return await self._state.read(work)

    # --- judging --------------------------------------------------------------------------------

    async def change(
        self, actor: Actor, finding_id: str, change: FindingChange, *, version: int | None = None
    ) -> Finding:
        """Judge one finding. ConflictError when it changed since ``version``, UsageError when the state may not follow."""
        actor.require(Permission.FINDINGS_TRIAGE)
        number = _number(finding_id)
        now = self._state.clock()

        def work(connection: Connection) -> Finding:
            finding = store.by_number(connection, number)
            if finding is None:
                raise NotFoundError(f"there is no finding F-{number}")
            if version is not None and finding.version != version:
                raise ConflictError(
                    f"F-{number} changed since you read it (version {finding.version}, not {version})",
                    hint="read it again",
                )
            _check_owner(connection, change)
            changed, entries = judged(finding, change, actor=actor.name, now_ns=now)
            if entries:
                self._store(connection, number, finding, changed, entries, actor, now)
            return _whole(connection, number)

        finding = await self._state.write(work)
        self._publish(finding)
        return finding

    def _store(
        self,
        connection: Connection,
        number: int,
        before: Finding,
        after: Finding,
        entries: Sequence[HistoryEntry],
        actor: Actor,
        now: int,
    ) -> None:
        if not store.update_finding(connection, number, after, version=before.version):
            raise ConflictError(f"F-{number} changed meanwhile", hint="read it again")
        store.add_history(connection, number, entries)
        for entry in entries:
            detail = {"before": entry.before, "after": entry.after, "reason": entry.reason}
            record(connection, actor, f"finding.{entry.what}", f"F-{number}", now_ns=now, detail=detail)

    def _publish(self, finding: Finding) -> None:
        self.updates.publish(FindingUpdate(id="", what="changed", finding=row_of(finding)))

    async def bulk(
        self,
        actor: Actor,
        change: FindingChange,
        *,
        ids: Sequence[str] = (),
        where: FindingFilter | None = None,
    ) -> BulkResult:
        """The same change for ``ids``, or for all that ``where`` selects now (at most 10,000).

        Runs in chunks, so that detections are not kept waiting by a large one.
        """
        actor.require(Permission.FINDINGS_TRIAGE)
        if bool(ids) == (where is not None):
            raise UsageError("either ids or a condition must be given")
        if where is not None:
            selection = _selection(where, self._state.clock())
            numbers = await self._state.read(
                lambda connection: store.numbers(connection, selection, limit=_MAX_BULK + 1)
            )
        else:
            numbers = [_number(item) for item in ids]
        if len(numbers) > _MAX_BULK:
            raise LimitError(f"more than {_MAX_BULK:,} findings fit", hint="narrow the condition")
        done: _Done = []
        skipped: _Skipped = []
        rows: _Changed = []
        for start in range(0, len(numbers), _CHUNK):
            part = numbers[start : start + _CHUNK]
            one = await self._state.write(lambda connection, part=part: self._bulk(connection, part, change, actor))  # type: ignore[misc]
            done += one[0]
            skipped += one[1]
            rows += one[2]
            for finding in one[2]:
                self._publish(finding)
        undo = ""
        if done:
            undo = secrets.token_hex(8)
            body, now = msgspec.json.encode(_Undo(before=tuple(done))), self._state.clock()
            await self._state.write(
                lambda connection: store.save_undo(connection, undo, actor=actor.name, now_ns=now, body=body)
            )
        return BulkResult(undo=undo, changed=tuple(finding.id for finding in rows), skipped=tuple(skipped))

    def _bulk(
        self, connection: Connection, numbers: Sequence[int], change: FindingChange, actor: Actor
    ) -> tuple[_Done, _Skipped, _Changed]:
        done: _Done = []
        skipped: _Skipped = []
        rows: _Changed = []
        now = self._state.clock()
        _check_owner(connection, change)
        for number in numbers:
            finding = store.by_number(connection, number)
            if finding is None:
                skipped.append((f"F-{number}", "there is no such finding"))
                continue
            try:
                changed, entries = judged(finding, change, actor=actor.name, now_ns=now)
            except UsageError as error:
                skipped.append((finding.id, error.message))
                continue
            if not entries:
                skipped.append((finding.id, "it is so already"))
                continue
            self._store(connection, number, finding, changed, entries, actor, now)
            done.append(
                (
                    number,
                    changed.version,
                    finding.state,
                    finding.owner,
                    finding.justification,
                    finding.due_ns,
                    finding.expires_ns,
                )
            )
            rows.append(changed)
        return done, skipped, rows

    async def undo(self, actor: Actor, undo: str) -> BulkResult:
        """Take back one's own bulk change; findings that somebody changed since are skipped and named."""
        actor.require(Permission.FINDINGS_TRIAGE)
        now = self._state.clock()

        def work(connection: Connection) -> tuple[_Changed, _Skipped]:
            body = store.take_undo(connection, undo, actor=actor.name, since_ns=now - _UNDO_NS)
            if body is None:
                raise NotFoundError(
                    "there is nothing to undo", hint="a change can be taken back for ten minutes, by who made it"
                )
            rows: _Changed = []
            skipped: _Skipped = []
            for number, version, state, owner, justification, due_ns, expires_ns in msgspec.json.decode(
                body, type=_Undo
            ).before:
                finding = store.by_number(connection, number)
                if finding is None or finding.version != version:
                    skipped.append((f"F-{number}", "it was changed since"))
                    continue
                back = msgspec.structs.replace(
                    finding,
                    state=state,
                    owner=owner,
                    justification=justification,
                    due_ns=due_ns,
                    expires_ns=expires_ns,
                    version=finding.version + 1,
                )
                entry = HistoryEntry(
                    ts_ns=now, actor=actor.name, what="undo", before=finding.state.value, after=state.value
                )
                self._store(connection, number, finding, back, (entry,), actor, now)
                rows.append(back)
            return rows, skipped

        rows, skipped = await self._state.write(work)
        for finding in rows:
            self._publish(finding)
        return BulkResult(undo="", changed=tuple(finding.id for finding in rows), skipped=tuple(skipped))

    async def expire(self) -> int:
        """Open again what was accepted until now; how many were. Called now and then by the hub."""
        now = self._state.clock()

        def work(connection: Connection) -> _Changed:
            rows = []
            for number in store.expired(connection, now, limit=500):
                finding = store.by_number(connection, number)
                if finding is None:
                    continue
                back = msgspec.structs.replace(
                    finding, state=State.OPEN, justification="", expires_ns=None, version=finding.version + 1
                )
                entry = HistoryEntry(
                    ts_ns=now,
                    actor=PLATFORM.name,
                    what="expired",
                    before=finding.state.value,
                    after="open",
                    reason=finding.justification,
                )
                self._store(connection, number, finding, back, (entry,), PLATFORM, now)
                rows.append(back)
            return rows

        rows = await self._state.write(work)
        for finding in rows:
            self._publish(finding)
        return len(rows)

    # --- live -----------------------------------------------------------------------------------

    def subscribe(self, actor: Actor, *, after: str | None = None) -> AsyncIterator[tuple[FindingUpdate, ...]]:
        """Changes of findings as they happen: the first at once, then at most four batches a second.

        Of several changes of one finding in a batch only the last is sent, under the strongest word. The iterator ends when the hub stops.
        """
        actor.require(Permission.FINDINGS_READ)
        return self._stream(self.updates.subscribe(_resume(after)))

    async def _stream(self, subscription: Subscription[FindingUpdate]) -> AsyncIterator[tuple[FindingUpdate, ...]]:
        try:
            async for items in subscription.batches():
                yield _coalesced(items)
        finally:
            subscription.close()


_STRENGTH: Final = {"new": 3, "reopened": 2, "changed": 1, "seen_again": 0}


def _coalesced(items: Sequence[Numbered[FindingUpdate]]) -> tuple[FindingUpdate, ...]:
    last: dict[str, FindingUpdate] = {}
    for number, update in items:
        former = last.pop(update.finding.id, None)
        what = update.what
        if former is not None and _STRENGTH[former.what] > _STRENGTH[what]:
            what = former.what
        last[update.finding.id] = FindingUpdate(id=str(number), what=what, finding=update.finding)
    return tuple(last.values())


def _resume(after: str | None) -> int | None:
    if after is None or not after.isascii() or not after.isdigit() or len(after) > 18:
        return None
    return int(after)


class _Working:
    """A finding while one report is taken in: read once, written once."""

    def __init__(self, number: int, finding: Finding, what: str, version: int) -> None:
        self.number = number
        self.finding = finding
        self.what = what
        self.version = version
        self.entries: list[HistoryEntry] = []

    @classmethod
    def fresh(cls, number: int, finding: Finding) -> _Working:
        """One that was not known."""
        working = cls(number, finding, "new", 0)
        working.entries.append(
            HistoryEntry(ts_ns=finding.first_seen_ns, actor=PLATFORM.name, what="new", after=finding.state.value)
        )
        return working

    @classmethod
    def again(cls, number: int, finding: Finding) -> _Working:
        """One that is known."""
        return cls(number, finding, "seen_again", finding.version)

    def seen(self, detection: Detection, rule: RuleText, sightings: int, now_ns: int) -> None:
        """One more sighting."""
        finding = self.finding
        changes: dict[str, Any] = {
            "count": finding.count + 1,
            "first_seen_ns": min(finding.first_seen_ns, detection.ts_ns),
            "last_seen_ns": max(finding.last_seen_ns, detection.ts_ns),
            "evidence": threats.keep_evidence(finding.evidence, threats.evidence_of(detection, rule), sightings),
        }
        if finding.state in (State.FIXED, State.VERIFIED):
            changes["state"] = State.OPEN
            entry = HistoryEntry(
                ts_ns=now_ns,
                actor=PLATFORM.name,
                what="reopened",
                before=finding.state.value,
                after=State.OPEN.value,
                reason="it was seen again",
            )
            self.entries.append(entry)
            self.what = "reopened"
            changes["stopped"] = Stopped.NO
        if detection.severity.rank > finding.severity.rank:
            changes["severity"] = detection.severity
            self.entries.append(
                HistoryEntry(
                    ts_ns=now_ns,
                    actor=PLATFORM.name,
                    what="worse",
                    before=finding.severity.value,
                    after=detection.severity.value,
                )
            )
        self.finding = msgspec.structs.replace(finding, **changes)

    def save(self, connection: Connection) -> FindingUpdate:
        """Write it; what the live stream is told."""
        if self.what == "new":
            store.insert_finding(connection, self.number, self.finding)
        else:
            # Sightings do not change what a person judged, so they leave the version that the person read.
            raised = 1 if self.entries else 0
            self.finding = msgspec.structs.replace(self.finding, version=self.version + raised)
            if not store.update_finding(connection, self.number, self.finding, version=self.version):
                raise ConflictError(f"F-{self.number} changed while it was seen again")
        store.add_history(connection, self.number, self.entries)
        return FindingUpdate(id="", what=self.what, finding=row_of(self.finding))


def judged(
    finding: Finding, change: FindingChange, *, actor: str, now_ns: int
) -> tuple[Finding, tuple[HistoryEntry, ...]]:
    """``finding`` after ``change`` by ``actor``, with what to write into its history; nothing to write when nothing changes.

    Raises:
        UsageError: the state may not follow, a reason is missing, or an acceptance does not end within a year.
    """
    changes: dict[str, Any] = {}
    entries: list[HistoryEntry] = []

    def note(what: str, before: object, after: object) -> None:
        entries.append(
            HistoryEntry(
                ts_ns=now_ns,
                actor=actor,
                what=what,
                before=_said(before),
                after=_said(after),
                reason=change.reason[:_MAX_REASON],
            )
        )

    if change.state is not None and (change.state != finding.state or change.state is State.ACCEPTED):
        _check_step(finding, change, now_ns)
        changes["state"] = change.state
        judged_away = change.state in (State.ACCEPTED, State.FALSE_POSITIVE)
        changes["justification"] = change.reason[:_MAX_REASON] if judged_away else ""
        changes["expires_ns"] = change.expires_ns if change.state is State.ACCEPTED else None
        note("state", finding.state.value, change.state.value)
    if change.owner is not None and change.owner != finding.owner:
        changes["owner"] = change.owner
        note("owner", finding.owner, change.owner)
    if change.due_ns is not None and (change.due_ns or None) != finding.due_ns:
        changes["due_ns"] = change.due_ns or None
        note("due", finding.due_ns or "", change.due_ns or "")
    if not entries:
        return finding, ()
    return msgspec.structs.replace(finding, version=finding.version + 1, **changes), tuple(entries)


_MAX_REASON: Final = 2_000


def _said(value: object) -> str:
    return str(value)[:256]


def _check_step(finding: Finding, change: FindingChange, now_ns: int) -> None:
    state = change.state
    if state is None:
        return
    if state is State.VERIFIED:
        raise UsageError("verified is set by a check only, never by a person", hint="set it to fixed")
    if state != finding.state and state not in TRANSITIONS[finding.state]:
        allowed = ", ".join(sorted(word.value for word in TRANSITIONS[finding.state] if word is not State.VERIFIED))
        raise UsageError(
            f"{finding.id} is {finding.state.value}; it cannot become {state.value}", hint=f"it can become {allowed}"
        )
    if state in (State.ACCEPTED, State.FALSE_POSITIVE) and not change.reason.strip():
        raise UsageError(f"{state.value} needs a reason")
    if state is State.ACCEPTED and (change.expires_ns is None or not now_ns < change.expires_ns <= now_ns + _YEAR_NS):
        raise UsageError("an acceptance needs an end within a year", hint="give expires_ns")


def _check_owner(connection: Connection, change: FindingChange) -> None:
    if change.owner:
        row = accounts_store.user(connection, change.owner)
        if row is None or not row.active:
            raise UsageError(f"there is no active user {show(change.owner, 64)}")


def row_of(finding: Finding) -> FindingRow:
    """The row of a whole finding."""
    return FindingRow(
        id=finding.id,
        kind=finding.kind,
        title=finding.title,
        severity=finding.severity,
        state=finding.state,
        proof=finding.proof,
        stopped=finding.stopped,
        asset=finding.asset,
        score=finding.risk.score,
        likelihood=finding.risk.likelihood,
        impact=finding.risk.impact,
        reasons=finding.risk.reasons[:4],
        techniques=finding.techniques,
        rule=finding.rule,
        owner=finding.owner,
        due_ns=finding.due_ns,
        first_seen_ns=finding.first_seen_ns,
        last_seen_ns=finding.last_seen_ns,
        count=finding.count,
        version=finding.version,
    )


def _row(row: Row[Any]) -> FindingRow:
    return FindingRow(
        id=finding_id(row.number),
        kind=FindingKind(row.kind),
        title=row.title,
        severity=Severity(store.SEVERITY_OF_RANK[row.severity]),
        state=State(row.state),
        proof=Proof(row.proof),
        stopped=Stopped(row.stopped),
        asset=AssetRef(kind=row.asset_kind, key=row.asset_key, name=row.asset_name),
        score=row.score,
        likelihood=row.likelihood,
        impact=row.impact,
        reasons=store.reasons_of(row),
        techniques=tuple(word for word in row.techniques.split(",") if word),
        rule=row.rule,
        owner=row.owner,
        due_ns=row.due_ns,
        first_seen_ns=row.first_seen_ns,
        last_seen_ns=row.last_seen_ns,
        count=row._mapping["count"],  # `.count` is a tuple's own method
        version=row.version,
    )


def _whole(connection: Connection, number: int) -> Finding:
    finding = store.by_number(connection, number)
    if finding is None:
        raise NotFoundError(f"there is no finding F-{number}")
    return msgspec.structs.replace(finding, history=store.history_of(connection, number, limit=_MAX_HISTORY))


def _selection(where: FindingFilter | None, now_ns: int) -> store.Selection:
    if where is None:
        return store.Selection()
    fields = msgspec.structs.asdict(where)
    overdue = fields.pop("overdue")
    return store.Selection(**fields, due_before_ns=now_ns if overdue else None)


def _sort(sort: str) -> tuple[str, bool]:
    word = sort.removeprefix("-")
    if word not in store.SORTS:
        raise UsageError(
            f"findings cannot be sorted by {show(word, 40)!r}", hint=f"use one of {', '.join(store.SORTS)}"
        )
    return word, sort.startswith("-")


def _number(text: str) -> int:
    number = store.number_of(text)
    if number is None:
        raise NotFoundError(f"there is no finding {show(text, 40)}", hint="ids look like F-12")
    return number


def _identified(number: int | None) -> str | None:
    return None if number is None else finding_id(number)


def _count(total: int) -> Count:
    return Count(value=total, capped=total >= COUNT_CAP)
