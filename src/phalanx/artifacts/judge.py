"""What does not count, and why: ignore rules with reason and expiry, VEX statements, a baseline. Nothing is dropped; it is marked.

An ignore file is YAML::

    ignore:
      - id: CVE-2023-1234            # or a rule id of a secret or misconfiguration
        component: pkg:npm/lodash     # optional; without a version: every version
        path: srv/legacy/*            # optional glob
        reason: not reachable, see the threat model
        owner: payments team
        until: 2026-12-31             # the rule stops working after this day
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from phalanx.artifacts.model import Component, Issue
from phalanx.artifacts.report import Report, Stale
from phalanx.artifacts.vulnerabilities import Vulnerability
from phalanx.errors import UsageError
from phalanx.text.purl import parse_purl

__all__ = [
    "IgnoreRule",
    "VexStatement",
    "apply_baseline",
    "apply_ignores",
    "apply_vex",
    "identity",
    "read_baseline",
    "read_ignores",
    "read_vex",
]

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class IgnoreRule(Struct, frozen=True, kw_only=True):
    """One decision of a person that something does not count."""

    id: str
    reason: str
    component: str = ""
    """Package URL, with or without a version; empty: any."""
    path: str = ""
    """Glob over places; empty: any."""
    owner: str = ""
    until: str = ""
    """Last day it works, ``YYYY-MM-DD``; empty: no end."""


class VexStatement(Struct, frozen=True, kw_only=True):
    """One statement of a VEX document."""

    ids: tuple[str, ...]
    """The flaw and its aliases."""
    products: tuple[str, ...]
    """Package URLs it is about; empty: all."""
    status: str
    """``not_affected``, ``affected``, ``fixed`` or ``under_investigation``."""
    justification: str = ""
    source: str = ""


def read_ignores(path: Path) -> list[IgnoreRule]:
    """The rules of an ignore file; UsageError when one lacks its id or reason, because an exception without a reason outlives its author."""
    from phalanx.text.yaml import load_yaml

    try:
        made = load_yaml(path.read_bytes()) or {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}"[:500]) from error
    rows = made.get("ignore") if isinstance(made, dict) else None
    if not isinstance(rows, list):
        raise UsageError(f"{path} has no list `ignore`", hint="see docs/scan/findings.md")
    rules = []
    for place, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}: rule {place} is not a mapping")
        fields = {key: str(value) for key, value in row.items() if value is not None}
        if not fields.get("id") or not fields.get("reason"):
            raise UsageError(f"{path}: rule {place} needs `id` and `reason`")
        if fields.get("until") and not _DATE.fullmatch(fields["until"]):
            raise UsageError(f"{path}: rule {place}: `until` is a day, YYYY-MM-DD")
        unknown = set(fields) - {"id", "reason", "component", "path", "owner", "until"}
        if unknown:
            raise UsageError(f"{path}: rule {place}: unknown {', '.join(sorted(unknown))}")
        rules.append(IgnoreRule(**fields))
    return rules


def _is_component(pattern: str, component: Component) -> bool:
    """Whether ``pattern`` (a package URL, its version optional) means ``component``."""
    wanted = parse_purl(pattern)
    mine = parse_purl(component.purl)
    if wanted is None or mine is None:
        return pattern in (component.full_name, component.name)
    return (wanted.type, wanted.namespace, wanted.name) == (
        mine.type,
        mine.namespace,
        mine.name,
    ) and wanted.version in ("", mine.version)


def apply_ignores(report: Report, rules: list[IgnoreRule], today: str) -> Report:
    """Mark what ``rules`` ignore; issues that are ignored leave the list. Rules that are over or match nothing are told."""
    used: set[int] = set()
    live = [(place, rule) for place, rule in enumerate(rules) if not rule.until or rule.until >= today]

    def rule_for(names: set[str], component: Component | None, paths: list[str]) -> IgnoreRule | None:
        for place, rule in live:
            if rule.id not in names:
                continue
            if rule.component and (component is None or not _is_component(rule.component, component)):
                continue
            if rule.path and not (paths and all(fnmatch.fnmatchcase(one, rule.path) for one in paths)):
                continue
            used.add(place)
            return rule
        return None

    found = []
    for one in report.vulnerabilities:
        rule = (
            None
            if one.suppressed
            else rule_for({one.id, *one.aliases}, one.component, [place.path for place in one.component.locations])
        )
        found.append(
            one
            if rule is None
            else msgspec.structs.replace(
                one, suppressed=f"ignored: {rule.reason}" + (f" ({rule.owner})" if rule.owner else "")
            )
        )
    issues = [one for one in report.inventory.issues if rule_for({one.rule}, None, [one.path]) is None]
    stale = [
        Stale(rule=rule.id, reason=f"expired on {rule.until}") for rule in rules if rule.until and rule.until < today
    ]
    stale += [Stale(rule=rule.id, reason="matches nothing") for place, rule in live if place not in used]
    return msgspec.structs.replace(
        report,
        vulnerabilities=tuple(found),
        inventory=msgspec.structs.replace(report.inventory, issues=tuple(issues)),
        stale=report.stale + tuple(stale),
    )


def identity(one: Vulnerability | Issue) -> str:
    """What makes a finding the same one in another scan: no version, no layer, no line."""
    if isinstance(one, Vulnerability):
        return f"vulnerability|{one.id}|{one.component.type}|{one.component.full_name}"
    return f"{one.kind}|{one.rule}|{one.path}|{one.digest or one.text}"


def read_baseline(path: Path) -> frozenset[str]:
    """The findings of an earlier ``--format json`` report, by :func:`identity`."""
    try:
        made = msgspec.json.decode(path.read_bytes())
        found = {
            f"vulnerability|{one['id']}|{(parse_purl(one['component']['purl']) or parse_purl('pkg:generic/x')).type}|{one['component']['name']}"  # type: ignore[union-attr]
            for one in made["vulnerabilities"]
            if not one.get("suppressed")
        }
        found |= {
            f"{one['kind']}|{one['rule']}|{one['path']}|{one.get('digest') or one.get('text', '')}"
            for one in made["issues"]
        }
    except (OSError, msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not a report of phalanx in JSON", hint="phalanx scan … --format json --output baseline.json"
        ) from error
    return frozenset(found)


def apply_baseline(report: Report, known: frozenset[str]) -> Report:
    """Mark what the baseline held already; only what is new counts."""
    found = [
        msgspec.structs.replace(one, suppressed="in the baseline")
        if not one.suppressed and identity(one) in known
        else one
        for one in report.vulnerabilities
    ]
    issues = tuple(one for one in report.inventory.issues if identity(one) not in known)
    inventory = msgspec.structs.replace(report.inventory, issues=issues)
    return msgspec.structs.replace(report, vulnerabilities=tuple(found), inventory=inventory, new_only=True)


def read_vex(path: Path) -> list[VexStatement]:
    """The statements of an OpenVEX, CycloneDX or CSAF document; UsageError for anything else."""
    try:
        made = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a VEX document: {error}"[:300]) from error
    if isinstance(made, dict):
        source = str(made.get("@id") or made.get("serialNumber") or path.name)
        if "openvex" in str(made.get("@context", "")):
            return [_openvex(one, source) for one in _dicts(made.get("statements"))]
        if made.get("bomFormat") == "CycloneDX":
            return _cyclonedx_vex(made, source)
        if isinstance(made.get("document"), dict) and "vulnerabilities" in made:
            return _csaf_vex(made)
    raise UsageError(f"{path} is not a VEX document", hint="OpenVEX, CycloneDX and CSAF are read")


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _openvex(one: dict[str, Any], source: str) -> VexStatement:
    flaw = one.get("vulnerability")
    names = (
        [str(flaw.get("name") or flaw.get("@id", "")), *map(str, flaw.get("aliases") or ())]
        if isinstance(flaw, dict)
        else [str(flaw)]
    )
    products: list[str] = []
    for product in one.get("products") or ():
        if isinstance(product, str):
            products.append(product)
        elif isinstance(product, dict):
            parts = [
                str(part.get("@id") or (part.get("identifiers") or {}).get("purl", ""))
                for part in _dicts(product.get("subcomponents"))
            ]
            products.extend(parts or [str((product.get("identifiers") or {}).get("purl") or product.get("@id", ""))])
    return VexStatement(
        ids=tuple(names),
        products=tuple(products),
        status=str(one.get("status", "")),
        justification=str(one.get("justification") or one.get("impact_statement") or ""),
        source=source,
    )


_CYCLONEDX_STATES: Final = {"not_affected": "not_affected", "false_positive": "not_affected", "resolved": "fixed", "resolved_with_pedigree": "fixed",
                            "exploitable": "affected", "in_triage": "under_investigation"}  # fmt: skip


def _cyclonedx_vex(made: dict[str, Any], source: str) -> list[VexStatement]:
    purls = {str(one.get("bom-ref", "")): str(one.get("purl", "")) for one in _dicts(made.get("components"))}
    found = []
    for flaw in _dicts(made.get("vulnerabilities")):
        analysis = flaw.get("analysis")
        if not isinstance(analysis, dict):
            continue
        references = [str(one.get("ref", "")) for one in _dicts(flaw.get("affects"))]
        products = tuple(
            purls.get(one) or one[one.find("pkg:") :] for one in references if purls.get(one) or "pkg:" in one
        )
        found.append(
            VexStatement(
                ids=(str(flaw.get("id", "")),),
                products=products,
                status=_CYCLONEDX_STATES.get(str(analysis.get("state", "")), ""),
                justification=str(analysis.get("justification") or analysis.get("detail") or ""),
                source=source,
            )
        )
    return found


def _csaf_vex(made: dict[str, Any]) -> list[VexStatement]:
    purls: dict[str, str] = {}
    tree = made.get("product_tree")
    stack: list[Any] = [tree] if isinstance(tree, dict) else []
    for _ in range(200_000):
        if not stack:
            break
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            helper = node.get("product_identification_helper")
            if isinstance(helper, dict) and helper.get("purl"):
                purls[str(node.get("product_id"))] = str(helper["purl"])
            stack.extend(value for value in node.values() if isinstance(value, (list, dict)))
    source = str((made["document"].get("tracking") or {}).get("id", "CSAF"))
    found = []
    for flaw in _dicts(made.get("vulnerabilities")):
        status = flaw.get("product_status")
        flags = {
            str(one): str(flag.get("label", ""))
            for flag in _dicts(flaw.get("flags"))
            for one in flag.get("product_ids") or ()
        }
        for word, mapped in (
            ("known_not_affected", "not_affected"),
            ("fixed", "fixed"),
            ("under_investigation", "under_investigation"),
            ("known_affected", "affected"),
        ):
            ids = [str(one) for one in (status.get(word) if isinstance(status, dict) else None) or ()]
            products = tuple(purls[one] for one in ids if one in purls)
            if products:
                justification = next((flags[one] for one in ids if one in flags), "")
                found.append(
                    VexStatement(
                        ids=(str(flaw.get("cve", "")),),
                        products=products,
                        status=mapped,
                        justification=justification,
                        source=source,
                    )
                )
    return found


def apply_vex(report: Report, statements: list[VexStatement]) -> Report:
    """Mark what a statement calls not affected or fixed; the last statement about a pair wins, as OpenVEX says."""
    by_id: dict[str, list[VexStatement]] = {}
    for statement in statements:
        for name in statement.ids:
            by_id.setdefault(name, []).append(statement)
    found = []
    for one in report.vulnerabilities:
        last: VexStatement | None = None
        for name in (one.id, *one.aliases):
            for statement in by_id.get(name, ()):
                if not statement.products or any(
                    _is_component(product, one.component) for product in statement.products
                ):
                    last = statement
        if last is not None and last.status in ("not_affected", "fixed") and not one.suppressed:
            why = f"VEX {last.status}" + (f": {last.justification}" if last.justification else "") + f" ({last.source})"
            one = msgspec.structs.replace(one, suppressed=why)
        found.append(one)
    return msgspec.structs.replace(report, vulnerabilities=tuple(found))
