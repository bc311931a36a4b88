"""What a condition says, before its names mean anything: the tree that the parser makes.

Offsets are into the condition's text; :class:`phalanx.language.problems.Text` makes places of them.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

__all__ = [
    "AndNode",
    "Check",
    "FieldNode",
    "ListNode",
    "MacroNode",
    "NotNode",
    "OrNode",
    "SyntaxNode",
    "TransformNode",
    "ValueNode",
]


class ValueNode(Struct, frozen=True):
    """A literal."""

    text: str
    """Unescaped."""
    quoted: bool
    """A quoted literal never names a list."""
    at: int


class ListNode(Struct, frozen=True):
    """A parenthesised list of literals, or a bare name of a list (``in shells``)."""

    items: tuple[ValueNode, ...]
    at: int


class FieldNode(Struct, frozen=True):
    """A field by name, with its argument in brackets."""

    name: str
    argument: str | None
    at: int


class TransformNode(Struct, frozen=True):
    """A transformer around fields and literals: ``tolower(proc.name)``, ``join(",", proc.args)``; ``val(x)`` too."""

    name: str
    arguments: tuple[OperandNode, ...]
    selector: str | None
    """What stands in brackets after it: ``getopt(proc.args, "e:")[e]``."""
    at: int


OperandNode: TypeAlias = FieldNode | TransformNode | ValueNode


class Check(Struct, frozen=True):
    """One comparison."""

    left: FieldNode | TransformNode
    operator: str
    """As written, ``==`` kept."""
    modifier: str | None
    """``oneof``, ``anyof``, ``allof``."""
    right: ValueNode | ListNode | FieldNode | TransformNode | None
    """None for ``exists``."""
    at: int
    end: int


class MacroNode(Struct, frozen=True):
    """A macro by name."""

    name: str
    at: int


class NotNode(Struct, frozen=True):
    item: SyntaxNode
    at: int


class AndNode(Struct, frozen=True):
    items: tuple[SyntaxNode, ...]


class OrNode(Struct, frozen=True):
    items: tuple[SyntaxNode, ...]


SyntaxNode: TypeAlias = Check | MacroNode | NotNode | AndNode | OrNode
