"""Syslog by RFC 5424, over UDP (RFC 5426), TCP and TLS with octet counting (RFC 6587, RFC 5425), or a local socket.

One message for each finding. Structured data carry what machines want; the text after it is UTF-8 with a byte order mark, as the RFC asks.
"""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from phalanx.errors import UnavailableError, UsageError
from phalanx.model.severity import Severity
from phalanx.respond.notify.message import MAX_LISTED, Notice, Notification, body_of, title_of
from phalanx.text.hostile import show

__all__ = ["check_syslog_address", "format_message", "send_syslog"]

_FACILITY: Final = 13
"""log audit (RFC 5424, table 1)."""
_SEVERITY: Final = {Severity.CRITICAL: 1, Severity.HIGH: 3, Severity.MEDIUM: 4, Severity.LOW: 5, Severity.INFO: 6}
"""Ours → RFC 5424, table 2: alert, error, warning, notice, informational."""
_ENTERPRISE: Final = "phalanx@32473"
"""32473 is the number that RFC 5612 sets aside for examples; phalanx has none of its own."""
_TIMEOUT_S: Final = 10.0
_MAX_MESSAGE: Final = 8_192
_MAX_DATAGRAM: Final = 2_048
"""RFC 5426 asks receivers for 2,048 octets; longer datagrams may be cut."""


def check_syslog_address(address: str) -> None:
    """UsageError when ``address`` is none."""
    _parse(address)


def _parse(address: str) -> tuple[str, str, int]:
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the port in {address[:120]!r} is no port") from error
    if parts.scheme == "unix" and parts.path:
        return "unix", parts.path, 0
    if parts.scheme in ("udp", "tcp", "tls") and parts.hostname:
        return parts.scheme, parts.hostname, port or (6514 if parts.scheme == "tls" else 514)
    raise UsageError(
        f"the syslog address is {address[:120]!r}",
        hint="write udp://host:514, tcp://host:601, tls://host:6514 or unix:///dev/log",
    )


def send_syslog(address: str, notification: Notification, *, hostname: str) -> None:
    """Send all notices of ``notification``. UnavailableError when the receiver cannot be reached or ends the connection."""
    kind, host, port = _parse(address)
    limit = _MAX_DATAGRAM if kind in ("udp", "unix") else _MAX_MESSAGE
    messages = [
        format_message(notice, notification, hostname=hostname, limit=limit)
        for notice in notification.notices[:100] or (None,)
    ]
    try:
        if kind == "udp":
            _send_datagrams(messages, socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0])
        elif kind == "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
                local.settimeout(_TIMEOUT_S)
                local.connect(host)
                for message in messages:
                    local.send(message)
        else:
            _send_stream(messages, host, port, tls=kind == "tls")
    except OSError as error:
        raise UnavailableError(f"the syslog receiver {kind}://{host} does not take messages: {error}") from error


def _send_datagrams(messages: list[bytes], target: tuple[int, int, int, str, tuple[object, ...]]) -> None:
    family, kind, protocol, _, address = target
    with socket.socket(family, kind, protocol) as sender:
        sender.settimeout(_TIMEOUT_S)
        sender.connect(address)  # so that a closed port answers with an error instead of silence
        for message in messages:
            sender.send(message)


def _send_stream(messages: list[bytes], host: str, port: int, *, tls: bool) -> None:
    with socket.create_connection((host, port), timeout=_TIMEOUT_S) as raw:
        stream = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if tls else raw
        with stream:
            for message in messages:
                stream.sendall(b"%d " % len(message) + message)
            stream.shutdown(socket.SHUT_WR)


def format_message(
    notice: Notice | None, notification: Notification, *, hostname: str, limit: int = _MAX_MESSAGE
) -> bytes:
    """One RFC 5424 message of at most ``limit`` bytes; ``notice`` None for a test message."""
    severity = _SEVERITY[notice.severity] if notice is not None else 6
    when = datetime.fromtimestamp(notice.ts_ns / 1e9, UTC) if notice is not None and notice.ts_ns else datetime.now(UTC)
    head = (
        f"<{_FACILITY * 8 + severity}>1 {when.strftime('%Y-%m-%dT%H:%M:%S.%fZ')} {_name(hostname, 255)} phalanx - "
        f"{'finding' if notice is not None else 'test'} "
    )
    if notice is None:
        data, text = "-", body_of(notification) if notification.test else title_of(notification)
    else:
        data = _structured(notice, notification)
        text = f"{show(notice.title, 400)}; {show(notice.story, 1_000)}"
        counts = [f"{notification.suppressed} kept back by the limit" if notification.suppressed else ""]
        counts.append(f"{notification.failed} not delivered before" if notification.failed else "")
        text += "".join(f"; {count}" for count in counts if count)
    message = (
        head.encode("ascii", "replace")
        + data.encode("utf-8")
        + b" \xef\xbb\xbf"
        + text.replace("\n", " ").encode("utf-8")
    )
    return _cut(message, limit)


def _structured(notice: Notice, notification: Notification) -> str:
    values = {
        "finding": notice.finding,
        "kind": notice.kind,
        "severity": notice.severity.value,
        "score": str(notice.score),
        "what": notice.what,
        "rule": notice.rule,
        "asset": notice.asset,
        "techniques": ",".join(notice.techniques[:MAX_LISTED]),
        "notification": notification.id,
    }
    inside = "".join(f' {key}="{_escaped(show(value, 200))}"' for key, value in values.items() if value)
    return f"[{_ENTERPRISE}{inside}]"


def _escaped(value: str) -> str:
    # RFC 5424, section 6.3.3: these three, and no others
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _name(text: str, limit: int) -> str:
    return re.sub(r"[^\x21-\x7e]", "?", text)[:limit] or "-"


def _cut(message: bytes, limit: int) -> bytes:
    if len(message) <= limit:
        return message
    return message[: limit - 3].decode("utf-8", "ignore").encode("utf-8") + "…".encode()
