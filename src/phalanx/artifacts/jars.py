"""Says which artifact a jar without coordinates is, by what advisories know: the artifact id, and a group that the jar itself shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from phalanx.artifacts.cataloguers.java import JarHint
from phalanx.artifacts.model import Component

__all__ = ["resolve_jar"]


def resolve_jar(hint: JarHint, groups_of: Callable[[str], Iterable[str]]) -> Component:
    """The component of ``hint``.

    An artifact id that advisories know under a group which is one of the jar's own names or package directories is sure. When several groups
    fit, the longest (the most telling) is taken and the confidence is lower. Without such an id it stays the guess that its names suggest;
    a name alone is never enough to match advisories.

    Args:
        hint: what the jar tells.
        groups_of: artifact id → groups that advisories know it under.
    """
    for artifact in hint.artifacts:
        known = set(groups_of(artifact))
        fitting = [group for group in hint.groups if group in known]
        if fitting:
            return msgspec.structs.replace(
                hint.component,
                namespace=fitting[0],
                name=artifact,
                method=f"{hint.component.method}, package directories",
                confidence=0.9 if len(fitting) == 1 else 0.7,
            )
    return hint.component
