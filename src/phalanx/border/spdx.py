"""SPDX 2.3 as JSON: a scan written as an SBOM, and read back (JSON of 2.2, 2.3 and 3.0)."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component, Location
from phalanx.artifacts.report import Report
from phalanx.border.sbom import component_of_purl

__all__ = ["read_spdx", "render_spdx"]

_LICENCE: Final = re.compile(r"[A-Za-z0-9.+-]+")
_KNOWN_LICENCES: Final = frozenset(
    [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MPL-2.0",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "Unlicense",
        "0BSD",
        "Zlib",
        "CC0-1.0",
        "PSF-2.0",
        "BSL-1.0",
        "EPL-1.0",
        "EPL-2.0",
    ]
)


def render_spdx(report: Report) -> str:
    """The components as SPDX; vulnerabilities have no place in an SPDX 2 document except as references, which are written."""
    inventory = report.inventory
    namespace = hashlib.sha256(f"{inventory.target}\0{report.created}\0{inventory.digest}".encode()).hexdigest()[:32]
    packages: list[dict[str, Any]] = [
        {
            "SPDXID": "SPDXRef-target",
            "name": inventory.target,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "primaryPackagePurpose": "CONTAINER" if inventory.kind == "image" else "FILE",
            **({"versionInfo": inventory.digest} if inventory.digest else {}),
        }
    ]
    relations = [
        {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-target"}
    ]
    flaws: dict[str, list[str]] = {}
    for found in report.vulnerabilities:
        flaws.setdefault(found.component.purl, []).append(found.id)
    for place, one in enumerate(inventory.components, 1):
        identifier = f"SPDXRef-{place}-" + re.sub(r"[^A-Za-z0-9.-]", "-", one.full_name)[:80]
        packages.append(_package(one, identifier, flaws.get(one.purl, [])))
        relations.append(
            {"spdxElementId": "SPDXRef-target", "relationshipType": "CONTAINS", "relatedSpdxElement": identifier}
        )
    made = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": inventory.target,
        "documentNamespace": f"https://spdx.org/spdxdocs/phalanx-{namespace}",
        "creationInfo": {"created": report.created, "creators": [f"Tool: phalanx-{report.phalanx}"]},
        "packages": packages,
        "relationships": relations,
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _package(one: Component, identifier: str, flaws: list[str]) -> dict[str, Any]:
    licence = one.licences[0] if len(one.licences) == 1 and one.licences[0] in _KNOWN_LICENCES else "NOASSERTION"
    references = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}]
    references += [
        {
            "referenceCategory": "SECURITY",
            "referenceType": "advisory",
            "referenceLocator": f"https://osv.dev/vulnerability/{flaw}",
        }
        for flaw in flaws[:200]
    ]
    made: dict[str, Any] = {
        "SPDXID": identifier,
        "name": one.full_name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        "externalRefs": references,
    }
    if one.version:
        made["versionInfo"] = one.version
    if one.source_name or one.source_version:
        made["sourceInfo"] = f"built package from: {one.source_name or one.name} {one.source_version or one.version}"
    comment = {
        "method": one.method,
        "confidence": one.confidence,
        "ecosystem": one.ecosystem,
        "owner": one.owner,
        "paths": [p.path for p in one.locations[:20]],
    }
    made["comment"] = "phalanx: " + msgspec.json.encode(comment).decode()
    return made


def read_spdx(made: dict[str, Any]) -> list[Component]:
    """The components of an SPDX document; what has no package URL is left out."""
    if "@graph" in made:
        return _read_3(made)
    found = []
    for package in made.get("packages") or ():
        if not isinstance(package, dict):
            continue
        purl = next(
            (
                str(one.get("referenceLocator", ""))
                for one in package.get("externalRefs") or ()
                if isinstance(one, dict) and one.get("referenceType") == "purl"
            ),
            "",
        )
        source = re.fullmatch(r"built package from: (\S+)(?: (\S+))?", str(package.get("sourceInfo", "")))
        own = _own_comment(str(package.get("comment", "")))
        component = component_of_purl(
            purl,
            ecosystem=str(own.get("ecosystem", "")),
            source_name=source[1] if source else "",
            source_version=(source[2] or "") if source else "",
        )
        if component is not None:
            paths = own.get("paths")
            found.append(
                msgspec.structs.replace(
                    component,
                    method=str(own.get("method") or "SPDX"),
                    confidence=float(own.get("confidence", 1.0))
                    if isinstance(own.get("confidence"), (int, float))
                    else 1.0,
                    owner=str(own.get("owner", "")),
                    locations=tuple(Location(path=str(path)) for path in paths) if isinstance(paths, list) else (),
                )
            )
    return found


def _own_comment(text: str) -> dict[str, Any]:
    if not text.startswith("phalanx: "):
        return {}
    try:
        made = msgspec.json.decode(text[9:])
    except (msgspec.DecodeError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _read_3(made: dict[str, Any]) -> list[Component]:
    found = []
    for element in made.get("@graph") or ():
        if isinstance(element, dict) and str(element.get("type", "")).endswith("software_Package"):
            purl = str(element.get("software_packageUrl") or "")
            for identifier in element.get("externalIdentifier") or ():
                if isinstance(identifier, dict) and identifier.get("externalIdentifierType") == "packageUrl":
                    purl = purl or str(identifier.get("identifier", ""))
            component = component_of_purl(purl)
            if component is not None:
                found.append(component)
    return found
