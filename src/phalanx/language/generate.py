"""The matcher's compiler: the rules of one event type as one Python function, built as ``ast`` nodes.

No text of a rule ever becomes code: literals stand in a tuple of constants that the function is given, names are generated, and nesting is bounded. A
comparison that many rules share guards all of them; a field is read once; values of one field are tested together. The function assumes that
the process is known and that the container is settled; where it meets an ancestor that is UNKNOWN, the rules concerned are handed back.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from msgspec import UnsetType

from phalanx.language.evaluate import compare
from phalanx.language.fields import Ref
from phalanx.language.functions import function_of
from phalanx.language.interpreter import interpret
from phalanx.language.normal import FALSE, TRUE, Atom, Branch, Form, cost_of
from phalanx.language.patterns import lower
from phalanx.language.tree import Node, Test
from phalanx.model.event import Event
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN

__all__ = ["MatchFunction", "Unknown", "generate", "source_of"]

MatchFunction = Callable[[Event], tuple[Sequence[int], Sequence[int]]]
"""Numbers of the rules that hold, and of those that must be asked of the interpreter."""

_MAX_DEPTH: Final = 24
"""Deeper parts of a condition are asked of the interpreter's way, one call, so that the nesting of generated code is bounded."""
_SENTINEL: Final = object()


class Unknown(Exception):
    """An ancestor is UNKNOWN: the interpreter must decide."""


def _settle(node: Node, event: Event) -> bool:
    answer = compare(node, event) if isinstance(node, Test) else interpret(node, event)
    if answer is None:
        raise Unknown
    return answer


def _reader(ref: Ref) -> Callable[[Event], Any]:
    """The field's value; raises when it is UNKNOWN. Of ancestors a tuple without the absent ones."""
    get = ref.get
    if ref.multi == "any":

        def values(event: Event) -> Any:
            found = get(event)
            if found is None or found is UNKNOWN:
                raise Unknown
            if found and found[-1] is UNKNOWN:
                raise Unknown
            return found

        return values

    def value(event: Event) -> Any:
        found = get(event)
        if found is UNKNOWN:
            raise Unknown
        return found

    return value


def _parent(event: Event) -> Process | None:
    process = event.process
    parent = process.parent if isinstance(process, Process) else UNKNOWN
    if isinstance(parent, UnsetType):
        raise Unknown
    return parent


_PROPERTIES: Final = {"proc.args": "args", "proc.cmdline": "cmdline"}
"""Fields that are computed attributes of the process: read when first needed."""


def _name(name: str) -> ast.expr:
    return ast.Name(id=name, ctx=ast.Load())


def _store(name: str) -> ast.expr:
    return ast.Name(id=name, ctx=ast.Store())


def _call(function: ast.expr, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=function, args=list(arguments), keywords=[])


def _is(left: ast.expr, right: ast.expr, *, negated: bool = False) -> ast.expr:
    return ast.Compare(left=left, ops=[ast.IsNot() if negated else ast.Is()], comparators=[right])


def _none() -> ast.expr:
    return ast.Constant(value=None)


def _all_of(items: list[ast.expr]) -> ast.expr:
    return items[0] if len(items) == 1 else ast.BoolOp(op=ast.And(), values=items)


def _any_of(items: list[ast.expr]) -> ast.expr:
    return items[0] if len(items) == 1 else ast.BoolOp(op=ast.Or(), values=items)


def _not(item: ast.expr) -> ast.expr:
    return ast.UnaryOp(op=ast.Not(), operand=item)


class _Compiler:
    def __init__(self, rules: list[tuple[int, Form]]) -> None:
        self.rules = rules
        self.constants: list[Any] = []
        self._named: dict[Any, str] = {}
        self.prologue: list[ast.stmt] = []
        self._fields: dict[str, ast.expr | str] = {}
        """Field → name of its variable, read at the start."""
        self._lazy: dict[str, tuple[str, str]] = {}
        """Field → (variable, reader), read when first needed."""
        self._roots: set[str] = set()
        self._cached: dict[str, str] = {}
        self._uses = Counter[str]()
        for _, form in rules:
            self._count(form)

    def _count(self, form: Form) -> None:
        stack = [form]
        while stack:
            at = stack.pop()
            self._uses[at.key.removeprefix("!")] += 1
            if isinstance(at, Branch) and self._uses[at.key] == 1:
                stack.extend(at.items)

    def constant(self, value: Any, key: Any = None) -> ast.expr:
        """The name by which the function knows a constant."""
        key = (type(value), value) if key is None else key
        name = self._named.get(key)
        if name is None:
            name = f"k{len(self.constants)}"
            self.constants.append(value)
            self._named[key] = name
        return _name(name)

    # fields

    def value(self, ref: Ref) -> ast.expr:
        """An expression for the field's value."""
        known = self._fields.get(ref.key)
        if isinstance(known, str):
            return _name(known)
        access = ref.access
        if access is not None and access[0] in ("event", "process", "fd"):
            owner, attribute = access
            root = {"event": "e", "process": "p", "fd": "d"}[owner]
            self._root(root)
            variable = f"f{len(self._fields)}"
            self._fields[ref.key] = variable
            read: ast.expr = ast.Attribute(value=_name(root), attr=attribute, ctx=ast.Load())
            if root == "d":
                read = ast.IfExp(test=_is(_name("d"), _none(), negated=True), body=read, orelse=_none())
            self.prologue.append(ast.Assign(targets=[_store(variable)], value=read))
            return _name(variable)
        if ref.key in _PROPERTIES:
            self._root("p")
            made = ast.Attribute(value=_name("p"), attr=_PROPERTIES[ref.key], ctx=ast.Load())
            return self._once(self._variable(ref.key), made)
        if access is not None and access[0] == "parent":
            parent = self._once(self._variable("parent"), _call(self.constant(_parent, "parent"), _name("e")))
            again = _name(self._lazy["parent"][0])
            read_parent = ast.IfExp(
                test=_is(parent, _none(), negated=True),
                body=ast.Attribute(value=again, attr=access[1], ctx=ast.Load()),
                orelse=_none(),
            )
            return self._once(self._variable(ref.key), read_parent)
        if ref.key not in self._lazy:
            variable = f"z{len(self._lazy)}"
            reader = cast("ast.Name", self.constant(_reader(ref), ("reader", ref.key))).id
            self._lazy[ref.key] = (variable, reader)
            self.prologue.append(ast.Assign(targets=[_store(variable)], value=self.constant(_SENTINEL, "sentinel")))
        variable, reader = self._lazy[ref.key]
        return self._once(variable, _call(_name(reader), _name("e")))

    def _variable(self, key: str) -> str:
        """The variable of something that is read when first needed."""
        if key not in self._lazy:
            self._lazy[key] = (f"z{len(self._lazy)}", "")
            self.prologue.append(
                ast.Assign(targets=[_store(self._lazy[key][0])], value=self.constant(_SENTINEL, "sentinel"))
            )
        return self._lazy[key][0]

    def _once(self, variable: str, made: ast.expr) -> ast.expr:
        """The variable, computed when it is first asked for."""
        return ast.IfExp(
            test=_is(_name(variable), self.constant(_SENTINEL, "sentinel"), negated=True),
            body=_name(variable),
            orelse=ast.NamedExpr(target=ast.Name(id=variable, ctx=ast.Store()), value=made),
        )

    def _root(self, root: str) -> None:
        if root in self._roots or root == "e":
            return
        self._roots.add(root)
        attribute = {"p": "process", "d": "fd"}[root]
        self.prologue.append(
            ast.Assign(targets=[_store(root)], value=ast.Attribute(value=_name("e"), attr=attribute, ctx=ast.Load()))
        )

    # conditions

    def test(self, form: Form, depth: int = 0) -> ast.expr:
        """An expression for a normal form."""
        if isinstance(form, Atom):
            plain = form.key.removeprefix("!")
            if form.cost >= 200 and self._uses[plain] > 1:
                made = self._shared(plain, lambda: self._atom(form))
            else:
                made = self._atom(form)
            return _not(made) if form.negated else made
        branch = cast("Branch", form)
        if branch is TRUE or branch is FALSE:
            return ast.Constant(value=branch is TRUE)
        if depth >= _MAX_DEPTH:
            return _call(self.constant(_whole(branch), ("whole", branch.key)), _name("e"))
        if self._uses[branch.key] > 1 and branch.cost > 100:
            return self._shared(branch.key, lambda: self._branch(branch, depth))
        return self._branch(branch, depth)

    def _branch(self, branch: Branch, depth: int) -> ast.expr:
        made = [self.test(item, depth + 1) for item in branch.items]
        return _all_of(made) if branch.word == "and" else _any_of(made)

    def _shared(self, key: str, make: Callable[[], ast.expr]) -> ast.expr:
        """Computed at most once for an event."""
        variable = self._cached.get(key)
        if variable is None:
            variable = self._cached[key] = f"s{len(self._cached)}"
            self.prologue.append(ast.Assign(targets=[_store(variable)], value=self.constant(_SENTINEL, "sentinel")))
        return self._once(variable, make())

    def _atom(self, atom: Atom) -> ast.expr:
        """The comparison without its negation."""
        if atom.kind == "node":
            assert atom.node is not None
            return _call(
                self.constant(_settle, "settle"), self.constant(atom.node, ("node", atom.node.uid)), _name("e")
            )
        ref = atom.ref
        assert ref is not None
        value = self.value(ref)
        values = atom.values
        if atom.kind == "in":
            if ref.multi == "any":
                return _not(
                    _call(
                        ast.Attribute(value=self.constant(frozenset(values)), attr="isdisjoint", ctx=ast.Load()), value
                    )
                )
            if len(values) == 1:
                return ast.Compare(left=value, ops=[ast.Eq()], comparators=[self.constant(values[0])])
            return ast.Compare(left=value, ops=[ast.In()], comparators=[self.constant(frozenset(values))])
        if atom.kind == "exists":
            return _is(value, _none(), negated=True)
        if atom.kind == "true":
            return _is(value, ast.Constant(value=bool(values[0])))
        first, again = self._twice(ref, value)
        guard = [] if ref.never_absent else [_is(first, _none(), negated=True)]
        held = value if ref.never_absent else again
        if atom.kind == "call":
            node = atom.node
            assert isinstance(node, Test)
            return _all_of([*guard, _call(self.constant(function_of(node), ("call", node.uid)), held)])
        if atom.kind == "number":
            operator = {"<": ast.Lt(), "<=": ast.LtE(), ">": ast.Gt(), ">=": ast.GtE()}[atom.operator]
            return _all_of([*guard, ast.Compare(left=held, ops=[operator], comparators=[self.constant(values[0])])])
        if atom.kind in ("prefix", "suffix"):
            texts = values[0] if len(values) == 1 else tuple(cast("tuple[str, ...]", values))
            method = ast.Attribute(
                value=held, attr="startswith" if atom.kind == "prefix" else "endswith", ctx=ast.Load()
            )
            return _all_of([*guard, _call(method, self.constant(texts))])
        if atom.kind == "folded":
            folded = self._shared(f"lower {ref.key}", lambda: _call(self.constant(lower, "lower"), held))
            again_folded = _name(self._cached[f"lower {ref.key}"])
            made = [
                ast.Compare(
                    left=self.constant(text), ops=[ast.In()], comparators=[folded if index == 0 else again_folded]
                )
                for index, text in enumerate(values)
            ]
            return _all_of([*guard, _any_of(cast("list[ast.expr]", made))])
        made_in: list[ast.expr] = [
            ast.Compare(left=self.constant(text), ops=[ast.In()], comparators=[held if index == 0 else again])
            for index, text in enumerate(values)
        ]
        return _all_of([*guard, _any_of(made_in)])

    def _twice(self, ref: Ref, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """The value where it is first asked for, and the plain variable for the second time."""
        known = self._fields.get(ref.key)
        if isinstance(known, str):
            return value, _name(known)
        return value, _name(self._lazy[ref.key][0])

    # the function

    def module(self) -> ast.Module:
        """The code: a function that takes the constants and returns the matcher."""
        body = self._group([(index, _conjuncts(form)) for index, form in self.rules], top=True, depth=0)
        start: list[ast.stmt] = [
            ast.Assign(targets=[_store("h")], value=ast.List(elts=[], ctx=ast.Load())),
            ast.Assign(targets=[_store("u")], value=ast.List(elts=[], ctx=ast.Load())),
        ]
        end: list[ast.stmt] = [ast.Return(value=ast.Tuple(elts=[_name("h"), _name("u")], ctx=ast.Load()))]
        inner = ast.FunctionDef(
            name="match",
            args=ast.arguments(posonlyargs=[], args=[ast.arg(arg="e")], kwonlyargs=[], kw_defaults=[], defaults=[]),
            body=[*start, *self.prologue, *body, *end],
            decorator_list=[],
        )
        constants = [_store(f"k{index}") for index in range(len(self.constants))]
        outer_body: list[ast.stmt] = [inner, ast.Return(value=_name("match"))]
        if constants:
            outer_body.insert(
                0, ast.Assign(targets=[ast.Tuple(elts=constants, ctx=ast.Store())], value=_name("constants"))
            )
        outer = ast.FunctionDef(
            name="make",
            args=ast.arguments(
                posonlyargs=[], args=[ast.arg(arg="constants")], kwonlyargs=[], kw_defaults=[], defaults=[]
            ),
            body=outer_body,
            decorator_list=[],
        )
        return ast.fix_missing_locations(ast.Module(body=[outer], type_ignores=[]))

    def function(self) -> MatchFunction:
        """The matcher."""
        module = self.module()
        scope: dict[str, Any] = {}
        exec(compile(module, "<matcher>", "exec"), {"__builtins__": {}}, scope)  # noqa: S102 - built from ast nodes alone
        return cast("MatchFunction", scope["make"](tuple(self.constants)))

    def _group(self, rules: list[tuple[int, list[Form]]], *, top: bool, depth: int) -> list[ast.stmt]:
        """Statements that append the numbers of the rules that hold."""
        statements: list[ast.stmt] = []
        left = rules
        while left:
            shared = self._common(left) if depth < _MAX_DEPTH else None
            if shared is None:
                break
            inside = [
                (index, [form for form in forms if form.key != shared.key])
                for index, forms in left
                if any(form.key == shared.key for form in forms)
            ]
            left = [(index, forms) for index, forms in left if all(form.key != shared.key for form in forms)]
            block: list[ast.stmt] = [
                ast.If(test=self.test(shared), body=self._group(inside, top=False, depth=depth + 1), orelse=[])
            ]
            statements += self._guarded(block, [index for index, _ in inside]) if top else block
        for key, members in self._unions(left).items():
            if len(members) < 3 or depth >= _MAX_DEPTH:
                continue
            union = _union([guard for _, _, guard in members])
            if union is None:
                continue
            numbers = {index for index, _, _ in members}
            inside = [(index, forms) for index, forms in left if index in numbers]
            left = [(index, forms) for index, forms in left if index not in numbers]
            del key
            block = [ast.If(test=self.test(union), body=self._each(inside), orelse=[])]
            statements += self._guarded(block, sorted(numbers)) if top else block
        for index, forms in left:
            block = self._each([(index, forms)])
            statements += self._guarded(block, [index]) if top else block
        return statements or [ast.Pass()]

    def _each(self, rules: list[tuple[int, list[Form]]]) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for index, forms in rules:
            hit = ast.Expr(
                value=_call(ast.Attribute(value=_name("h"), attr="append", ctx=ast.Load()), ast.Constant(value=index))
            )
            if not forms:
                statements.append(hit)
                continue
            tests = [self.test(form) for form in sorted(forms, key=cost_of)]
            statements.append(ast.If(test=_all_of(tests), body=[hit], orelse=[]))
        return statements

    def _guarded(self, block: list[ast.stmt], numbers: list[int]) -> list[ast.stmt]:
        """The block; when something in it is UNKNOWN, its rules are handed back and what it found is taken back."""
        before = f"n{len(self._named)}_{numbers[0]}"
        take_back: list[ast.stmt] = [
            ast.Delete(
                targets=[
                    ast.Subscript(
                        value=_name("h"), slice=ast.Slice(lower=_name(before), upper=None, step=None), ctx=ast.Del()
                    )
                ]
            ),
            ast.Expr(
                value=_call(
                    ast.Attribute(value=_name("u"), attr="extend", ctx=ast.Load()), self.constant(tuple(numbers))
                )
            ),
        ]
        length = ast.Assign(targets=[_store(before)], value=_call(self.constant(len, "len"), _name("h")))
        return [
            length,
            ast.Try(
                body=block,
                handlers=[ast.ExceptHandler(type=self.constant(Unknown, "unknown"), name=None, body=take_back)],
                orelse=[],
                finalbody=[],
            ),
        ]

    def _common(self, rules: list[tuple[int, list[Form]]]) -> Form | None:
        """The condition that most rules share; None when no two do."""
        counts = Counter[str]()
        by_key: dict[str, Form] = {}
        for _, forms in rules:
            for form in forms:
                counts[form.key] += 1
                by_key[form.key] = form
        best: Form | None = None
        score = 0.0
        for key, count in counts.items():
            if count < 2 or by_key[key].cost > 400:
                continue
            worth = count / (1 + by_key[key].cost / 200) * (0.1 if _rarely_false(by_key[key]) else 1)
            if worth > score:
                best, score = by_key[key], worth
        return best

    @staticmethod
    def _unions(rules: list[tuple[int, list[Form]]]) -> dict[str, list[tuple[int, list[Form], list[Atom]]]]:
        """Rules by the field on which a necessary condition of theirs is a set of values."""
        found: dict[str, list[tuple[int, list[Form], list[Atom]]]] = {}
        taken: set[int] = set()
        order = Counter[str]()
        options: list[tuple[int, list[Form], dict[str, list[Atom]]]] = []
        for index, forms in rules:
            guards = _guards(forms)
            options.append((index, forms, guards))
            order.update(guards.keys())
        for key, _ in order.most_common():
            for index, forms, guards in options:
                if key in guards and index not in taken:
                    found.setdefault(key, []).append((index, forms, guards[key]))
                    taken.add(index)
        return found


def _rarely_false(form: Form) -> bool:
    """Whether a condition is an exception of a rule: it spares little to ask it first."""
    if isinstance(form, Atom):
        return form.negated
    return any(map(_rarely_false, cast("Branch", form).items))


def _conjuncts(form: Form) -> list[Form]:
    if isinstance(form, Branch) and form.word == "and" and form is not TRUE:
        return list(form.items)
    return [] if form is TRUE else [form]


def _guards(forms: list[Form]) -> dict[str, list[Atom]]:
    """Field → atoms, of each condition that is nothing but positive sets, prefixes or suffixes of one field that is read directly."""
    found: dict[str, list[Atom]] = {}
    for form in forms:
        atoms = (
            [form]
            if isinstance(form, Atom)
            else list(form.items)
            if isinstance(form, Branch) and form.word == "or"
            else []
        )
        usable = [
            atom
            for atom in atoms
            if isinstance(atom, Atom)
            and not atom.negated
            and atom.kind in ("in", "prefix", "suffix")
            and atom.ref is not None
            and atom.ref.access is not None
            and not atom.ref.multi
        ]
        if usable and len(usable) == len(atoms) and len({atom.ref.key for atom in usable if atom.ref is not None}) == 1:
            assert usable[0].ref is not None
            found.setdefault(usable[0].ref.key, usable)
    return found


def _union(guards: list[list[Atom]]) -> Form | None:
    """One condition that holds whenever one of the guards holds."""
    merged: dict[str, dict[object, None]] = {}
    ref = None
    for atoms in guards:
        for atom in atoms:
            ref = atom.ref
            merged.setdefault(atom.kind, {}).update(dict.fromkeys(atom.values))
    if ref is None:
        return None
    atoms = [Atom(kind, ref, tuple(values)) for kind, values in merged.items()]
    return atoms[0] if len(atoms) == 1 else Branch("or", tuple(atoms))


def _whole(branch: Branch) -> Callable[[Event], bool]:
    """A deep part of a condition as one function of its own."""
    compiled = generate([(0, branch)])

    def holds(event: Event) -> bool:
        hits, unknown = compiled(event)
        if unknown:
            raise Unknown
        return bool(hits)

    return holds


def generate(rules: list[tuple[int, Form]]) -> MatchFunction:
    """One function for all rules; each is ``(number, normal form)``."""
    return _Compiler([(index, form) for index, form in rules if form is not FALSE]).function()


def source_of(rules: list[tuple[int, Form]]) -> str:
    """The generated code as text, with its constants, for people."""
    compiler = _Compiler([(index, form) for index, form in rules if form is not FALSE])
    text = ast.unparse(compiler.module())
    listed = "\n".join(f"# k{index} = {_shown(value)}" for index, value in enumerate(compiler.constants))
    return f"{text}\n{listed}"


def _shown(value: Any) -> str:
    text = (
        value.__name__
        if callable(value)
        else repr(sorted(value, key=str))
        if isinstance(value, frozenset)
        else "not read yet"
        if value is _SENTINEL
        else repr(value)
    )
    return text if len(text) <= 200 else text[:200] + "…"
