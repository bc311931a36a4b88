"""Ranking: likelihood times impact, with every term that made them.

Both factors are *noisy-or* over their terms: ``1 - Π(1 - weight)``. So each term can only raise, many weak terms approach a strong one but never
pass 1, and the order of terms does not matter. A term's weight is the answer to one question: "if this alone were true, how likely (how bad)
would it be?" The weights are judgements, stated here in one table, shown with each finding, and tested for their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from phalanx.model.container import Container
from phalanx.model.finding import Reason, Risk
from phalanx.model.process import Process
from phalanx.model.severity import Severity

__all__ = ["TERMS", "combine", "rank_threat", "term"]

TERMS: Final[dict[str, tuple[str, float, str]]] = {
    # likelihood: is it a real attack?
    "rule_critical": ("likelihood", 0.90, "A rule of severity critical matched what was really done"),
    "rule_high": ("likelihood", 0.75, "A rule of severity high matched what was really done"),
    "rule_medium": ("likelihood", 0.50, "A rule of severity medium matched what was really done"),
    "rule_low": ("likelihood", 0.30, "A rule of severity low matched what was really done"),
    "rule_info": ("likelihood", 0.10, "A rule of severity info matched what was really done"),
    "fileless": ("likelihood", 0.50, "The program ran from memory, without a file"),
    "drift": ("likelihood", 0.40, "The program is not part of the container's image"),
    "temporary": ("likelihood", 0.25, "The program lies in a directory for temporary files"),
    "network_parent": ("likelihood", 0.25, "A program that serves the network started it"),
    "other_rules": ("likelihood", 0.35, "Other rules matched in the same workload within ten minutes"),
    "terminal": ("likelihood", 0.10, "It was typed at a terminal"),
    # impact: how bad is it if true?
    "severity_critical": ("impact", 0.80, "Severity critical: the attacker would control the machine or its data"),
    "severity_high": ("impact", 0.60, "Severity high"),
    "severity_medium": ("impact", 0.40, "Severity medium"),
    "severity_low": ("impact", 0.20, "Severity low"),
    "severity_info": ("impact", 0.05, "Severity info"),
    "privileged": ("impact", 0.50, "The container is privileged: its root is the host's root"),
    "on_host": ("impact", 0.30, "It happened on the host, outside of containers"),
    "root": ("impact", 0.25, "It ran as root"),
    "capabilities": ("impact", 0.25, "It holds capabilities that reach the host"),
    "criticality": ("impact", 0.40, "The asset is critical to the business"),
}
"""Term → (factor, weight, sentence)."""

_HOST_CAPABILITIES: Final = (
    (1 << 16)  # CAP_SYS_MODULE
    | (1 << 17)  # CAP_SYS_RAWIO
    | (1 << 19)  # CAP_SYS_PTRACE
    | (1 << 21)  # CAP_SYS_ADMIN
    | (1 << 39)  # CAP_BPF
)
_SERVERS: Final = frozenset(
    {
        "nginx",
        "apache2",
        "httpd",
        "java",
        "node",
        "php-fpm",
        "gunicorn",
        "uvicorn",
        "postgres",
        "mysqld",
        "redis-server",
        "mongod",
        "tomcat",
        "caddy",
    }
)
_TEMPORARY: Final = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/")  # noqa: S108 — names, not files we write


def term(name: str, *, source: str = "", weight: float | None = None) -> Reason:
    """The reason for term ``name`` of :data:`TERMS`; KeyError for another."""
    factor, standard, text = TERMS[name]
    return Reason(term=name, text=text, factor=factor, weight=standard if weight is None else weight, source=source)


def combine(reasons: Iterable[Reason]) -> Risk:
    """Score of ``reasons``; a term that stands twice counts once, with its larger weight."""
    strongest: dict[str, Reason] = {}
    for reason in reasons:
        known = strongest.get(reason.term)
        if known is None or reason.weight > known.weight:
            strongest[reason.term] = reason
    missed = {"likelihood": 1.0, "impact": 1.0}
    for reason in strongest.values():
        missed[reason.factor] *= 1.0 - min(max(reason.weight, 0.0), 1.0)
    likelihood, impact = 1.0 - missed["likelihood"], 1.0 - missed["impact"]
    ordered = sorted(strongest.values(), key=lambda reason: (-reason.weight, reason.factor, reason.term))
    return Risk(
        score=round(100 * likelihood * impact),
        likelihood=round(likelihood, 4),
        impact=round(impact, 4),
        reasons=tuple(ordered),
    )


def rank_threat(
    severity: Severity,
    process: Process | None,
    lineage: tuple[Process, ...],
    container: Container | None,
    *,
    rule: str,
    other_rules: int = 0,
    criticality: int = 1,
) -> Risk:
    """Risk of a threat: what the rule says, what the process was, where it ran.

    Args:
        severity: of the rule.
        process: who acted; None when not known.
        lineage: the process and its ancestors, nearest first.
        container: as known; None on the host or when no runtime has told.
        rule: its id, named as the source of the terms it gives.
        other_rules: how many other rules matched in the same workload within ten minutes.
        criticality: of the asset, 0 to 3.
    """
    reasons = [term(f"rule_{severity}", source=rule), term(f"severity_{severity}", source=rule)]
    if other_rules > 0:
        reasons.append(term("other_rules", source="findings", weight=min(0.35 + 0.1 * (other_rules - 1), 0.75)))
    if criticality >= 2:
        reasons.append(term("criticality", source="asset", weight=0.4 if criticality == 2 else 0.6))
    if container is not None and container.privileged:
        reasons.append(term("privileged", source="container runtime"))
    if process is not None:
        reasons.extend(_of_process(process, lineage))
    return combine(reasons)


def _of_process(process: Process, lineage: tuple[Process, ...]) -> Iterable[Reason]:
    if process.exe_memfd:
        yield term("fileless", source="kernel")
    if process.exe_upper and process.container_id != "host":
        yield term("drift", source="kernel")
    if (process.exepath or "").startswith(_TEMPORARY):
        yield term("temporary", source="kernel")
    if any(ancestor.name in _SERVERS for ancestor in lineage[1:]):
        yield term("network_parent", source="kernel")
    if process.tty:
        yield term("terminal", source="kernel")
    if process.container_id == "host":
        yield term("on_host", source="kernel")
    elif process.cap_effective & _HOST_CAPABILITIES:
        yield term("capabilities", source="kernel")
    if process.uid == 0:
        yield term("root", source="kernel")
