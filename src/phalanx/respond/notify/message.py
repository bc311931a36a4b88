"""What a notification says: the worst finding first, how many more, and where to read on. Observed text is shown with its tags, and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from phalanx.model.severity import Severity
from phalanx.text.hostile import show

__all__ = ["MAX_LISTED", "Notice", "Notification", "body_of", "payload_of", "title_of"]

MAX_LISTED: Final = 10
"""Findings that are named in one notification; more are counted."""
_MAX_TITLE: Final = 200
_MAX_STORY: Final = 600


class Notice(Struct, frozen=True, kw_only=True):
    """One finding, as a notification tells it."""

    finding: str
    kind: str
    title: str
    severity: Severity
    score: int
    asset: str
    what: str
    """``new`` or ``reopened``."""
    rule: str = ""
    techniques: tuple[str, ...] = ()
    story: str = ""
    advice: str = ""
    ts_ns: int = 0


class Notification(Struct, frozen=True, kw_only=True):
    """What goes out as one message."""

    id: str
    """Unique; receivers can drop a second delivery by it."""
    notices: tuple[Notice, ...]
    """Worst first; at most 100."""
    more: int = 0
    """Further findings in the same group."""
    suppressed: int = 0
    """Findings that the hourly limit kept back since the former message."""
    failed: int = 0
    """Findings whose message could not be delivered since then."""
    base_url: str = ""
    test: bool = False


def title_of(notification: Notification) -> str:
    """One line."""
    if notification.test:
        return "phalanx: this is a test message"
    worst = notification.notices[0]
    others = len(notification.notices) + notification.more - 1
    tail = f" (and {others} more)" if others else ""
    return f"[{worst.severity.value}] {show(worst.title, _MAX_TITLE)}{tail}"


def body_of(notification: Notification) -> str:
    """Plain text."""
    if notification.test:
        return "Somebody asked for a test of this channel. Nothing needs to be done."
    lines: list[str] = []
    for notice in notification.notices[:MAX_LISTED]:
        again = ", seen again after it was fixed" if notice.what == "reopened" else ""
        lines.append(
            f"{notice.finding} {notice.severity.value} {notice.score}: {show(notice.title, _MAX_TITLE)}{again}"
        )
        lines.append(f"  where: {show(notice.asset, _MAX_TITLE)}")
        if notice.techniques:
            lines.append(f"  ATT&CK: {', '.join(show(item, 20) for item in notice.techniques[:6])}")
        if notice.story:
            lines.append(f"  {show(notice.story, _MAX_STORY)}")
        if notice.advice:
            lines.append(f"  Do: {show(notice.advice, _MAX_STORY)}")
        if notification.base_url:
            lines.append(f"  {notification.base_url.rstrip('/')}/findings/{notice.finding}")
    rest = len(notification.notices) - MAX_LISTED + notification.more
    if rest > 0:
        lines.append(f"{rest} more findings in this group.")
    lines.extend(_kept_back(notification))
    return "\n".join(lines)


def _kept_back(notification: Notification) -> Sequence[str]:
    lines = []
    if notification.suppressed:
        lines.append(
            f"{notification.suppressed} findings were not sent before, because of the hourly limit of this channel."
        )
    if notification.failed:
        lines.append(f"{notification.failed} findings could not be delivered before.")
    return lines


def payload_of(notification: Notification) -> dict[str, Any]:
    """The JSON of a webhook; text is as observed (valid Unicode), a receiver must treat it as hostile."""
    return {
        "schema": "phalanx/notification/1",
        "id": notification.id,
        "test": notification.test,
        "title": title_of(notification),
        "findings": [
            {
                "id": notice.finding,
                "kind": notice.kind,
                "title": notice.title,
                "severity": notice.severity.value,
                "score": notice.score,
                "asset": notice.asset,
                "what": notice.what,
                "rule": notice.rule,
                "techniques": list(notice.techniques),
                "story": notice.story,
                "advice": notice.advice,
                "time_ns": notice.ts_ns,
                "url": f"{notification.base_url.rstrip('/')}/findings/{notice.finding}"
                if notification.base_url
                else "",
            }
            for notice in notification.notices
        ],
        "more": notification.more,
        "suppressed": notification.suppressed,
        "failed": notification.failed,
    }
