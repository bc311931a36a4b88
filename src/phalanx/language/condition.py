"""A condition on its own, as a search bar or a query has it: text in, typed tree out."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from phalanx.language.interpreter import interpret
from phalanx.language.parser import parse
from phalanx.language.problems import Text
from phalanx.language.tree import Node, Tree, fields_of
from phalanx.language.typing_ import Typer
from phalanx.model.event import Event

__all__ = ["Condition", "parse_condition"]


class Condition(Struct, frozen=True):
    """A typed condition."""

    text: str
    """As written."""
    node: Node
    """The typed tree, macros and lists put in."""
    tree: Tree
    """What made ``node``; makes further nodes for it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it reads, sorted."""
        return tuple(sorted(fields_of(self.node)))

    def holds(self, event: Event) -> bool | None:
        """True, False, or None where it rests on something UNKNOWN."""
        return interpret(self.node, event)


def parse_condition(
    text: str, *, file: str | None = None, lists: Mapping[str, tuple[str, ...]] | None = None
) -> Condition:
    """Read and type a condition. RuleError names line, column and what to do.

    ``lists`` may be named in it; macros may not.
    """
    source = Text(value=text, file=file)
    tree = Tree()
    return Condition(text, Typer(tree, source, lists=lists).node(parse(source)), tree)
