"""A scan as SARIF 2.1.0 (OASIS), as GitHub code scanning and editors read it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import Vulnerability
from phalanx.model.severity import Severity

__all__ = ["render_sarif"]

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}


def render_sarif(report: Report) -> str:
    """One run; each flaw and each rule is a rule, each occurrence a result with its place and a stable fingerprint."""
    rules: dict[str, dict[str, Any]] = {}
    results: list[dict[str, Any]] = []
    for one in report.vulnerabilities:
        severity = one.severity or Severity.MEDIUM
        rules.setdefault(
            one.id,
            {
                "id": one.id,
                "name": "VulnerableComponent",
                "shortDescription": {"text": (one.title or one.id)[:1000]},
                "helpUri": one.references[0]
                if one.references and one.references[0].startswith("http")
                else f"https://osv.dev/vulnerability/{one.id}",
                "help": {"text": _help(one)},
                "properties": {
                    "security-severity": f"{one.score:.1f}" if one.score is not None else _SCORES[severity],
                    "tags": ["vulnerability", str(severity), *one.cwes],
                },
            },
        )
        text = f"{one.component.full_name} {one.component.version} has {one.id}" + (
            f"; fixed in {one.fixed}" if one.fixed else "; no fix is published"
        )
        result = _result(
            one.id,
            _LEVELS[severity],
            text,
            [place.path for place in one.component.locations[:10]] or [report.inventory.target],
            0,
        )
        result["partialFingerprints"] = {"phalanx/v1": f"{one.id}|{one.component.type}|{one.component.full_name}"}
        result["properties"] = {"decision": one.decision, "purl": one.component.purl, "reasons": list(one.reasons)}
        if one.suppressed:
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": one.suppressed}]
        results.append(result)
    for issue in report.inventory.issues:
        rules.setdefault(
            issue.rule,
            {
                "id": issue.rule,
                "shortDescription": {"text": issue.title},
                "help": {"text": issue.advice or issue.title},
                "properties": {"security-severity": _SCORES[issue.severity], "tags": [issue.kind, str(issue.severity)]},
            },
        )
        result = _result(
            issue.rule, _LEVELS[issue.severity], f"{issue.title}: {issue.text}".rstrip(": "), [issue.path], issue.line
        )
        result["partialFingerprints"] = {"phalanx/v1": f"{issue.rule}|{issue.path}|{issue.digest or issue.text}"}
        results.append(result)
    order = {rule: place for place, rule in enumerate(rules)}
    for result in results:
        result["ruleIndex"] = order[result["ruleId"]]
    sarif = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "phalanx", "semanticVersion": report.phalanx, "rules": list(rules.values())}
                },
                "columnKind": "utf16CodeUnits",
                "results": results,
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": f"not looked at: {one.path}: {one.reason}"}}
                            for one in report.inventory.skipped
                        ],
                    }
                ],
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(sarif), indent=2).decode() + "\n"


def _help(one: Vulnerability) -> str:
    lines = [one.title or one.id, f"Decision: {one.decision}", *one.reasons]
    lines += [f"{source.id} ({source.source}): {source.comparison}" for source in one.sources]
    return "\n".join(lines)[:4000]


def _result(rule: str, level: str, text: str, paths: list[str], line: int) -> dict[str, Any]:
    locations = []
    for path in paths:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(path, safe="/!.-_~+@")}}
        physical["region"] = {"startLine": max(line, 1)}
        locations.append({"physicalLocation": physical, "message": {"text": path}})
    return {"ruleId": rule, "level": level, "message": {"text": text}, "locations": locations}
