"""Components against advisories: each flaw of each component once, with every source that says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from phalanx.advisories.database import Database
from phalanx.advisories.ecosystems import scheme_of
from phalanx.advisories.match import Hit, match
from phalanx.advisories.model import FixState, Signal
from phalanx.advisories.rank import Decision, decide, rate
from phalanx.artifacts.model import Component
from phalanx.model.severity import Severity
from phalanx.text.versions import key

__all__ = ["SourceStatement", "Vulnerability", "queries", "vulnerabilities"]


class SourceStatement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one advisory says."""

    id: str
    source: str
    """Feed."""
    comparison: str
    """``2.13.0 <= version < 2.15.0``."""
    fixed: str = ""
    severity: Severity | None = None


class Vulnerability(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One flaw of one component."""

    id: str
    """CVE where there is one, else the advisory's own id."""
    component: Component
    aliases: tuple[str, ...] = ()
    title: str = ""
    title_zh: str = ""
    severity: Severity | None = None
    """None: nobody rated it."""
    score: float | None = None
    vector: str = ""
    cwes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    published: str = ""
    fixed: str = ""
    """Nearest version without it; empty when there is none."""
    state: FixState = FixState.UNKNOWN
    sources: tuple[SourceStatement, ...] = ()
    """Every advisory that says so; they may disagree."""
    confidence: float = 1.0
    """That of the component's identity."""
    kev: str = ""
    epss: float | None = None
    exploited: bool = False
    """Exploitation is known (KEV or SSVC active)."""
    exploits: int = 0
    """Public exploits that are named after it."""
    decision: Decision = "track"
    rank: int = 0
    reasons: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    """Functions that hold the flaw, where an advisory names them; at most 20."""
    suppressed: str = ""
    """Why it does not count: an ignore rule's or VEX statement's reason; empty when it counts."""


def queries(component: Component) -> Iterator[tuple[str, str, str]]:
    """(ecosystem, name, version) under which advisories may know ``component``."""
    if not component.ecosystem or component.owner:
        return  # what a distribution owns is matched by the distribution's package alone: its backports win
    if component.type == "deb" or component.type == "apk":
        yield (
            component.ecosystem,
            component.source_name or component.name,
            component.source_version or component.version,
        )
    elif component.type == "rpm":
        yield component.ecosystem, component.name, component.version
    else:
        yield component.ecosystem, component.full_name, component.version


def vulnerabilities(components: Iterable[Component], database: Database) -> list[Vulnerability]:
    """The flaws of ``components``: worst decision first, then by rank, component and id.

    Args:
        components: of an inventory.
        database: the compiled advisories.
    """
    found: list[Vulnerability] = []
    for component in components:
        by_flaw: dict[str, list[Hit]] = {}
        for ecosystem, name, version in queries(component):
            for hit in match(database, ecosystem, name, version):
                for flaw in hit.flaws:
                    by_flaw.setdefault(flaw, []).append(hit)
        for flaw, hits in by_flaw.items():
            found.append(_vulnerability(flaw, component, hits, database.signal(flaw)))
    order = {"act": 0, "attend": 1, "track": 2}
    found.sort(key=lambda one: (order[one.decision], -one.rank, one.component.type, one.component.full_name, one.id))
    return found


def _vulnerability(flaw: str, component: Component, hits: list[Hit], signal: Signal | None) -> Vulnerability:
    vectors = [vector for hit in hits for vector in hit.advisory.vectors] + list(signal.vectors if signal else ())
    severity, score, vector = rate(vectors, [word for hit in hits for word in (hit.severity, hit.advisory.severity)])
    fixes = [hit.fixed for hit in hits if hit.fixed]
    scheme = scheme_of(component.ecosystem)
    # Sources may name different fixes; the highest satisfies all of them.
    fixed = max(fixes, key=lambda version: key(scheme, version)) if fixes else ""
    names = [name for hit in hits for name in (hit.advisory.id, *hit.advisory.aliases)] + list(
        signal.aliases if signal else ()
    )
    ranking = decide(severity, signal, fixable=bool(fixed))
    title = next((hit.advisory.summary for hit in hits if hit.advisory.summary), "") or (signal.title if signal else "")
    return Vulnerability(
        id=flaw,
        component=component,
        aliases=tuple(dict.fromkeys(name for name in names if name != flaw))[:20],
        title=title,
        title_zh=next((hit.advisory.title_zh for hit in hits if hit.advisory.title_zh), "")
        or (signal.title_zh if signal else ""),
        severity=severity,
        score=score,
        vector=vector,
        cwes=tuple(dict.fromkeys(cwe for hit in hits for cwe in hit.advisory.cwes)) or (signal.cwes if signal else ()),
        references=tuple(dict.fromkeys(address for hit in hits for address in hit.advisory.references))[:8],
        published=min((hit.advisory.published for hit in hits if hit.advisory.published > "0002"), default=""),
        fixed=fixed,
        state=FixState.FIXED if fixed else hits[0].state,
        sources=tuple(
            SourceStatement(
                id=hit.advisory.id,
                source=hit.advisory.source,
                comparison=hit.comparison,
                fixed=hit.fixed,
                severity=hit.severity or hit.advisory.severity,
            )
            for hit in hits
        ),
        confidence=component.confidence,
        kev=signal.kev if signal else "",
        epss=signal.epss if signal else None,
        exploited=bool(signal and (signal.kev or signal.ssvc == "active")),
        exploits=len(signal.exploits) if signal else 0,
        decision=ranking.decision,
        rank=ranking.score,
        reasons=ranking.reasons,
        symbols=tuple(dict.fromkeys(symbol for hit in hits for symbol in hit.symbols))[:20],
    )
