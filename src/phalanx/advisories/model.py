"""The normal form of an advisory: what is affected, where it is said, how bad it is called."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from phalanx.model.severity import Severity

__all__ = ["Advisory", "Affected", "Exploit", "Feed", "FixState", "Range", "Signal"]


class FixState(StrEnum):
    """What the publisher says about a fix; the words of CSAF, Debian and Red Hat mapped onto one set."""

    FIXED = "fixed"
    UNFIXED = "unfixed"
    WONT_FIX = "wont_fix"
    DEFERRED = "deferred"
    END_OF_LIFE = "end_of_life"
    INVESTIGATING = "investigating"
    NOT_AFFECTED = "not_affected"
    UNKNOWN = "unknown"


class Range(Struct, frozen=True, kw_only=True, array_like=True):
    """Versions from ``introduced`` up to ``fixed`` (excluded) or ``last_affected`` (included)."""

    introduced: str = ""
    """First affected version; empty for "since ever", which also covers pre-releases of 0."""
    fixed: str = ""
    """First version that is not affected any more; empty when there is none."""
    last_affected: str = ""
    """Last affected version; used when ``fixed`` is empty."""


class Affected(Struct, frozen=True, kw_only=True, array_like=True):
    """One package of one ecosystem that an advisory is about."""

    ecosystem: str
    name: str
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    """Affected versions listed one by one; they count before the ranges."""
    state: FixState = FixState.UNKNOWN
    """What the publisher says of a fix for this package."""
    severity: Severity | None = None
    """When the publisher rates this package apart (Debian's urgency, Red Hat's impact)."""
    symbols: tuple[str, ...] = ()
    """Functions that hold the flaw, ``package.Symbol``; empty when it is not said."""


class Advisory(Struct, frozen=True, kw_only=True, array_like=True):
    """One statement of one publisher."""

    id: str
    """The publisher's own id: ``CVE-…``, ``GHSA-…``, ``DSA-…``, ``MAL-…``."""
    source: str
    """The feed it came from: ``osv:PyPI``, ``debian``, ``redhat-csaf`` …"""
    aliases: tuple[str, ...] = ()
    """Other names of the same flaw."""
    upstream: tuple[str, ...] = ()
    """Flaws that this advisory answers (a DSA lists several CVEs); not other names of one flaw."""
    summary: str = ""
    """One line; at most 300 characters."""
    title_zh: str = ""
    """Chinese title, from CNVD or CNNVD."""
    severity: Severity | None = None
    vectors: tuple[str, ...] = ()
    """CVSS vectors as published, version 2, 3 or 4."""
    cwes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """Addresses, the most telling first; at most 8."""
    published: str = ""
    """RFC 3339; empty when not said."""
    modified: str = ""
    withdrawn: bool = False
    affected: tuple[Affected, ...] = ()


class Exploit(Struct, frozen=True, kw_only=True, array_like=True):
    """A public exploit that is named after the flaw."""

    source: str
    """``exploit-db``, ``github``, ``metasploit``, ``nuclei``."""
    reference: str
    """Id or address there."""


class Signal(Struct, frozen=True, kw_only=True, array_like=True, omit_defaults=True):
    """What is known about one flaw beyond its advisories: exploitation, decisions, scores. Merged over all its sources."""

    id: str
    """The CVE."""
    kev: str = ""
    """Date of its entry in CISA's catalogue of known exploited vulnerabilities; empty when it is not there."""
    kev_due: str = ""
    ransomware: bool = False
    """Known to be used by ransomware (KEV)."""
    ssvc: str = ""
    """Exploitation by CISA's vulnrichment: ``none``, ``poc``, ``active``; empty when not judged."""
    automatable: bool | None = None
    technical_impact: str = ""
    """``partial`` or ``total``; empty when not judged."""
    epss: float | None = None
    """Probability of exploitation in the next 30 days, 0 to 1; None without EPSS data."""
    epss_percentile: float | None = None
    exploits: tuple[Exploit, ...] = ()
    """At most 5."""
    vectors: tuple[str, ...] = ()
    cwes: tuple[str, ...] = ()
    cpes: tuple[str, ...] = ()
    title: str = ""
    title_zh: str = ""
    aliases: tuple[str, ...] = ()
    """CNVD and CNNVD ids."""


class Feed(Struct, frozen=True, kw_only=True):
    """One source as it was read: provenance, licence, counts."""

    name: str
    title: str
    licence: str
    """SPDX expression, or a sentence where there is none."""
    attribution: str = ""
    """What must be shown beside results; empty when nothing must."""
    redistributable: bool = True
    """False: every user syncs it; it is never part of a mirror that phalanx makes."""
    records: int = 0
    skipped: int = 0
    """Records that could not be read; the reasons are counted in ``reasons``."""
    reasons: dict[str, int] = {}
    newest: str = ""
    """Latest date of a record, RFC 3339; empty when records carry none."""
    digest: str = ""
    """SHA-256 of the input, hexadecimal."""
