"""One door to all kinds of channels: check an address, send a notification, show an address without its secrets."""

from __future__ import annotations

import socket
from typing import Literal, assert_never
from urllib.parse import urlsplit

from phalanx.errors import UsageError
from phalanx.respond.notify.apprise_channel import check_apprise_address, send_apprise
from phalanx.respond.notify.message import Notification
from phalanx.respond.notify.syslog import check_syslog_address, send_syslog
from phalanx.respond.notify.webhook import check_webhook_address, send_webhook

__all__ = ["MASK", "ChannelKind", "check_address", "masked", "send"]

ChannelKind = Literal["apprise", "webhook", "syslog"]
MASK = "••••••"
"""What stands in place of a secret."""


def check_address(kind: ChannelKind, address: str) -> None:
    """UsageError when ``address`` is none for this kind of channel."""
    try:
        urlsplit(address)
    except ValueError as error:  # a bracket that is never closed
        raise UsageError("this is no address") from error
    match kind:
        case "apprise":
            check_apprise_address(address)
        case "webhook":
            check_webhook_address(address)
        case "syslog":
            check_syslog_address(address)
        case _:
            assert_never(kind)


def send(kind: ChannelKind, address: str, secret: str, notification: Notification) -> None:
    """Deliver now; blocks at most some ten seconds. UnavailableError when it was not taken."""
    match kind:
        case "apprise":
            send_apprise(address, notification)
        case "webhook":
            send_webhook(address, secret, notification)
        case "syslog":
            send_syslog(address, notification, hostname=socket.gethostname())
        case _:
            assert_never(kind)


def masked(kind: ChannelKind, address: str) -> str:
    """``address`` as it may be shown: of a webhook scheme and host, of an apprise URL its service only (tokens stand anywhere in it)."""
    parts = urlsplit(address)
    match kind:
        case "apprise":
            return f"{parts.scheme}://{MASK}"
        case "webhook":
            host = parts.hostname or ""
            try:
                port = f":{parts.port}" if parts.port else ""
            except ValueError:
                port = ""
            bare = f"{parts.scheme}://{host}{port}"
            return f"{bare}/{MASK}" if parts.path.strip("/") or parts.query or parts.username else f"{bare}{parts.path}"
        case "syslog":
            return address
        case _:
            assert_never(kind)
