"""CVSS base scores from vectors: versions 2.0, 3.0, 3.1 (FIRST's specifications, sections 3.2.1 and 7.1); 4.0 in ``cvss4``."""

from __future__ import annotations

import math
from typing import Final

from phalanx.model.severity import Severity

__all__ = ["base_score", "severity_of_score"]

_V3: Final = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_V3_PR: Final = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_V2: Final = {
    "AV": {"L": 0.395, "A": 0.646, "N": 1.0},
    "AC": {"H": 0.35, "M": 0.61, "L": 0.71},
    "Au": {"M": 0.45, "S": 0.56, "N": 0.704},
    "C": {"N": 0.0, "P": 0.275, "C": 0.66},
    "I": {"N": 0.0, "P": 0.275, "C": 0.66},
    "A": {"N": 0.0, "P": 0.275, "C": 0.66},
}


def _fields(vector: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in vector.strip("()").split("/"):
        key, colon, value = part.partition(":")
        if not colon or key in found:
            raise ValueError(f"CVSS: malformed vector {vector[:100]}")
        found[key] = value
    return found


def base_score(vector: str) -> float | None:
    """The base score of ``vector``, 0.0 to 10.0; None when it is not a CVSS vector or lacks a base metric."""
    try:
        if vector.startswith("CVSS:4."):
            from phalanx.advisories.cvss4 import score4

            return score4(_fields(vector))
        if vector.startswith("CVSS:3."):
            return _score3(_fields(vector), vector[7] == "1")
        return _score2(_fields(vector))
    except (KeyError, ValueError, IndexError):
        return None


def _round_up(value: float, exact: bool) -> float:
    """Smallest number with one decimal that is not less (3.1, appendix A avoids errors of binary fractions; 3.0 just rounds up)."""
    if not exact:
        return math.ceil(value * 10) / 10
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def _score3(fields: dict[str, str], exact: bool) -> float:
    metric = {name: table[fields[name]] for name, table in _V3.items()}
    changed = fields["S"]
    privileges = _V3_PR[changed][fields["PR"]]
    lost = 1 - (1 - metric["C"]) * (1 - metric["I"]) * (1 - metric["A"])
    impact = 6.42 * lost if changed == "U" else 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * metric["AV"] * metric["AC"] * privileges * metric["UI"]
    return _round_up(min((impact + exploitability) * (1.0 if changed == "U" else 1.08), 10), exact)


def _score2(fields: dict[str, str]) -> float:
    metric = {name: table[fields[name]] for name, table in _V2.items()}
    impact = 10.41 * (1 - (1 - metric["C"]) * (1 - metric["I"]) * (1 - metric["A"]))
    exploitability = 20 * metric["AV"] * metric["AC"] * metric["Au"]
    return round((0.6 * impact + 0.4 * exploitability - 1.5) * (0.0 if impact == 0 else 1.176) + 1e-9, 1)


def severity_of_score(score: float) -> Severity:
    """The word for a score (CVSS 3 and 4 use the same bands; 0.0 is info)."""
    if score >= 9.0:
        return Severity.CRITICAL
    if score >= 7.0:
        return Severity.HIGH
    if score >= 4.0:
        return Severity.MEDIUM
    return Severity.LOW if score > 0 else Severity.INFO
