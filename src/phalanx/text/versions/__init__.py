"""Version orders as byte keys: ``key(scheme, version)`` is made once, and from then on ``<`` on bytes is the order of that ecosystem.

Every scheme is total: text that breaks its grammar still gets a key (it sorts before what the grammar knows, or by a lenient reading that the
scheme's module states), because one odd tag must never lose the other findings of a scan. Two versions that are the same release have the
same key (PEP 440 ``3.2`` and ``3.2.0``, SemVer with other build metadata).

=============  =======================================================  ==========================
Scheme         Order published by                                       Module
=============  =======================================================  ==========================
``deb``        Debian policy 5.6.12, ``dpkg --compare-versions``        ``debian``
``rpm``        rpm, ``rpmvercmp`` with ``~`` and ``^``                  ``rpm``
``apk``        Alpine apk-tools (Gentoo's PMS with further suffixes)    ``alpine``
``pypi``       PEP 440                                                  ``pep440``
``maven``      Maven ``ComparableVersion``                              ``maven``
``semver``     SemVer 2.0.0: npm, Cargo, Hex, Swift, GitHub Actions     ``semver``
``golang``     Go modules: SemVer with ``v``, ``goX.Y`` for the library ``semver``
``pub``        Dart: SemVer, build metadata counts                      ``semver``
``nuget``      NuGet: four numbers, case does not count                 ``semver``
``gem``        RubyGems ``Gem::Version``                                ``gem``
``composer``   Composer: PHP stabilities                                ``composer``
``cran``       R ``package_version``                                    ``generic``
``conda``      Conda ``VersionOrder``                                   ``conda``
``pacman``     Arch ``vercmp``                                          ``rpm``
``generic``    upstream releases such as ``1.1.1k`` and ``4.2.8p18``    ``generic``
=============  =======================================================  ==========================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from typing import Final

from phalanx.errors import UsageError

__all__ = ["MAX_VERSION", "SCHEMES", "compare", "key", "keyer"]

MAX_VERSION: Final = 512
"""A longer version is cut here, in characters: no ecosystem has one, and a key must stay small."""

SCHEMES: Final[dict[str, tuple[str, str]]] = {
    "apk": ("alpine", "apk_key"),
    "composer": ("composer", "composer_key"),
    "conda": ("conda", "conda_key"),
    "cran": ("generic", "cran_key"),
    "deb": ("debian", "deb_key"),
    "gem": ("gem", "gem_key"),
    "generic": ("generic", "generic_key"),
    "golang": ("semver", "golang_key"),
    "maven": ("maven", "maven_key"),
    "nuget": ("semver", "nuget_key"),
    "pacman": ("rpm", "pacman_key"),
    "pub": ("semver", "pub_key"),
    "pypi": ("pep440", "pypi_key"),
    "rpm": ("rpm", "rpm_key"),
    "semver": ("semver", "semver_key"),
}
"""Scheme → (module, function); a module is imported when its scheme is first asked for."""


@cache
def keyer(scheme: str) -> Callable[[str], bytes]:
    """The function that makes the keys of ``scheme``; UsageError for a scheme that does not exist."""
    if scheme not in SCHEMES:
        raise UsageError(f"no version scheme {scheme!r}", hint=f"known: {', '.join(sorted(SCHEMES))}")
    module, function = SCHEMES[scheme]
    made: Callable[[str], bytes] = getattr(import_module(f"phalanx.text.versions.{module}"), function)
    return made


@lru_cache(maxsize=65_536)
def key(scheme: str, version: str) -> bytes:
    """The sort key of ``version``; keys of one scheme compare as that ecosystem compares the versions."""
    return keyer(scheme)(version[:MAX_VERSION])


def compare(scheme: str, left: str, right: str) -> int:
    """-1, 0 or 1 as ``left`` is older than, the same as, or newer than ``right``."""
    first, second = key(scheme, left), key(scheme, right)
    return (first > second) - (first < second)
