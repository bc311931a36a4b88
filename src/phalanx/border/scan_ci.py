"""A scan for CI systems and people: JUnit XML, GitLab's container and dependency scanning report, Markdown, HTML. All text is escaped."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from html import escape
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import msgspec

from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import Vulnerability
from phalanx.text.hostile import show

__all__ = ["render_gitlab", "render_html", "render_junit", "render_markdown"]

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", show(text, 500)))


def _body(text: str) -> str:
    """Text between tags; line breaks stay, everything else unsafe becomes visible."""
    return escape("\n".join(show(line, 1000) for line in text[:20_000].split("\n")))


def render_junit(report: Report) -> str:
    """Each component is a test case; each of its vulnerabilities a failure, a suppressed one is skipped."""
    by_component: dict[str, list[Vulnerability]] = {}
    for one in report.vulnerabilities:
        by_component.setdefault(one.component.purl, []).append(one)
    cases: list[str] = []
    failures = 0
    for purl, found in by_component.items():
        counting = [one for one in found if not one.suppressed]
        failures += bool(counting)
        inner = ""
        for one in counting[:1]:
            message = f"{one.id} {one.severity or 'unrated'}: {one.title}"
            inner = f"<failure type={_attribute(one.decision)} message={_attribute(message)}>{_body('; '.join(one.reasons))}</failure>"
        rest = "\n".join(f"{one.id} {one.severity or 'unrated'} fixed in {one.fixed or '-'}" for one in counting)
        inner += f"<system-out>{_body(rest)}</system-out>" if counting else '<skipped message="suppressed"/>'
        cases.append(
            f"<testcase classname={_attribute(report.inventory.target)} name={_attribute(purl)}>{inner}</testcase>"
        )
    for issue in report.inventory.issues:
        failures += 1
        name = f"{issue.rule} {issue.path}" + (f":{issue.line}" if issue.line else "")
        cases.append(
            f"<testcase classname={_attribute(issue.kind)} name={_attribute(name)}><failure type={_attribute(str(issue.severity))} "
            f"message={_attribute(issue.title)}>{_body(issue.text)}</failure></testcase>"
        )
    body = "\n".join(cases)
    suite = f'<testsuite name="phalanx scan" tests="{len(cases)}" failures="{failures}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{suite}\n{body}\n</testsuite>\n</testsuites>\n'


def render_gitlab(report: Report) -> str:
    """GitLab's security report, schema 15: container scanning for images, dependency scanning for everything else."""
    kind = "container_scanning" if report.inventory.kind == "image" else "dependency_scanning"
    words = {"critical": "Critical", "high": "High", "medium": "Medium", "low": "Low", "info": "Info"}
    tool = {"id": "phalanx", "name": "phalanx", "version": report.phalanx, "vendor": {"name": "phalanx"}}
    found: list[dict[str, Any]] = []
    for one in report.counting:
        package = {"package": {"name": one.component.full_name}, "version": one.component.version}
        place: dict[str, Any] = {"dependency": package}
        if kind == "container_scanning":
            place |= {
                "operating_system": report.inventory.os.name if report.inventory.os else "unknown",
                "image": report.inventory.target,
            }
        else:
            place["file"] = one.component.locations[0].path if one.component.locations else report.inventory.target
        identifiers = [{"type": "cve" if one.id.startswith("CVE-") else "other", "name": one.id, "value": one.id}]
        found.append(
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{one.id}|{one.component.purl}")),
                "name": (one.title or one.id)[:255],
                "description": "; ".join(one.reasons)[:1000],
                "severity": words.get(str(one.severity), "Unknown"),
                "solution": f"Upgrade {one.component.full_name} to {one.fixed}"
                if one.fixed
                else "No fix is published.",
                "identifiers": identifiers,
                "links": [
                    {"url": address} for address in one.references if address.startswith(("http://", "https://"))
                ],
                "location": place,
            }
        )
    stamp = report.created.removesuffix("Z")
    made = {
        "version": "15.0.7",
        "scan": {
            "analyzer": tool,
            "scanner": tool,
            "type": kind,
            "status": "success",
            "start_time": stamp,
            "end_time": stamp,
        },
        "vulnerabilities": found,
        "remediations": [],
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _cell(text: str, limit: int = 120) -> str:
    """Text for a Markdown table: no mark-up of its own, no line break, no cell border."""
    return re.sub(r"([\\`*_\[\]<>|#~!])", r"\\\1", show(text, limit))


def render_markdown(report: Report) -> str:
    """A summary and the findings as a table, as a comment on a merge request shows it."""
    counting = report.counting
    decisions = Counter(one.decision for one in counting)
    lines = [
        f"## Scan of {_cell(report.inventory.target)}",
        "",
        f"{len(report.inventory.components)} components, {len(counting)} vulnerabilities: **act {decisions['act']}**, attend {decisions['attend']}, track {decisions['track']}",  # noqa: E501
        "",
    ]
    if counting:
        lines += [
            "| Decision | Id | Component | Version | Fixed in | Severity | Why |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in counting[:500]:
            severity = f"{one.severity or 'unrated'}" + (f" {one.score:.1f}" if one.score is not None else "")
            cells = (
                one.decision,
                one.id,
                one.component.full_name,
                one.component.version,
                one.fixed or "-",
                severity,
                one.reasons[0] if one.reasons else "",
            )
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        if len(counting) > 500:
            lines.append(f"\nand {len(counting) - 500} more")
    if report.inventory.issues:
        lines += ["", "| Kind | Rule | Where | What | Severity |", "|---|---|---|---|---|"]
        for issue in report.inventory.issues[:500]:
            place = issue.path + (f":{issue.line}" if issue.line else "")
            lines.append(
                "| "
                + " | ".join(_cell(cell) for cell in (issue.kind, issue.rule, place, issue.title, str(issue.severity)))
                + " |"
            )
    return "\n".join(lines) + "\n"


_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1c2430;background:#fff}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #d8dee6;vertical-align:top;overflow-wrap:anywhere}"
    ".critical,.act{color:#a3121f;font-weight:600}.high{color:#b3440f}.medium,.attend{color:#7a5b00}.low,.info,.track{color:#46566b}"
    "@media(prefers-color-scheme:dark){body{color:#dbe3ee;background:#12161c}th,td{border-color:#2b3440}.critical,.act{color:#ff7a84}.high{color:#ff9d66}"
    ".medium,.attend{color:#e8c14d}.low,.info,.track{color:#9fb0c5}}"
)


def render_html(report: Report) -> str:
    """One page without scripts and without addresses that are loaded; everything that came from the artifact is escaped."""

    def cell(text: str, css: str = "") -> str:
        return f'<td class="{css}">{escape(show(text, 300))}</td>' if css else f"<td>{escape(show(text, 300))}</td>"

    rows = "".join(
        "<tr>"
        + cell(one.decision, one.decision)
        + cell(one.id)
        + cell(one.component.full_name)
        + cell(one.component.version)
        + cell(one.fixed or "-")
        + cell(
            f"{one.severity or 'unrated'}" + (f" {one.score:.1f}" if one.score is not None else ""),
            str(one.severity or ""),
        )
        + cell("; ".join(one.reasons))
        + cell(", ".join(place.path for place in one.component.locations[:3]))
        + "</tr>"
        for one in report.counting
    )
    issues = "".join(
        "<tr>"
        + cell(str(one.severity), str(one.severity))
        + cell(one.kind)
        + cell(one.title)
        + cell(one.path + (f":{one.line}" if one.line else ""))
        + cell(one.text)
        + cell(one.advice)
        + "</tr>"
        for one in report.inventory.issues
    )
    target = escape(show(report.inventory.target, 300))
    head = "".join(
        f"<th>{name}</th>"
        for name in ("Decision", "Id", "Component", "Version", "Fixed in", "Severity", "Why", "Where")
    )
    issue_head = "".join(f"<th>{name}</th>" for name in ("Severity", "Kind", "What", "Where", "Evidence", "Advice"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">'  # noqa: E501
        f"<title>Scan of {target}</title><style>{_STYLE}</style></head><body><h1>Scan of {target}</h1>"
        f"<p>{len(report.inventory.components)} components, {len(report.counting)} vulnerabilities, {len(report.inventory.issues)} further issues. {escape(report.created)}</p>"  # noqa: E501
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        + (
            f"<h2>Issues</h2><table><thead><tr>{issue_head}</tr></thead><tbody>{issues}</tbody></table>"
            if issues
            else ""
        )
        + "</body></html>\n"
    )
