"""CSAF 2.0 (security advisories and VEX): Red Hat, SUSE and vendors. Products are told by package URL; the platform by the relation's CPE or name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.advisories.model import Advisory, Affected, FixState, Range
from phalanx.advisories.readers.osv import SEVERITY_WORDS
from phalanx.advisories.readers.tally import Tally, as_dict, as_list, text, texts
from phalanx.text.purl import Purl, parse_purl

__all__ = ["read_csaf"]

_RED_HAT: Final = re.compile(r"cpe:/[ao]:redhat:(?:enterprise_linux|rhel_\w+):(\d+)")
_SUSE: Final = re.compile(r"cpe:/o:suse:(?:sles|sled|suse_\w+):(\d+)(?::sp(\d+))?")
_LANGUAGES: Final = {
    "pypi": "PyPI",
    "npm": "npm",
    "maven": "Maven",
    "golang": "Go",
    "cargo": "crates.io",
    "gem": "RubyGems",
    "nuget": "NuGet",
}
_MAX_NODES: Final = 1_000_000


def read_csaf(raw: bytes, tally: Tally, *, source: str = "csaf") -> Iterator[Advisory]:
    """One advisory for each vulnerability of the document."""
    made = as_dict(msgspec.json.decode(raw))
    document = as_dict(made.get("document"))
    tracking = as_dict(document.get("tracking"))
    identifier = text(tracking.get("id"), 200)
    if not identifier:
        tally.skip("no tracking id")
        return
    modified = text(tracking.get("current_release_date"), 40)
    tally.read(modified)
    purls, platforms = _products(as_dict(made.get("product_tree")))
    word = SEVERITY_WORDS.get(text(as_dict(document.get("aggregate_severity")).get("text"), 40).lower())
    for flaw in map(as_dict, as_list(made.get("vulnerabilities"))):
        cve = text(flaw.get("cve"), 40)
        no_fix = _remediations(flaw)
        affected: dict[tuple[str, str, str], Affected] = {}
        status = as_dict(flaw.get("product_status"))
        for kind in ("fixed", "known_affected", "known_not_affected", "under_investigation"):
            for product in texts(status.get(kind), 200_000):
                one = _affected(kind, product, purls, platforms, no_fix, word)
                if one is not None:
                    affected.setdefault((one.ecosystem, one.name, str(one.ranges)), one)
        vectors = tuple(
            dict.fromkeys(
                text(as_dict(score.get(key)).get("vectorString"), 300)
                for score in map(as_dict, as_list(flaw.get("scores")))
                for key in ("cvss_v4", "cvss_v3", "cvss_v2")
                if as_dict(score.get(key)).get("vectorString")
            )
        )
        yield Advisory(
            id=identifier if identifier != cve else cve,
            source=source,
            upstream=(cve,) if cve and cve != identifier else (),
            summary=(text(flaw.get("title")) or text(document.get("title")))[:300],
            severity=word,
            vectors=vectors[:6],
            cwes=(text(as_dict(flaw.get("cwe")).get("id"), 20),) if as_dict(flaw.get("cwe")).get("id") else (),
            references=tuple(text(as_dict(one).get("url"), 500) for one in as_list(flaw.get("references")))[:8],
            published=text(tracking.get("initial_release_date"), 40),
            modified=modified,
            affected=tuple(affected.values()),
        )


def _remediations(flaw: dict[str, Any]) -> dict[str, FixState]:
    words = {"no_fix_planned": FixState.WONT_FIX, "none_available": FixState.DEFERRED, "fix_planned": FixState.UNFIXED}
    found: dict[str, FixState] = {}
    for item in map(as_dict, as_list(flaw.get("remediations"))):
        state = words.get(text(item.get("category"), 40))
        if state is not None:
            state = FixState.END_OF_LIFE if "out of support" in text(item.get("details")).lower() else state
            found.update(dict.fromkeys(texts(item.get("product_ids"), 200_000), state))
    return found


def _products(tree: dict[str, Any]) -> tuple[dict[str, Purl], dict[str, str]]:
    """Product id → package URL, and → ecosystem of its platform; composed ids of ``relationships`` included."""
    purls: dict[str, Purl] = {}
    platforms: dict[str, str] = {}
    stack: list[Any] = [tree.get("branches"), tree.get("full_product_names")]
    for _ in range(_MAX_NODES):
        if not stack:
            break
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            product = as_dict(node.get("product")) or node
            helper = as_dict(product.get("product_identification_helper"))
            identifier = text(product.get("product_id"), 500)
            purl = parse_purl(text(helper.get("purl"), 2000))
            if purl is not None:
                purls[identifier] = purl
            platform = _platform(text(helper.get("cpe"), 500))
            if platform:
                platforms[identifier] = platform
            stack.append(node.get("branches"))
    for relation in map(as_dict, as_list(tree.get("relationships"))):
        identifier = text(as_dict(relation.get("full_product_name")).get("product_id"), 1000)
        inner, outer = (
            text(relation.get("product_reference"), 500),
            text(relation.get("relates_to_product_reference"), 500),
        )
        if inner in purls:
            purls[identifier] = purls[inner]
        if outer in platforms:
            platforms[identifier] = platforms[outer]
    return purls, platforms


def _platform(cpe: str) -> str:
    match = _RED_HAT.match(cpe)
    if match:
        return f"Red Hat:{match[1]}"
    match = _SUSE.match(cpe)
    if match:
        return f"SUSE:{match[1]}" + (f".{match[2]}" if match[2] else "")
    return ""


def _affected(
    kind: str,
    product: str,
    purls: dict[str, Purl],
    platforms: dict[str, str],
    no_fix: dict[str, FixState],
    severity: Any,
) -> Affected | None:
    purl = purls.get(product)
    if purl is None or purl.qualifiers.get("arch") == "src":
        return None
    ecosystem = platforms.get(product, "") if purl.type == "rpm" else _LANGUAGES.get(purl.type, "")
    if not ecosystem:
        return None
    name = purl.name
    if purl.type != "rpm" and purl.namespace:
        name = f"{purl.namespace}{':' if purl.type == 'maven' else '/'}{purl.name}"
    epoch = purl.qualifiers.get("epoch", "")
    version = f"{epoch}:{purl.version}" if epoch and epoch != "0" and purl.version else purl.version
    if kind == "fixed":
        return (
            Affected(
                ecosystem=ecosystem, name=name, ranges=(Range(fixed=version),), state=FixState.FIXED, severity=severity
            )
            if version
            else None
        )
    if kind == "known_affected":
        state = no_fix.get(product, FixState.UNFIXED)
        if purl.type != "rpm" and version:
            return Affected(ecosystem=ecosystem, name=name, versions=(version,), state=state, severity=severity)
        return Affected(ecosystem=ecosystem, name=name, ranges=(Range(),), state=state, severity=severity)
    return None
