"""Which cataloguer reads which file; decided by name alone, once for each file, so it must be cheap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from phalanx.artifacts.cataloguers import distro, javascript, locks, python
from phalanx.artifacts.cataloguers.java import gradle_lock, pom_xml
from phalanx.artifacts.model import Component

__all__ = ["Cataloguer", "find_cataloguer"]

Cataloguer = Callable[[str, bytes], Iterable[Component]]

_LOCKS: Final[dict[str, Cataloguer]] = {
    "Cargo.lock": locks.cargo_lock,
    "Directory.Packages.props": locks.directory_packages,
    "Gemfile.lock": locks.gemfile_lock,
    "Manifest.toml": locks.julia_manifest,
    "Package.resolved": locks.swift_resolved,
    "Pipfile.lock": python.pipfile_lock,
    "Podfile.lock": locks.podfile_lock,
    "bun.lock": javascript.bun_lock,
    "buildscript-gradle.lockfile": gradle_lock,
    "cabal.project.freeze": locks.cabal_freeze,
    "composer.lock": locks.composer_lock,
    "conan.lock": locks.conan_lock,
    "conanfile.txt": locks.conanfile,
    "gems.locked": locks.gemfile_lock,
    "go.mod": locks.go_mod,
    "gradle.lockfile": gradle_lock,
    "mix.lock": locks.mix_lock,
    "npm-shrinkwrap.json": javascript.package_lock,
    "package-lock.json": javascript.package_lock,
    "packages.config": locks.packages_config,
    "packages.lock.json": locks.packages_lock,
    "pdm.lock": python.toml_lock,
    "pnpm-lock.yaml": javascript.pnpm_lock,
    "poetry.lock": python.toml_lock,
    "pom.xml": pom_xml,
    "pubspec.lock": locks.pubspec_lock,
    "pylock.toml": python.toml_lock,
    "rebar.lock": locks.rebar_lock,
    "renv.lock": locks.renv_lock,
    "setup.py": python.setup_py,
    "stack.yaml.lock": locks.stack_lock,
    ".terraform.lock.hcl": locks.terraform_lock,
    "uv.lock": python.toml_lock,
    "vcpkg.json": locks.vcpkg,
    "yarn.lock": javascript.yarn_lock,
}
"""What a project asks for; read in trees and repositories, not in images."""

_INSTALLED: Final[dict[str, Cataloguer]] = {
    "METADATA": python.metadata,
    "PKG-INFO": python.metadata,
    "installed.json": locks.composer_installed,
    "package.json": javascript.package_json,
}
_REQUIREMENTS: Final = re.compile(r"(?:.*[-_.])?requirements(?:[-_.].*)?\.(?:txt|in|pip)")
# A Rust program keeps no list of its crates, so the lock beside it is the best that an image has.
_LOCKS_IN_IMAGES: Final = frozenset({"Cargo.lock"})


_SHIPPED: Final = ("node_modules/", "site-packages/", "dist-packages/")


def find_cataloguer(path: str, *, declared: bool) -> Cataloguer | None:
    """The cataloguer of the file ``path``; None when its name says nothing.

    Args:
        path: in the artifact.
        declared: also read lock files and manifests, which say what a project asks for.
    """
    name = path.rpartition("/")[2]
    cataloguer = _INSTALLED.get(name)
    if cataloguer is not None:
        if name == "package.json":
            return cataloguer if "node_modules/" in path or "/npm/" in path else javascript.project_json
        if name == "METADATA":
            return cataloguer if path.endswith(".dist-info/METADATA") else None
        if name == "PKG-INFO":
            return cataloguer if ".egg-info/" in path or path.startswith("EGG-INFO/") or "/EGG-INFO/" in path else None
        return cataloguer if path.endswith("composer/installed.json") else None
    if declared or name in _LOCKS_IN_IMAGES:
        cataloguer = _LOCKS.get(name)
        if cataloguer is not None:
            # What an installed package ships of its own development files is not what is installed.
            return None if any(place in path for place in _SHIPPED) else cataloguer
    return _by_place(path, name, declared)


def _by_place(path: str, name: str, declared: bool) -> Cataloguer | None:
    if name == "status" or name.startswith("status."):
        if path == "var/lib/dpkg/status":
            return distro.dpkg_status
        if path in ("usr/lib/opkg/status", "var/lib/opkg/status"):
            return distro.opkg_status
    if path.startswith("var/lib/dpkg/status.d/"):
        return None if name.endswith(".md5sums") else distro.dpkg_status
    if name == "installed" and path in ("lib/apk/db/installed", "usr/lib/apk/db/installed"):
        return distro.apk_installed
    if name == "desc" and path.startswith("var/lib/pacman/local/"):
        return distro.pacman_desc
    if name.endswith(".egg-info"):
        return python.metadata
    if name.endswith(".json"):
        if "conda-meta/" in path:
            return python.conda_meta
        if name.endswith(".deps.json"):
            return locks.deps_json
    elif name.endswith(".gemspec"):
        return locks.gemspec if "specifications/" in path else None
    elif name == "DESCRIPTION":
        return locks.r_description
    elif name.endswith(".rockspec"):
        return locks.lua_rockspec if "/rocks" in path else None
    elif name == "opam":
        return locks.opam if "/.opam-switch/packages/" in path else None
    elif declared and name.endswith((".txt", ".in", ".pip")) and _REQUIREMENTS.fullmatch(name):
        return python.requirements
    return None
