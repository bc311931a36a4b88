"""XML feeds: updateinfo of RPM distributions, OVAL definitions, the exports of CNVD and CNNVD.

Read as a stream, an element at a time. Python's expat resolves no external entity and stops when entities expand beyond its bound (since 2.4.1), so a
hostile document ends in a parse error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

from phalanx.advisories.model import Advisory, Affected, FixState, Range, Signal
from phalanx.advisories.readers.osv import SEVERITY_WORDS
from phalanx.advisories.readers.tally import Tally
from phalanx.errors import CorruptError

__all__ = ["read_cnnvd", "read_cnvd", "read_oval", "read_updateinfo"]

Element = ElementTree.Element


def _elements(stream: BinaryIO, wanted: frozenset[str]) -> Iterator[Element]:
    """Elements with a name in ``wanted``, their namespaces removed; each is freed when the next is asked for."""
    try:
        for _, element in ElementTree.iterparse(stream):  # noqa: S314 — see the module
            name = element.tag.rpartition("}")[2]
            if name in wanted:
                for one in element.iter():
                    one.tag = one.tag.rpartition("}")[2]
                yield element
                element.clear()
    except ElementTree.ParseError as error:
        raise CorruptError(f"not well-formed XML: {error}") from error


def _text(element: Element | None, path: str = "") -> str:
    found = element.find(path) if element is not None and path else element
    return " ".join((found.text or "").split()) if found is not None else ""


def read_updateinfo(stream: BinaryIO, tally: Tally, *, ecosystem: str) -> Iterator[Advisory]:
    """``updateinfo.xml`` of Amazon, Oracle, Rocky, Alma or SUSE: each security update with the packages that it brings."""
    for update in _elements(stream, frozenset({"update"})):
        identifier = _text(update, "id")
        if update.get("type") not in (None, "security") or not identifier:
            continue
        fixed: dict[str, str] = {}
        for package in update.iter("package"):
            name, version, release = package.get("name", ""), package.get("version", ""), package.get("release", "")
            epoch = package.get("epoch") or "0"
            if name and version:
                fixed[name] = f"{epoch}:{version}-{release}" if epoch != "0" else f"{version}-{release}"
        references = list(update.iter("reference"))
        flaws = [one.get("id") or one.get("title") or "" for one in references if one.get("type") == "cve"]
        issued = update.find("issued")
        severity = SEVERITY_WORDS.get(_text(update, "severity").lower())
        tally.read(issued.get("date", "") if issued is not None else "")
        yield Advisory(
            id=identifier,
            source=f"updateinfo:{ecosystem}",
            upstream=tuple(flaw for flaw in flaws if flaw.startswith("CVE-")),
            summary=(_text(update, "title") or _text(update, "description"))[:300],
            severity=severity,
            references=tuple(one.get("href", "") for one in references if one.get("href"))[:8],
            published=issued.get("date", "") if issued is not None else "",
            affected=tuple(
                Affected(
                    ecosystem=ecosystem,
                    name=name,
                    ranges=(Range(fixed=version),),
                    state=FixState.FIXED,
                    severity=severity,
                )
                for name, version in fixed.items()
            ),
        )


def read_oval(stream: BinaryIO, tally: Tally, *, ecosystem: str) -> Iterator[Advisory]:
    """OVAL definitions of packages (Debian, Ubuntu, Red Hat, Oracle): tests name an object and a state "evr less than".

    Definitions come before their tests in the file, so they are kept in a short form until the end.
    """
    definitions: list[tuple[str, str, str, tuple[str, ...], list[str]]] = []
    tests: dict[str, tuple[str, str]] = {}
    objects: dict[str, str] = {}
    states: dict[str, str] = {}
    names = {
        "definition",
        "dpkginfo_test",
        "rpminfo_test",
        "dpkginfo_object",
        "rpminfo_object",
        "dpkginfo_state",
        "rpminfo_state",
    }
    for element in _elements(stream, frozenset(names)):
        identifier = element.get("id", "")
        if element.tag == "definition":
            flaws = tuple(
                one.get("ref_id", "") for one in element.iter("reference") if one.get("source", "").upper() == "CVE"
            )
            flaws = flaws or tuple(_text(one) for one in element.iter("cve") if _text(one).startswith("CVE-"))
            severity = _text(element, ".//severity").lower()
            refs = [one.get("test_ref", "") for one in element.iter("criterion")]
            definitions.append((identifier, _text(element, "metadata/title"), severity, flaws, refs))
        elif element.tag.endswith("_test"):
            thing, state = element.find("object"), element.find("state")
            if thing is not None and state is not None:
                tests[identifier] = (thing.get("object_ref", ""), state.get("state_ref", ""))
        elif element.tag.endswith("_object"):
            objects[identifier] = _text(element, "name")
        else:
            evr = element.find("evr")
            if evr is not None and evr.get("operation") == "less than":
                states[identifier] = _text(evr)
    for identifier, title, severity, flaws, refs in definitions:
        fixed: dict[str, str] = {}
        for ref in refs:
            thing_ref, state_ref = tests.get(ref, ("", ""))
            name, version = objects.get(thing_ref, ""), states.get(state_ref, "")
            if name and version:
                fixed[name] = version.removeprefix("0:")
        if not fixed:
            tally.skip("no package test")
            continue
        tally.read()
        word = SEVERITY_WORDS.get(severity)
        yield Advisory(
            id=identifier,
            source=f"oval:{ecosystem}",
            upstream=flaws,
            summary=title[:300],
            severity=word,
            affected=tuple(
                Affected(
                    ecosystem=ecosystem, name=name, ranges=(Range(fixed=version),), state=FixState.FIXED, severity=word
                )
                for name, version in fixed.items()
            ),
        )


def read_cnvd(stream: BinaryIO, tally: Tally) -> Iterator[Signal]:
    """CNVD's shared XML: number, Chinese title and the CVEs it stands for."""
    for item in _elements(stream, frozenset({"vulnerability"})):
        number, title = _text(item, "number"), _text(item, "title")
        cves = [_text(one) for one in item.iter("cveNumber")]
        yield from _chinese(number, title, cves, _text(item, "submitTime") or _text(item, "openTime"), tally)


def read_cnnvd(stream: BinaryIO, tally: Tally) -> Iterator[Signal]:
    """CNNVD's XML: ``entry`` with ``vuln-id``, ``name`` and ``other-id/cve-id``."""
    for item in _elements(stream, frozenset({"entry"})):
        number, title = _text(item, "vuln-id"), _text(item, "name")
        cves = [_text(one) for one in item.iter("cve-id")]
        yield from _chinese(number, title, cves, _text(item, "published"), tally)


def _chinese(number: str, title: str, cves: list[str], date: str, tally: Tally) -> Iterator[Signal]:
    known = [cve for cve in cves if cve.startswith("CVE-")]
    if not number or not known:
        tally.skip("no CVE beside it" if number else "no number")
        return
    tally.read(date)
    for cve in known:
        yield Signal(id=cve[:40], title_zh=title[:300], aliases=(number[:40],))
