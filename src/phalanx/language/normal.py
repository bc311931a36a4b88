"""Conditions made ready for compiling: for one event type, in negation normal form, comparisons of one field put together.

Everything here is two-valued. What is UNKNOWN is settled before: ``sure`` asks whether a condition holds whatever the container turns out to be, ``maybe``
whether it can still hold; both replace what rests on the container by a constant (in negation normal form that is exact for Kleene's logic).
"""

from __future__ import annotations

from typing import Final, Literal, cast

from phalanx.language.analysis import TypeSets
from phalanx.language.evaluate import holds, text_of
from phalanx.language.event_types import KIND_OF
from phalanx.language.fields import Ref
from phalanx.language.fields_event import ARGUMENTS
from phalanx.language.patterns import lower
from phalanx.language.tree import All, Any_, Const, Exists, Node, Not, One, Test, refs_of_expr

__all__ = ["Atom", "Branch", "Form", "Mode", "Normalizer", "cost_of"]

Mode = Literal["known", "sure", "maybe"]


class Form:
    """A condition in negation normal form."""

    __slots__ = ("cost", "key")
    key: str
    """Equal forms have equal keys."""
    cost: float
    """Rough nanoseconds."""


class Atom(Form):
    """A comparison, perhaps negated.

    ``kind`` says how it is asked: ``in`` (one of ``texts``, or of ``values``), ``prefix``, ``suffix``, ``substring``, ``folded`` (substrings whatever the
    case), ``number`` (``operator`` and one value), ``exists``, ``true`` (a boolean), ``call`` (a function of
    the value, made from ``node``), ``node`` (as the interpreter asks it).
    """

    __slots__ = ("kind", "negated", "node", "operator", "ref", "values")

    def __init__(
        self,
        kind: str,
        ref: Ref | None,
        values: tuple[object, ...],
        *,
        negated: bool = False,
        node: Node | None = None,
        operator: str = "",
    ) -> None:
        self.kind = kind
        self.ref = ref
        self.values = values
        self.negated = negated
        self.node = node
        self.operator = operator
        named = f"n{node.uid}" if node is not None else f"{ref.key if ref is not None else ''}:{operator}:{values!r}"
        self.key = f"{'!' if negated else ''}{kind}:{named}"
        self.cost = (
            _COST[kind] * (1 if kind not in ("substring", "folded") else max(1, len(values)))
            + (600 if ref is not None and ref.access is None else 0)
            + (45 if negated else 0)
        )


_COST: Final = {
    "in": 30.0,
    "prefix": 60.0,
    "suffix": 60.0,
    "substring": 40.0,
    "folded": 150.0,
    "number": 30.0,
    "exists": 20.0,
    "true": 20.0,
    "call": 150.0,
    "node": 1500.0,
}


class Branch(Form):
    """``and`` or ``or`` of two or more."""

    __slots__ = ("items", "word")

    def __init__(self, word: Literal["and", "or"], items: tuple[Form, ...]) -> None:
        self.word = word
        self.items = items
        self.key = (
            f"({word} {' '.join(item.key for item in items)})"
            if len(items) < 40
            else f"({word} {hash(tuple(item.key for item in items))} {len(items)})"
        )
        self.cost = sum(item.cost for item in items) / 2


_OPEN_FLAGS: Final = {"evt.is_open_read": "is_read", "evt.is_open_write": "is_write", "evt.is_open_exec": "is_exec"}

TRUE: Final = Branch("and", ())
FALSE: Final = Branch("or", ())


def cost_of(form: Form) -> float:
    """For sorting: the cheapest first."""
    return form.cost


class Normalizer:
    """Normal forms for events of one type, in one mode. Nodes that many rules share are done once."""

    def __init__(self, event_type: str, types: TypeSets, mode: Mode) -> None:
        self.event_type = event_type
        self.kind = KIND_OF.get(event_type, "")
        self.types = types
        self.bit = types.universe.bit.get(event_type, 0)
        self.mode = mode
        self._done: dict[tuple[int, bool], Form] = {}

    def form(self, node: Node, negated: bool = False) -> Form:
        """The normal form of ``node`` (or of its negation)."""
        key = (node.uid, negated)
        found = self._done.get(key)
        if found is None:
            found = self._done[key] = self._make(node, negated)
        return found

    def _make(self, node: Node, negated: bool) -> Form:
        if isinstance(node, Const):
            return TRUE if node.value != negated else FALSE
        if isinstance(node, Not):
            return self.form(node.item, not negated)
        if isinstance(node, All | Any_):
            word: Literal["and", "or"] = "and" if isinstance(node, All) != negated else "or"
            return self._branch(word, [self.form(item, negated) for item in node.items])
        if "container" in node.needs and self.mode != "known" and not isinstance(node, One):
            if isinstance(node, Test) and (node.other is not None or not isinstance(node.left, Ref)):
                return Atom("node", None, (), negated=negated, node=node)
            return TRUE if self.mode == "maybe" else FALSE
        if isinstance(node, One):
            return Atom("node", None, (), negated=negated, node=node)
        leaf = cast("Test | Exists", node)
        settled = self._settled(leaf)
        if settled is not None:
            return TRUE if settled != negated else FALSE
        atom = self._atom(leaf)
        return self._negate(atom) if negated else atom

    @staticmethod
    def _negate(form: Form) -> Form:
        if isinstance(form, Atom):
            return Atom(
                form.kind, form.ref, form.values, negated=not form.negated, node=form.node, operator=form.operator
            )
        branch = cast("Branch", form)
        if branch is TRUE or branch is FALSE:
            return FALSE if branch is TRUE else TRUE
        return Branch("or" if branch.word == "and" else "and", tuple(Normalizer._negate(item) for item in branch.items))

    def _settled(self, leaf: Test | Exists) -> bool | None:
        """What a comparison says of every event of the type; None when that depends on the event."""
        exact = self.types.exact(leaf)
        if exact is not None and bool(exact[0] & self.bit) != bool(exact[1] & self.bit):
            return bool(exact[0] & self.bit)
        exprs = [leaf.left] + ([leaf.other] if isinstance(leaf, Test) and leaf.other is not None else [])
        for expr in exprs:
            for ref in refs_of_expr(expr):
                if ref.kinds is not None and (
                    not ref.kinds
                    or (
                        self.kind
                        and ref.field.name.startswith(("evt.arg", "evt.rawarg"))
                        and self.kind not in ref.kinds
                    )
                ):
                    return False
        return None

    def _atom(self, leaf: Test | Exists) -> Form:
        if not isinstance(leaf.left, Ref):
            return Atom("node", None, (), node=leaf)
        ref = leaf.left
        if isinstance(leaf, Exists):
            return Atom("exists", ref, ()) if not ref.multi else Atom("node", None, (), node=leaf)
        if ref.field.name in _OPEN_FLAGS and leaf.other is None and self.kind:
            if self.kind != "open":
                return TRUE if holds(False, leaf.operator, leaf.values) else FALSE
            ref = Ref(ref.field, access=("event", _OPEN_FLAGS[ref.field.name]), never_absent=True)
        if leaf.other is not None or ref.multi:
            if leaf.other is not None:
                return Atom("node", None, (), node=leaf)
            if ref.multi == "any" and leaf.operator in ("=", "in", "intersects") and ref.type in ("text", "int"):
                return Atom("in", ref, leaf.values)
            return Atom("call", ref, (), node=leaf)
        return self._plain(leaf, ref)

    def _plain(self, leaf: Test, ref: Ref) -> Form:
        """A comparison of a field that has one value with constants."""
        operator, values, kind = leaf.operator, leaf.values, ref.type
        if kind == "dynamic":
            held = self._argument_type(ref)
            if held:
                ref = Ref(ref.field, ref.argument, access=("event", str(ARGUMENTS[ref.argument or ""][self.kind])))
            if held == "text" and operator not in ("<", "<=", ">", ">="):
                kind = "text"
            elif held == "int" and operator in ("<", "<=", ">", ">="):
                kind = "int"
            else:
                return Atom("call", ref, (), node=leaf)
        if kind == "bool" and ref.field.name == "proc.is_exe_upper_layer" and operator in ("=", "!="):
            upper = Ref(ref.field, access=("process", "exe_upper"))
            return Atom("true", upper, (True,), negated=(values[0] is True) != (operator == "="))
        if kind == "bool" and operator in ("=", "!="):
            if operator == "=":
                return Atom("true", ref, (values[0],))
            return self._unequal(ref, Atom("true", ref, (values[0],), negated=True))
        if kind in ("int", "port", "float"):
            if operator in ("<", "<=", ">", ">="):
                return Atom("number", ref, values, operator=operator)
            if operator in ("=", "in", "intersects"):
                return Atom("in", ref, values)
            if operator == "!=":
                return self._unequal(ref, Atom("in", ref, values, negated=True))
            return Atom("node", None, (), node=leaf)
        if kind != "text":
            return Atom("call", ref, (), node=leaf)
        texts = tuple(text_of(value) for value in values)
        if operator in ("=", "in", "intersects"):
            return Atom("in", ref, texts)
        if operator == "!=":
            return self._unequal(ref, Atom("in", ref, texts, negated=True))
        if operator == "startswith":
            return Atom("prefix", ref, texts)
        if operator == "endswith":
            return Atom("suffix", ref, texts)
        if operator == "contains":
            return Atom("substring", ref, texts)
        if operator == "icontains":
            return Atom("folded", ref, (lower(texts[0]),))
        if operator == "glob":
            return self._glob(leaf, ref, texts[0])
        return Atom("call", ref, (), node=leaf)

    @staticmethod
    def _unequal(ref: Ref, atom: Atom) -> Form:
        """``!=``: the value is there, and another."""
        return atom if ref.never_absent else Branch("and", (Atom("exists", ref, ()), atom))

    @staticmethod
    def _glob(leaf: Test, ref: Ref, glob: str) -> Form:
        """A glob that is nothing but a prefix, suffix, substring or the whole."""
        body = glob.strip("*")
        if not body or any(char in body for char in "*?[\\") or glob.startswith("**") or glob.endswith("**"):
            return Atom("call", ref, (), node=leaf)
        before, after = glob.startswith("*"), glob.endswith("*")
        return Atom(
            "substring" if before and after else "suffix" if before else "prefix" if after else "in", ref, (body,)
        )

    def _argument_type(self, ref: Ref) -> str:
        """Whether an argument of this kind of event is ``text`` or ``int``; empty when that depends."""
        source = ARGUMENTS.get(ref.argument or "", {}).get(self.kind)
        if not isinstance(source, str) or not self.kind:
            return ""
        if source in ("dev",):
            return ""
        from phalanx.language.event_types import attribute_type

        return attribute_type(self.kind, source)

    def _branch(self, word: Literal["and", "or"], items: list[Form]) -> Form:
        """Flat, without constants, with comparisons of one field put together."""
        absorbing, neutral = (FALSE, TRUE) if word == "and" else (TRUE, FALSE)
        kept: dict[str, Form] = {}
        for item in items:
            if item is absorbing:
                return absorbing
            if item is neutral:
                continue
            for part in item.items if isinstance(item, Branch) and item.word == word else (item,):
                kept.setdefault(part.key, part)
        merged = _merge(word, list(kept.values()))
        if not merged:
            return neutral
        if len(merged) == 1:
            return merged[0]
        merged.sort(key=cost_of)
        return Branch(word, tuple(merged))


_MERGEABLE: Final = ("in", "prefix", "suffix", "substring", "folded")


def _merge(word: str, items: list[Form]) -> list[Form]:
    """``a = x or a = y`` is ``a in (x, y)``; ``not a = x and not a = y`` is its negation."""
    groups: dict[tuple[str, str], list[Atom]] = {}
    rest: list[Form] = []
    for item in items:
        if (
            isinstance(item, Atom)
            and item.kind in _MERGEABLE
            and item.ref is not None
            and item.negated == (word == "and")
        ):
            groups.setdefault((item.kind, item.ref.key), []).append(item)
        else:
            rest.append(item)
    for atoms in groups.values():
        if len(atoms) == 1:
            rest.append(atoms[0])
            continue
        values = tuple(dict.fromkeys(value for atom in atoms for value in atom.values))
        rest.append(Atom(atoms[0].kind, atoms[0].ref, values, negated=atoms[0].negated))
    return rest
