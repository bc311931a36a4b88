"""Settings of the hub that people change: where notifications go."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from phalanx.identity.actor import Actor
from phalanx.model.severity import Severity

__all__ = ["Channel", "ChannelView", "Delivery", "Settings"]


class Channel(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    """Findings within this time after a first one go out as one message."""
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


class Settings:
    """Notification channels."""

    async def channels(self, actor: Actor) -> tuple[ChannelView, ...]:
        """All channels."""
        raise NotImplementedError

    async def save_channel(self, actor: Actor, channel: Channel) -> ChannelView:
        """Make or change a channel; a masked address or secret keeps the stored one."""
        raise NotImplementedError

    async def delete_channel(self, actor: Actor, channel_id: str) -> None:
        """Remove a channel."""
        raise NotImplementedError

    async def test_channel(self, actor: Actor, channel_id: str) -> Delivery:
        """Send a test message now and say what became of it."""
        raise NotImplementedError

    async def deliver(self) -> None:
        """Send what is found to the channels, until cancelled."""
