"""The typed tree of a condition: what every back end works on. Nodes are interned, so that equal parts of many rules are one object.

Made by :mod:`phalanx.language.typing_` only; walked by the interpreter, the matcher's compiler, the lowering of stores and the kernel filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from phalanx.errors import LimitError
from phalanx.language.fields import FieldType, Multi, Need, Ref
from phalanx.language.limits import MAX_NESTING, MAX_WEIGHT

__all__ = [
    "All",
    "Any_",
    "Const",
    "Exists",
    "Expr",
    "Literal",
    "Node",
    "Not",
    "One",
    "Test",
    "Transform",
    "Tree",
    "Value",
    "fields_of",
    "walk",
]

_NONE: Final[frozenset[Need]] = frozenset()

Value: TypeAlias = str | int | float | bool | bytes | tuple[int, int, int]
"""A constant: text, number, bytes, or a network as ``(version, first address, last address)``."""


class Literal:
    """A constant text as an argument of a transformer."""

    __slots__ = ("key", "needs", "text")
    multi: Multi = ""
    type: FieldType = "text"
    never_absent = True

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.key: Final = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        self.needs: Final[frozenset[Need]] = frozenset()


class Transform:
    """A transformer around expressions."""

    __slots__ = ("arguments", "key", "name", "needs", "selector", "type")
    never_absent = False

    def __init__(self, name: str, arguments: tuple[Expr, ...], selector: str | None, type_: FieldType) -> None:
        self.name: Final = name
        self.arguments: Final = arguments
        self.selector: Final = selector
        self.type: Final = type_
        self.needs: Final[frozenset[Need]] = _NONE.union(*(argument.needs for argument in arguments))
        inside = ", ".join(str(argument.key) for argument in arguments)
        self.key: Final[str] = f"{name}({inside})" + (f"[{selector}]" if selector is not None else "")

    @property
    def multi(self) -> Multi:
        """A transformer of a field with several values has several values."""
        if self.name == "getopt":
            return "" if self.selector is not None else "list"
        return "" if self.name in ("join", "concat") or not self.arguments else self.arguments[0].multi


Expr: TypeAlias = Ref | Transform | Literal


class Node:
    """Part of a condition."""

    __slots__ = ("depth", "needs", "uid", "weight")
    uid: int
    """Unique in its :class:`Tree`."""
    weight: int
    """Comparisons below, each as often as it is reached."""
    depth: int
    needs: frozenset[Need]
    """What may be UNKNOWN in it."""

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is made of."""
        return ()


class Const(Node):
    """Always true or always false."""

    __slots__ = ("value",)
    value: bool

    def __repr__(self) -> str:
        return "always" if self.value else "never"


class Test(Node):
    """A comparison of an expression with constants, or with another expression."""

    __slots__ = ("left", "operator", "other", "values")
    left: Expr
    operator: str
    """``=``, ``!=``, ``<`` …, ``contains`` …; ``==`` is ``=`` here."""
    values: tuple[Value, ...]
    """Constants, already of the field's type; one, or for ``in``, ``intersects``, ``pmatch`` any number."""
    other: Expr | None
    """The other expression, when it is not compared with constants."""

    def __repr__(self) -> str:
        return self.text()

    def text(self, limit: int = 12) -> str:
        """The comparison as one would write it; of a long list the first ``limit`` values."""
        if self.other is not None:
            other = self.other.key
            return f"{self.left.key} {self.operator} {other if not isinstance(self.other, Ref) else f'val({other})'}"
        shown = [value_text(value) for value in self.values[:limit]]
        if self.operator in ("in", "intersects", "pmatch"):
            more = f", … +{len(self.values) - limit}" if len(self.values) > limit else ""
            return f"{self.left.key} {self.operator} ({', '.join(shown)}{more})"
        return f"{self.left.key} {self.operator} {shown[0]}"


class Exists(Node):
    """Whether an expression has a value."""

    __slots__ = ("left",)
    left: Expr

    def __repr__(self) -> str:
        return f"{self.left.key} exists"


class Not(Node):
    """Negation."""

    __slots__ = ("item",)
    item: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.item,)

    def __repr__(self) -> str:
        return f"not {self.item!r}" if isinstance(self.item, Const | Test | Exists) else f"not ({self.item!r})"


class _Many(Node):
    __slots__ = ("items",)
    items: tuple[Node, ...]
    _word = ""

    @property
    def children(self) -> tuple[Node, ...]:
        return self.items

    def __repr__(self) -> str:
        return f" {self._word} ".join(f"({item!r})" if isinstance(item, _Many) else repr(item) for item in self.items)


class All(_Many):
    """Conjunction of two or more."""

    __slots__ = ()
    _word = "and"


class Any_(_Many):
    """Disjunction of two or more."""

    __slots__ = ()
    _word = "or"


class One(_Many):
    """Exactly one of them holds (``oneof``)."""

    __slots__ = ()
    _word = "xor"


class Tree:
    """Makes nodes, each only once; simplifies while doing so."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Node] = {}
        self.always = self.const(True)
        self.never = self.const(False)

    def __len__(self) -> int:
        return len(self._nodes)

    def _keep(self, key: tuple[object, ...], node: Node) -> Node:
        node.uid = len(self._nodes)
        self._nodes[key] = node
        return node

    def const(self, value: bool) -> Node:
        """``always`` or ``never``."""
        key = (Const, value)
        node = self._nodes.get(key)
        if node is None:
            made = Const()
            made.value, made.weight, made.depth, made.needs = value, 1, 1, _NONE
            node = self._keep(key, made)
        return node

    def test(self, left: Expr, operator: str, values: tuple[Value, ...], other: Expr | None = None) -> Node:
        """A comparison."""
        key = (Test, left.key, operator, values, tuple(map(type, values)), other.key if other is not None else None)
        node = self._nodes.get(key)
        if node is None:
            made = Test()
            made.left, made.operator, made.values, made.other = left, operator, values, other
            made.weight = made.depth = 1
            made.needs = left.needs | other.needs if other is not None else left.needs
            node = self._keep(key, made)
        return node

    def exists(self, left: Expr) -> Node:
        """Whether ``left`` has a value."""
        key = (Exists, left.key)
        node = self._nodes.get(key)
        if node is None:
            made = Exists()
            made.left, made.weight, made.depth, made.needs = left, 1, 1, left.needs
            node = self._keep(key, made)
        return node

    def negate(self, item: Node) -> Node:
        """``not item``; a double negation vanishes."""
        if isinstance(item, Const):
            return self.never if item.value else self.always
        if isinstance(item, Not):
            return item.item
        key = (Not, item.uid)
        node = self._nodes.get(key)
        if node is None:
            made = Not()
            made.item, made.weight, made.needs = item, item.weight, item.needs
            made.depth = self._deeper(item.depth)
            node = self._keep(key, made)
        return node

    def all(self, items: Iterable[Node]) -> Node:
        """Conjunction: flat, without repetition and constants."""
        return self._many(All, items, self.never, self.always)

    def any(self, items: Iterable[Node]) -> Node:
        """Disjunction: flat, without repetition and constants."""
        return self._many(Any_, items, self.always, self.never)

    def one(self, items: Iterable[Node]) -> Node:
        """Exactly one; repetition counts."""
        kept = tuple(items)
        if len(kept) < 2:
            return kept[0] if kept else self.never
        return self._group(One, kept)

    def _many(self, kind: type[All | Any_], items: Iterable[Node], absorbing: Node, neutral: Node) -> Node:
        kept: dict[int, Node] = {}
        for item in items:
            if item is absorbing:
                return absorbing
            if item is neutral:
                continue
            for part in item.items if isinstance(item, kind) else (item,):
                kept.setdefault(part.uid, part)
        if not kept:
            return neutral
        if len(kept) == 1:
            return next(iter(kept.values()))
        return self._group(kind, tuple(kept.values()))

    def _group(self, kind: type[_Many], items: tuple[Node, ...]) -> Node:
        key = (kind, *(item.uid for item in items))
        node = self._nodes.get(key)
        if node is None:
            made = kind()
            made.items = items
            made.weight = sum(item.weight for item in items)
            if made.weight > MAX_WEIGHT:
                raise LimitError(
                    f"the condition has more than {MAX_WEIGHT} comparisons after its macros",
                    hint="use lists; check for macros that repeat each other",
                )
            made.depth = self._deeper(max(item.depth for item in items))
            made.needs = _NONE.union(*(item.needs for item in items))
            node = self._keep(key, made)
        return node

    @staticmethod
    def _deeper(depth: int) -> int:
        if depth >= 2 * MAX_NESTING:
            raise LimitError(
                f"the condition is nested more than {2 * MAX_NESTING} deep after its macros", hint="flatten its macros"
            )
        return depth + 1


def value_text(value: Value) -> str:
    """A constant as one would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        plain = value and not any(char in " \t\r\n()\"'=," for char in value)
        return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return network_text(value)
    return str(value)


def network_text(network: tuple[int, int, int]) -> str:
    """``10.0.0.0/8``."""
    from ipaddress import IPv4Address, IPv6Address

    version, first, last = network
    bits = 32 if version == 4 else 128
    length = bits - (last - first).bit_length()
    address = IPv4Address(first) if version == 4 else IPv6Address(first)
    return str(address) if length == bits else f"{address}/{length}"


def walk(node: Node) -> Iterator[Node]:
    """Every different node of a tree once, parents before children."""
    seen = {node.uid}
    stack = [node]
    while stack:
        at = stack.pop()
        yield at
        for child in reversed(at.children):
            if child.uid not in seen:
                seen.add(child.uid)
                stack.append(child)


def refs_of_expr(expr: Expr) -> Iterator[Ref]:
    """The fields in an expression."""
    stack: list[Expr] = [expr]
    while stack:
        at = stack.pop()
        if isinstance(at, Ref):
            yield at
        elif isinstance(at, Transform):
            stack.extend(at.arguments)


def fields_of(node: Node) -> dict[str, Ref]:
    """The fields of a condition by their text."""
    found: dict[str, Ref] = {}
    for part in walk(node):
        if isinstance(part, Test | Exists):
            for ref in refs_of_expr(part.left):
                found[ref.key] = ref
            if isinstance(part, Test) and part.other is not None:
                for ref in refs_of_expr(part.other):
                    found[ref.key] = ref
    return found
