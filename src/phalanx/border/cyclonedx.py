"""CycloneDX 1.6: a scan written as an SBOM with its vulnerabilities, and read back without loss of what matching needs."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component, Location
from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import Vulnerability
from phalanx.border.sbom import component_of_purl

__all__ = ["read_cyclonedx", "render_cyclonedx"]

_RATED: Final = {"critical", "high", "medium", "low", "info"}
_METHODS: Final = {2: "CVSSv2", 3: "CVSSv31", 4: "CVSSv4"}


def render_cyclonedx(report: Report) -> str:
    """The report as one CycloneDX document; the serial number is made from its content, so the same scan gives the same document."""
    inventory = report.inventory
    references: dict[int, str] = {}
    components = []
    seen: dict[str, int] = {}
    for one in inventory.components:
        purl = one.purl
        seen[purl] = seen.get(purl, 0) + 1
        reference = purl if seen[purl] == 1 else f"{purl}#{seen[purl]}"
        references[id(one)] = reference
        components.append(_component(one, reference))
    by_purl = {one.purl: references[id(one)] for one in reversed(inventory.components)}
    made: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, inventory.target + report.created + inventory.digest)}",
        "version": 1,
        "metadata": {
            "timestamp": report.created,
            "tools": {"components": [{"type": "application", "name": "phalanx", "version": report.phalanx}]},
            "component": {
                "type": "container" if inventory.kind == "image" else "file",
                "bom-ref": "target",
                "name": inventory.target,
                **({"version": inventory.digest} if inventory.digest else {}),
            },
        },
        "components": components,
        "vulnerabilities": [_vulnerability(one, by_purl) for one in report.vulnerabilities],
    }
    if inventory.os is not None:
        made["metadata"]["properties"] = [
            {"name": f"phalanx:os:{key}", "value": value}
            for key, value in (
                ("id", inventory.os.id),
                ("version", inventory.os.version_id),
                ("name", inventory.os.name),
            )
            if value
        ]
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _component(one: Component, reference: str) -> dict[str, Any]:
    properties = [
        ("phalanx:ecosystem", one.ecosystem),
        ("phalanx:method", one.method),
        ("phalanx:confidence", f"{one.confidence:g}" if one.confidence < 1 else ""),
        ("phalanx:source:name", one.source_name),
        ("phalanx:source:version", one.source_version),
        ("phalanx:owner", one.owner),
        ("phalanx:declared", "true" if one.declared else ""),
        # Trivy reads a Debian or Alpine package's source from these.
        ("aquasecurity:trivy:SrcName", one.source_name or (one.name if one.type in ("deb", "apk") else "")),
        ("aquasecurity:trivy:SrcVersion", one.source_version),
        ("aquasecurity:trivy:LayerDiffID", one.locations[0].layer if one.locations else ""),
    ]
    made: dict[str, Any] = {"type": "library", "bom-ref": reference}
    if one.namespace and one.type == "maven":
        made["group"] = one.namespace
        made["name"] = one.name
    else:
        made["name"] = one.full_name
    if one.version:
        made["version"] = one.version
    if one.licences:
        made["licenses"] = [{"license": {"name": licence}} for licence in one.licences]
    made["purl"] = one.purl
    if one.development:
        made["scope"] = "optional"
    places = [{"location": place.path} for place in one.locations[:100]]
    if places:
        made["evidence"] = {"occurrences": places}
    made["properties"] = [{"name": name, "value": value} for name, value in properties if value]
    return made


def _vulnerability(one: Vulnerability, references: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"bom-ref": f"{one.id}/{one.component.purl}", "id": one.id}
    if one.sources:
        made["source"] = {"name": one.sources[0].source}
    if one.severity is not None and str(one.severity) in _RATED:
        rating: dict[str, Any] = {"severity": str(one.severity)}
        if one.score is not None:
            rating["score"] = one.score
            rating["method"] = _METHODS[
                4 if one.vector.startswith("CVSS:4") else 3 if one.vector.startswith("CVSS:3") else 2
            ]
            rating["vector"] = one.vector
        made["ratings"] = [rating]
    cwes = [int(cwe[4:]) for cwe in one.cwes if cwe[4:].isdigit() and int(cwe[4:]) > 0]
    if cwes:
        made["cwes"] = cwes
    made["description"] = one.title or one.id
    if one.fixed:
        made["recommendation"] = f"Upgrade {one.component.full_name} to {one.fixed}"
    if one.references:
        made["advisories"] = [{"url": address} for address in one.references]
    if one.suppressed:
        made["analysis"] = {
            "state": "not_affected" if one.suppressed.startswith("VEX not") else "in_triage",
            "detail": one.suppressed,
        }
    elif one.exploited:
        made["analysis"] = {"state": "exploitable", "detail": one.reasons[0]}
    version = {"version": one.component.version, "status": "affected"}
    made["affects"] = [
        {
            "ref": references.get(one.component.purl, one.component.purl),
            "versions": [version] if one.component.version else [],
        }
    ]
    if not one.component.version:
        del made["affects"][0]["versions"]
    made["properties"] = [
        {"name": "phalanx:decision", "value": one.decision},
        *({"name": "phalanx:reason", "value": reason} for reason in one.reasons[:8]),
    ]
    return made


def read_cyclonedx(made: dict[str, Any]) -> list[Component]:
    """The components of a CycloneDX document of any version, those inside of components too; what has no package URL is left out."""
    found: list[Component] = []
    stack: list[Any] = list(made.get("components") or ())[::-1]
    while stack and len(found) < 200_000:
        one = stack.pop()
        if not isinstance(one, dict):
            continue
        stack.extend(list(one.get("components") or ())[::-1])
        properties = {
            str(item.get("name")): str(item.get("value", ""))
            for item in one.get("properties") or ()
            if isinstance(item, dict)
        }
        component = component_of_purl(
            str(one.get("purl", "")),
            ecosystem=properties.get("phalanx:ecosystem", ""),
            source_name=properties.get("phalanx:source:name")
            or properties.get("aquasecurity:trivy:SrcName", "")
            or properties.get("syft:metadata:source", ""),
            source_version=properties.get("phalanx:source:version")
            or _trivy_version(properties)
            or properties.get("syft:metadata:sourceVersion", ""),
        )
        if component is None:
            continue
        evidence = one.get("evidence")
        places = evidence.get("occurrences") if isinstance(evidence, dict) else None
        locations = tuple(
            Location(path=str(place.get("location", ""))) for place in places or () if isinstance(place, dict)
        )
        if not locations:
            paths = [
                value
                for name, value in properties.items()
                if name.startswith("syft:location:") and name.endswith(":path")
            ]
            paths += (
                [properties["aquasecurity:trivy:FilePath"]] if properties.get("aquasecurity:trivy:FilePath") else []
            )
            locations = tuple(Location(path=path.lstrip("/")) for path in paths)
        found.append(
            msgspec.structs.replace(
                component,
                locations=locations,
                method=properties.get("phalanx:method", "") or "CycloneDX",
                confidence=_number(properties.get("phalanx:confidence", "")),
                owner=properties.get("phalanx:owner", ""),
                declared=properties.get("phalanx:declared") == "true",
                development=one.get("scope") == "optional",
            )
        )
    return found


def _trivy_version(properties: dict[str, str]) -> str:
    """Trivy writes epoch, version and release of the source apart."""
    version, release = (
        properties.get("aquasecurity:trivy:SrcVersion", ""),
        properties.get("aquasecurity:trivy:SrcRelease", ""),
    )
    epoch = properties.get("aquasecurity:trivy:SrcEpoch", "")
    if not version:
        return ""
    return (f"{epoch}:" if epoch and epoch != "0" else "") + version + (f"-{release}" if release else "")


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0
