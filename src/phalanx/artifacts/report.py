"""The result of one scan: the inventory, its vulnerabilities, and by which knowledge it was judged."""

from __future__ import annotations

from msgspec import Struct

from phalanx.artifacts.model import Inventory
from phalanx.artifacts.vulnerabilities import Vulnerability

__all__ = ["Report", "Stale"]


class Stale(Struct, frozen=True, kw_only=True):
    """An ignore rule that did nothing, or whose time is over."""

    rule: str
    reason: str
    """``expired on 2026-01-01`` or ``matches nothing``."""


class Report(Struct, frozen=True, kw_only=True):
    """One scan."""

    inventory: Inventory
    vulnerabilities: tuple[Vulnerability, ...] = ()
    """Worst decision first; suppressed ones are kept and marked."""
    created: str
    """RFC 3339, UTC."""
    phalanx: str
    """Version of phalanx."""
    database: str = ""
    """When the advisories were compiled, RFC 3339; empty when none were asked."""
    attributions: tuple[str, ...] = ()
    """What the licences of the advisories ask to be shown."""
    stale: tuple[Stale, ...] = ()
    new_only: bool = False
    """Only what a baseline did not hold counts."""

    @property
    def counting(self) -> tuple[Vulnerability, ...]:
        """The vulnerabilities that are not suppressed."""
        return tuple(one for one in self.vulnerabilities if not one.suppressed)
