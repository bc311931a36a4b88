"""From a source to an inventory: each layer's facts, joined from the lowest layer to the highest, owners and jars resolved."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from phalanx.advisories.ecosystems import normal_name, scheme_of
from phalanx.artifacts.cataloguers.binaries import PACKAGE_NOTE
from phalanx.artifacts.facts import FACTS_VERSION, Collector, Facts, Inspector
from phalanx.artifacts.jars import resolve_jar
from phalanx.artifacts.model import Component, Inventory, Issue, Layer, Location, OsRelease, Skipped
from phalanx.artifacts.sources.compression import open_stream
from phalanx.artifacts.sources.directory import walk_directory
from phalanx.artifacts.sources.entry import Entry
from phalanx.artifacts.sources.image import Blob, Image
from phalanx.artifacts.sources.tar import TarReader
from phalanx.errors import PhalanxError
from phalanx.text.hostile import decode
from phalanx.text.versions import key

__all__ = [
    "GroupsOf",
    "LayerCache",
    "collect_tar",
    "directory_inventory",
    "distro_ecosystem",
    "image_inventory",
    "join_facts",
]

GroupsOf = Callable[[str], Iterable[str]]

_DISTROS: Final[dict[str, Callable[[OsRelease], str]]] = {
    "debian": lambda os: f"Debian:{os.version_id.partition('.')[0]}",
    "ubuntu": lambda os: f"Ubuntu:{os.version_id}",
    "alpine": lambda os: "Alpine:v" + ".".join(os.version_id.split(".")[:2]),
    "wolfi": lambda os: "Wolfi",
    "chainguard": lambda os: "Chainguard",
    "rhel": lambda os: f"Red Hat:{os.version_id.partition('.')[0]}",
    "centos": lambda os: f"Red Hat:{os.version_id.partition('.')[0]}",
    "rocky": lambda os: f"Rocky Linux:{os.version_id.partition('.')[0]}",
    "almalinux": lambda os: f"AlmaLinux:{os.version_id.partition('.')[0]}",
    "ol": lambda os: f"Oracle:{os.version_id.partition('.')[0]}",
    "amzn": lambda os: f"Amazon:{os.version_id}",
    "sles": lambda os: f"SUSE:{os.version_id}",
    "opensuse-leap": lambda os: f"openSUSE:Leap {os.version_id}",
    "opensuse-tumbleweed": lambda os: "openSUSE:Tumbleweed",
    "photon": lambda os: f"Photon OS:{os.version_id}",
    "openeuler": lambda os: f"openEuler:{os.version_id}",
    "mageia": lambda os: f"Mageia:{os.version_id}",
    "arch": lambda os: "Arch",
}
"""os-release ID → ecosystem in the spelling of OSV."""

_DEBIAN_CODENAMES: Final = {
    "trixie": "13",
    "bookworm": "12",
    "bullseye": "11",
    "buster": "10",
    "stretch": "9",
    "jessie": "8",
}


def distro_ecosystem(release: OsRelease | None) -> str:
    """The ecosystem of a distribution's packages; empty when it is not known."""
    if release is None:
        return ""
    if release.id == "debian" and not release.version_id:
        return f"Debian:{_DEBIAN_CODENAMES[release.codename]}" if release.codename in _DEBIAN_CODENAMES else ""
    made = _DISTROS.get(release.id)
    return made(release) if made is not None else ""


class LayerCache:
    """Facts by the digest of the unpacked layer: a base that was seen once costs nothing again.

    One file a layer, written beside and renamed; a file that cannot be read is as good as none. Bounded: the oldest go first.
    """

    MAX_BYTES: Final = 512 << 20

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._decoder = msgspec.msgpack.Decoder(Facts)

    def _file(self, diff_id: str, variant: str) -> Path:
        name = hashlib.sha256(f"{FACTS_VERSION}\0{variant}\0{diff_id}".encode()).hexdigest()
        return self._directory / f"{name}.facts"

    def get(self, diff_id: str, variant: str) -> Facts | None:
        """The facts of a layer, or None."""
        path = self._file(diff_id, variant)
        try:
            raw = path.read_bytes()
            return self._decoder.decode(raw)
        except (OSError, msgspec.MsgspecError):
            return None

    def put(self, diff_id: str, variant: str, facts: Facts) -> None:
        """Keep the facts of a layer; a full disk or a read-only cache costs only the next scan's time."""
        path = self._file(diff_id, variant)
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self._directory)
            with os.fdopen(handle, "wb") as stream:
                stream.write(msgspec.msgpack.encode(facts))
            os.replace(temporary, path)
            self._trim()
        except OSError:
            return

    def _trim(self) -> None:
        files = sorted((one.stat().st_mtime, one.stat().st_size, one) for one in self._directory.glob("*.facts"))
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.MAX_BYTES:
                break
            path.unlink(missing_ok=True)
            total -= size


def directory_inventory(
    root: Path,
    *,
    target: str,
    kind: str = "fs",
    declared: bool = True,
    groups_of: GroupsOf = lambda _: (),
    inspectors: tuple[Inspector, ...] = (),
    exclude: frozenset[str] = frozenset(),
    one_file_system: bool = False,
) -> Inventory:
    """The inventory of a directory tree."""
    collector = Collector(declared=declared, inspectors=inspectors)
    for entry in walk_directory(root, skipped=collector.skip, exclude=exclude, one_file_system=one_file_system):
        collector.add(entry)
    return join_facts([(Layer(digest=""), collector.facts)], target=target, kind=kind, digest="", groups_of=groups_of)


def image_inventory(
    image: Image,
    *,
    target: str,
    cache: LayerCache | None = None,
    declared: bool = False,
    groups_of: GroupsOf = lambda _: (),
    inspectors: tuple[Inspector, ...] = (),
    variant: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Inventory:
    """The inventory of an image.

    Args:
        image: from ``open_image``.
        target: what the caller named.
        cache: facts of layers seen before; None scans every layer.
        declared: also read lock files.
        groups_of: see :func:`phalanx.artifacts.jars.resolve_jar`.
        inspectors: of secrets and malware.
        variant: names what ``inspectors`` and ``declared`` are, so that cached facts of another scan are not taken for these.
        progress: told each layer.
    """
    history = [one for one in image.config.get("history") or () if isinstance(one, dict) and not one.get("empty_layer")]
    parts: list[tuple[Layer, Facts]] = []
    for place, blob in enumerate(image.layers):
        progress(f"layer {place + 1} of {len(image.layers)}")
        facts = cache.get(blob.diff_id, f"{variant}{declared}") if cache is not None else None
        cached = facts is not None
        size = 0
        if facts is None:
            facts, size, whole = _layer_facts(blob, declared, inspectors)
            if cache is not None and whole:
                cache.put(blob.diff_id, f"{variant}{declared}", facts)
        created = str(history[place].get("created_by", ""))[:500] if place < len(history) else ""
        parts.append((Layer(digest=blob.diff_id, size_bytes=size, created_by=created, cached=cached), facts))
    return join_facts(parts, target=target, kind="image", digest=image.digest, groups_of=groups_of)


def _layer_facts(blob: Blob, declared: bool, inspectors: tuple[Inspector, ...]) -> tuple[Facts, int, bool]:
    """Facts, stored size, and whether the layer was read to its end."""
    collector = Collector(declared=declared, layer=blob.diff_id, inspectors=inspectors, keep_paths=True)
    size = 0
    try:
        stored, size = blob.open()
        with stored:
            collect_tar(open_stream(stored), collector)
            while stored.read(1 << 20):  # padding after the end of the tar; the digest covers it
                pass
    except PhalanxError as error:
        collector.fail("", error)
        return collector.facts, size, False
    except OSError as error:
        collector.skip("", f"layer not readable: {error.strerror or error}")
        return collector.facts, size, False
    return collector.facts, size, True


def collect_tar(stream: BinaryIO, collector: Collector) -> None:
    """Add the members of a layer to ``collector``, whiteouts and links included."""
    facts = collector.facts
    reader = TarReader(stream)
    for member in reader:
        directory, _, name = member.path.rpartition("/")
        if name.startswith(".wh."):
            if name == ".wh..wh..opq":
                facts.opaque.append(directory)
            elif not name.startswith(".wh..wh."):
                facts.whiteouts.append(f"{directory}/{name[4:]}" if directory else name[4:])
        elif member.kind == "0":
            collector.add(Entry(member.path, member.size, member.mode, reader.read))
        elif member.kind in "12":
            facts.paths.append(member.path)
            if member.kind == "1":
                facts.links[member.path] = member.link.lstrip("./")
        elif member.kind == "S":
            collector.skip(member.path, "sparse file")
    for path in reader.climbed:
        collector.skip(path, "path climbs out of the archive or is too long")


def join_facts(
    parts: list[tuple[Layer, Facts]], *, target: str, kind: str, digest: str, groups_of: GroupsOf
) -> Inventory:
    """The inventory of layers, lowest first; a directory or an archive is one layer without a digest."""
    found: dict[str, tuple[str, list[Component]]] = {}
    issues: list[Issue] = []
    skipped: list[Skipped] = []
    owned: dict[str, bytes] = {}
    release: OsRelease | None = None
    alpine = ""
    files = 0
    for layer, facts in parts:
        files += facts.files
        release = facts.os or release
        alpine = facts.alpine or alpine
        owned.update(facts.owned)
        skipped.extend(facts.skipped)
        if facts.skipped_more:
            skipped.append(Skipped(path="", reason=f"and {facts.skipped_more} more", layer=layer.digest))
        for path, hits in facts.issues.items():
            issues.extend(msgspec.structs.replace(one, path=path, layer=layer.digest) for one in hits)
        before = {path: components for path, (_, components) in found.items() if path in _DATABASES}
        _hide(found, facts)
        for path, hints in facts.hints.items():
            facts.found.setdefault(path, []).extend(resolve_jar(hint, groups_of) for hint in hints)
        for path, components in facts.found.items():
            known = {one.purl: one for one in before.get(path, ())}
            found[path] = (
                layer.digest,
                [known.get(one.purl) or _placed(one, path, layer.digest) for one in components],
            )
        for path, source in facts.links.items():
            if source in found and path not in found:
                found[path] = (layer.digest, [_placed(one, path, layer.digest, source) for one in found[source][1]])
    if alpine and release is not None and release.id == "alpine" and not release.version_id:
        release = msgspec.structs.replace(release, version_id=alpine)
    everything = [one for _, components in found.values() for one in components]
    listed = {one.type for one in everything if one.method != PACKAGE_NOTE}
    everything = [one for one in everything if one.method != PACKAGE_NOTE or one.type not in listed]
    everything = _named_by_distro(everything, release)
    everything = _owned(everything, owned)
    return Inventory(
        target=target,
        kind=kind,
        digest=digest,
        os=release,
        components=tuple(_merged(everything)),
        issues=tuple(issues),
        layers=tuple(layer for layer, _ in parts if layer.digest),
        skipped=tuple(skipped),
        files=files,
    )


_DATABASES: Final = frozenset(
    {
        "var/lib/dpkg/status",
        "lib/apk/db/installed",
        "usr/lib/apk/db/installed",
        "var/lib/rpm/rpmdb.sqlite",
        "usr/lib/sysimage/rpm/rpmdb.sqlite",
    }
)
"""Rewritten whole by each layer that installs something: what stood there before keeps the layer that brought it."""


def _hide(found: dict[str, tuple[str, list[Component]]], facts: Facts) -> None:
    """Remove what this layer deletes or replaces."""
    for path in facts.paths:
        found.pop(path, None)
    gone = [path + "/" for path in facts.whiteouts] + [path + "/" if path else "" for path in facts.opaque]
    for path in facts.whiteouts:
        found.pop(path, None)
    if gone and found:
        prefixes = tuple(gone)
        for path in [path for path in found if path.startswith(prefixes)]:
            del found[path]


def _placed(component: Component, path: str, layer: str, source: str = "") -> Component:
    """The component with its place: ``path``, and inside of it what the cataloguer of an archive said.

    Args:
        component: as found.
        path: where it lies now.
        layer: digest.
        source: path under which it was catalogued when that is another one (a hard link).
    """
    inner = component.locations[0].path if component.locations else path
    inner = path + inner.removeprefix(source or path) if inner.startswith((source or path) + "!/") else path
    return msgspec.structs.replace(component, locations=(Location(path=inner, layer=layer),))


def _named_by_distro(components: list[Component], release: OsRelease | None) -> list[Component]:
    """Give distribution packages their ecosystem, namespace and ``distro`` qualifier."""
    ecosystem = distro_ecosystem(release)
    made = []
    for one in components:
        if one.type in ("deb", "apk", "rpm", "alpm") and not one.ecosystem:
            qualifiers = dict(one.qualifiers)
            if release is not None:
                qualifiers["distro"] = f"{release.id}-{release.version_id}" if release.version_id else release.id
            upstream = one.source_name and (
                f"{one.source_name}@{one.source_version}" if one.source_version else one.source_name
            )
            if upstream and one.type in ("deb", "apk"):
                qualifiers["upstream"] = upstream
            one = msgspec.structs.replace(
                one,
                ecosystem=ecosystem,
                namespace=release.id if release is not None else one.namespace,
                qualifiers=qualifiers,
            )
        made.append(one)
    return made


def _owned(components: list[Component], lists: dict[str, bytes]) -> list[Component]:
    """Mark language components whose files a dpkg package owns: their advisories are the distribution's alone."""
    candidates: dict[str, int] = {}
    for place, one in enumerate(components):
        if one.type not in ("deb", "apk", "rpm") and one.locations:
            candidates.setdefault("/" + one.locations[0].path.partition("!/")[0], place)
    if not candidates or not lists:
        return components
    packages = {one.name: one for one in components if one.type == "deb"}
    owners: dict[str, str] = {}
    for package, content in lists.items():
        owner = packages.get(package)
        if owner is None:
            continue
        for line in content.split(b"\n"):
            path = decode(line)
            if path in candidates:
                owners[path] = owner.purl
            elif path.startswith(("/lib/", "/bin/", "/sbin/")) and "/usr" + path in candidates:  # merged /usr
                owners["/usr" + path] = owner.purl
    if not owners:
        return components
    return [
        msgspec.structs.replace(one, owner=owners.get("/" + one.locations[0].path.partition("!/")[0], ""))
        if one.type not in ("deb", "apk", "rpm") and one.locations
        else one
        for one in components
    ]


def _merged(components: list[Component]) -> list[Component]:
    """One entry for each component and version: places joined, the surest method first. ``3.2`` and ``3.2.0`` of PyPI are one version."""
    merged: dict[tuple[Any, ...], Component] = {}
    for one in sorted(components, key=lambda item: (item.declared, -item.confidence)):
        name = normal_name(one.ecosystem, one.full_name) if one.ecosystem else one.full_name
        version: bytes | str = (
            key(scheme_of(one.ecosystem), one.version)
            if one.ecosystem and one.type not in ("deb", "rpm", "apk")
            else one.version
        )
        identity = (one.type, one.ecosystem, name, version, one.qualifiers.get("arch", ""), one.owner)
        known = merged.get(identity)
        if known is None:
            merged[identity] = one
        else:
            places = tuple(dict.fromkeys(known.locations + one.locations))[:1000]
            merged[identity] = msgspec.structs.replace(
                known, locations=places, development=known.development and one.development
            )
    return sorted(merged.values(), key=lambda one: (one.type, one.full_name, one.version))
