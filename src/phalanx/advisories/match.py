"""Matching: which advisories speak of one component in one version, and by which comparison."""

from __future__ import annotations

from msgspec import Struct

from phalanx.advisories.compiler import STATES
from phalanx.advisories.database import Database
from phalanx.advisories.ecosystems import scheme_of
from phalanx.advisories.model import Advisory, FixState
from phalanx.model.severity import Severity
from phalanx.text.versions import key

__all__ = ["Hit", "match"]

_SEVERITIES = tuple(Severity)


class Hit(Struct, frozen=True, kw_only=True):
    """One advisory that covers the version."""

    flaws: tuple[str, ...]
    """Ids of the flaws: CVEs where there are any."""
    advisory: Advisory
    ecosystem: str
    """Ecosystem whose feed said so."""
    name: str
    """Package as the feed names it."""
    introduced: str
    """Start of the matching range; empty: since ever. Empty too when the version was listed."""
    fixed: str
    """First version without the flaw on this line; empty when there is none."""
    last_affected: str
    listed: bool
    """True: the version is named one by one, no range was needed."""
    state: FixState
    severity: Severity | None
    """As rated for this package; None when only the advisory as a whole is rated."""
    symbols: tuple[str, ...]

    @property
    def comparison(self) -> str:
        """The comparison in words: ``2.0 <= version < 2.15.0``."""
        if self.listed:
            return "version is listed"
        low = f"{self.introduced} <= " if self.introduced else ""
        if self.fixed:
            return f"{low}version < {self.fixed}"
        if self.last_affected:
            return f"{low}version <= {self.last_affected}"
        return f"{low}version" if low else "every version"


def match(database: Database, ecosystem: str, name: str, version: str) -> list[Hit]:
    """The advisories that cover ``version``; explicit versions count before ranges, "not affected" never counts."""
    hits: list[Hit] = []
    entries = database.entries(ecosystem, name)
    if not entries or not version:
        return hits
    mine = key(scheme_of(ecosystem), version)
    for number, state_number, severity, ranges, listed, symbols in entries:
        state = STATES[state_number]
        if state is FixState.NOT_AFFECTED:
            continue
        by_list = mine in listed
        found: tuple[bytes, bytes, bool, str, str] | None = None
        if not by_list:
            for one in ranges:
                low, high, closed = one[0], one[1], one[2]
                if mine >= low and (not high or mine < high or (closed and mine == high)):
                    found = one
                    break
            if found is None:
                continue
        flaws, advisory = database.advisory(number)
        introduced, end, closed = (
            (found[3], found[4], found[2]) if found is not None else ("", _next_fix(mine, ranges), False)
        )
        hits.append(
            Hit(
                flaws=flaws,
                advisory=advisory,
                ecosystem=ecosystem,
                name=name,
                introduced=introduced,
                fixed="" if closed else end,
                last_affected=end if closed else "",
                listed=by_list,
                state=state,
                severity=None if severity < 0 else _SEVERITIES[severity],
                symbols=tuple(symbols),
            )
        )
    return hits


def _next_fix(mine: bytes, ranges: list[tuple[bytes, bytes, bool, str, str]]) -> str:
    """The nearest fix after a listed version; empty when there is none."""
    later = sorted((high, end) for _, high, closed, _, end in ranges if high and not closed and high > mine)
    return later[0][1] if later else ""
