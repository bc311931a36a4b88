"""OpenVEX 0.2.0: what a scan found and what was judged, as statements that other tools read."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from phalanx.artifacts.report import Report

__all__ = ["render_openvex"]


def render_openvex(report: Report) -> str:
    """One statement for each flaw and component; what is suppressed by VEX or a person is ``not_affected`` with the reason."""
    statements: list[dict[str, Any]] = []
    for one in report.vulnerabilities:
        statement: dict[str, Any] = {
            "vulnerability": {"name": one.id, **({"aliases": list(one.aliases)} if one.aliases else {})},
            "products": [{"@id": one.component.purl, "identifiers": {"purl": one.component.purl}}],
            "status": "affected",
        }
        if one.suppressed and one.suppressed != "in the baseline":
            statement["status"] = "not_affected"
            statement["impact_statement"] = one.suppressed
        else:
            statement["action_statement"] = (
                f"Upgrade to {one.fixed}" if one.fixed else "No fix is published; restrict access or replace it"
            )
        statements.append(statement)
    digest = hashlib.sha256(f"{report.inventory.target}\0{report.created}".encode()).hexdigest()[:32]
    made = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": f"https://openvex.dev/docs/public/vex-{digest}",
        "author": "phalanx",
        "timestamp": report.created,
        "version": 1,
        "tooling": f"phalanx {report.phalanx}",
        "statements": statements,
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
