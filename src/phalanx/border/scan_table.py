"""A scan for people at a terminal: what to act on first, short enough to read; the rest as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from phalanx.artifacts.advice import blame, upgrades
from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import Vulnerability
from phalanx.model.severity import Severity
from phalanx.text.hostile import show

__all__ = ["render_table"]

_COLOURS = {
    "critical": "1;31",
    "high": "31",
    "medium": "33",
    "low": "36",
    "info": "2",
    "act": "1;31",
    "attend": "33",
    "track": "2",
}


def render_table(report: Report, *, colour: bool = False, width: int = 120) -> str:
    """The report as text; hostile names are made visible, never interpreted."""
    return "\n".join(_lines(report, colour, max(width, 60))) + "\n"


def _paint(text: str, word: str, colour: bool) -> str:
    return f"\x1b[{_COLOURS[word]}m{text}\x1b[0m" if colour and word in _COLOURS else text


def _lines(report: Report, colour: bool, width: int) -> Iterator[str]:
    inventory = report.inventory
    os = f" · {show(inventory.os.name, 60)}" if inventory.os else ""
    kinds = Counter(one.type for one in inventory.components)
    yield f"{show(inventory.target, 200)} ({inventory.kind}){os}"
    yield f"{len(inventory.components)} components ({', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}) in {inventory.files} files"
    counting = report.counting
    decisions = Counter(one.decision for one in counting)
    severities = Counter(str(one.severity or "unrated") for one in counting)
    words = [
        f"{severity} {severities[severity]}"
        for severity in [*reversed([str(one) for one in Severity]), "unrated"]
        if severities[severity]
    ]
    if report.database or counting:
        yield (
            f"{len(counting)} vulnerabilities: act {decisions['act']}, attend {decisions['attend']}, track {decisions['track']}"
            + (f" ({', '.join(words)})" if words else "")
        )
    else:
        yield "vulnerabilities were not looked for"
    yield ""
    yield from _rows(counting, colour, width)
    yield from _advice(report)
    yield from _issues(report, colour, width)
    if inventory.skipped:
        yield f"Not looked at: {len(inventory.skipped)}"
        for one in inventory.skipped[:10]:
            yield f"  {show(one.path, 100) or '(all)'}: {show(one.reason, 160)}"
        if len(inventory.skipped) > 10:
            yield f"  and {len(inventory.skipped) - 10} more (--format json lists all)"
        yield ""
    suppressed = len(report.vulnerabilities) - len(counting)
    if suppressed:
        yield f"Suppressed: {suppressed} (--format json tells each with its reason)"
    for stale in report.stale:
        yield f"Ignore rule {show(stale.rule, 100)}: {show(stale.reason, 100)}"
    if report.database:
        yield f"Advisories of {report.database[:10]}. {' '.join(report.attributions)}".rstrip()


def _rows(found: tuple[Vulnerability, ...], colour: bool, width: int) -> Iterator[str]:
    if not found:
        return
    head = ("", "ID", "COMPONENT", "VERSION", "FIXED IN", "SEVERITY", "WHY / WHERE")
    rows = []
    for one in found:
        why = one.reasons[0] if one.decision != "track" and one.reasons else ""
        place = one.component.locations[0].path if one.component.locations else ""
        sure = "" if one.confidence >= 0.9 else f" (identity {one.confidence:.0%})"
        rows.append(
            (
                one.decision,
                show(one.id, 30),
                show(one.component.full_name, 44),
                show(one.component.version, 28),
                show(one.fixed, 28) or str(one.state).replace("_", " ").replace("unknown", "-"),
                (str(one.severity) if one.severity else "unrated")
                + (f" {one.score:.1f}" if one.score is not None else ""),
                " · ".join(part for part in (why, show(place, 70) + sure) if part),
            )
        )
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(6)]
    used = sum(widths) + 12
    last = max(20, width - used) if width > used + 20 else 80
    yield "  ".join(text.ljust(size) for text, size in zip(head[:6], widths, strict=True)) + "  " + head[6]
    for row in rows:
        cells = [text.ljust(size) for text, size in zip(row[:6], widths, strict=True)]
        cells[0] = _paint(cells[0], row[0], colour)
        cells[5] = _paint(cells[5], row[5].split(" ")[0], colour)
        yield "  ".join(cells) + "  " + row[6][:last]
    yield ""


def _advice(report: Report) -> Iterator[str]:
    steps = upgrades(report)
    if len(steps) > 1:
        yield "Upgrades that remove the most:"
        for step in steps[:5]:
            acts = f", {step.act} of them to act on" if step.act else ""
            yield (
                f"  {show(step.name, 60)} {show(step.version, 40)} → {show(step.to, 40)}: {step.removes} gone{acts}"
                + (f", {step.remains} without a fix" if step.remains else "")
            )
        yield ""
    shares = blame(report)
    if len(shares) > 1:
        yield "By layer:"
        for share in shares:
            yield f"  {share.digest[:19]}  {share.components} components, {share.vulnerabilities} vulnerabilities  {show(share.created_by, 80)}"
        yield ""


def _issues(report: Report, colour: bool, width: int) -> Iterator[str]:
    for kind, title in (("malware", "Malware"), ("secret", "Secrets"), ("misconfiguration", "Misconfiguration")):
        issues = sorted(
            (one for one in report.inventory.issues if one.kind == kind),
            key=lambda one: (-one.severity.rank, one.path, one.line),
        )
        if not issues:
            continue
        yield f"{title}: {len(issues)}"
        for one in issues:
            place = show(one.path, 100) + (f":{one.line}" if one.line else "")
            word = str(one.severity)
            yield f"  {_paint(word.ljust(8), word, colour)}  {one.rule}  {show(one.title, 100)}  {place}" + (
                f"  {show(one.text, 80)}" if one.text else ""
            )
        yield ""
