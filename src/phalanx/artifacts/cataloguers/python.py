"""Python: installed metadata, requirement files and lock files."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component

__all__ = [
    "conda_meta",
    "metadata",
    "pipfile_lock",
    "requirements",
    "setup_py",
    "toml_lock",
]

_PINNED: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9.!+_-]+)\s*(?:[;#\\].*|--.*)?$"
)
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")


def metadata(path: str, data: bytes) -> Iterator[Component]:
    """``METADATA`` of a wheel or ``PKG-INFO`` of an egg: the head of an e-mail message (core metadata)."""
    fields: dict[str, str] = {}
    depends: list[str] = []
    licences: list[str] = []
    for line in data[: 1 << 20].decode("utf-8", "replace").split("\n"):
        line = line.rstrip("\r")
        if not line:
            break
        name, colon, value = line.partition(":")
        if not colon or line[0] in " \t":
            continue
        key, value = name.lower(), value.strip()
        if key == "requires-dist" and "extra ==" not in value:
            match = _REQUIREMENT.match(value)
            if match and len(depends) < 500:
                depends.append(match[1])
        elif key == "classifier" and value.startswith("License :: "):
            licences.append(value.rpartition(" :: ")[2])
        elif key not in fields:
            fields[key] = value
    if not fields.get("name") or not fields.get("version"):
        raise ValueError("metadata without name or version")
    stated = fields.get("license-expression") or fields.get("license", "")
    yield Component(
        type="pypi",
        name=fields["name"],
        version=fields["version"],
        ecosystem="PyPI",
        licences=(stated[:100],)
        if stated and stated.upper() != "UNKNOWN" and len(stated) <= 100
        else tuple(licences[:5]),
        depends=tuple(depends),
        method="METADATA" if path.endswith("METADATA") else "PKG-INFO",
    )


def _declared(name: str, version: str, method: str, *, development: bool = False) -> Component:
    return Component(
        type="pypi", name=name, version=version, ecosystem="PyPI", method=method, declared=True, development=development
    )


def requirements(path: str, data: bytes) -> Iterator[Component]:
    """``requirements*.txt``: only what is pinned; a range says nothing about what will be there."""
    for line in data.decode("utf-8", "replace").splitlines():
        match = _PINNED.match(line.strip())
        if match and "*" not in match[2]:
            yield _declared(match[1], match[2], "requirements.txt")


def pipfile_lock(path: str, data: bytes) -> Iterator[Component]:
    """``Pipfile.lock``."""
    lock = msgspec.json.decode(data, type=dict[str, Any])
    for section, development in (("default", False), ("develop", True)):
        for name, item in (lock.get(section) or {}).items():
            version = item.get("version", "") if isinstance(item, dict) else ""
            if isinstance(version, str) and version.startswith("=="):
                yield _declared(name, version.lstrip("="), "Pipfile.lock", development=development)


def toml_lock(path: str, data: bytes) -> Iterator[Component]:
    """``poetry.lock``, ``pdm.lock``, ``uv.lock`` (``[[package]]``) and ``pylock.toml`` (``[[packages]]``, PEP 751)."""
    lock = tomllib.loads(data.decode("utf-8"))
    method = path.rpartition("/")[2]
    for item in lock.get("package") or lock.get("packages") or ():
        source = item.get("source")
        if isinstance(source, dict) and ("virtual" in source or "editable" in source):
            continue  # the project itself
        if isinstance(item.get("name"), str) and isinstance(item.get("version"), str):
            yield _declared(item["name"], item["version"], method, development=item.get("category") == "dev")


def setup_py(path: str, data: bytes) -> Iterator[Component]:
    """Pinned literals in ``install_requires`` of a ``setup.py``; it is parsed, never run."""
    tree = ast.parse(data.decode("utf-8", "replace"))
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in ("install_requires", "tests_require", "setup_requires"):
            for item in ast.walk(node.value):
                if isinstance(item, ast.Constant) and isinstance(item.value, str):
                    match = _PINNED.match(item.value.strip())
                    if match:
                        yield _declared(match[1], match[2], "setup.py", development=node.arg != "install_requires")


def conda_meta(path: str, data: bytes) -> Iterator[Component]:
    """``conda-meta/*.json``."""
    item = msgspec.json.decode(data, type=dict[str, Any])
    if isinstance(item.get("name"), str) and isinstance(item.get("version"), str):
        yield Component(
            type="conda",
            name=item["name"],
            version=item["version"],
            ecosystem="Conda",
            qualifiers={"build": str(item.get("build", "")), "subdir": str(item.get("subdir", ""))},
            licences=(item["license"],) if isinstance(item.get("license"), str) else (),
            method="conda-meta",
        )
