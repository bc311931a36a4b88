"""A scan as JSON: the report as it is inside, with package URLs written out. The stable format for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from phalanx.artifacts.advice import blame, upgrades
from phalanx.artifacts.model import Component
from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import Vulnerability

__all__ = ["REPORT_SCHEMA", "render_json", "report_dict"]

REPORT_SCHEMA = 1
"""Version of the layout; fields are added freely, a change of meaning makes it grow."""


def report_dict(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    inventory = report.inventory
    return {
        "schema": REPORT_SCHEMA,
        "created": report.created,
        "phalanx": report.phalanx,
        "database": report.database or None,
        "attributions": list(report.attributions),
        "target": inventory.target,
        "kind": inventory.kind,
        "digest": inventory.digest or None,
        "os": msgspec.to_builtins(inventory.os) if inventory.os else None,
        "files": inventory.files,
        "layers": msgspec.to_builtins(inventory.layers),
        "components": [_component(one) for one in inventory.components],
        "vulnerabilities": [_vulnerability(one) for one in report.vulnerabilities],
        "upgrades": msgspec.to_builtins(upgrades(report)),
        "blame": msgspec.to_builtins(blame(report)),
        "issues": msgspec.to_builtins(inventory.issues),
        "skipped": msgspec.to_builtins(inventory.skipped),
        "stale_ignores": msgspec.to_builtins(report.stale),
    }


def _component(one: Component) -> dict[str, Any]:
    made: dict[str, Any] = {"purl": one.purl, **msgspec.to_builtins(one)}
    made["name"] = one.full_name
    made["locations"] = [
        {"path": place.path, **({"layer": place.layer} if place.layer else {})} for place in one.locations
    ]
    return made


def _vulnerability(one: Vulnerability) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(one)
    made["component"] = {
        "purl": one.component.purl,
        "name": one.component.full_name,
        "version": one.component.version,
        "ecosystem": one.component.ecosystem,
        "locations": [
            {"path": place.path, **({"layer": place.layer} if place.layer else {})} for place in one.component.locations
        ],
    }
    return made


def render_json(report: Report) -> str:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report_dict(report)), indent=2).decode() + "\n"
