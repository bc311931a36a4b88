"""Conditions and fields of the language as SQL of DuckDB over the flat relation (:mod:`phalanx.store.events.schema`).

The SQL says of a row exactly what the interpreter says of its event: TRUE, FALSE, or NULL where the condition rests on something UNKNOWN; a
comparison with an absent value is FALSE. Every value that comes from a condition is a parameter. A field that is not stored is refused: history must
not answer 0 to what it never kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from phalanx.errors import UsageError
from phalanx.language.analysis import OTHER, TypeSets, Universe, type_literals
from phalanx.language.condition import Condition
from phalanx.language.event_types import KIND_OF
from phalanx.language.fields import Ref
from phalanx.language.patterns import glob_pattern, lower, prefix_pattern
from phalanx.language.tree import (
    All,
    Any_,
    Const,
    Exists,
    Expr,
    Literal,
    Node,
    Not,
    One,
    Test,
    Transform,
    Value,
    fields_of,
)
from phalanx.store.events.fieldsql import Fragment, column_fragment, field_fragment
from phalanx.store.events.lowered import Lowered

__all__ = ["NotStoredError", "lower_condition", "lower_field", "not_stored"]

_UPPER: Final = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ'"
_LOWER: Final = "'abcdefghijklmnopqrstuvwxyz'"
_COMPARE: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NUMBER: Final = "'-?[0-9]{1,18}'"


class NotStoredError(UsageError):
    """A condition asks the past for something that is not kept; ``fields`` names it."""

    def __init__(self, fields: tuple[str, ...], why: str, hint: str | None = None) -> None:
        super().__init__(
            f"{', '.join(fields)} {why}: it cannot be asked of the past",
            hint=hint or "leave it out, or watch for it from now on with a rule",
        )
        self.fields = fields


def not_stored(condition: Condition) -> tuple[str, ...]:
    """The fields of a condition that the store does not keep, sorted."""
    return tuple(sorted(key for key, ref in fields_of(condition.node).items() if field_fragment(ref) is None))


def lower_condition(condition: Condition) -> Lowered:
    """A condition as a boolean. NotStoredError when it uses what is not kept."""
    missing = not_stored(condition)
    if missing:
        filled = [key for key in missing if fields_of(condition.node)[key].filled]
        raise NotStoredError(missing, "is not stored" if filled else "is filled by no sensor")
    made = _node(condition.node)
    return Lowered(sql=made.sql, parameters=made.parameters, columns=made.columns, kinds=_kinds(condition.node))


def lower_field(field: str) -> Lowered:
    """The value of a field as text, number or boolean; lists joined by commas. NULL where absent or UNKNOWN. UsageError when there is no such field."""
    from phalanx.language.problems import Text
    from phalanx.language.syntax import FieldNode
    from phalanx.language.tree import Tree
    from phalanx.language.typing_ import Typer

    name, _, rest = field.partition("[")
    typer = Typer(Tree(), Text(value=field))
    ref = typer.field(FieldNode(name, rest.removesuffix("]") if rest else None, 0))
    fragment = field_fragment(ref)
    if fragment is None:
        raise NotStoredError((ref.key,), "is not stored" if ref.filled else "is filled by no sensor")
    columns = fragment.columns
    if fragment.either is not None:
        first, second = fragment.either
        return Lowered(
            sql=f"nullif(concat_ws(',', {first.sql}, {second.sql}), '')",
            parameters=first.parameters + second.parameters,
            columns=columns,
        )
    sql = f"nullif(array_to_string({fragment.sql}, ','), '')" if fragment.is_list else fragment.sql
    return Lowered(sql=sql, parameters=fragment.parameters, columns=columns)


def _kinds(node: Node) -> frozenset[str] | None:
    universe = Universe(type_literals(node))
    bits = TypeSets(universe).true_for(node)
    if bits & universe.bit[OTHER]:
        return None
    return frozenset(KIND_OF[name] for name in universe.names(bits) if name in KIND_OF)


def _node(node: Node) -> Fragment:
    part = cast("Const | Test | Exists | Not | All | Any_ | One", node)
    match part:
        case Const():
            return Fragment("TRUE" if part.value else "FALSE")
        case Test():
            return _test(part)
        case Exists():
            return _exists(part)
        case Not():
            inner = _node(part.item)
            return Fragment(f"(NOT {inner.sql})", inner.parameters, inner.columns)
        case All() | Any_():
            made = [_node(item) for item in part.items]
            word = " AND " if isinstance(part, All) else " OR "
            return _join(made, f"({word.join(item.sql for item in made)})")
        case One():
            return _one([_node(item) for item in part.items])


def _join(made: list[Fragment], sql: str) -> Fragment:
    return Fragment(
        sql,
        tuple(value for item in made for value in item.parameters),
        frozenset().union(*(item.columns for item in made)),
    )


def _one(made: list[Fragment]) -> Fragment:
    """Exactly one: two that hold make it false whatever else is UNKNOWN."""
    true = " + ".join(f"coalesce({item.sql}, FALSE)::INTEGER" for item in made)
    unknown = " OR ".join(f"({item.sql}) IS NULL" for item in made)
    twice = _join(
        [*made, *made, *made], f"(CASE WHEN {true} > 1 THEN FALSE WHEN {unknown} THEN NULL ELSE {true} = 1 END)"
    )
    return twice


def _three(test: Fragment, unknown: Fragment | None) -> Fragment:
    """A comparison that is NULL for an absent value, as TRUE, FALSE or (UNKNOWN) NULL."""
    if unknown is None:
        return Fragment(f"coalesce({test.sql}, FALSE)", test.parameters, test.columns)
    return _join([unknown, test], f"(CASE WHEN {unknown.sql} THEN NULL ELSE coalesce({test.sql}, FALSE) END)")


def _exists(part: Exists) -> Fragment:
    value = _expression(part.left)
    if value.either is not None:
        first, second = value.either
        return _join([first, second], f"({first.sql} IS NOT NULL OR {second.sql} IS NOT NULL)")
    if value.is_list:
        held = f"len(list_filter({value.sql}, lambda x: x IS NOT NULL)) > 0"
        return _any_element(held, value)
    return _three(Fragment(f"({value.sql} IS NOT NULL)", value.parameters, value.columns), value.unknown)


def _any_element(held: str, value: Fragment) -> Fragment:
    """Whether an element of a list satisfies something; UNKNOWN when none does and the list is not whole."""
    test = Fragment(f"coalesce({held}, FALSE)", value.parameters, value.columns)
    if value.unknown is None:
        return test
    return _join(
        [test, value.unknown], f"(CASE WHEN {test.sql} THEN TRUE WHEN {value.unknown.sql} THEN NULL ELSE FALSE END)"
    )


def _test(part: Test) -> Fragment:
    value = _expression(part.left)
    if part.other is not None:
        return _with_other(part, value, _expression(part.other))
    if value.either is not None:
        return _either(part, value.either)
    if value.is_list:
        test = _compare(part, "x", ())
        held = f"len(list_filter({value.sql}, lambda x: coalesce({test.sql}, FALSE))) > 0"
        return _any_element(
            held, Fragment(value.sql, value.parameters + test.parameters, value.columns, unknown=value.unknown)
        )
    test = _compare(part, value.sql, value.parameters)
    return _three(Fragment(test.sql, test.parameters, value.columns), value.unknown)


def _either(part: Test, ends: tuple[Fragment, Fragment]) -> Fragment:
    made = [_compare(part, end.sql, end.parameters) for end in ends]
    columns = ends[0].columns | ends[1].columns
    parameters = made[0].parameters + made[1].parameters
    if part.operator == "!=":
        some = " OR ".join(f"{end.sql} IS NOT NULL" for end in ends)
        parameters += ends[0].parameters + ends[1].parameters
        return Fragment(
            f"(coalesce({made[0].sql}, TRUE) AND coalesce({made[1].sql}, TRUE) AND ({some}))", parameters, columns
        )
    return Fragment(f"(coalesce({made[0].sql}, FALSE) OR coalesce({made[1].sql}, FALSE))", parameters, columns)


def _with_other(part: Test, left: Fragment, right: Fragment) -> Fragment:
    """A comparison of two expressions."""
    if any(side.is_list or side.either is not None for side in (left, right)):
        raise NotStoredError((part.text(),), "compares fields with several values")
    operator = part.operator
    a, b = left.sql, right.sql
    if operator in ("<", "<=", ">", ">="):
        a, b = _number(part.left, a), _number(cast("Expr", part.other), b)
        sql = f"({a} {operator} {b})"
    elif operator in ("=", "!=", "in", "intersects"):
        if part.left.type != cast("Expr", part.other).type:
            a, b = f"({a})::VARCHAR", f"({b})::VARCHAR"
        sql = f"({a} {'<>' if operator == '!=' else '='} {b})"
    elif operator in ("contains", "startswith", "endswith", "icontains"):
        a, b = f"({a})::VARCHAR", f"({b})::VARCHAR"
        if operator == "icontains":
            a, b = _ascii_lower(a), _ascii_lower(b)
        name = {"startswith": "starts_with", "endswith": "ends_with"}.get(operator, "contains")
        sql = f"{name}({a}, {b})"
    else:
        raise NotStoredError((part.text(),), f"uses {operator}")
    return _three(_join([left, right], sql), _either_unknown([left, right]))


def _either_unknown(sides: list[Fragment]) -> Fragment | None:
    """Where one of them is UNKNOWN and none is absent: an absent value decides, whatever the other one is."""
    flags = [side.unknown for side in sides if side.unknown is not None]
    if not flags:
        return None
    present = [
        _join([side, side.unknown], f"({side.sql} IS NOT NULL OR {side.unknown.sql})")
        if side.unknown is not None
        else Fragment(f"({side.sql} IS NOT NULL)", side.parameters, side.columns)
        for side in sides
    ]
    return _join(
        [*flags, *present],
        f"(({' OR '.join(flag.sql for flag in flags)}) AND {' AND '.join(item.sql for item in present)})",
    )


def _ascii_lower(sql: str) -> str:
    return f"translate({sql}, {_UPPER}, {_LOWER})"


def _number(expr: Expr, sql: str) -> str:
    """A value as a number: of a dynamic one only plain decimal text."""
    if expr.type != "dynamic":
        return sql
    return f"(CASE WHEN regexp_full_match(({sql})::VARCHAR, {_NUMBER}) THEN ({sql})::VARCHAR::BIGINT END)"


def _constant(value: Value) -> tuple[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "?::DOUBLE", float(value)
    return "?", value


def _compare(part: Test, sql: str, parameters: tuple[Any, ...]) -> Fragment:
    """``sql operator constants``, NULL when ``sql`` is."""
    operator, values, kind = part.operator, part.values, part.left.type
    if kind in ("ip", "net"):
        return _in_networks(sql, parameters, cast("tuple[tuple[int, int, int], ...]", values), negate=operator == "!=")
    if operator in _COMPARE and operator not in ("=", "!="):
        if kind == "dynamic":
            mark, constant = _constant(values[0])
            return Fragment(f"({_number(part.left, sql)} {operator} {mark})", parameters * 2 + (constant,))
        mark, constant = _constant(values[0])
        return Fragment(f"({sql} {operator} {mark})", (*parameters, constant))
    if kind == "dynamic":
        sql = f"({sql})::VARCHAR"
    if operator in ("=", "!="):
        mark, constant = _constant(values[0])
        return Fragment(f"({sql} {_COMPARE[operator]} {mark})", (*parameters, constant))
    if operator in ("in", "intersects"):
        made = [_constant(value) for value in values]
        return Fragment(
            f"({sql} IN ({', '.join(mark for mark, _ in made)}))", (*parameters, *(constant for _, constant in made))
        )
    texts = cast("tuple[str, ...]", values)
    if operator == "contains":
        return Fragment(f"contains({sql}, ?)", (*parameters, texts[0]))
    if operator == "icontains":
        return Fragment(f"contains({_ascii_lower(sql)}, ?)", (*parameters, lower(texts[0])))
    if operator in ("startswith", "endswith"):
        return Fragment(f"{'starts' if operator == 'startswith' else 'ends'}_with({sql}, ?)", (*parameters, texts[0]))
    if operator in ("glob", "iglob"):
        return Fragment(f"regexp_full_match({sql}, ?)", (*parameters, glob_pattern(texts[0], fold=operator == "iglob")))
    if operator == "regex":
        return Fragment(f"regexp_full_match({sql}, ?)", (*parameters, texts[0]))
    if operator == "pmatch":
        tests = " OR ".join(f"regexp_full_match({sql}, ?)" for _ in texts)
        return Fragment(f"({tests})", tuple(item for text in texts for item in (*parameters, prefix_pattern(text))))
    raise NotStoredError((part.text(),), f"uses {operator}", "bytes are not kept as they came")


def _in_networks(
    sql: str, parameters: tuple[Any, ...], networks: tuple[tuple[int, int, int], ...], *, negate: bool
) -> Fragment:
    tests: list[str] = []
    values: list[Any] = []
    from ipaddress import IPv4Address, IPv6Address

    for version, first, last in networks:
        if first == last:
            tests.append(f"{sql} = ?")
            values += (*parameters, str(IPv4Address(first) if version == 4 else IPv6Address(first)))
            continue
        if version == 6:
            if last - first == 2**128 - 1:
                tests.append(f"contains({sql}, ':')")
                values += parameters
                continue
            raise NotStoredError(("an IPv6 network",), "is no prefix of a text", "ask for single addresses")
        size = last - first + 1
        octets = {2**24: 1, 2**16: 2, 2**8: 3}.get(size)
        if octets is not None:
            tests.append(f"(starts_with({sql}, ?) AND NOT contains({sql}, ':'))")
            values += (*parameters, ".".join(str(IPv4Address(first)).split(".")[:octets]) + ".", *parameters)
            continue
        number = " + ".join(f"split_part({sql}, '.', {index + 1})::BIGINT * {256 ** (3 - index)}" for index in range(4))
        tests.append(
            f"(CASE WHEN regexp_full_match({sql}, '[0-9]{{1,3}}([.][0-9]{{1,3}}){{3}}') THEN {number} BETWEEN ? AND ? ELSE FALSE END)"
        )
        values += (*parameters * 5, first, last)
    joined = f"({' OR '.join(tests)})"
    if negate:
        joined = f"(NOT {joined})"
    return Fragment(f"(CASE WHEN {sql} IS NOT NULL THEN {joined} END)", (*parameters, *values))


def _expression(expr: Expr) -> Fragment:
    """The value of an expression."""
    if isinstance(expr, Ref):
        fragment = field_fragment(expr)
        assert fragment is not None
        return fragment
    if isinstance(expr, Literal):
        return Fragment("?", (expr.text,))
    return _transform(expr)


_MAPPED: Final = {"proc.args": "proc_argv", "proc.env": "proc_env"}
_FUNCTIONS: Final[dict[str, Callable[[str], str]]] = {
    "tolower": lambda sql: f"translate({sql}, {_UPPER}, {_LOWER})",
    "toupper": lambda sql: f"translate({sql}, {_LOWER}, {_UPPER})",
    "basename": lambda sql: f"regexp_extract({sql}, '[^/]*$')",
    "len": lambda sql: f"length({sql})",
}


def _transform(expr: Transform) -> Fragment:
    if expr.name == "join":
        separator, listed = (_expression(expr.arguments[0]), expr.arguments[1])
        if not isinstance(listed, Ref) or listed.field.name not in _MAPPED:
            raise NotStoredError((expr.key,), "joins what is not stored as a list")
        column = column_fragment(_MAPPED[listed.field.name])
        made = _join(
            [column, separator],
            f"CASE WHEN {column.sql} IS NOT NULL THEN array_to_string({column.sql}, {separator.sql}) END",
        )
        return Fragment(made.sql, made.parameters, made.columns, unknown=column.unknown)
    if expr.name == "concat":
        parts = [_expression(argument) for argument in expr.arguments]
        if any(part.is_list or part.either is not None for part in parts):
            raise NotStoredError((expr.key,), "has several values")
        made = _join(parts, "(" + " || ".join(f"({part.sql})::VARCHAR" for part in parts) + ")")
        return Fragment(made.sql, made.parameters, made.columns, unknown=_either_unknown(parts))
    if expr.name not in _FUNCTIONS:
        raise NotStoredError((expr.key,), f"uses {expr.name}()")
    inner = _expression(expr.arguments[0])
    apply = _FUNCTIONS[expr.name]
    if inner.either is not None:
        raise NotStoredError((expr.key,), "has several values")
    if inner.is_list:
        return Fragment(
            f"list_transform({inner.sql}, lambda y: {apply('y::VARCHAR')})",
            inner.parameters,
            inner.columns,
            unknown=inner.unknown,
            is_list=True,
        )
    return Fragment(apply(f"({inner.sql})::VARCHAR"), inner.parameters, inner.columns, unknown=inner.unknown)
