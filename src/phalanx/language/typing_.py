"""From syntax to the typed tree: names become fields, literals become values of the field's type, lists and macros are put in.

Every error names the place in the text that it is about.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from typing import NoReturn

from phalanx.errors import LimitError, RuleError
from phalanx.language.catalogue import ArgumentProblem, lookup, suggest
from phalanx.language.fields import FieldType, Ref
from phalanx.language.limits import MAX_LIST_ITEMS, MAX_PATTERN_CHARS
from phalanx.language.parser import LIST_OPERATORS, NUMBER_OPERATORS
from phalanx.language.patterns import glob_pattern, pattern_of, prefix_pattern
from phalanx.language.problems import ConditionError, Text
from phalanx.language.syntax import (
    AndNode,
    Check,
    FieldNode,
    ListNode,
    MacroNode,
    NotNode,
    OperandNode,
    OrNode,
    SyntaxNode,
    TransformNode,
    ValueNode,
)
from phalanx.language.tree import Expr, Literal, Node, Transform, Tree, Value

__all__ = ["Typer"]

_NUMERIC: tuple[FieldType, ...] = ("int", "float", "port")
_ADDRESS: tuple[FieldType, ...] = ("ip", "net")
_EQUALITY = ("=", "!=", "in", "intersects")
_ARITY = {"join": (2, 2), "concat": (2, 64), "getopt": (2, 2)}


class Typer:
    """Types conditions into one tree; ``lists`` are the values of each list, ``macro`` gives the typed macro of a name."""

    def __init__(
        self,
        tree: Tree,
        text: Text,
        *,
        lists: Mapping[str, tuple[str, ...]] | None = None,
        macro: Callable[[str], Node | None] | None = None,
        dormant: bool = False,
    ) -> None:
        self.tree = tree
        self.text = text
        self.lists = lists or {}
        self.macro = macro
        self.used_lists: set[str] = set()
        self.dormant = dormant
        """True for a source whose fields are not in the catalogue: only the syntax counts."""

    def fail(self, message: str, at: int, *, code: str, hint: str | None = None) -> NoReturn:
        raise ConditionError(message, self.text, at, code=code, hint=hint)

    def node(self, syntax: SyntaxNode) -> Node:
        """The typed tree of ``syntax``. ConditionError names the place of what is wrong."""
        try:
            return self._node(syntax)
        except LimitError as error:
            raise ConditionError(error.message, self.text, 0, code="limit", hint=error.hint) from error

    def _node(self, syntax: SyntaxNode) -> Node:
        if isinstance(syntax, AndNode):
            return self.tree.all([self._node(item) for item in syntax.items])
        if isinstance(syntax, OrNode):
            return self.tree.any([self._node(item) for item in syntax.items])
        if isinstance(syntax, NotNode):
            return self.tree.negate(self._node(syntax.item))
        if isinstance(syntax, MacroNode):
            return self._macro(syntax)
        return self._check(syntax)

    def _macro(self, syntax: MacroNode) -> Node:
        node = self.macro(syntax.name) if self.macro is not None else None
        if node is None:
            hint = "define it before it is used, or check its spelling"
            if lookup_quietly(syntax.name) is not None or self.macro is None:
                hint = "write a comparison: field operator value"
            self.fail(f"there is no macro {syntax.name!r}", syntax.at, code="undefined_macro", hint=hint)
        return node

    # comparisons

    def _check(self, check: Check) -> Node:
        left = self.expression(check.left)
        operator = "=" if check.operator == "==" else check.operator
        if check.right is None:
            return self.tree.exists(left)
        self._fits(left, operator, check)
        if isinstance(check.right, FieldNode | TransformNode):
            return self._with_expression(left, operator, check.right)
        values = self._values(left, operator, check)
        if check.modifier is not None:
            if left.multi and left.multi != "either":
                self.fail(f"{check.modifier} needs a field with one value", check.at, code="type")
            tests = [self.tree.test(left, operator, (value,)) for value in values]
            if not tests:
                return self.tree.never
            return {"oneof": self.tree.one, "anyof": self.tree.any, "allof": self.tree.all}[check.modifier](tests)
        if operator in LIST_OPERATORS:
            unique = tuple(dict.fromkeys(values))
            return self.tree.test(left, operator, unique) if unique else self.tree.never
        return self.tree.test(left, operator, values)

    def _fits(self, left: Expr, operator: str, check: Check) -> None:
        """Whether the operator means anything for the type of the left side."""
        kind = left.type
        wrong = None
        if left.multi == "list" and operator not in ("in", "intersects"):
            wrong = "it has a set of values: use in, intersects or exists"
        elif kind in _NUMERIC and operator not in (*_EQUALITY, *NUMBER_OPERATORS):
            wrong = "it is a number: use =, !=, <, <=, >, >= or in"
        elif kind == "bool" and operator not in _EQUALITY:
            wrong = "it is true or false: use = or !="
        elif kind in _ADDRESS and operator not in _EQUALITY:
            wrong = "it is an address: use =, != or in"
        elif kind == "bytes" and operator not in (
            "=",
            "!=",
            "in",
            "contains",
            "startswith",
            "endswith",
            "bcontains",
            "bstartswith",
            "icontains",
        ):
            wrong = "it is raw data: use contains or bcontains"
        elif kind == "text" and operator in NUMBER_OPERATORS:
            wrong = "it is text: use = or another operator of texts"
        if wrong is not None:
            self.fail(f"{left.key} cannot be compared by {operator!r}", check.at, code="type", hint=wrong)

    def _with_expression(self, left: Expr, operator: str, right: FieldNode | TransformNode) -> Node:
        if isinstance(right, TransformNode) and right.name == "val":
            if len(right.arguments) != 1 or not isinstance(right.arguments[0], FieldNode):
                self.fail("val() takes one field", right.at, code="type")
            other = self.expression(right.arguments[0])
        else:
            other = self.expression(right)
        if left.type != other.type and not {left.type, other.type} & {"dynamic"}:
            same = (left.type in _NUMERIC and other.type in _NUMERIC) or (
                left.type in _ADDRESS and other.type in _ADDRESS
            )
            if not same:
                self.fail(
                    f"{left.key} is {left.type}, {other.key} is {other.type}: they cannot be compared",
                    right.at,
                    code="type",
                )
        if operator in ("glob", "iglob", "regex", "pmatch"):
            self.fail(f"{operator} needs a pattern that is written in the rule", right.at, code="type")
        return self.tree.test(left, operator, (), other)

    # values

    def _values(self, left: Expr, operator: str, check: Check) -> tuple[Value, ...]:
        right = check.right
        if isinstance(right, ValueNode):
            return (self._value(left, operator, right.text, right.at),)
        assert isinstance(right, ListNode)
        values: list[Value] = []
        for item in right.items:
            for text in self._texts(item):
                values.append(self._value(left, operator, text, item.at))
                if len(values) > MAX_LIST_ITEMS:
                    self.fail(f"more than {MAX_LIST_ITEMS} values", right.at, code="limit")
        return tuple(values)

    def _texts(self, item: ValueNode) -> tuple[str, ...]:
        if item.quoted or item.text not in self.lists:
            return (item.text,)
        self.used_lists.add(item.text)
        return self.lists[item.text]

    def _value(self, left: Expr, operator: str, text: str, at: int) -> Value:
        kind = left.type
        if operator in ("bcontains", "bstartswith"):
            try:
                return bytes.fromhex(text)
            except ValueError:
                self.fail(
                    f"{operator} needs pairs of hexadecimal digits, not {text[:60]!r}",
                    at,
                    code="value",
                    hint="for example CAFEBABE",
                )
        if operator in ("glob", "iglob", "regex", "pmatch"):
            self._pattern(operator, text, at)
            return text
        if operator in NUMBER_OPERATORS or kind in _NUMERIC:
            return self._number(left, text, at)
        if kind == "bool":
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
            self.fail(f"{left.key} is true or false, not {text[:60]!r}", at, code="value")
        if kind in _ADDRESS:
            return self._network(left, text, at)
        return text

    def _pattern(self, operator: str, text: str, at: int) -> None:
        if len(text) > MAX_PATTERN_CHARS:
            self.fail(f"the pattern has more than {MAX_PATTERN_CHARS} characters", at, code="limit")
        try:
            if operator == "regex":
                pattern_of(text)
            elif operator == "pmatch":
                pattern_of(prefix_pattern(text))
            else:
                pattern_of(glob_pattern(text, fold=operator == "iglob"))
        except ValueError as error:
            self.fail(
                f"{operator} cannot use this pattern: {error}",
                at,
                code="pattern",
                hint="the syntax is that of RE2: no backreferences, no look-around",
            )

    def _number(self, left: Expr, text: str, at: int) -> int | float:  # noqa: RET503 - fail() never returns
        try:
            digits = text.lstrip("+-")
            if digits[:2].lower() == "0x":
                return int(text, 16)
            if text.lstrip("+-").isascii() and digits.isdigit() and len(digits) <= 40:
                return int(text)
            number = float(text)
            if number == number and abs(number) != float("inf") and any(char in text for char in ".eE"):
                return int(number) if number.is_integer() and abs(number) < 2**63 else number
        except ValueError:
            pass
        if left.type == "port":
            try:
                return socket.getservbyname(text)
            except OSError:
                self.fail(
                    f"{left.key} is a port, {text[:60]!r} is no number and no service known here",
                    at,
                    code="value",
                    hint="write the port's number",
                )
        self.fail(f"{left.key} is a number, {text[:60]!r} is none", at, code="value")

    def _network(self, left: Expr, text: str, at: int) -> tuple[int, int, int]:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            self.fail(
                f"{left.key} is an address, {text[:60]!r} is no address and no network",
                at,
                code="value",
                hint="for example 10.1.2.3 or 10.0.0.0/8",
            )
        return network.version, int(network.network_address), int(network.broadcast_address)

    # expressions

    def expression(self, syntax: OperandNode) -> Expr:
        """A field or transformer by name."""
        if isinstance(syntax, ValueNode):
            return Literal(syntax.text)
        if isinstance(syntax, FieldNode):
            return self.field(syntax)
        arguments = tuple(self.expression(argument) for argument in syntax.arguments)
        least, most = _ARITY.get(syntax.name, (1, 1))
        if not least <= len(arguments) <= most:
            self.fail(
                f"{syntax.name}() takes {least if least == most else f'{least} to {most}'} arguments, not {len(arguments)}",
                syntax.at,
                code="type",
            )
        if syntax.name not in ("join", "concat", "getopt") and isinstance(arguments[0], Literal):
            self.fail(f"{syntax.name}() takes a field", syntax.at, code="type")
        if syntax.name in ("join", "getopt"):
            listed = arguments[1] if syntax.name == "join" else arguments[0]
            if not (
                isinstance(listed, Ref) and listed.get_list is not None and listed.argument is None
            ) and listed.multi not in ("list", "any"):
                self.fail(
                    f"{syntax.name}() needs a field with many values, {listed.key} has one",
                    syntax.at,
                    code="type",
                    hint='for example join(",", proc.args)',
                )
        if syntax.selector is not None and len(syntax.selector) != 1:
            self.fail("getopt()[…] takes the letter of one option", syntax.at, code="type")
        if syntax.name in ("tolower", "toupper", "basename", "b64") and arguments[0].type not in (
            "text",
            "dynamic",
            "bytes",
        ):
            self.fail(f"{syntax.name}() needs text, {arguments[0].key} is {arguments[0].type}", syntax.at, code="type")
        return Transform(syntax.name, arguments, syntax.selector, "int" if syntax.name == "len" else "text")

    def field(self, syntax: FieldNode) -> Ref:
        """A field by name and argument."""
        try:
            ref = lookup(syntax.name, syntax.argument)
        except ArgumentProblem as error:
            self.fail(str(error), syntax.at, code="field_argument")
        if ref is None:
            near = suggest(syntax.name)
            self.fail(
                f"there is no field {syntax.name!r}",
                syntax.at,
                code="unknown_field",
                hint=f"did you mean {near}?" if near else "docs/reference/fields.md lists all fields",
            )
        return ref


def lookup_quietly(name: str) -> Ref | None:
    """The field of that name, None when there is none or it needs an argument."""
    try:
        return lookup(name)
    except (ArgumentProblem, RuleError):
        return None
