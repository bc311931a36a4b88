"""What the loaded rules can possibly match, small enough for a sensor to test on each record before any object is made.

It is an over-approximation: an event that some rule matches always passes; an event that passes may match none. Fields that the
sensor does not have when it tests (container facts, ancestors) never appear in it.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["KernelFilter", "TypeFilter"]


class TypeFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event of one type must have for some rule to match. Unless ``everything``, at least one atom must hold."""

    everything: bool = False
    """True when the rules of this type ask for nothing that the atoms can say: every event is a candidate."""
    fd_prefixes: tuple[str, ...] = ()
    """``fd.name`` begins with one of these."""
    fd_names: tuple[str, ...] = ()
    """``fd.name`` is one of these."""
    fd_suffixes: tuple[str, ...] = ()
    """``fd.name`` ends with one of these."""
    fd_substrings: tuple[str, ...] = ()
    """``fd.name`` contains one of these."""
    proc_names: tuple[str, ...] = ()
    """``proc.name`` is one of these."""
    exe_paths: tuple[str, ...] = ()
    """``proc.exepath`` is one of these."""
    arg_substrings: tuple[str, ...] = ()
    """``proc.cmdline`` or a text argument of the event (``evt.arg.*``) contains one of these."""


class KernelFilter(Struct, frozen=True, kw_only=True):
    """By event type (``execve``, ``openat`` …); a type that is not here interests no rule."""

    types: dict[str, TypeFilter]
