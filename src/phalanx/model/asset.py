"""Assets and their relations: what exists, and how it hangs together."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["Asset", "AssetKind", "Relation", "RelationKind"]

AssetKind = Literal[
    "cluster",
    "node",
    "namespace",
    "workload",
    "pod",
    "container",
    "image",
    "artifact",
    "component",
    "project",
    "service",
    "endpoint",
    "identity",
    "secret",
    "host",
]
RelationKind = Literal["runs", "contains", "loads", "exposes", "calls", "mounts", "may_act_as"]


class Asset(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that exists."""

    kind: AssetKind
    key: str
    """Natural key, unique for its kind."""
    name: str
    first_seen_ns: int
    last_seen_ns: int
    attributes: dict[str, str | int | bool | None] = {}
    owner: str = ""
    criticality: int = 1
    """0 (throw-away) to 3 (the business stops)."""


class Relation(Struct, frozen=True, kw_only=True):
    """One asset does something to another."""

    source: tuple[AssetKind, str]
    kind: RelationKind
    target: tuple[AssetKind, str]
    since_ns: int
    evidence: str = ""
    """What told it."""
