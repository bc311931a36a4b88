"""Settings of the hub that people change: where notifications go."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any, Final, Literal

import msgspec
from anyio import CapacityLimiter, to_thread
from msgspec import Struct
from sqlalchemy import Connection, Row

from phalanx.errors import LimitError, NotFoundError, PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission
from phalanx.model.finding import FindingKind
from phalanx.model.severity import Severity
from phalanx.respond.notify.message import Notice, Notification
from phalanx.respond.notify.queue import ChannelQueue
from phalanx.respond.notify.send import MASK, check_address, masked, send
from phalanx.services.base import State, record
from phalanx.services.findings import Findings, FindingUpdate
from phalanx.services.live import Subscription
from phalanx.store.state import findings as findings_store
from phalanx.store.state import settings as store
from phalanx.text.hostile import show

__all__ = ["Channel", "ChannelView", "Delivery", "Settings"]


class Channel(Struct, frozen=True, kw_only=True):
    """One place that notifications go to."""

    id: str = ""
    """Given when saved; empty for a new one."""
    name: str
    kind: Literal["apprise", "webhook", "syslog"]
    address: str
    """An apprise URL, an http(s) URL, or ``udp://host:514``, ``tcp://host:514``, ``tls://host:6514``, ``unix:///dev/log``. May hold a secret."""
    secret: str = ""
    """Webhook: key of the HMAC-SHA256 signature. Empty for none."""
    min_severity: Severity = Severity.HIGH
    kinds: tuple[str, ...] = ()
    """Kinds of findings; empty for all."""
    group_seconds: int = 30
    """The first finding goes out at once, those of so many seconds after it as one message."""
    per_hour: int = 60
    """At most so many messages in an hour; what is over is counted and told with the next."""
    enabled: bool = True


class ChannelView(Struct, frozen=True, kw_only=True):
    """A channel as shown: address masked, secret absent."""

    channel: Channel
    """With ``address`` masked and ``secret`` replaced by dots."""
    sent: int
    failed: int
    suppressed: int
    last_ns: int | None
    last_error: str


class Delivery(Struct, frozen=True, kw_only=True):
    """What became of a test message."""

    ok: bool
    took_ms: float
    error: str = ""


_MAX_CHANNELS: Final = 50
_IDLE_S: Final = 30.0


class Settings:
    """Notification channels, and the deliveries to them."""

    def __init__(self, state: State, findings: Findings, *, base_url: str) -> None:
        self._state = state
        self._findings = findings
        self._base_url = base_url
        self._queues: dict[str, tuple[Channel, ChannelQueue]] = {}
        self._changed = asyncio.Event()
        self._senders = CapacityLimiter(4)

    async def channels(self, actor: Actor) -> tuple[ChannelView, ...]:
        """All channels."""
        actor.require(Permission.SETTINGS_READ)
        return tuple(_view(row) for row in await self._state.read(store.channels_all))

    async def save_channel(self, actor: Actor, channel: Channel) -> ChannelView:
        """Make or change a channel; a masked address or secret keeps the stored one."""
        actor.require(Permission.SETTINGS_WRITE)
        _check(channel)
        now = self._state.clock()
        identifier = channel.id or secrets.token_hex(6)

        def work(connection: Connection) -> Row[Any]:
            row = store.channel(connection, channel.id) if channel.id else None
            if channel.id and row is None:
                raise NotFoundError("there is no such channel")
            if row is None and len(store.channels_all(connection)) >= _MAX_CHANNELS:
                raise LimitError(f"there are {_MAX_CHANNELS} channels")
            known = _DECODER.decode(row.body) if row is not None else None
            address = known.address if known is not None and MASK in channel.address else channel.address
            secret = known.secret if known is not None and channel.secret == MASK else channel.secret
            check_address(channel.kind, address)
            kept = msgspec.structs.replace(channel, id=identifier, address=address, secret=secret)
            store.put_channel(connection, identifier, msgspec.json.encode(kept))
            action = "channel.create" if row is None else "channel.update"
            detail = {"name": channel.name, "kind": channel.kind, "address": masked(channel.kind, address)}
            record(connection, actor, action, identifier, now_ns=now, detail=detail)
            return _existing(connection, identifier)

        row = await self._state.write(work)
        self._changed.set()
        return _view(row)

    async def delete_channel(self, actor: Actor, channel_id: str) -> None:
        """Remove a channel."""
        actor.require(Permission.SETTINGS_WRITE)
        now = self._state.clock()

        def work(connection: Connection) -> None:
            if not store.drop_channel(connection, channel_id):
                raise NotFoundError("there is no such channel")
            record(connection, actor, "channel.delete", channel_id, now_ns=now)

        await self._state.write(work)
        self._changed.set()

    async def test_channel(self, actor: Actor, channel_id: str) -> Delivery:
        """Send a test message now and say what became of it."""
        actor.require(Permission.SETTINGS_WRITE)
        row = await self._state.read(lambda connection: _existing(connection, channel_id))
        channel = _DECODER.decode(row.body)
        now = self._state.clock()
        began = time.perf_counter()
        notification = Notification(id=secrets.token_hex(8), notices=(), test=True, base_url=self._base_url)
        error = await self._send(channel, notification)
        took = (time.perf_counter() - began) * 1e3
        detail = {"outcome": error or "delivered"}
        await self._state.write(
            lambda connection: record(connection, actor, "channel.test", channel_id, now_ns=now, detail=detail)
        )
        return Delivery(ok=not error, took_ms=took, error=error)

    async def _send(self, channel: Channel, notification: Notification) -> str:
        """What went wrong; empty when it was delivered."""
        try:
            await to_thread.run_sync(
                send,
                channel.kind,
                channel.address,
                channel.secret,
                notification,
                limiter=self._senders,
                abandon_on_cancel=True,
            )
        except PhalanxError as error:
            return show(error.message, 400)
        return ""

    # --- deliveries -----------------------------------------------------------------------------

    async def deliver(self) -> None:
        """Send what is found to the channels, until cancelled or the hub stops."""
        await self._reload()
        subscription = self._findings.updates.subscribe()
        try:
            async with asyncio.TaskGroup() as group:
                flights: set[str] = set()
                while not self._findings.updates.closed:
                    await self._collect(subscription)
                    now = time.monotonic()
                    wake = now + _IDLE_S
                    for identifier, (channel, queue) in self._queues.items():
                        notification = None if identifier in flights else queue.due(now, base_url=self._base_url)
                        if notification is not None:
                            flights.add(identifier)
                            group.create_task(self._fly(channel, queue, notification, flights))
                        at = None if identifier in flights else queue.wake_at(now)
                        wake = min(wake, at) if at is not None else wake
                    await self._rest(subscription, max(wake - now, 0.01))
        finally:
            subscription.close()

    async def _rest(self, subscription: Subscription[FindingUpdate], seconds: float) -> None:
        tasks = [asyncio.ensure_future(subscription.wait()), asyncio.ensure_future(self._changed.wait())]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if self._changed.is_set():
            self._changed.clear()
            await self._reload()

    async def _reload(self) -> None:
        found: dict[str, tuple[Channel, ChannelQueue]] = {}
        for row in await self._state.read(store.channels_all):
            channel = _DECODER.decode(row.body)
            if not channel.enabled:
                continue
            known = self._queues.get(channel.id)
            queue = known[1] if known is not None and _same_pace(known[0], channel) else None
            found[channel.id] = (
                channel,
                queue or ChannelQueue(group_s=channel.group_seconds, per_hour=channel.per_hour),
            )
        self._queues = found

    async def _collect(self, subscription: Subscription[FindingUpdate]) -> None:
        updates = [item for _, item in subscription.take() if item.what in ("new", "reopened")]
        now = time.monotonic()
        for update in updates:
            fitting = [queue for channel, queue in self._queues.values() if _wants(channel, update)]
            if not fitting:
                continue
            notice = await self._notice(update)
            for queue in fitting:
                queue.offer(notice, now)

    async def _notice(self, update: FindingUpdate) -> Notice:
        number = findings_store.number_of(update.finding.id) or 0
        finding = await self._state.read(lambda connection: findings_store.by_number(connection, number))
        row = update.finding
        return Notice(
            finding=row.id,
            kind=row.kind.value,
            title=row.title,
            severity=row.severity,
            score=row.score,
            asset=row.asset.name,
            what=update.what,
            rule=row.rule,
            techniques=row.techniques,
            story=finding.story if finding is not None else "",
            advice=finding.advice if finding is not None else "",
            ts_ns=row.last_seen_ns,
        )

    async def _fly(self, channel: Channel, queue: ChannelQueue, notification: Notification, flights: set[str]) -> None:
        error = await self._send(channel, notification)
        before = queue.failed
        if error:
            queue.broken(time.monotonic())
        else:
            queue.done()
        flights.discard(channel.id)
        self._changed.set()
        suppressed, now = notification.suppressed if not error else 0, self._state.clock()
        failed = queue.failed - before
        try:
            await self._state.write(
                lambda connection: store.count_delivery(
                    connection,
                    channel.id,
                    sent=0 if error else 1,
                    failed=failed,
                    suppressed=suppressed,
                    now_ns=now,
                    error=error,
                )
            )
        except PhalanxError as trouble:  # counting must not end the deliveries of all channels
            _LOG.warning("a delivery could not be counted: %s", trouble)


def _same_pace(one: Channel, other: Channel) -> bool:
    return (one.group_seconds, one.per_hour) == (other.group_seconds, other.per_hour)


def _wants(channel: Channel, update: FindingUpdate) -> bool:
    row = update.finding
    return row.severity.rank >= channel.min_severity.rank and (not channel.kinds or row.kind.value in channel.kinds)


def _check(channel: Channel) -> None:
    if not channel.name.strip() or len(channel.name) > 128:
        raise UsageError("a channel needs a name of at most 128 characters")
    if not 0 <= channel.group_seconds <= 3_600 or not 1 <= channel.per_hour <= 3_600:
        raise UsageError("group_seconds must be between 0 and 3,600, per_hour between 1 and 3,600")
    if len(channel.address) > 2_048 or len(channel.secret) > 512:
        raise UsageError("the address or the secret is too long")
    known = {kind.value for kind in FindingKind}
    if not set(channel.kinds) <= known:
        raise UsageError(f"kinds must be of {', '.join(sorted(known))}")


def _existing(connection: Connection, identifier: str) -> Row[Any]:
    row = store.channel(connection, identifier)
    if row is None:
        raise NotFoundError("there is no such channel")
    return row


def _view(row: Row[Any]) -> ChannelView:
    channel = _DECODER.decode(row.body)
    shown = msgspec.structs.replace(
        channel, address=masked(channel.kind, channel.address), secret=MASK if channel.secret else ""
    )
    return ChannelView(
        channel=shown,
        sent=row.sent,
        failed=row.failed,
        suppressed=row.suppressed,
        last_ns=row.last_ns,
        last_error=row.last_error,
    )


_DECODER: Final = msgspec.json.Decoder(Channel)
_LOG: Final = logging.getLogger("phalanx.notify")
