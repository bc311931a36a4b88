"""OSV records (schema 1.x): the zips of osv.dev, GHSA's repository, Ubuntu's and others' exports, malicious-package records."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from phalanx.advisories.model import Advisory, Affected, FixState, Range
from phalanx.advisories.readers.tally import Tally, as_dict, as_list, text, texts
from phalanx.errors import CorruptError
from phalanx.model.severity import Severity

__all__ = ["SEVERITY_WORDS", "read_osv", "read_osv_directory", "read_osv_zip"]

MAX_RECORD: Final = 16 << 20
"""A larger record is skipped, in bytes (the largest real one is 3 MB)."""

SEVERITY_WORDS: Final = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
    "minor": Severity.LOW,
    "unimportant": Severity.INFO,
    "negligible": Severity.INFO,
    "none": Severity.INFO,
    "info": Severity.INFO,
}
"""The words of GHSA, Red Hat, SUSE, Debian, Ubuntu and Amazon."""

_REFERENCE_ORDER: Final = {"ADVISORY": 0, "FIX": 1, "REPORT": 2, "ARTICLE": 3, "EVIDENCE": 3, "WEB": 4, "PACKAGE": 5}


def read_osv_zip(path: Path | io.BytesIO, source: str, tally: Tally) -> Iterator[Advisory]:
    """The records of an ``all.zip``, in the order of the archive; CorruptError when it is no zip (a broken download)."""
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CorruptError(
            f"{path} is not a zip archive", hint="download it again; the database in place is kept"
        ) from error
    with opened as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".json"):
                continue
            if member.file_size > MAX_RECORD:
                tally.skip("record larger than 16 MiB")
                continue
            try:
                raw = archive.read(member)
            except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
                tally.skip(f"unreadable member: {type(error).__name__}")
                continue
            yield from read_osv(raw, source, tally)


def read_osv_directory(path: Path, source: str, tally: Tally) -> Iterator[Advisory]:
    """The records of a directory tree of ``*.json`` (GHSA's and malicious-packages' repositories)."""
    for file in sorted(path.rglob("*.json")):
        if file.stat().st_size > MAX_RECORD:
            tally.skip("record larger than 16 MiB")
            continue
        yield from read_osv(file.read_bytes(), source, tally)


def read_osv(raw: bytes, source: str, tally: Tally) -> Iterator[Advisory]:
    """The advisory of one record; nothing when it is not one."""
    try:
        record = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        tally.skip("not JSON")
        return
    if not isinstance(record, dict) or not text(record.get("id")):
        tally.skip("no id")
        return
    made = _advisory(record, source)
    tally.read(made.modified)
    yield made


def _advisory(record: dict[str, Any], source: str) -> Advisory:
    specific = as_dict(record.get("database_specific"))
    affected = tuple(one for item in as_list(record.get("affected")) if (one := _affected(as_dict(item))) is not None)
    vectors = list(_vectors(record.get("severity")))
    for item in as_list(record.get("affected")):
        inner = as_dict(item)
        vectors.extend(_vectors(inner.get("severity")))
        vectors.extend(_vectors(as_dict(inner.get("database_specific")).get("severity")))
    references = sorted(
        (as_dict(item) for item in as_list(record.get("references"))),
        key=lambda item: _REFERENCE_ORDER.get(text(item.get("type")), 9),
    )
    cwes = texts(specific.get("cwe_ids")) or texts(specific.get("cwes"))
    summary = text(record.get("summary")) or text(record.get("details"))
    return Advisory(
        id=text(record.get("id"), 200),
        source=source,
        aliases=texts(record.get("aliases")),
        upstream=texts(record.get("upstream")),
        summary=" ".join(summary[:900].split())[:300],
        severity=_word(specific.get("severity")) or next((one.severity for one in affected if one.severity), None),
        vectors=tuple(dict.fromkeys(vectors))[:6],
        cwes=cwes[:10],
        references=tuple(dict.fromkeys(text(item.get("url"), 500) for item in references if text(item.get("url"))))[:8],
        published=text(record.get("published"), 40),
        modified=text(record.get("modified"), 40),
        withdrawn=bool(record.get("withdrawn")),
        affected=affected,
    )


def _word(value: object) -> Severity | None:
    return SEVERITY_WORDS.get(value.lower()) if isinstance(value, str) else None


def _vectors(value: object) -> Iterator[str]:
    for item in as_list(value):
        score = text(as_dict(item).get("score"), 300)
        if "/" in score:
            yield score


def _affected(item: dict[str, Any]) -> Affected | None:
    package = as_dict(item.get("package"))
    ecosystem, name = text(package.get("ecosystem"), 100), text(package.get("name"), 500)
    if not ecosystem or not name:
        return None  # records about commits only (type GIT) name no package
    if ecosystem == "kubernetes":
        ecosystem = "Kubernetes"
    database = as_dict(item.get("database_specific"))
    ecosystem_specific = as_dict(item.get("ecosystem_specific"))
    ranges: list[Range] = []
    for one in as_list(item.get("ranges")):
        inner = as_dict(one)
        if inner.get("type") != "GIT":
            ranges.extend(_ranges(as_list(inner.get("events")), database))
    symbols: list[str] = []
    for imported in as_list(ecosystem_specific.get("imports")):
        inner = as_dict(imported)
        path = text(inner.get("path"), 300)
        symbols.extend(f"{path}.{symbol}" for symbol in texts(inner.get("symbols")))
    affects = as_dict(ecosystem_specific.get("affects"))
    symbols.extend(texts(affects.get("functions")) or texts(ecosystem_specific.get("affected_functions")))
    fixed = any(one.fixed for one in ranges)
    return Affected(
        ecosystem=ecosystem,
        name=name,
        ranges=tuple(ranges),
        versions=texts(item.get("versions"), 100_000),
        state=FixState.FIXED if fixed else FixState.UNKNOWN,
        severity=_word(ecosystem_specific.get("severity"))
        or _word(ecosystem_specific.get("urgency"))
        or _word(database.get("severity")),
        symbols=tuple(symbols[:200]),
    )


def _ranges(events: list[Any], database: dict[str, Any]) -> Iterator[Range]:
    """The intervals that ``events`` describe; each ``introduced`` opens one, the next end closes it."""
    opened: str | None = None
    last_known = text(database.get("last_known_affected_version_range"), 100)
    for event in events:
        for kind, version in as_dict(event).items():
            if not isinstance(version, str):
                continue
            if kind == "introduced":
                if opened is not None:
                    yield Range(introduced=opened)
                opened = "" if version == "0" else version
            elif kind == "fixed":
                yield Range(introduced=opened or "", fixed=version)
                opened = None
            elif kind == "last_affected":
                yield Range(introduced=opened or "", last_affected=version)
                opened = None
    if opened is not None:
        if last_known.startswith("<="):
            yield Range(introduced=opened, last_affected=last_known[2:].strip())
        elif last_known.startswith("<"):
            yield Range(introduced=opened, fixed=last_known[1:].strip())
        else:
            yield Range(introduced=opened)
