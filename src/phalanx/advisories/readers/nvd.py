"""NVD 2.0 (yearly files and API pages): scores, weaknesses and CPE ranges. CPE matches are only asked for classified programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.advisories.model import Advisory, Affected, FixState, Range, Signal
from phalanx.advisories.readers.tally import Tally, as_dict, as_list, text

__all__ = ["CPE_ECOSYSTEM", "read_nvd"]

CPE_ECOSYSTEM: Final = "CPE"
"""Ecosystem of NVD's products, named ``vendor:product``."""
_SPLIT: Final = re.compile(r"(?<!\\):")


def read_nvd(raw: bytes, tally: Tally) -> Iterator[tuple[Signal, Advisory]]:
    """For each CVE what rates it and what it affects; rejected ones are left out."""
    for item in as_list(as_dict(msgspec.json.decode(raw)).get("vulnerabilities")):
        cve = as_dict(as_dict(item).get("cve"))
        name = text(cve.get("id"), 40)
        if not name.startswith("CVE-"):
            tally.skip("no CVE id")
            continue
        modified = text(cve.get("lastModified"), 40)
        tally.read(modified)
        if text(cve.get("vulnStatus"), 40).lower() == "rejected":
            continue
        vectors = []
        for family in as_dict(cve.get("metrics")).values():
            for metric in as_list(family):
                vector = text(as_dict(as_dict(metric).get("cvssData")).get("vectorString"), 300)
                if vector:
                    vectors.append(vector)
        cwes = [
            text(as_dict(one).get("value"), 20)
            for kind in as_list(cve.get("weaknesses"))
            for one in as_list(as_dict(kind).get("description"))
            if text(as_dict(one).get("value")).startswith("CWE-")
        ]
        summary = next(
            (
                text(as_dict(one).get("value"), 900)
                for one in as_list(cve.get("descriptions"))
                if as_dict(one).get("lang") == "en"
            ),
            "",
        )
        affected = tuple(_affected(cve))
        signal = Signal(
            id=name,
            vectors=tuple(dict.fromkeys(vectors))[:6],
            cwes=tuple(dict.fromkeys(cwes))[:10],
            title=" ".join(summary.split())[:200],
        )
        advisory = Advisory(
            id=name,
            source="nvd",
            summary=" ".join(summary.split())[:300],
            vectors=signal.vectors,
            cwes=signal.cwes,
            references=tuple(text(as_dict(one).get("url"), 500) for one in as_list(cve.get("references")))[:8],
            published=text(cve.get("published"), 40),
            modified=modified,
            affected=affected,
        )
        yield signal, advisory


def _affected(cve: dict[str, Any]) -> Iterator[Affected]:
    products: dict[str, tuple[list[Range], list[str]]] = {}
    for configuration in as_list(cve.get("configurations")):
        for node in as_list(as_dict(configuration).get("nodes")):
            for match in map(as_dict, as_list(as_dict(node).get("cpeMatch"))):
                parts = _SPLIT.split(text(match.get("criteria"), 500))
                if len(parts) < 6 or match.get("vulnerable") is not True:
                    continue
                ranges, versions = products.setdefault(f"{parts[3]}:{parts[4]}".replace("\\", ""), ([], []))
                low = text(match.get("versionStartIncluding"), 100) or text(match.get("versionStartExcluding"), 100)
                high, last = text(match.get("versionEndExcluding"), 100), text(match.get("versionEndIncluding"), 100)
                if low or high or last:
                    ranges.append(Range(introduced=low, fixed=high, last_affected="" if high else last))
                elif parts[5] not in ("*", "-"):
                    versions.append(parts[5].replace("\\", ""))
    for product, (ranges, versions) in products.items():
        state = FixState.FIXED if any(one.fixed for one in ranges) else FixState.UNKNOWN
        yield Affected(
            ecosystem=CPE_ECOSYSTEM, name=product, ranges=tuple(ranges), versions=tuple(versions), state=state
        )
