"""YAML from strangers: bounded before it is built.

PyYAML's C loader composes nested nodes by recursion in C: a file of a hundred thousand opening braces ends the process with a segmentation
fault, which no ``except`` catches. So the events, which come from a flat loop, are counted first: depth, number, aliases.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

__all__ = ["MAX_YAML_ALIASES", "MAX_YAML_DEPTH", "MAX_YAML_EVENTS", "load_yaml"]

MAX_YAML_DEPTH: Final = 100
"""Nested collections; lock files and manifests have under 20."""
MAX_YAML_EVENTS: Final = 5_000_000
"""Scalars, keys and brackets; the largest lock files have some hundred thousand."""
MAX_YAML_ALIASES: Final = 10_000
"""Uses of an anchor."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(data: bytes | str) -> Any:
    """The first document of ``data`` as plain values.

    Raises:
        ValueError: it is not YAML, or passes a bound.
    """
    depth = count = aliases = 0
    try:
        for event in yaml.parse(data, Loader=_LOADER):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_YAML_DEPTH:
                    raise ValueError(f"YAML nested deeper than {MAX_YAML_DEPTH}")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.AliasEvent):
                aliases += 1
            elif isinstance(event, yaml.DocumentEndEvent):
                break
            if count > MAX_YAML_EVENTS or aliases > MAX_YAML_ALIASES:
                raise ValueError("YAML with too many values or aliases")
        return next(yaml.load_all(data, Loader=_LOADER), None)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"not YAML: {error}"[:300]) from error
