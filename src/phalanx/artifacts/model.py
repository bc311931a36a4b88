"""What was found in an artifact."""

from __future__ import annotations

from msgspec import Struct

from phalanx.model.severity import Severity
from phalanx.text.purl import format_purl

__all__ = ["Component", "Inventory", "Issue", "Layer", "Location", "OsRelease", "Skipped"]


class Location(Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """One place of a component."""

    path: str
    """Path in the artifact without a leading slash; archives inside it after ``!/``: ``srv/big.ear!/app.war!/WEB-INF/lib/a.jar``."""
    layer: str = ""
    """Digest of the layer; empty outside of images."""


class Component(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One component in one version, with every place it was found in."""

    type: str
    """Type of its package URL: ``deb``, ``pypi``, ``maven`` …"""
    namespace: str = ""
    name: str
    version: str = ""
    """Empty when nothing tells it."""
    ecosystem: str = ""
    """Feed that knows it: ``Debian:12``, ``PyPI`` …; empty when none does."""
    qualifiers: dict[str, str] = {}
    """``arch``, ``distro``, ``epoch`` … of the package URL."""
    source_name: str = ""
    """Source package, for distributions; empty when it is the name itself."""
    source_version: str = ""
    locations: tuple[Location, ...] = ()
    licences: tuple[str, ...] = ()
    """As the component states them."""
    method: str = ""
    """What told it: ``dpkg``, ``METADATA``, ``pom.properties``, ``package directories`` …"""
    confidence: float = 1.0
    """0 to 1; under 1 is a conclusion, over it a statement of the package itself."""
    owner: str = ""
    """Package URL of the distribution's package that owns its files; its advisories are then the distribution's alone."""
    depends: tuple[str, ...] = ()
    """Names of what it needs, as written there."""
    declared: bool = False
    """True: a lock file or manifest asks for it; False: it is installed there."""
    development: bool = False
    """Needed to build or test only."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return format_purl(self.type, self.namespace, self.name, self.version, self.qualifiers)

    @property
    def full_name(self) -> str:
        """The name as its ecosystem writes it: ``group:artifact``, ``@scope/name``, ``golang.org/x/text``."""
        if not self.namespace or self.type in ("deb", "apk", "rpm", "alpm"):
            return self.name
        return f"{self.namespace}{':' if self.type == 'maven' else '/'}{self.name}"


class OsRelease(Struct, frozen=True, kw_only=True):
    """The distribution of a root file system (os-release(5))."""

    id: str
    version_id: str = ""
    name: str = ""
    like: tuple[str, ...] = ()
    codename: str = ""


class Skipped(Struct, frozen=True, kw_only=True):
    """What was not looked at, and why; everything else was."""

    path: str
    reason: str
    layer: str = ""


class Layer(Struct, frozen=True, kw_only=True):
    """One layer of an image."""

    digest: str
    size_bytes: int = 0
    """As stored (compressed)."""
    created_by: str = ""
    """The instruction that made it, from the history; empty when it is not told."""
    cached: bool = False
    """Its content was known from an earlier scan."""


class Issue(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret, a harmful file or a misconfiguration."""

    kind: str
    """``secret``, ``malware`` or ``misconfiguration``."""
    rule: str
    """Id of the rule that stated it."""
    title: str
    severity: Severity
    path: str
    layer: str = ""
    line: int = 0
    """1-based; 0 where lines mean nothing."""
    text: str = ""
    """What it rests on; secrets masked."""
    digest: str = ""
    """SHA-256 of the file (malware) or of the secret (never the secret)."""
    advice: str = ""
    confidence: float = 1.0


class Inventory(Struct, frozen=True, kw_only=True):
    """All that one artifact holds."""

    target: str
    """As the caller named it."""
    kind: str
    """``fs``, ``image``, ``archive``, ``repo``, ``sbom`` or ``host``."""
    digest: str = ""
    """Of the image's manifest or the archive; empty for a directory."""
    os: OsRelease | None = None
    components: tuple[Component, ...] = ()
    issues: tuple[Issue, ...] = ()
    layers: tuple[Layer, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    files: int = 0
    """Files that were walked over."""
