"""Everything else, by apprise: mail, chat, pagers. One URL names the service; the list is apprise's own."""

from __future__ import annotations

import logging

from phalanx.errors import UnavailableError, UsageError
from phalanx.model.severity import Severity
from phalanx.respond.notify.message import Notification, body_of, title_of

__all__ = ["check_apprise_address", "send_apprise"]

_TYPE = {
    Severity.CRITICAL: "failure",
    Severity.HIGH: "failure",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
    Severity.INFO: "info",
}
_FORBIDDEN = ("file://", "syslog://", "dbus://", "gnome://", "windows://", "macosx://")
"""Services that act on the hub's own machine instead of sending; syslog has its own channel here."""


def check_apprise_address(address: str) -> None:
    """UsageError when apprise does not know the service."""
    import apprise

    if address.lower().startswith(_FORBIDDEN):
        raise UsageError("this service acts on the hub's own machine", hint="choose one that sends to somebody")
    if not apprise.Apprise().add(address):
        raise UsageError(
            "apprise does not understand this URL", hint="its documentation lists the form of each service's URL"
        )


def send_apprise(address: str, notification: Notification) -> None:
    """Send. UnavailableError when the service did not take the message."""
    import apprise

    check_apprise_address(address)
    # apprise logs URLs at debug level; they may hold secrets, so its log stays out of ours
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    sender = apprise.Apprise()
    sender.add(address)
    worst = notification.notices[0].severity if notification.notices else Severity.INFO
    sent = sender.notify(title=title_of(notification), body=body_of(notification), notify_type=_TYPE[worst])
    if not sent:
        raise UnavailableError("the service behind this apprise URL did not take the message")
