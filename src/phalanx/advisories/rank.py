"""Act, attend or track: one decision a flaw, with the reasons that made it, strongest first.

The words are those of CISA's SSVC. Exploitation counts in this order: in CISA's catalogue of exploited flaws, judged active by vulnrichment, a public
exploit named after the flaw, EPSS. A score alone never makes "act".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from phalanx.advisories.cvss import base_score, severity_of_score
from phalanx.advisories.model import Signal
from phalanx.model.severity import Severity

__all__ = ["Decision", "Ranking", "decide", "rate"]

Decision = Literal["act", "attend", "track"]
_EPSS_HIGH: Final = 0.5
_EPSS_RAISED: Final = 0.1


class Ranking(Struct, frozen=True, kw_only=True):
    """The decision and why."""

    decision: Decision
    score: int
    """0 to 100, to sort by: exploitation first, then severity."""
    reasons: tuple[str, ...]


def rate(vectors: Iterable[str], words: Iterable[Severity | None]) -> tuple[Severity | None, float | None, str]:
    """Severity, score and vector: the highest score of the newest CVSS version given; without a vector the worst word.

    Returns:
        severity, score, vector; None, None and empty when nothing rates the flaw.
    """
    best: tuple[int, float, str] | None = None
    for vector in vectors:
        score = base_score(vector)
        if score is not None:
            generation = 1 if vector.startswith(("CVSS:3", "CVSS:4")) else 0
            if best is None or (generation, score) > best[:2]:
                best = (generation, score, vector)
    if best is not None:
        return severity_of_score(best[1]), best[1], best[2]
    known = [word for word in words if word is not None]
    return (max(known, key=lambda word: word.rank), None, "") if known else (None, None, "")


def decide(
    severity: Severity | None,
    signal: Signal | None,
    *,
    fixable: bool,
    exposed: bool | None = None,
    in_use: bool | None = None,
) -> Ranking:
    """The decision for one flaw in one component.

    Args:
        severity: as rated; None counts as medium.
        signal: what is known of its exploitation; None when nothing is.
        fixable: there is a version without it.
        exposed: whether what holds it can be reached from outside; None when it is not known.
        in_use: whether it was seen loaded or executed; None when it is not known.
    """
    rank = (severity or Severity.MEDIUM).rank
    reasons: list[tuple[int, str]] = []
    likelihood = 0
    if signal is not None:
        if signal.kev:
            likelihood = 4
            reasons.append(
                (
                    40,
                    f"exploited: in CISA's catalogue since {signal.kev}"
                    + (", used by ransomware" if signal.ransomware else ""),
                )
            )
        if signal.ssvc == "active":
            likelihood = max(likelihood, 4)
            reasons.append((38, "exploited: CISA judges exploitation active"))
        if signal.exploits:
            likelihood = max(likelihood, 2)
            reasons.append((20, f"public exploit: {signal.exploits[0].source} {signal.exploits[0].reference}"))
        elif signal.ssvc == "poc":
            likelihood = max(likelihood, 2)
            reasons.append((15, "proof of concept: judged by CISA"))
        if signal.epss is not None and signal.epss >= _EPSS_RAISED:
            likelihood = max(likelihood, 3 if signal.epss >= _EPSS_HIGH else 1)
            reasons.append((25 if signal.epss >= _EPSS_HIGH else 10, f"EPSS: {signal.epss:.0%} in 30 days"))
        if signal.automatable:
            reasons.append((5, "automatable"))
    reasons.append((rank * 8, f"severity {severity}" if severity else "severity not rated"))
    if exposed:
        reasons.append((12, "reachable from outside"))
    if in_use:
        reasons.append((10, "loaded or executed"))
    reasons.append((4, "fix available") if fixable else (0, "no fix published"))
    decision: Decision = "track"
    if likelihood >= 4 and in_use is not False:
        decision = "act"
    elif likelihood >= 2 and rank >= Severity.HIGH.rank:
        decision = "act" if (exposed and in_use) or likelihood >= 3 else "attend"
    elif likelihood >= 2 or rank >= Severity.CRITICAL.rank or (rank >= Severity.HIGH.rank and exposed):
        decision = "attend"
    if exposed is False and decision == "attend" and likelihood < 3:
        decision = "track"
    reasons.sort(key=lambda item: -item[0])
    return Ranking(
        decision=decision,
        score=min(100, sum(weight for weight, _ in reasons)),
        reasons=tuple(text for _, text in reasons),
    )
