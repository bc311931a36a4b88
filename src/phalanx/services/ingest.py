"""What agents send: column batches into the event store, reports into the state store. Acknowledged when durable, harmless when sent twice."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection

from phalanx.errors import CorruptError, LimitError
from phalanx.model.report import Acknowledgement, Report
from phalanx.services.base import State
from phalanx.services.events import Events
from phalanx.services.findings import Findings, FindingUpdate
from phalanx.services.presence import Presence
from phalanx.store.events.interface import EventStore
from phalanx.store.events.wrap import read_header
from phalanx.store.state import estate as store

__all__ = ["MAX_DETECTIONS", "MAX_REPORT_BYTES", "Ingest"]

MAX_REPORT_BYTES: Final = 32 << 20
"""No report is larger."""
MAX_DETECTIONS: Final = 20_000
"""No report has more detections; the agent counts what it leaves out."""
_SUBMITTERS: Final = 4
_REPORT: Final = msgspec.json.Decoder(Report)
_ENCODER: Final = msgspec.json.Encoder()


class Ingest:
    """Takes in what agents send."""

    def __init__(self, state: State, events: EventStore, live: Events, findings: Findings, presence: Presence) -> None:
        self._state = state
        self._events = events
        self._live = live
        self._findings = findings
        self._presence = presence
        self._submitters = CapacityLimiter(_SUBMITTERS)
        self._order = asyncio.Lock()

    async def batch(self, block: bytes) -> Acknowledgement:
        """A column batch. CorruptError or LimitError when it is none; UnavailableError when the disk does not take it."""
        header = read_header(block)
        future = await to_thread.run_sync(self._events.submit, block, limiter=self._submitters)
        acknowledged = await asyncio.wrap_future(future)
        self._presence.beat(header.agent, self._state.clock())
        if not acknowledged.duplicate:
            self._live.arrived(acknowledged.rows)
        return Acknowledgement(acknowledged.batch)

    async def report(self, body: bytes) -> Acknowledgement:
        """A report. CorruptError when it is none, LimitError when it is too large."""
        if len(body) > MAX_REPORT_BYTES:
            raise LimitError(f"a report of {len(body)} bytes is larger than {MAX_REPORT_BYTES}")
        try:
            report = _REPORT.decode(body)
        except msgspec.DecodeError as error:
            raise CorruptError(f"this is not a report: {error}") from error
        if len(report.detections) > MAX_DETECTIONS:
            raise LimitError(f"a report with {len(report.detections)} detections has more than {MAX_DETECTIONS}")
        if (
            not 0 < len(report.report) <= 128
            or not 0 < len(report.agent) <= 64
            or len(report.host) > 255
            or len(report.boot) > 64
        ):
            raise CorruptError("the report does not say which one it is, or whose")
        now = self._state.clock()
        async with self._order:  # presence and announcements follow the order in which reports became durable
            updates = await self._state.write(lambda connection: self._take(connection, report, now))
            if updates is None:
                return Acknowledgement(report.report)
            self._presence.hear(report, now)
            self._findings.announce(updates)
        return Acknowledgement(report.report)

    def _take(self, connection: Connection, report: Report, now: int) -> list[FindingUpdate] | None:
        if store.acknowledged(connection, report.report):
            return None
        store.put_facts(connection, report.host, report.facts, now_ns=now)
        _, updates = self._findings.take(connection, report.detections, report.host)
        store.add_losses(connection, report.losses)
        status = None if report.status is None else _ENCODER.encode(report.status)
        store.hear(connection, agent=report.agent, host=report.host, boot=report.boot, now_ns=now, status=status)
        store.keep_report(connection, report.report, agent=report.agent, now_ns=now)
        return updates
