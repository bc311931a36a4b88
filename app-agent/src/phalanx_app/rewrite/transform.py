"""Rewrites the syntax tree of a module so that text operations can report their taint.

Every rewritten expression keeps the interpreter's own operation and adds a call of a hook that runs only while some request holds taint:

* operands that are names or constants: ``hook(a + b, a, b) if __px_on__ else a + b``: one flag read when nothing is tainted;
* other operands inside functions: each is bound once where it is evaluated, the result is looked at afterwards:
  ``r if (r := (t := f()) + b) is None or not __px_on__ else hook(r, t, b)``; order, exceptions and nesting stay the language's own;
* other operands where nothing can be bound (class bodies, modules, comprehensions): ``operate(f(), b)``, which does the operation and then the hook.

The names live in `builtins`, so a module's namespace stays its own. Annotations, patterns, stores and deletions are left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

FORMAT = 10
"""Grows with every change of what is generated; part of the name of cached files."""

_WORDS = (
    "capitalize casefold center decode encode expandtabs format format_map hex join ljust lower lstrip partition "
    "removeprefix removesuffix replace rjust rpartition rsplit rstrip split splitlines strip swapcase title translate "
    "upper zfill startswith endswith isalnum isalpha isdigit isnumeric isdecimal isidentifier match fullmatch search "
    "findall sub subn group groups groupdict expand write writelines getvalue read readline readlines read1 extend "
    "is_relative_to StringIO BytesIO"
)
METHODS = frozenset(_WORDS.split())
MUTATORS = frozenset({"write", "writelines", "extend"})
"""Methods whose receiver changes: their hook runs for a result of None too."""

NAMES = frozenset(
    (
        "str",
        "bytes",
        "bytearray",
        "repr",
        "ascii",
        "format",
        "list",
        "tuple",
        "sorted",
        "reversed",
        "int",
        "float",
        "isinstance",
        "StringIO",
        "BytesIO",
        "SafeString",
        "SafeText",
        "Markup",
    )
)
CODE_NAMES = frozenset({"eval", "exec", "compile", "__import__"})
NO_ARGUMENTS = frozenset({"locals", "vars", "dir"})

_NO_TEXT = frozenset(
    {ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp}
)
_NO_TEXT_NAMES = frozenset(
    {"range", "enumerate", "zip", "map", "filter", "sorted", "reversed", "list", "tuple", "set", "dict", "iter"}
)

ON = "__px_on__"
TEMPORARY = "__px_t"

_LEAF = (
    ast.Constant,
    ast.Name,
    ast.Pass,
    ast.Break,
    ast.Continue,
    ast.Global,
    ast.Nonlocal,
    ast.Import,
    ast.ImportFrom,
    ast.expr_context,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
)
_LEAVES: frozenset[type] = frozenset(one for base in _LEAF for one in (base, *base.__subclasses__()))
_SKIP_FIELDS = frozenset(
    {
        "ctx",
        "op",
        "ops",
        "annotation",
        "returns",
        "type_comment",
        "type_params",
        "pattern",
        "names",
        "attr",
        "id",
        "arg",
        "kind",
        "is_async",
        "simple",
        "conversion",
        "level",
        "module",
        "name",
        "asname",
        "lineno",
        "str",
    }
)
_FIELDS: dict[type, tuple[str, ...]] = {}
_LOAD = ast.Load()
_STORE = ast.Store()
_NOT = ast.Not()
_OR = ast.Or()
_IS: list[ast.cmpop] = [ast.Is()]


def _fields(kind: type) -> tuple[str, ...]:
    found = tuple(one for one in kind._fields if one not in _SKIP_FIELDS)  # type: ignore[attr-defined]
    _FIELDS[kind] = found
    return found


class Rewriter:
    """Rewrites one module tree in place; `changed` tells whether anything was."""

    def __init__(self) -> None:
        self.changed = False
        self._binds = False
        self._next = 0
        self._special: dict[type, Callable[[Any], Any]] = {
            ast.BinOp: self._binop,
            ast.AugAssign: self._augassign,
            ast.JoinedStr: self._joinedstr,
            ast.Subscript: self._subscript,
            ast.Call: self._call,
            ast.Compare: self._compare,
            ast.For: self._loop,
            ast.AsyncFor: self._generic,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.AnnAssign: self._annassign,
        }
        for name in ("TypeAlias", "TypeVar", "ParamSpec", "TypeVarTuple"):
            if hasattr(ast, name):
                self._special[getattr(ast, name)] = lambda node: node
        if hasattr(ast, "Interpolation"):
            self._special[ast.Interpolation] = self._interpolation

    def module(self, tree: ast.Module) -> ast.Module:
        """Rewrite a whole module."""
        self._body(tree, "body")
        return tree

    # --- walking ---------------------------------------------------------------------------------------------------------------------

    def _body(self, node: Any, field: str) -> None:
        old = getattr(node, field)
        out: list[Any] = []
        for one in old:
            self._next = 0
            made = self._visit(one)
            if type(made) is list:
                out += made
            else:
                out.append(made)
        setattr(node, field, out)

    def _visit(self, node: Any) -> Any:
        kind = type(node)
        if kind in _LEAVES:
            return node
        special = self._special.get(kind)
        if special is not None:
            return special(node)
        return self._generic(node)

    def _generic(self, node: Any) -> Any:
        kind = type(node)
        fields = _FIELDS.get(kind) or _fields(kind)
        for field in fields:
            value = getattr(node, field, None)
            if type(value) is list:
                if field in ("body", "orelse", "finalbody") and value and isinstance(value[0], ast.stmt):
                    self._body(node, field)
                    continue
                for index, one in enumerate(value):
                    if one is not None and type(one) not in _LEAVES and isinstance(one, ast.AST):
                        value[index] = self._visit(one)
            elif value is not None and type(value) not in _LEAVES and isinstance(value, ast.AST):
                setattr(node, field, self._visit(value))
        return node

    # --- scopes ----------------------------------------------------------------------------------------------------------------------

    def _function(self, node: Any) -> Any:
        arguments = node.args
        node.decorator_list = [self._visit(one) for one in node.decorator_list]
        arguments.defaults = [self._visit(one) for one in arguments.defaults]
        arguments.kw_defaults = [one if one is None else self._visit(one) for one in arguments.kw_defaults]
        binds, self._binds, before = self._binds, True, self._next
        self._body(node, "body")
        self._binds, self._next = binds, before
        return node

    def _lambda(self, node: Any) -> Any:
        arguments = node.args
        arguments.defaults = [self._visit(one) for one in arguments.defaults]
        arguments.kw_defaults = [one if one is None else self._visit(one) for one in arguments.kw_defaults]
        binds, self._binds, before = self._binds, True, self._next
        self._next = 0
        node.body = self._visit(node.body)
        self._binds, self._next = binds, before
        return node

    def _class(self, node: Any) -> Any:
        binds, self._binds = self._binds, False
        if not getattr(node, "type_params", None):
            node.decorator_list = [self._visit(one) for one in node.decorator_list]
        self._body(node, "body")
        self._binds = binds
        return node

    def _comprehension(self, node: Any) -> Any:
        # An assignment expression is forbidden in the iterable of a comprehension, and elsewhere in it would bind in the function
        # around it, which a second, interleaved generator of the same place could overwrite.
        binds, self._binds = self._binds, False
        for generator in node.generators:
            generator.iter = self._iterated(self._visit(generator.iter))
            generator.ifs = [self._visit(one) for one in generator.ifs]
            generator.target = self._visit(generator.target)
        if type(node) is ast.DictComp:
            node.key, node.value = self._visit(node.key), self._visit(node.value)
        else:
            node.elt = self._visit(node.elt)
        self._binds = binds
        return node

    def _annassign(self, node: Any) -> Any:
        if node.value is not None:
            node.value = self._visit(node.value)
        node.target = self._visit(node.target)
        return node

    def _loop(self, node: Any) -> Any:
        node.iter = self._iterated(self._visit(node.iter))
        node.target = self._visit(node.target)
        self._body(node, "body")
        self._body(node, "orelse")
        return node

    def _iterated(self, node: Any) -> Any:
        """What a loop goes over may be tainted text; literals and the builtins that make no text stay as they are."""
        kind = type(node)
        if kind is ast.Name:
            return self._at(
                ast.IfExp(test=self._flag(node), body=self._hook(node, "__px_loop__", [node]), orelse=node), node
            )
        if kind in _NO_TEXT or (kind is ast.Call and type(node.func) is ast.Name and node.func.id in _NO_TEXT_NAMES):
            return node
        return self._hook(node, "__px_loop__", [node])

    # --- building --------------------------------------------------------------------------------------------------------------------

    @staticmethod
    def _at(node: Any, like: Any) -> Any:
        node.lineno, node.col_offset = like.lineno, like.col_offset
        node.end_lineno, node.end_col_offset = like.end_lineno, like.end_col_offset
        return node

    def _name(self, text: str, like: Any, store: bool = False) -> Any:
        return self._at(ast.Name(id=text, ctx=_STORE if store else _LOAD), like)

    def _flag(self, like: Any) -> Any:
        return self._name(ON, like)

    def _constant(self, value: Any, like: Any) -> Any:
        return self._at(ast.Constant(value=value), like)

    def _hook(self, like: Any, name: str, args: list[Any]) -> Any:
        self.changed = True
        return self._at(ast.Call(func=self._name(name, like), args=args, keywords=[]), like)

    @staticmethod
    def _simple(node: Any) -> bool:
        kind = type(node)
        return kind is ast.Name or kind is ast.Constant or (kind is ast.UnaryOp and type(node.operand) is ast.Constant)

    def _slots(self, operands: list[Any]) -> list[str | None]:
        """Reserve a name for every operand that is not simple; None for the simple ones."""
        names: list[str | None] = []
        for one in operands:
            if self._simple(one):
                names.append(None)
            else:
                names.append(f"{TEMPORARY}{self._next}__")
                self._next += 1
        return names

    def _bound(self, name: str | None, node: Any) -> tuple[Any, Any]:
        """What stands in the operation, and what is handed to the hook."""
        if name is None:
            return node, node
        return self._at(ast.NamedExpr(target=self._name(name, node, True), value=node), node), self._name(name, node)

    def _guarded(self, native: Any, hook: str, operands: list[Any], like: Any) -> Any:
        """For simple operands: one flag read, then the operation."""
        return self._at(
            ast.IfExp(test=self._flag(like), body=self._hook(like, hook, [native, *operands]), orelse=native), like
        )

    def _looked_at(
        self, native: Any, hook: str, operands: list[Any], like: Any, result: str, always: bool = False
    ) -> Any:
        """For bound operands: the operation first, then the flag."""
        stored = self._at(ast.NamedExpr(target=self._name(result, like, True), value=native), like)
        value = self._name(result, like)
        called = self._hook(like, hook, [value, *operands])
        # A result of None carries nothing; for a mutator the comparison only evaluates: no method returns the flag itself.
        none = self._name(ON, like) if always else self._constant(None, like)
        test = self._at(
            ast.BoolOp(
                op=_OR,
                values=[
                    self._at(ast.Compare(left=stored, ops=_IS, comparators=[none]), like),
                    self._at(ast.UnaryOp(op=_NOT, operand=self._flag(like)), like),
                ],
            ),
            like,
        )
        return self._at(ast.IfExp(test=test, body=value, orelse=called), like)

    def _result_name(self) -> str:
        name = f"{TEMPORARY}{self._next}__"
        self._next += 1
        return name

    # --- operators -------------------------------------------------------------------------------------------------------------------

    _OPERATORS = {ast.Add: "add", ast.Mod: "mod", ast.Mult: "mul"}  # noqa: RUF012

    def _is_number(self, node: Any) -> bool:
        if type(node) is ast.UnaryOp:
            node = node.operand
        return type(node) is ast.Constant and type(node.value) in (int, float, complex)

    def _binop(self, node: Any) -> Any:
        name = self._OPERATORS.get(type(node.op))
        if name is None:
            return self._generic(node)
        left, right = node.left, node.right
        both_constant = type(left) is ast.Constant and type(right) is ast.Constant
        if (
            both_constant
            or (name == "add" and (self._is_number(left) or self._is_number(right)))
            or (self._is_number(left) and self._is_number(right))
        ):
            return self._generic(node)
        if (
            name == "mod"
            and type(right) is ast.Tuple
            and self._binds
            and not any(type(one) is ast.Starred for one in right.elts)
        ):
            return self._percent_tuple(node, left, right)
        if self._simple(left) and self._simple(right):
            return self._guarded(node, f"__px_{name}__", [left, right], node)
        if not self._binds:
            return self._hook(node, f"__px_o{name}__", [self._visit(left), self._visit(right)])
        before = self._next
        slots = self._slots([left, right])
        result = self._result_name()
        one, one_value = self._bound(slots[0], self._visit(left))
        two, two_value = self._bound(slots[1], self._visit(right))
        native = self._at(ast.BinOp(left=one, op=node.op, right=two), node)
        made = self._looked_at(native, f"__px_{name}__", [one_value, two_value], node, result)
        self._next = before
        return made

    def _percent_tuple(self, node: Any, left: Any, right: Any) -> Any:
        """A literal tuple stays one, since the compiler turns ``"…" % (a, b)`` into the form of an f-string."""
        if self._simple(left) and all(self._simple(one) for one in right.elts):
            return self._guarded(node, "__px_mod__", [left, right], node)
        before = self._next
        slots = self._slots([left, *right.elts])
        result = self._result_name()
        one, one_value = self._bound(slots[0], self._visit(left))
        members = [self._bound(slot, self._visit(member)) for slot, member in zip(slots[1:], right.elts, strict=True)]
        native = self._at(
            ast.BinOp(
                left=one, op=node.op, right=self._at(ast.Tuple(elts=[bound for bound, _ in members], ctx=_LOAD), right)
            ),
            node,
        )
        handed = self._at(ast.Tuple(elts=[named for _, named in members], ctx=_LOAD), right)
        made = self._looked_at(native, "__px_mod__", [one_value, handed], node, result)
        self._next = before
        return made

    def _augassign(self, node: Any) -> Any:
        name = self._OPERATORS.get(type(node.op))
        node.target = self._visit(node.target) if type(node.target) is not ast.Name else node.target
        if name is None or (name == "add" and self._is_number(node.value)):
            node.value = self._visit(node.value)
            return node
        if type(node.target) is ast.Attribute:
            return self._aug_attribute(node, name)
        if type(node.target) is ast.Subscript:
            if type(node.target.slice) is not ast.Slice:
                return self._aug_item(node, name)
            node.value = self._visit(node.value)
            return node
        # Two statements, so that the plain one keeps the interpreter's in-place growth of a string. The value is written twice, but a
        # statement never nests in an expression, so this doubles once at most.
        value = self._visit(node.value)
        target = node.target.id
        called = self._hook(node, f"__px_i{name}__", [self._name(target, node), value])
        on = self._at(ast.Assign(targets=[self._name(target, node, True)], value=called), node)
        node.value = value
        return self._at(ast.If(test=self._flag(node), body=[on], orelse=[node]), node)

    def _aug_attribute(self, node: Any, name: str) -> Any:
        self.changed = True
        value = self._visit(node.value)
        owner = f"{TEMPORARY}a__"
        hold = self._at(ast.Assign(targets=[self._name(owner, node, True)], value=node.target.value), node)
        read = self._at(ast.Attribute(value=self._name(owner, node), attr=node.target.attr, ctx=_LOAD), node)
        store = self._at(ast.Attribute(value=self._name(owner, node), attr=node.target.attr, ctx=_STORE), node)
        on = self._at(ast.Assign(targets=[store], value=self._hook(node, f"__px_i{name}__", [read, value])), node)
        forget = self._at(ast.Delete(targets=[self._at(ast.Name(id=owner, ctx=ast.Del()), node)]), node)
        node.value = value
        return self._at(ast.If(test=self._flag(node), body=[hold, on, forget], orelse=[node]), node)

    def _aug_item(self, node: Any, name: str) -> Any:
        self.changed = True
        value = self._visit(node.value)
        owner, key = f"{TEMPORARY}a__", f"{TEMPORARY}k__"
        hold = self._at(ast.Assign(targets=[self._name(owner, node, True)], value=node.target.value), node)
        hold_key = self._at(ast.Assign(targets=[self._name(key, node, True)], value=node.target.slice), node)
        read = self._at(ast.Subscript(value=self._name(owner, node), slice=self._name(key, node), ctx=_LOAD), node)
        store = self._at(ast.Subscript(value=self._name(owner, node), slice=self._name(key, node), ctx=_STORE), node)
        on = self._at(ast.Assign(targets=[store], value=self._hook(node, f"__px_i{name}__", [read, value])), node)
        gone = [self._at(ast.Name(id=one, ctx=ast.Del()), node) for one in (owner, key)]
        node.value = value
        return self._at(
            ast.If(
                test=self._flag(node),
                body=[hold, hold_key, on, self._at(ast.Delete(targets=gone), node)],
                orelse=[node],
            ),
            node,
        )

    # --- f-strings -------------------------------------------------------------------------------------------------------------------

    def _joinedstr(self, node: Any) -> Any:
        values = node.values
        if not any(type(one) is ast.FormattedValue for one in values):
            return node
        fields = [one for one in values if type(one) is ast.FormattedValue]
        if not self._binds and not all(self._simple(one.value) and self._plain_spec(one) for one in fields):
            return self._hook(node, "__px_ofstr__", [self._formed(one) for one in values])
        before = self._next
        simple = all(self._simple(one.value) for one in fields) and all(self._plain_spec(one) for one in fields)
        slots = self._slots([one.value for one in fields])
        result = "" if simple else self._result_name()
        pieces: list[Any] = []
        number = 0
        for one in values:
            if type(one) is not ast.FormattedValue:
                pieces.append(one)
                continue
            one.value, known = self._bound(slots[number], self._visit(one.value))
            number += 1
            plain = self._plain_spec(one)
            if one.format_spec is not None and not plain:
                self._generic_spec(one.format_spec)
            if one.conversion == -1 and one.format_spec is None:
                pieces.append(known)
            elif not plain:
                pieces.append(self._hook(node, "__px_open__", [known]))
            else:
                pieces.append(self._hook(node, "__px_fmt__", [known, *self._how(one)]))
        if simple:
            made = self._guarded(node, "__px_fstr__", pieces, node)
        else:
            made = self._looked_at(node, "__px_fstr__", pieces, node, result)
        self._next = before
        return made

    def _interpolation(self, node: Any) -> Any:
        """A field of a template string (3.14): its parts stay apart, so only the value is visited."""
        node.value = self._visit(node.value)
        return node

    @staticmethod
    def _plain_spec(field: Any) -> bool:
        return field.format_spec is None or all(type(one) is ast.Constant for one in field.format_spec.values)

    def _generic_spec(self, spec: Any) -> None:
        """The fields inside a format specification are visited, but the specification itself must stay an f-string."""
        for one in spec.values:
            if type(one) is ast.FormattedValue:
                one.value = self._visit(one.value)
                if one.format_spec is not None:
                    self._generic_spec(one.format_spec)

    def _how(self, field: Any) -> list[Any]:
        conversion = None if field.conversion == -1 else chr(field.conversion)
        spec = "".join(one.value for one in field.format_spec.values) if field.format_spec is not None else ""
        return [self._constant(conversion, field.value), self._constant(spec, field.value)]

    def _formed(self, piece: Any) -> Any:
        """One part of an f-string, formatted at its turn by the interpreter where nothing can be bound."""
        if type(piece) is not ast.FormattedValue:
            return piece
        value = self._visit(piece.value)
        if piece.format_spec is None and piece.conversion == -1:
            field = self._at(ast.FormattedValue(value=value, conversion=-1, format_spec=None), piece.value)
            return self._at(ast.JoinedStr(values=[field]), piece.value)
        conversion = None if piece.conversion == -1 else chr(piece.conversion)
        spec: Any = piece.format_spec
        if spec is None:
            spec = self._constant("", piece.value)
        else:
            self._generic_spec(spec)
            if all(type(one) is ast.Constant for one in spec.values):
                spec = self._constant("".join(one.value for one in spec.values), piece.value)
        return self._hook(piece.value, "__px_ofmt__", [value, self._constant(conversion, piece.value), spec])

    # --- subscripts ------------------------------------------------------------------------------------------------------------------

    def _subscript(self, node: Any) -> Any:
        if type(node.ctx) is not ast.Load:
            node.value = self._visit(node.value)
            node.slice = self._slice_inside(node.slice)
            return node
        key = node.slice
        if type(key) is ast.Slice:
            return self._sliced(node, key)
        if (type(key) is ast.Constant and type(key.value) is str) or type(key) is ast.Tuple:
            return self._generic(node)  # a mapping: what it holds keeps its own taint
        if self._simple(node.value) and self._simple(key):
            return self._guarded(node, "__px_item__", [node.value, key], node)
        if not self._binds:
            return self._hook(node, "__px_oitem__", [self._visit(node.value), self._visit(key)])
        before = self._next
        slots = self._slots([node.value, key])
        result = self._result_name()
        value, value_name = self._bound(slots[0], self._visit(node.value))
        key, key_name = self._bound(slots[1], self._visit(key))
        native = self._at(ast.Subscript(value=value, slice=key, ctx=_LOAD), node)
        made = self._looked_at(native, "__px_item__", [value_name, key_name], node, result)
        self._next = before
        return made

    def _slice_inside(self, key: Any) -> Any:
        return self._generic(key) if type(key) is ast.Slice else self._visit(key)

    def _sliced(self, node: Any, key: Any) -> Any:
        bounds = [key.lower, key.upper, key.step]
        given = [one for one in bounds if one is not None]
        if self._simple(node.value) and all(self._simple(one) for one in given):
            named = [one if one is not None else self._constant(None, node) for one in bounds]
            return self._guarded(node, "__px_part__", [node.value, *named], node)
        if not self._binds:
            made = [self._visit(one) if one is not None else self._constant(None, node) for one in bounds]
            return self._hook(node, "__px_oitem__", [self._visit(node.value), self._hook(node, "__px_slice__", made)])
        before = self._next
        slots = self._slots([node.value, *given])
        result = self._result_name()
        value, value_name = self._bound(slots[0], self._visit(node.value))
        parts: list[Any] = []
        names: list[Any] = []
        number = 1
        for one in bounds:
            if one is None:
                parts.append(None)
                names.append(self._constant(None, node))
                continue
            bound, named = self._bound(slots[number], self._visit(one))
            number += 1
            parts.append(bound)
            names.append(named)
        made_key = self._at(ast.Slice(lower=parts[0], upper=parts[1], step=parts[2]), key)
        native = self._at(ast.Subscript(value=value, slice=made_key, ctx=_LOAD), node)
        made = self._looked_at(native, "__px_part__", [value_name, *names], node, result)
        self._next = before
        return made

    # --- calls -----------------------------------------------------------------------------------------------------------------------

    def _call(self, node: Any) -> Any:
        function = node.func
        if type(function) is ast.Attribute and function.attr in METHODS:
            return self._method(node, function)
        if type(function) is ast.Name:
            if (
                function.id in NAMES
                and node.args
                and not node.keywords
                and not any(type(one) is ast.Starred for one in node.args)
            ):
                return self._builtin(node, function.id)
            if (
                function.id in CODE_NAMES
                and node.args
                and type(node.args[0]) is not ast.Constant
                and type(node.args[0]) is not ast.Starred
            ):
                self._generic(node)
                node.args[0] = self._hook(
                    node.args[0], "__px_code__", [self._constant(function.id, node), node.args[0]]
                )
                return node
            if function.id in NO_ARGUMENTS and not node.args and not node.keywords and self._binds:
                return self._hook(node, "__px_hide__", [node])
        return self._generic(node)

    def _builtin(self, node: Any, name: str) -> Any:
        called = self._constant(name, node)
        if all(self._simple(one) for one in node.args):
            return self._guarded(node, "__px_call__", [called, *node.args], node)
        if not self._binds:
            return self._hook(node, "__px_ocall__", [called, node.func, *(self._visit(one) for one in node.args)])
        before = self._next
        slots = self._slots(node.args)
        result = self._result_name()
        bound = [self._bound(slot, self._visit(one)) for slot, one in zip(slots, node.args, strict=True)]
        node.args = [one for one, _ in bound]
        made = self._looked_at(node, "__px_call__", [called, *(named for _, named in bound)], node, result)
        self._next = before
        return made

    def _method(self, node: Any, function: Any) -> Any:
        name = function.attr
        args = node.args
        if name == "join":
            if len(args) != 1 or node.keywords or type(args[0]) is ast.Starred:
                return self._generic(node)
        elif name == "format" and type(function.value) is ast.Constant and not args and not node.keywords:
            return self._generic(node)
        if (
            name == "join" and not self._simple(args[0]) and type(args[0]) not in (ast.List, ast.ListComp, ast.Tuple)
        ) or (name == "join" and type(args[0]) is ast.Name):
            args = [self._hook(args[0], "__px_seq__", [args[0]])]
        starred = any(type(one) is ast.Starred for one in args)
        keywords = node.keywords
        operands = [function.value, *args, *(one.value for one in keywords)]
        label = self._constant(name, node)
        plain = not starred and not keywords
        if plain and all(self._simple(one) for one in operands) and name not in MUTATORS:
            return self._guarded(node, "__px_meth__", [label, *operands], node)
        if not self._binds:
            node.args = [self._starred(one) for one in args]
            for one in keywords:
                one.value = self._visit(one.value)
            made = self._hook(node, "__px_ometh__", [label, self._visit(function.value), *node.args])
            made.keywords = keywords
            return made
        before = self._next
        (receiver_slot,) = self._slots([function.value])
        receiver, receiver_name = self._bound(receiver_slot, self._visit(function.value))
        native_args: list[Any] = []
        named_args: list[Any] = []
        for one in args:
            if type(one) is ast.Starred:
                slot = self._result_name()
                inner = self._at(
                    ast.List(elts=[self._at(ast.Starred(value=self._visit(one.value), ctx=_LOAD), one)], ctx=_LOAD), one
                )
                bound, named = self._bound(slot, inner)
                native_args.append(self._at(ast.Starred(value=bound, ctx=_LOAD), one))
                named_args.append(self._at(ast.Starred(value=named, ctx=_LOAD), one))
            else:
                (slot_one,) = self._slots([one])
                bound, named = self._bound(slot_one, self._visit(one))
                native_args.append(bound)
                named_args.append(named)
        native_keywords: list[Any] = []
        dict_keys: list[Any] = []
        dict_values: list[Any] = []
        for one in keywords:
            value = one.value
            if one.arg is None:
                slot = self._result_name()
                bound, named = self._bound(slot, self._at(ast.Dict(keys=[None], values=[self._visit(value)]), value))
                dict_keys.append(None)
            else:
                (slot_one,) = self._slots([value])
                bound, named = self._bound(slot_one, self._visit(value))
                dict_keys.append(self._constant(one.arg, value))
            native_keywords.append(self._at(ast.keyword(arg=one.arg, value=bound), value))
            dict_values.append(named)
        result = self._result_name()
        native = self._at(
            ast.Call(
                func=self._at(ast.Attribute(value=receiver, attr=name, ctx=_LOAD), function),
                args=native_args,
                keywords=native_keywords,
            ),
            node,
        )
        if plain:
            made = self._looked_at(
                native, "__px_meth__", [label, receiver_name, *named_args], node, result, name in MUTATORS
            )
        else:
            handed = [
                label,
                receiver_name,
                self._at(ast.Tuple(elts=named_args, ctx=_LOAD), node),
                self._at(ast.Dict(keys=dict_keys, values=dict_values), node),
            ]
            made = self._looked_at(native, "__px_methk__", handed, node, result, name in MUTATORS)
        self._next = before
        return made

    def _starred(self, node: Any) -> Any:
        if type(node) is ast.Starred:
            node.value = self._visit(node.value)
            return node
        return self._visit(node)

    # --- comparisons -----------------------------------------------------------------------------------------------------------------

    _COMPARISONS = {ast.In: 0, ast.NotIn: 1, ast.Eq: 2, ast.NotEq: 3}  # noqa: RUF012

    def _compare(self, node: Any) -> Any:
        if len(node.ops) != 1:
            return self._generic(node)
        op = self._COMPARISONS.get(type(node.ops[0]))
        left, right = node.left, node.comparators[0]
        if op is None or self._is_number(left) or self._is_number(right):
            return self._generic(node)
        if (type(left) is ast.Constant and left.value is None) or (type(right) is ast.Constant and right.value is None):
            return self._generic(node)
        code = self._constant(op, node)
        if self._simple(left) and self._simple(right):
            return self._guarded(node, "__px_cmp__", [code, left, right], node)
        if not self._binds:
            return self._hook(node, "__px_ocmp__", [code, self._visit(left), self._visit(right)])
        before = self._next
        slots = self._slots([left, right])
        result = self._result_name()
        one, one_name = self._bound(slots[0], self._visit(left))
        two, two_name = self._bound(slots[1], self._visit(right))
        native = self._at(ast.Compare(left=one, ops=node.ops, comparators=[two]), node)
        made = self._looked_at(native, "__px_cmp__", [code, one_name, two_name], node, result)
        self._next = before
        return made


def rewrite(tree: ast.Module) -> bool:
    """Rewrite `tree` in place; whether anything changed."""
    rewriter = Rewriter()
    rewriter.module(tree)
    return rewriter.changed
