"""The parser of conditions: Falco's grammar (libsinsp ``filter/parser.h``), read without recursion.

Precedence is ``not`` over ``and`` over ``or``; ``not`` may be repeated. After ``and``, ``or`` and ``not`` stands a blank or a
parenthesis. A bare value ends at a blank, a parenthesis, a quote, ``=`` or a comma.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from phalanx.language.limits import MAX_CONDITION_CHARS, MAX_LIST_ITEMS, MAX_NESTING
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

__all__ = ["LIST_OPERATORS", "MODIFIERS", "NUMBER_OPERATORS", "OPERATORS", "TEXT_OPERATORS", "TRANSFORMERS", "parse"]

NUMBER_OPERATORS: Final = ("<=", "<", ">=", ">")
TEXT_OPERATORS: Final = (
    "==",
    "=",
    "!=",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "glob",
    "iglob",
    "regex",
)
LIST_OPERATORS: Final = ("intersects", "in", "pmatch")
OPERATORS: Final = ("exists", *NUMBER_OPERATORS, *TEXT_OPERATORS, *LIST_OPERATORS)
MODIFIERS: Final = ("oneof", "anyof", "allof")
"""After an operator of texts, with a list: exactly one, at least one, all of the comparisons hold (Falco 0.44)."""
TRANSFORMERS: Final = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")

_BLANK: Final = re.compile(r"[ \t\r\n\x08]*")
_IDENTIFIER: Final = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*")
_FIELD: Final = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*(?:\.[a-zA-Z]+[a-zA-Z0-9_]*)+")
_ARGUMENT: Final = re.compile(r"""[^\]\["'\s]+""")
_NUMBER: Final = re.compile(r"0[xX][0-9a-zA-Z]+|[+\-]?[0-9]+\.?[0-9]*(?:[eE][+\-][0-9]+)?")
_BARE: Final = re.compile(r"""[^()"'\s=,]+""")
_SYMBOL: Final = re.compile(r"<=|<|>=|>|==|=|!=")
_WORD_OPERATOR: Final = re.compile(
    r"(exists|contains|icontains|bcontains|startswith|bstartswith|endswith|glob|iglob|regex|intersects|in|pmatch)(?![\w.])"
)
_MODIFIER: Final = re.compile(r"(oneof|anyof|allof)(?=[\s(])")
_TRANSFORMER: Final = re.compile(rf"({'|'.join((*TRANSFORMERS, 'val'))})[ \t\r\n]*\(")
_NOT: Final = re.compile(r"not(?=[\s(])")
_AND_OR: Final = re.compile(r"(and|or)(?=[\s(])")
_ESCAPES: Final = {
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "/": "/",
    " ": " ",
}


class _Group:
    """One open parenthesis: what was read of it."""

    __slots__ = ("at", "conjuncts", "disjuncts", "negate", "negate_at")

    def __init__(self, at: int, negate: bool, negate_at: int) -> None:
        self.at = at
        self.negate = negate
        self.negate_at = negate_at
        self.conjuncts: list[SyntaxNode] = []
        self.disjuncts: list[SyntaxNode] = []

    def end_conjunction(self) -> None:
        conjuncts = self.conjuncts
        self.disjuncts.append(conjuncts[0] if len(conjuncts) == 1 else AndNode(tuple(conjuncts)))
        self.conjuncts = []

    def finish(self) -> SyntaxNode:
        self.end_conjunction()
        node = self.disjuncts[0] if len(self.disjuncts) == 1 else OrNode(tuple(self.disjuncts))
        return NotNode(node, self.negate_at) if self.negate else node


class _Parser:
    def __init__(self, text: Text) -> None:
        self.text = text
        self.source = text.value
        self.at = 0

    # what stands here

    def fail(self, message: str, *, at: int | None = None, hint: str | None = None) -> NoReturn:
        raise ConditionError(message, self.text, self.at if at is None else at, code="syntax", hint=hint)

    def blank(self) -> None:
        match = _BLANK.match(self.source, self.at)
        assert match is not None
        self.at = match.end()

    def take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.source, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match.group(1) if pattern.groups else match.group()

    def symbol(self, char: str) -> bool:
        if self.source.startswith(char, self.at):
            self.at += len(char)
            return True
        return False

    def seen(self) -> str:
        """What stands here, for a message."""
        rest = self.source[self.at : self.at + 20].split("\n", 1)[0]
        return f"found {rest!r}" if rest else "found the end"

    # the whole

    def condition(self) -> SyntaxNode:
        groups = [_Group(0, False, 0)]
        while True:
            self.operand(groups)
            while True:
                self.blank()
                if self.at < len(self.source) and self.source[self.at] == ")":
                    if len(groups) == 1:
                        self.fail("this ')' closes nothing", hint="remove it, or add the '(' that it closes")
                    self.at += 1
                    node = groups.pop().finish()
                    groups[-1].conjuncts.append(node)
                    continue
                break
            if self.at >= len(self.source):
                if len(groups) > 1:
                    self.fail("this '(' is never closed", at=groups[-1].at, hint="add the ')' that closes it")
                return groups[0].finish()
            word = self.take(_AND_OR)
            if word is None:
                self.fail(
                    f"expected 'and', 'or' or the end, {self.seen()}",
                    hint="quote a value that contains blanks, '=' or parentheses",
                )
            if word == "or":
                groups[-1].end_conjunction()

    def operand(self, groups: list[_Group]) -> None:
        """Read ``not``s and parentheses up to one check or macro, and append it."""
        while True:
            self.blank()
            negate, negate_at = False, self.at
            while self.take(_NOT) is not None:
                negate = not negate
                self.blank()
            if self.symbol("("):
                if len(groups) > MAX_NESTING:
                    self.fail(
                        f"more than {MAX_NESTING} nested parentheses",
                        at=self.at - 1,
                        hint="name parts of the condition as macros",
                    )
                groups.append(_Group(self.at - 1, negate, negate_at))
                continue
            node = self.check()
            groups[-1].conjuncts.append(NotNode(node, negate_at) if negate else node)
            return

    def check(self) -> SyntaxNode:
        at = self.at
        left = self.left()
        if left is not None:
            return self.comparison(left, at)
        name = self.take(_IDENTIFIER)
        if name is None:
            self.fail(f"expected a field, a macro or '(', {self.seen()}")
        return MacroNode(name, at)

    def left(self) -> FieldNode | TransformNode | None:
        field = self.field()
        return field if field is not None else self.transformer(val=False)

    def field(self) -> FieldNode | None:
        at = self.at
        name = self.take(_FIELD)
        if name is None:
            return None
        return FieldNode(name, self.argument(), at)

    def argument(self) -> str | None:
        """What stands in brackets; None when there are none."""
        if not self.symbol("["):
            return None
        argument = self.quoted()
        if argument is None:
            argument = self.take(_ARGUMENT)
        if argument is None:
            self.fail(
                "expected an argument: a number, a bare word or a quoted text",
                hint="for example proc.aname[2] or proc.env[PATH]",
            )
        if not self.symbol("]"):
            self.fail("expected the ']' that ends the argument")
        return argument

    def transformer(self, *, val: bool) -> TransformNode | None:
        """``name(arguments)``; iterative, because transformers nest."""
        stack: list[tuple[str, int, list[OperandNode]]] = []
        while True:
            at = self.at
            name = self.take(_TRANSFORMER)
            if name == "val" and not val:
                self.fail(
                    "val() stands on the right side of a comparison only",
                    at=at,
                    hint="on the left write the field itself",
                )
            if name is not None:
                if len(stack) >= 16:
                    self.fail("more than 16 nested transformers", at=at)
                stack.append((name, at, []))
                self.blank()
                continue
            if not stack:
                return None
            operand: OperandNode | None = self.field()
            if operand is None:
                literal_at = self.at
                literal = self.quoted()
                if literal is None:
                    self.fail(f"expected a field, a transformer or a quoted text, {self.seen()}")
                operand = ValueNode(literal, True, literal_at)
            while True:
                stack[-1][2].append(operand)
                self.blank()
                if self.symbol(","):
                    self.blank()
                    break
                if not self.symbol(")"):
                    self.fail(f"expected ',' or the ')' that ends {stack[-1][0]}(, {self.seen()}")
                name, at, arguments = stack.pop()
                operand = TransformNode(name, tuple(arguments), self.argument() if name == "getopt" else None, at)
                if not stack:
                    return operand

    def comparison(self, left: FieldNode | TransformNode, at: int) -> Check:
        self.blank()
        operator_at = self.at
        operator = self.take(_SYMBOL) or self.take(_WORD_OPERATOR)
        if operator is None:
            self.fail(f"expected an operator, {self.seen()}", hint=f"one of {', '.join(OPERATORS)}")
        if operator == "exists":
            return Check(left, operator, None, None, at, self.at)
        self.blank()
        right: ValueNode | ListNode | FieldNode | TransformNode
        modifier = None
        if operator in TEXT_OPERATORS:
            modifier = self.take(_MODIFIER)
            self.blank()
        if modifier is not None or operator in LIST_OPERATORS:
            right = self.list_value() if modifier is not None else (self.transformer(val=True) or self.list_value())
        elif operator in NUMBER_OPERATORS:
            right = self.transformer(val=True) or self.number(operator)
        else:
            right = self.transformer(val=True) or self.value(operator, operator_at)
        return Check(left, operator, modifier, right, at, self.at)

    # values

    def number(self, operator: str) -> ValueNode:
        at = self.at
        text = self.take(_NUMBER)
        if text is None:
            self.fail(f"expected a number after {operator!r}, {self.seen()}")
        return ValueNode(text, False, at)

    def value(self, operator: str, operator_at: int) -> ValueNode:
        at = self.at
        text = self.quoted()
        if text is not None:
            return ValueNode(text, True, at)
        text = self.take(_BARE)
        if text is None:
            self.fail(
                f"expected a value after {operator!r}, {self.seen()}",
                hint="quote a value that starts with a parenthesis, comma or '='",
            )
        return ValueNode(text, False, at)

    def list_value(self) -> ListNode:
        at = self.at
        if not self.symbol("("):
            name = self.take(_IDENTIFIER)
            if name is None:
                self.fail(f"expected a list in parentheses or the name of a list, {self.seen()}")
            return ListNode((ValueNode(name, False, at),), at)
        items: list[ValueNode] = []
        self.blank()
        if self.symbol(")"):
            return ListNode((), at)
        while True:
            items.append(self.value(",", self.at))
            if len(items) > MAX_LIST_ITEMS:
                self.fail(f"a list has more than {MAX_LIST_ITEMS} values", at=at)
            self.blank()
            if self.symbol(")"):
                return ListNode(tuple(items), at)
            if not self.symbol(","):
                self.fail(
                    f"expected ',' or ')', {self.seen()}", hint="quote a value that contains blanks, '=' or parentheses"
                )
            self.blank()

    def quoted(self) -> str | None:  # noqa: RET503 - fail() never returns
        """A quoted text without its quotes and escapes; None when none stands here."""
        source, start = self.source, self.at
        if start >= len(source) or source[start] not in "\"'":
            return None
        quote = source[start]
        parts: list[str] = []
        at = start + 1
        while at < len(source):
            char = source[at]
            if char == quote:
                self.at = at + 1
                return "".join(parts)
            if char == "\\" and at + 1 < len(source):
                following = source[at + 1]
                parts.append(_ESCAPES.get(following, "\\" + following))
                at += 2
                continue
            parts.append(char)
            at += 1
        self.fail("this quote is never closed", at=start)


def parse(text: Text) -> SyntaxNode:
    """The tree of a condition; ConditionError names the place of what is wrong."""
    if len(text.value) > MAX_CONDITION_CHARS:
        raise ConditionError(
            f"the condition has {len(text.value)} characters, more than {MAX_CONDITION_CHARS}",
            text,
            0,
            code="limit",
            hint="move values into lists",
        )
    if not text.value.strip():
        raise ConditionError(
            "the condition is empty", text, 0, code="syntax", hint="to match every event of a type write evt.type = …"
        )
    return _Parser(text).condition()
