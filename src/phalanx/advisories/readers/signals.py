"""What is known beyond advisories: KEV, EPSS, SSVC of vulnrichment, indexes of public exploits. One :class:`Signal` a row; the compiler merges."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from phalanx.advisories.model import Exploit, Signal
from phalanx.advisories.readers.tally import Tally, as_dict, as_list, text, texts

__all__ = [
    "read_epss",
    "read_exploitdb",
    "read_kev",
    "read_kev_csv",
    "read_poc_index",
    "read_vulnrichment",
    "read_vulnrichment_rows",
]

_CVE: Final = "CVE-"


def read_kev(raw: bytes, tally: Tally) -> Iterator[Signal]:
    """CISA's catalogue as JSON."""
    catalogue = as_dict(msgspec.json.decode(raw))
    for item in as_list(catalogue.get("vulnerabilities")):
        row = as_dict(item)
        made = _kev(row)
        if made is None:
            tally.skip("no CVE id")
            continue
        tally.read(made.kev)
        yield made


def read_kev_csv(raw: bytes, tally: Tally) -> Iterator[Signal]:
    """CISA's catalogue as CSV."""
    for row in csv.DictReader(io.StringIO(raw.decode("utf-8", "replace"))):
        made = _kev(row)
        if made is None:
            tally.skip("no CVE id")
            continue
        tally.read(made.kev)
        yield made


def _kev(row: dict[str, Any]) -> Signal | None:
    cve = text(row.get("cveID"), 40)
    if not cve.startswith(_CVE):
        return None
    cwes = row.get("cwes")
    return Signal(
        id=cve,
        kev=text(row.get("dateAdded"), 10),
        kev_due=text(row.get("dueDate"), 10),
        ransomware=row.get("knownRansomwareCampaignUse") == "Known",
        cwes=texts(cwes) if isinstance(cwes, list) else tuple(text(cwes).replace(",", " ").split())[:10],
        title=text(row.get("vulnerabilityName"), 300),
    )


def read_epss(lines: Iterable[str], tally: Tally) -> Iterator[Signal]:
    """FIRST's daily scores: a comment line with model and date, a head, then ``cve,epss,percentile``."""
    for line in lines:
        if line.startswith("#"):
            _, _, date = line.partition("score_date:")
            tally.newest = max(tally.newest, date.strip()[:40])
            continue
        cve, _, rest = line.strip().partition(",")
        if not cve.startswith(_CVE):
            continue
        score, _, percentile = rest.partition(",")
        try:
            made = Signal(id=cve, epss=_fraction(score), epss_percentile=_fraction(percentile))
        except ValueError:
            tally.skip("score is not a number from 0 to 1")
            continue
        tally.records += 1
        yield made


def _fraction(value: str) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(value)
    return number


def read_vulnrichment_rows(lines: Iterable[bytes], tally: Tally) -> Iterator[Signal]:
    """Vulnrichment condensed to one JSON object a line: ``id``, ``ssvc``, ``cvss`` rows, ``cwe``, ``cpe``."""
    for line in lines:
        row = _row(line, tally)
        if row is None:
            continue
        ssvc = as_dict(row.get("ssvc"))
        tally.read(text(ssvc.get("timestamp"), 40))
        yield Signal(
            id=text(row.get("id"), 40),
            ssvc=_exploitation(ssvc.get("exploitation")),
            automatable=_yes(ssvc.get("automatable")),
            technical_impact=text(ssvc.get("technical_impact"), 10).lower(),
            vectors=tuple(
                text(item[1], 300) for item in as_list(row.get("cvss")) if isinstance(item, list) and len(item) > 1
            ),
            cwes=texts(row.get("cwe"))[:10],
            cpes=texts(row.get("cpe"))[:5],
            title=text(row.get("title"), 300),
        )


def read_vulnrichment(raw: bytes, tally: Tally) -> Iterator[Signal]:
    """One file of CISA's vulnrichment: a CVE record (JSON 5) with an ADP container that holds SSVC, CVSS and CWE."""
    row = _row(raw, tally)
    if row is None:
        return
    containers = as_dict(row.get("containers"))
    parts = [as_dict(item) for item in [containers.get("cna"), *as_list(containers.get("adp"))]]
    ssvc: dict[str, str] = {}
    vectors: list[str] = []
    cwes: list[str] = []
    for part in parts:
        for metric in map(as_dict, as_list(part.get("metrics"))):
            other = as_dict(metric.get("other"))
            if text(other.get("type")).lower() == "ssvc":
                for option in map(as_dict, as_list(as_dict(other.get("content")).get("options"))):
                    ssvc.update({key.lower(): value for key, value in option.items() if isinstance(value, str)})
            for name, value in metric.items():
                if name.lower().startswith("cvss") and text(as_dict(value).get("vectorString")):
                    vectors.append(text(as_dict(value)["vectorString"], 300))
        for kind in map(as_dict, as_list(part.get("problemTypes"))):
            cwes.extend(
                text(as_dict(item).get("cweId"), 20)
                for item in as_list(kind.get("descriptions"))
                if as_dict(item).get("cweId")
            )
    meta = as_dict(row.get("cveMetadata"))
    cve = text(meta.get("cveId"), 40)
    if not cve.startswith(_CVE):
        tally.skip("no CVE id")
        return
    tally.read(text(meta.get("dateUpdated"), 40))
    yield Signal(
        id=cve,
        ssvc=_exploitation(ssvc.get("exploitation")),
        automatable=_yes(ssvc.get("automatable")),
        technical_impact=text(ssvc.get("technical impact"), 10).lower(),
        vectors=tuple(dict.fromkeys(vectors))[:6],
        cwes=tuple(dict.fromkeys(cwes))[:10],
        title=text(as_dict(containers.get("cna")).get("title"), 300),
    )


def read_poc_index(lines: Iterable[bytes], tally: Tally) -> Iterator[Signal]:
    """An index of proofs of concept, one JSON object a line.

    Only what is named after the flaw counts: an Exploit-DB id, or a repository whose name holds the CVE. The other references of such indexes
    are mostly advisories and lists, and would make nearly every flaw look exploited.
    """
    for line in lines:
        row = _row(line, tally)
        if row is None:
            continue
        tally.records += 1
        exploits = [
            Exploit(source="exploit-db", reference=item.strip("/")[:100])
            for item in texts(row.get("edb"))
            if item.strip("/")
        ]
        exploits += [Exploit(source="github", reference=name) for name in texts(row.get("github_named"))]
        if exploits:
            yield Signal(id=text(row.get("id"), 40), exploits=tuple(exploits[:5]))


def read_exploitdb(raw: bytes, tally: Tally) -> Iterator[Signal]:
    """Exploit-DB's ``files_exploits.csv``: column ``codes`` names the CVEs."""
    for row in csv.DictReader(io.StringIO(raw.decode("utf-8", "replace"))):
        tally.read(text(row.get("date_updated") or row.get("date_published"), 40))
        for code in text(row.get("codes")).split(";"):
            if code.strip().startswith(_CVE):
                yield Signal(
                    id=code.strip()[:40], exploits=(Exploit(source="exploit-db", reference=text(row.get("id"), 20)),)
                )


def _row(line: bytes, tally: Tally) -> dict[str, Any] | None:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        tally.skip("not JSON")
        return None
    if not isinstance(row, dict):
        tally.skip("not an object")
        return None
    if "containers" not in row and not text(row.get("id")).startswith(_CVE):
        tally.skip("no CVE id")
        return None
    return row


def _exploitation(value: object) -> str:
    word = text(value, 20).lower()
    return word if word in ("none", "poc", "active") else ""


def _yes(value: object) -> bool | None:
    return {"yes": True, "no": False}.get(text(value, 10).lower())
