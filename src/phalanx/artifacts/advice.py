"""What to do first: the upgrades that remove the most, and the layers that brought it."""

from __future__ import annotations

from msgspec import Struct

from phalanx.advisories.ecosystems import scheme_of
from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import Vulnerability
from phalanx.text.versions import key

__all__ = ["LayerShare", "Upgrade", "blame", "upgrades"]


class Upgrade(Struct, frozen=True, kw_only=True):
    """One upgrade of one component."""

    name: str
    version: str
    to: str
    """The lowest version that is named as a fix and has none of the flaws that have a fix."""
    purl: str
    removes: int
    act: int
    """How many of them call for action."""
    remains: int
    """Flaws of the component without a published fix."""
    places: tuple[str, ...]
    """Files that have to change."""


class LayerShare(Struct, frozen=True, kw_only=True):
    """What one layer of an image brought."""

    digest: str
    created_by: str
    components: int
    vulnerabilities: int
    act: int


def upgrades(report: Report) -> tuple[Upgrade, ...]:
    """One upgrade for each component that has a fix; what removes most to act on first, then what removes most.

    Binary packages of one source package are one upgrade: they are built and shipped together.
    """
    groups: dict[tuple[str, str, str], list[Vulnerability]] = {}
    for one in report.counting:
        component = one.component
        groups.setdefault((component.type, component.source_name or component.full_name, component.version), []).append(
            one
        )
    made = []
    for (_, name, version), found in groups.items():
        fixable = [one for one in found if one.fixed]
        if not fixable:
            continue
        scheme = scheme_of(fixable[0].component.ecosystem)
        made.append(
            Upgrade(
                name=name,
                version=version,
                to=max((one.fixed for one in fixable), key=lambda fixed: key(scheme, fixed)),
                purl=fixable[0].component.purl,
                removes=len({one.id for one in fixable}),
                act=len({one.id for one in fixable if one.decision == "act"}),
                remains=len({one.id for one in found if not one.fixed}),
                places=tuple(dict.fromkeys(place.path for one in fixable for place in one.component.locations))[:20],
            )
        )
    return tuple(sorted(made, key=lambda one: (-one.act, -one.removes, one.name)))


def blame(report: Report) -> tuple[LayerShare, ...]:
    """The layers of an image, lowest first, with what each brought; empty for anything but an image."""
    shares = []
    for layer in report.inventory.layers:
        components = [
            one for one in report.inventory.components if one.locations and one.locations[0].layer == layer.digest
        ]
        found = [
            one
            for one in report.counting
            if one.component.locations and one.component.locations[0].layer == layer.digest
        ]
        shares.append(
            LayerShare(
                digest=layer.digest,
                created_by=layer.created_by,
                components=len(components),
                vulnerabilities=len(found),
                act=sum(one.decision == "act" for one in found),
            )
        )
    return tuple(shares)
