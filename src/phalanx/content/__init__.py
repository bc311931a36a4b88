"""What is data and not code: rules, each with its id, technique, references, a positive and a benign example."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

__all__ = ["rule_files"]


def rule_files() -> Iterator[tuple[str, str]]:
    """``(name, text)`` of phalanx's own rule files, in the order in which they are loaded."""
    folder = files("phalanx.content").joinpath("rules")
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            yield entry.name, entry.read_text("utf-8")
