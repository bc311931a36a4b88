"""Severity: five words, one order, and where each neighbour's words fall in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["FALCO_PRIORITIES", "OCSF_SEVERITY_ID", "Severity", "severity_of_priority"]


class Severity(StrEnum):
    """How bad it is if true; the words of the console, of OCSF and of CVSS."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (info) to 4 (critical), for sorting and thresholds."""
        return _RANK[self]


_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}

FALCO_PRIORITIES: Final = (
    "EMERGENCY",
    "ALERT",
    "CRITICAL",
    "ERROR",
    "WARNING",
    "NOTICE",
    "INFORMATIONAL",
    "DEBUG",
)
"""Falco's priorities, most urgent first (its rule reference; they are those of syslog, RFC 5424 section 6.2.1)."""

_OF_PRIORITY: Final = {
    "EMERGENCY": Severity.CRITICAL,
    "ALERT": Severity.CRITICAL,
    "CRITICAL": Severity.CRITICAL,
    "ERROR": Severity.HIGH,
    "WARNING": Severity.MEDIUM,
    "NOTICE": Severity.LOW,
    "INFORMATIONAL": Severity.INFO,
    "INFO": Severity.INFO,
    "DEBUG": Severity.INFO,
}

OCSF_SEVERITY_ID: Final = {
    Severity.INFO: 1,
    Severity.LOW: 2,
    Severity.MEDIUM: 3,
    Severity.HIGH: 4,
    Severity.CRITICAL: 5,
}
"""``severity_id`` of OCSF 1.8."""


def severity_of_priority(priority: str) -> Severity:
    """The severity of a Falco priority; the spelling of ``priority`` is free in case. KeyError for another word."""
    return _OF_PRIORITY[priority.upper()]
