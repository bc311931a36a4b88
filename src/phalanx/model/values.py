"""Three values: a field is known, absent, or UNKNOWN.

*Absent* (``None``) means that the thing has no such value: a process on the host has no image. Every comparison with an
absent value is false, also ``!=``, and ``not`` of it is true, as in Falco.

*UNKNOWN* means that it has one which is not known yet: the container runtime has not answered. Logic over it is
Kleene's: a rule that needs it stays undecided and is evaluated again when the metadata comes.

UNKNOWN is ``msgspec.UNSET``, so in JSON an absent value is ``null`` and an UNKNOWN one is left out.
"""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

__all__ = ["UNKNOWN", "Maybe", "Scalar", "Unknown"]

T = TypeVar("T")

Unknown: TypeAlias = UnsetType
UNKNOWN: Final = UNSET

Maybe: TypeAlias = T | None | UnsetType
"""A value that may be absent (``None``) or UNKNOWN."""

Scalar: TypeAlias = str | int | float | bool
"""What a field of the condition language can hold, apart from lists of it."""
