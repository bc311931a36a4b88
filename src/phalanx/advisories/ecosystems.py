"""Ecosystems: which version order each has, how it spells names, which package URL type it is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["PURL_TYPES", "Ecosystem", "base_of", "normal_name", "scheme_of"]

Ecosystem = str
"""As OSV writes it, with the release after a colon for distributions: ``PyPI``, ``Debian:12``, ``Alpine:v3.19``."""

_SCHEMES: Final = {
    "almalinux": "rpm",
    "alpaquita": "apk",
    "alpine": "apk",
    "amazon": "rpm",
    "arch": "pacman",
    "bellsoft hardened containers": "apk",
    "bitnami": "semver",
    "chainguard": "apk",
    "conan": "semver",
    "conda": "conda",
    "cran": "cran",
    "crates.io": "semver",
    "debian": "deb",
    "echo": "deb",
    "generic": "generic",
    "github actions": "semver",
    "go": "golang",
    "hackage": "cran",
    "hex": "semver",
    "kubernetes": "semver",
    "mageia": "rpm",
    "maven": "maven",
    "minimos": "apk",
    "npm": "semver",
    "nuget": "nuget",
    "openeuler": "rpm",
    "opensuse": "rpm",
    "oracle": "rpm",
    "packagist": "composer",
    "photon os": "rpm",
    "pub": "pub",
    "pypi": "pypi",
    "red hat": "rpm",
    "rocky linux": "rpm",
    "rubygems": "gem",
    "suse": "rpm",
    "swifturl": "semver",
    "ubuntu": "deb",
    "wolfi": "apk",
    "wordpress": "generic",
}
PURL_TYPES: Final = {
    "pypi": "PyPI",
    "npm": "npm",
    "maven": "Maven",
    "golang": "Go",
    "cargo": "crates.io",
    "gem": "RubyGems",
    "nuget": "NuGet",
    "composer": "Packagist",
    "hex": "Hex",
    "pub": "Pub",
    "cran": "CRAN",
    "conda": "Conda",
    "conan": "Conan",
    "swift": "SwiftURL",
    "hackage": "Hackage",
    "githubactions": "GitHub Actions",
    "bitnami": "Bitnami",
    "generic": "Generic",
    "wordpress": "WordPress",
}
"""Type of a package URL → ecosystem, for the types that say it alone; a distribution's is told by its namespace and ``distro``."""

_SEPARATORS: Final = re.compile(r"[-_.]+")


def base_of(ecosystem: Ecosystem) -> str:
    """The ecosystem without its release, in lower case: ``debian`` for ``Debian:12``."""
    return ecosystem.partition(":")[0].lower()


@lru_cache(maxsize=1024)
def scheme_of(ecosystem: Ecosystem) -> str:
    """The version scheme of ``ecosystem``; ``generic`` for one that is not known."""
    return _SCHEMES.get(base_of(ecosystem), "generic")


def normal_name(ecosystem: Ecosystem, name: str) -> str:
    """``name`` as it is compared: PyPI folds case and separators, NuGet and Packagist fold case, the others mean what they write."""
    base = base_of(ecosystem)
    if base == "pypi":
        return _SEPARATORS.sub("-", name).lower()
    if base in ("nuget", "packagist", "github actions", "hex", "pub", "swifturl"):
        return name.lower()
    return name
