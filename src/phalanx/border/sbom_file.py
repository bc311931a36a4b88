"""An SBOM file as an inventory: CycloneDX and SPDX as JSON, as they are or inside an in-toto statement or DSSE envelope."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component, Inventory, OsRelease
from phalanx.border.cyclonedx import read_cyclonedx
from phalanx.border.spdx import read_spdx
from phalanx.errors import UsageError

__all__ = ["read_sbom"]

MAX_SBOM: Final = 512 << 20
"""Bytes; the largest seen in practice is 100 MB."""


def read_sbom(path: Path) -> Inventory:
    """The inventory of an SBOM.

    Raises:
        UsageError: it is not one, or not in JSON.
    """
    if path.stat().st_size > MAX_SBOM:
        raise UsageError(f"{path} is larger than {MAX_SBOM >> 20} MiB")
    try:
        made = msgspec.json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not JSON: {error}"[:300], hint="CycloneDX and SPDX are read as JSON") from error
    made = _unwrapped(made)
    components: list[Component]
    release: OsRelease | None = None
    if isinstance(made, dict) and made.get("bomFormat") == "CycloneDX":
        components = _tolerant(read_cyclonedx, made, path)
        release = _os_of(made)
    elif isinstance(made, dict) and ("spdxVersion" in made or "@graph" in made):
        components = _tolerant(read_spdx, made, path)
    else:
        raise UsageError(f"{path} is neither CycloneDX nor SPDX")
    return Inventory(target=str(path), kind="sbom", os=release, components=tuple(components))


def _tolerant(read: Callable[[dict[str, Any]], list[Component]], made: dict[str, Any], path: Path) -> list[Component]:
    try:
        return read(made)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: malformed: {error}"[:300]) from error


def _unwrapped(made: Any) -> Any:
    """The predicate of an in-toto statement, whether in a DSSE envelope or bare."""
    if isinstance(made, dict) and isinstance(made.get("payload"), str):
        try:
            made = msgspec.json.decode(base64.b64decode(made["payload"]))
        except (binascii.Error, msgspec.DecodeError, ValueError):
            return made
    if isinstance(made, dict) and "predicateType" in made:
        predicate = made.get("predicate")
        return predicate.get("Data", predicate) if isinstance(predicate, dict) else predicate
    return made


def _os_of(made: dict[str, Any]) -> OsRelease | None:
    metadata = made.get("metadata")
    properties = metadata.get("properties") if isinstance(metadata, dict) else None
    found = {str(one.get("name")): str(one.get("value", "")) for one in properties or () if isinstance(one, dict)}
    if not found.get("phalanx:os:id"):
        return None
    return OsRelease(
        id=found["phalanx:os:id"], version_id=found.get("phalanx:os:version", ""), name=found.get("phalanx:os:name", "")
    )
