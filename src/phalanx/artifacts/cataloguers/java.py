"""Java archives, as deep as they are nested: by pom.properties, else by manifest, file name and package directories.

A jar without ``pom.properties`` (Gradle builds, Spring) names its group nowhere. What it does hold, the artifact id in its file name or
symbolic name and the group in its package directories, is collected as a :class:`JarHint` and resolved against the artifact ids that
advisories know (``phalanx.artifacts.jars``): that is how a plain ``spring-beans-5.3.17.jar`` and a renamed H2 are recognised.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from msgspec import Struct

from phalanx.artifacts.limits import MAX_DEPTH, MAX_ENTRIES, MAX_FILE, MAX_NESTED_TOTAL, MAX_RATIO
from phalanx.artifacts.model import Component, Location

__all__ = ["ARCHIVES", "JarHint", "catalogue_jar", "gradle_lock", "maven_component", "pom_xml"]

ARCHIVES: Final = (".jar", ".war", ".ear", ".par", ".sar", ".nar", ".rar", ".jpi", ".hpi", ".kar", ".lpkg", ".aar")
_POM: Final = re.compile(
    r"META-INF/maven/[^/]+/[^/]+/pom\.properties|(?:WEB-INF/classes|BOOT-INF/classes)/META-INF/maven/[^/]+/[^/]+/pom\.properties"
)
_FILE: Final = re.compile(r"(?P<name>.+?)[-_](?P<version>v?[0-9][A-Za-z0-9.+_-]*)")
_NOT_A_GROUP: Final = frozenset({"META-INF", "WEB-INF", "BOOT-INF", "OSGI-INF", "javax", "java"})
_VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.+_-]{0,60}")


class JarHint(Struct, frozen=True, kw_only=True):
    """What a jar without coordinates tells about itself."""

    component: Component
    """The best guess; its group may be empty."""
    artifacts: tuple[str, ...]
    """Artifact ids it may have, the likeliest first."""
    groups: tuple[str, ...]
    """Groups it may have: prefixes of its package directories, symbolic name, vendor id; the longest first."""


class _Budget:
    """What may still be unpacked from one outermost archive."""

    def __init__(self, skip: Callable[[str, str], None]) -> None:
        self.left = MAX_NESTED_TOTAL
        self.skip = skip


def maven_component(
    group: str, artifact: str, version: str, path: str, method: str, confidence: float = 1.0, *, declared: bool = False
) -> Component:
    """A component of Maven."""
    return Component(
        type="maven",
        namespace=group,
        name=artifact,
        version=version,
        ecosystem="Maven",
        locations=(Location(path=path),),
        method=method,
        confidence=confidence,
        declared=declared,
    )


def catalogue_jar(path: str, stream: BinaryIO, skip: Callable[[str, str], None]) -> Iterator[Component | JarHint]:
    """All components of the archive in ``stream`` and of the archives in it.

    Args:
        path: of the archive.
        stream: seekable.
        skip: told (path, reason) of what was not looked at.
    """
    yield from _archive(path, stream, 0, _Budget(skip))


def _read(archive: zipfile.ZipFile, item: zipfile.ZipInfo, path: str, budget: _Budget) -> bytes | None:
    """The content of one entry, or None with the reason told."""
    place = f"{path}!/{item.filename[:500]}"
    if item.flag_bits & 1:
        budget.skip(place, "encrypted")
    elif item.file_size > MAX_FILE:
        budget.skip(place, f"larger than {MAX_FILE >> 20} MiB")
    elif item.file_size > 1 << 20 and item.file_size > MAX_RATIO * max(item.compress_size, 1):
        budget.skip(place, f"packed more than {MAX_RATIO} times: a bomb")
    elif item.file_size > budget.left:
        budget.skip(place, "the archive unpacks to more than 2 GiB")
    else:
        budget.left -= item.file_size
        try:
            with archive.open(item) as stream:
                data = stream.read(item.file_size + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            budget.skip(place, f"damaged: {error}"[:200])
            return None
        if len(data) <= item.file_size:
            return data
        budget.skip(place, "holds more than its header says")
    return None


def _archive(path: str, stream: BinaryIO, depth: int, budget: _Budget) -> Iterator[Component | JarHint]:
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        budget.skip(path, f"not a zip archive: {error}"[:200])
        return
    with archive:
        items = archive.infolist()
        if len(items) > MAX_ENTRIES:
            budget.skip(path, f"more than {MAX_ENTRIES} entries")
            return
        found: list[Component] = []
        manifest: dict[str, str] = {}
        nested: list[zipfile.ZipInfo] = []
        directories: Counter[str] = Counter()
        for item in items:
            name = item.filename
            if name.endswith(".class"):
                directories[name.rpartition("/")[0]] += 1
            elif name.endswith("/pom.properties") and _POM.fullmatch(name):
                data = _read(archive, item, path, budget)
                made = _pom_properties(data, path) if data is not None else None
                if made is not None:
                    found.append(made)
            elif name.lower().endswith(ARCHIVES):
                nested.append(item)
            elif name == "META-INF/MANIFEST.MF":
                data = _read(archive, item, path, budget)
                manifest = _manifest(data) if data is not None else {}
        yield from found
        if not any(_is_main(one, path) for one in found) and path.lower().endswith(ARCHIVES):
            hint = _hint(path, manifest, directories)
            # A jar of many parts names each of them; a hint about the whole would count one of them twice.
            if hint is not None and not any(one.name in hint.artifacts for one in found):
                yield hint
        for item in nested:
            place = f"{path}!/{item.filename}"
            if depth + 1 >= MAX_DEPTH:
                budget.skip(place, f"archives nested deeper than {MAX_DEPTH}")
                continue
            data = _read(archive, item, path, budget)
            if data is not None:
                yield from _archive(place, io.BytesIO(data), depth + 1, budget)


def _pom_properties(data: bytes, path: str) -> Component | None:
    fields: dict[str, str] = {}
    for line in data[: 1 << 16].decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields[key.strip()] = value.strip()
    group, artifact, version = fields.get("groupId", ""), fields.get("artifactId", ""), fields.get("version", "")
    if not group or not artifact or "${" in group + artifact + version:
        return None
    return maven_component(group, artifact, version, path, "pom.properties")


def _stem(path: str) -> tuple[str, str]:
    """(name, version) in a file name; the version is empty when there is none."""
    base = re.split(r"/|!/", path)[-1]
    base = base[: base.rfind(".")] if "." in base else base
    match = _FILE.fullmatch(base)
    return (match["name"], match["version"]) if match else (base, "")


def _is_main(component: Component, path: str) -> bool:
    name, version = _stem(path)
    return component.name in (name, f"{name}-{version}") or bool(
        re.match(re.escape(component.name) + r"(?:[-_.]|$)", name)
    )


def _manifest(data: bytes) -> dict[str, str]:
    """Main attributes; a line that starts with a space continues the one before (72 bytes a line)."""
    text = (
        data[: 1 << 20]
        .decode("utf-8", "replace")
        .replace("\r\n", "\n")
        .replace("\r", "\n")
        .split("\n\n")[0]
        .replace("\n ", "")
    )
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip()[:500])
    return fields


def _hint(path: str, manifest: dict[str, str], directories: Counter[str]) -> JarHint | None:
    stem, version = _stem(path)
    method = "file name"
    if not version:
        version = next(
            (
                manifest[key]
                for key in ("implementation-version", "bundle-version", "specification-version")
                if _VERSION.fullmatch(manifest.get(key, ""))
            ),
            "",
        )
        method = "MANIFEST.MF"
    if not version:
        return None
    symbolic = manifest.get("bundle-symbolicname", "").partition(";")[0].strip()
    module = manifest.get("automatic-module-name", "")
    vendor = manifest.get("implementation-vendor-id", "")
    artifacts = [stem]
    groups: list[str] = [vendor] if "." in vendor else []
    for name in (symbolic, module):
        if name:
            artifacts += [name, name.rpartition(".")[2], name.rpartition(".")[2].replace("_", "-")]
            groups += [name, name.rpartition(".")[0]]
    title = manifest.get("implementation-title", "")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,80}", title):
        artifacts.append(title)
    prefixes: Counter[str] = Counter()
    for directory, count in directories.items():
        directory = re.sub(r"^(?:META-INF/versions/[0-9]+|WEB-INF/classes|BOOT-INF/classes)/", "", directory)
        parts = directory.split("/")
        if parts[0] in _NOT_A_GROUP or len(parts) < 2:
            continue
        for depth in range(2, min(len(parts), 5) + 1):
            prefixes[".".join(parts[:depth])] += count
    total = sum(directories.values())
    common = [prefix for prefix, count in prefixes.most_common(200) if count * 5 >= total][:12]
    groups += sorted(common, key=len, reverse=True)
    artifacts += [prefix.rpartition(".")[2] for prefix in common]
    guess = next(
        (one for one in (vendor if "." in vendor else "", symbolic.rpartition(".")[0], _shortest(common)) if one), ""
    )
    return JarHint(
        component=maven_component(guess, stem, version.lstrip("v"), path, method, 0.5),
        artifacts=tuple(dict.fromkeys(one for one in artifacts if one))[:24],
        groups=tuple(dict.fromkeys(one for one in groups if "." in one))[:24],
    )


def _shortest(prefixes: list[str]) -> str:
    """The group that package directories suggest: the shortest prefix that most classes share."""
    return min(prefixes, key=len, default="")


def gradle_lock(path: str, data: bytes) -> Iterator[Component]:
    """``gradle.lockfile`` and ``buildscript-gradle.lockfile``: ``group:artifact:version=configurations``."""
    for line in data.decode("utf-8", "replace").splitlines():
        parts = line.partition("=")[0].split(":")
        if len(parts) == 3 and not line.startswith("#"):
            yield maven_component(parts[0], parts[1], parts[2], path, "gradle.lockfile", declared=True)


def pom_xml(path: str, data: bytes) -> Iterator[Component]:
    """``pom.xml``: dependencies whose version is written or a property of the same file. No entity and no parent is resolved."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("a pom with a document type is not read")
    from xml.etree import ElementTree

    root = ElementTree.fromstring(data)  # noqa: S314 — no DTD, checked above
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]

    def text(element: ElementTree.Element, name: str) -> str:
        return (element.findtext(name) or "").strip()

    parent = root.find("parent")
    properties = {child.tag: (child.text or "").strip() for child in (root.find("properties") or ())}
    properties["project.version"] = text(root, "version") or (text(parent, "version") if parent is not None else "")
    properties["project.groupId"] = text(root, "groupId") or (text(parent, "groupId") if parent is not None else "")

    def resolved(value: str) -> str:
        for _ in range(5):
            value, count = re.subn(r"\$\{([^}]+)\}", lambda match: properties.get(match[1], "")[:200], value[:500])
            if not count:
                break
        return value

    for dependency in root.iter("dependency"):
        group, artifact, version = (resolved(text(dependency, name)) for name in ("groupId", "artifactId", "version"))
        if group and artifact and _VERSION.fullmatch(version):
            made = maven_component(group, artifact, version, path, "pom.xml", declared=True)
            yield made
