"""Evidence: what a finding rests on. A tagged union with bounded sizes; one console block for each."""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from phalanx.model.detection import Match
from phalanx.model.event import Event
from phalanx.model.process import Process

__all__ = [
    "MAX_EVIDENCE_TEXT",
    "CodeLocation",
    "ComponentPath",
    "Evidence",
    "FileHash",
    "ManifestSnippet",
    "ProcessTree",
    "RuleMatch",
    "SeenEvent",
]

MAX_EVIDENCE_TEXT: Final = 65_536
"""No text in evidence is longer, in characters; what is cut says how much there was."""


class EvidenceBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What all evidence tells of itself."""

    sensor: str
    """Who saw it: ``kernel``, ``scanner``, ``app`` …"""
    ts_ns: int
    """When, UTC ns."""
    cut_from: int | None = None
    """Size of the whole in bytes when only a part is kept; None when it is whole."""


class ProcessTree(EvidenceBase, frozen=True, kw_only=True, tag="process_tree"):
    """The process that acted, with its ancestors."""

    lineage: tuple[Process, ...]
    """Nearest first."""


class RuleMatch(EvidenceBase, frozen=True, kw_only=True, tag="rule_match"):
    """Why a rule fired."""

    rule: str
    rule_version: str
    condition: str
    """The condition as loaded, macros kept by name."""
    matches: tuple[Match, ...] = ()


class SeenEvent(EvidenceBase, frozen=True, kw_only=True, tag="event"):
    """The event itself."""

    event: Event


class FileHash(EvidenceBase, frozen=True, kw_only=True, tag="file_hash"):
    """A file and its digest."""

    path: str
    sha256: str
    size_bytes: int | None = None


class ComponentPath(EvidenceBase, frozen=True, kw_only=True, tag="component_path"):
    """Where a component lies: image, layer, archive in archive."""

    purl: str
    path: tuple[str, ...]
    """Outermost first: ``("sha256:…", "app.war", "WEB-INF/lib/log4j-core-2.14.1.jar")``."""
    method: str = ""
    """What told it: ``dpkg``, ``pom.properties``, ``file name`` …"""
    confidence: float = 1.0
    """0 to 1."""


class ManifestSnippet(EvidenceBase, frozen=True, kw_only=True, tag="manifest"):
    """Lines of a configuration file with the offending place."""

    path: str
    first_line: int
    text: str
    pointer: str = ""
    """JSON pointer or key path of what is wrong."""


class CodeLocation(EvidenceBase, frozen=True, kw_only=True, tag="code"):
    """Lines of source code or of a text file."""

    path: str
    line: int
    text: str = ""
    """Masked where it holds a secret."""


Evidence: TypeAlias = ProcessTree | RuleMatch | SeenEvent | FileHash | ComponentPath | ManifestSnippet | CodeLocation
"""Any evidence."""
