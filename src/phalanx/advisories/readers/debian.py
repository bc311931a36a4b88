"""Debian's security tracker as JSON: package → CVE → release → status; the one source that tells what is *not* fixed, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.advisories.model import Advisory, Affected, FixState, Range
from phalanx.advisories.readers.osv import SEVERITY_WORDS
from phalanx.advisories.readers.tally import Tally, as_dict, text

__all__ = ["DEBIAN_RELEASES", "read_debian_tracker"]

DEBIAN_RELEASES: Final = {
    "forky": "14",
    "trixie": "13",
    "bookworm": "12",
    "bullseye": "11",
    "buster": "10",
    "stretch": "9",
    "jessie": "8",
}


def read_debian_tracker(raw: bytes, tally: Tally) -> Iterator[Advisory]:
    """One advisory for each package and CVE; a release that is undetermined or not affected gives no range."""
    tracker = as_dict(msgspec.json.decode(raw))
    for package, flaws in tracker.items():
        for flaw, item in as_dict(flaws).items():
            affected = [
                one
                for name, release in as_dict(as_dict(item).get("releases")).items()
                if (one := _affected(package, name, as_dict(release)))
            ]
            tally.read()
            if affected:
                summary = " ".join(text(as_dict(item).get("description"), 600).split())[:300]
                yield Advisory(id=flaw, source="debian", summary=summary, affected=tuple(affected))


def _affected(package: str, release: str, item: dict[str, Any]) -> Affected | None:
    number, status = DEBIAN_RELEASES.get(release), item.get("status")
    if number is None:
        return None
    urgency = text(item.get("urgency"), 40).strip("*")
    severity = SEVERITY_WORDS.get(urgency)
    fixed = text(item.get("fixed_version"), 200)
    if status == "resolved":
        if not fixed or fixed == "0":
            return None
        return Affected(
            ecosystem=f"Debian:{number}",
            name=package,
            ranges=(Range(fixed=fixed),),
            state=FixState.FIXED,
            severity=severity,
        )
    if status != "open":
        return None
    reason = text(item.get("nodsa_reason"), 40)
    state = FixState.UNFIXED
    if urgency == "end-of-life":
        state = FixState.END_OF_LIFE
    elif reason == "ignored":
        state = FixState.WONT_FIX
    elif reason == "postponed" or "nodsa" in item:
        state = FixState.DEFERRED
    return Affected(ecosystem=f"Debian:{number}", name=package, ranges=(Range(),), state=state, severity=severity)
