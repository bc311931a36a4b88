"""Webhooks: the notification as JSON, signed when the channel has a key.

The signature is HMAC-SHA256 over ``<timestamp>.<body>`` in ``X-Phalanx-Signature: t=<seconds>,v1=<hexadecimal>``, so that a receiver can refuse what is old or
not ours. Redirects are not followed: they would carry findings to another place than the one that was set.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

import msgspec

from phalanx.errors import UnavailableError, UsageError
from phalanx.respond.notify.message import Notification, payload_of
from phalanx.version import VERSION

__all__ = ["check_webhook_address", "send_webhook", "signature"]

_TIMEOUT_S: Final = 10.0


def check_webhook_address(address: str) -> None:
    """UsageError when ``address`` is none."""
    parts = urlsplit(address)
    try:
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        port_fits = False
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not port_fits
        or any(char.isspace() for char in address)
    ):
        raise UsageError("the webhook's address is not an http or https URL", hint="write https://host/path")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Value of ``X-Phalanx-Signature``."""
    mac = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"


def send_webhook(address: str, secret: str, notification: Notification) -> None:
    """POST the notification. UnavailableError unless the answer is 2xx."""
    check_webhook_address(address)
    parts = urlsplit(address)
    body = msgspec.json.encode(payload_of(notification))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"phalanx/{VERSION}",
        "X-Phalanx-Delivery": notification.id,
    }
    if secret:
        headers["X-Phalanx-Signature"] = signature(secret, int(time.time()), body)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, parts.port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_S)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body=body, headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"the webhook at {host} does not answer: {error}") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise UnavailableError(f"the webhook at {host} answered {status}")
