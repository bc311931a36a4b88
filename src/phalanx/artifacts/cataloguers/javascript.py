"""JavaScript: installed packages and the lock files of npm, yarn, pnpm and bun."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component

__all__ = ["bun_lock", "package_json", "package_lock", "project_json", "pnpm_lock", "yarn_lock"]

_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\S*")


_PNPM: Final = re.compile(r"(?P<name>(?:@[^/@]+/)?[^/@]+)[@/](?P<version>[0-9][^/]*)")


def _component(
    name: str, version: str, method: str, *, declared: bool = True, development: bool = False, **more: Any
) -> Component:
    scope, slash, rest = name.partition("/")
    return Component(
        type="npm",
        namespace=scope if slash else "",
        name=rest if slash else name,
        version=version,
        ecosystem="npm",
        method=method,
        declared=declared,
        development=development,
        **more,
    )


def package_json(path: str, data: bytes) -> Iterator[Component]:
    """``package.json`` of an installed package (below ``node_modules``) ; a project's own names no component."""
    item = msgspec.json.decode(data)
    if not isinstance(item, dict):
        raise ValueError("not an object")
    name, version = item.get("name"), item.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not _VERSION.match(version.lstrip("v=")):
        return
    licence = item.get("license")
    if isinstance(licence, dict):
        licence = licence.get("type")
    needs = item.get("dependencies")
    yield _component(
        name,
        version.lstrip("v="),
        "package.json",
        declared=False,
        licences=(licence[:100],) if isinstance(licence, str) else (),
        depends=tuple(needs)[:500] if isinstance(needs, dict) else (),
    )


def project_json(path: str, data: bytes) -> Iterator[Component]:
    """A ``package.json`` outside of ``node_modules``: the project itself, or a package that was unpacked there.

    It is listed, and matched with advisories only below ``usr`` and ``lib``, where packages lie: a private project may bear a public name.
    """
    for one in package_json(path, data):
        packaged = path.startswith(("usr/", "lib/", "opt/yarn"))
        yield (
            one
            if packaged
            else msgspec.structs.replace(one, ecosystem="", method="package.json of the project", declared=True)
        )


def package_lock(path: str, data: bytes) -> Iterator[Component]:
    """``package-lock.json`` and ``npm-shrinkwrap.json``, versions 1 to 3."""
    lock = msgspec.json.decode(data, type=dict[str, Any])
    method = path.rpartition("/")[2]
    packages = lock.get("packages")
    if isinstance(packages, dict):
        for place, item in packages.items():
            if not place or not isinstance(item, dict) or item.get("link"):
                continue
            name = item.get("name") or place.rpartition("node_modules/")[2]
            if isinstance(item.get("version"), str) and isinstance(name, str):
                yield _component(name, item["version"], method, development=bool(item.get("dev")))
        return
    stack: list[tuple[dict[str, Any], int]] = [(lock.get("dependencies") or {}, 0)]
    while stack:
        level, depth = stack.pop()
        for name, item in level.items():
            if not isinstance(item, dict):
                continue
            version = item.get("version")
            if isinstance(version, str) and version.startswith("npm:"):
                name, _, version = version[4:].rpartition("@")
            if isinstance(version, str) and _VERSION.match(version):
                yield _component(name, version, method, development=bool(item.get("dev")))
            inner = item.get("dependencies")
            if isinstance(inner, dict) and depth < 100:
                stack.append((inner, depth + 1))


def yarn_lock(path: str, data: bytes) -> Iterator[Component]:
    """``yarn.lock``: version 1 (its own syntax) and Berry (YAML of the same shape), read by indentation."""
    name = ""
    for line in data.decode("utf-8", "replace").splitlines():
        if not line or line.startswith("#"):
            continue
        if line[0] not in " \t":
            first = line.rstrip(":").split(",")[0].strip().strip('"')
            at = first.find("@", 1)
            name = first[:at] if at > 0 else ""
            target = first[at + 1 :]
            if target.startswith("npm:") and "@" in target[5:]:  # an alias: a@npm:b@^1
                name = target[4 : target.find("@", 5)]
            if name == "__metadata" or target.startswith(("workspace:", "link:", "portal:")):
                name = ""
        elif name and line.strip().startswith("version"):
            version = line.strip()[7:].strip(': "')
            if _VERSION.match(version):
                yield _component(name, version, "yarn.lock")
            name = ""


def pnpm_lock(path: str, data: bytes) -> Iterator[Component]:
    """``pnpm-lock.yaml``, lock file versions 5, 6 and 9: keys ``/name/1.0.0``, ``/name@1.0.0`` and ``name@1.0.0``."""
    from phalanx.text.yaml import load_yaml

    lock = load_yaml(data)
    packages = lock.get("packages") if isinstance(lock, dict) else None
    for key, item in (packages or {}).items():
        text = str(key).lstrip("/").partition("(")[0]
        match = _PNPM.fullmatch(text)
        if match is None:
            continue
        name, version = match["name"], match["version"].partition("_")[0]
        if name and _VERSION.match(version):
            yield _component(
                name, version, "pnpm-lock.yaml", development=isinstance(item, dict) and bool(item.get("dev"))
            )


def bun_lock(path: str, data: bytes) -> Iterator[Component]:
    """``bun.lock``: JSON with trailing commas; ``packages`` maps a place to ``["name@version", …]``."""
    text = re.sub(r",(\s*[}\]])", r"\1", data.decode("utf-8"))
    lock = msgspec.json.decode(text, type=dict[str, Any])
    for item in (lock.get("packages") or {}).values():
        if isinstance(item, list) and item and isinstance(item[0], str):
            name, _, version = item[0].rpartition("@")
            if name and _VERSION.match(version):
                yield _component(name, version, "bun.lock")
