"""From conditions to the kernel filter: for each event type a set of atoms of which at least one holds whenever some rule holds."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from phalanx.language.analysis import TypeSets, Universe, type_literals
from phalanx.language.catalogue import CATALOGUE
from phalanx.language.event_types import KIND_OF
from phalanx.language.fields import Ref
from phalanx.language.kernel_filter import KernelFilter, TypeFilter
from phalanx.language.ruleset import RuleSet
from phalanx.language.tree import All, Any_, Const, Node, One, Test

__all__ = ["cover", "kernel_filter"]

Atom = tuple[str, str]
"""Kind (a field of :class:`TypeFilter`) and value."""

MAX_ATOMS: Final = 4096
"""More atoms than this for one type, and every event of it is a candidate."""

_COST: Final = {
    "fd_names": 1.0,
    "exe_paths": 2.0,
    "fd_suffixes": 8.0,
    "fd_substrings": 10.0,
    "proc_names": 12.0,
    "arg_substrings": 20.0,
}
_NOTHING: Final[frozenset[Atom]] = frozenset()


def _cost(atoms: frozenset[Atom]) -> float:
    """How many events a set of atoms lets pass, roughly."""
    total = 0.0
    for kind, value in atoms:
        total += max(2.0, 4000.0 / (1 + len(value)) ** 2) if kind == "fd_prefixes" else _COST[kind]
    return total


def cover(node: Node, types: TypeSets, bit: int) -> frozenset[Atom] | None:
    """Atoms of which at least one holds when ``node`` holds for an event of the type ``bit``; None when nothing can be said."""
    if not types.true_for(node) & bit:
        return _NOTHING
    if isinstance(node, Const):
        return None if node.value else _NOTHING
    if isinstance(node, All):
        best: frozenset[Atom] | None = None
        for item in node.items:
            found = cover(item, types, bit)
            if found is not None and (best is None or _cost(found) < _cost(best)):
                best = found
        return best
    if isinstance(node, Any_ | One):
        union: frozenset[Atom] = _NOTHING
        for item in node.items:
            found = cover(item, types, bit)
            if found is None:
                return None
            union |= found
        return union
    if isinstance(node, Test) and isinstance(node.left, Ref) and node.other is None:
        return _atoms(node.left, node.operator, tuple(value for value in node.values if isinstance(value, str)))
    return None


def _atoms(left: Ref, operator: str, values: tuple[str, ...]) -> frozenset[Atom] | None:
    name = left.field.name if left.argument is None else f"{left.field.name}[]"
    if not values or "" in values:
        return None
    if name == "fd.name":
        return _path_atoms(operator, values)
    if name == "fd.directory" and operator in ("=", "in"):
        return frozenset(("fd_names", value) for value in values) | frozenset(
            ("fd_prefixes", value.rstrip("/") + "/") for value in values
        )
    if name == "fd.directory" and operator in ("startswith", "pmatch"):
        return _path_atoms(operator, values)
    if name == "fd.filename" and operator in ("=", "in") and "/" not in values:
        return frozenset(("fd_suffixes", "/" + value) for value in values) | frozenset(
            ("fd_names", value) for value in values
        )
    if name == "fd.filename" and operator == "endswith" and "/" not in values:
        return frozenset(("fd_suffixes", value) for value in values)
    if name == "proc.name" and operator in ("=", "in"):
        return frozenset(("proc_names", value) for value in values)
    if name == "proc.exepath" and operator in ("=", "in"):
        return frozenset(("exe_paths", value) for value in values)
    if name in ("proc.cmdline", "proc.args") or (
        left.field.name == "evt.arg" and left.argument not in ("flags", "res", "fd", "mode", "uid", "gid")
    ):
        if operator in ("contains", "startswith", "endswith", "=", "in"):
            return frozenset(("arg_substrings", value) for value in values)
        if operator == "glob":
            runs = [_longest_literal(value) for value in values]
            return frozenset(("arg_substrings", run) for run in runs) if all(len(run) > 2 for run in runs) else None
    if name == "fd.nameraw" and operator in ("contains", "startswith", "endswith", "=", "in", "glob"):
        return _atoms(_RAW_NAME, operator, values)
    return None


_RAW_NAME: Final = Ref(CATALOGUE["evt.arg"], "name")


def _longest_literal(glob: str) -> str:
    """The longest text that everything that matches ``glob`` contains; empty when there is none."""
    runs = re.split(r"[*?]|\\.|\[[!^]?\]?[^]]*\]", glob)
    return max(runs, key=len)


def _path_atoms(operator: str, values: tuple[str, ...]) -> frozenset[Atom] | None:
    if operator in ("=", "in"):
        return frozenset(("fd_names", value) for value in values)
    if operator == "startswith":
        return frozenset(("fd_prefixes", value) for value in values)
    if operator == "endswith":
        return frozenset(("fd_suffixes", value) for value in values)
    if operator == "contains":
        return frozenset(("fd_substrings", value) for value in values)
    if operator == "glob" and any(value[0] in "*?[\\" for value in values):
        atoms: set[Atom] = set()
        for value in values:
            tail = value[1:]
            if value[0] == "*" and len(tail) > 1 and not any(char in "*?[\\" for char in tail):
                atoms.add(("fd_suffixes", tail))
                continue
            run = _longest_literal(value)
            if len(run) < 3:
                return None
            atoms.add(("fd_substrings", run))
        return frozenset(atoms)
    if operator in ("glob", "pmatch"):
        prefixes = []
        for value in values:
            fixed = value[: next((at for at, char in enumerate(value) if char in "*?[\\"), len(value))]
            if operator == "pmatch":
                fixed = "/" + "/".join(part for part in fixed.split("/") if part)
            if len(fixed) < 2:
                return None
            prefixes.append(fixed)
        return frozenset(("fd_prefixes", value) for value in prefixes)
    return None


def _filter(atoms: frozenset[Atom]) -> TypeFilter:
    values: dict[str, tuple[str, ...]] = {
        kind: tuple(sorted(value for k, value in atoms if k == kind)) for kind in {k for k, _ in atoms}
    }
    return msgspec.structs.replace(TypeFilter(), **values)


def kernel_filter(ruleset: RuleSet) -> KernelFilter:
    """What the active rules of a set can possibly match."""
    active = ruleset.active
    universe = Universe(set().union(*(type_literals(rule.condition.node) for rule in active)) if active else ())
    types = TypeSets(universe, filled_only=True)
    filters: dict[str, TypeFilter] = {}
    for name in KIND_OF:
        bit = universe.bit[name]
        atoms: frozenset[Atom] | None = _NOTHING
        wanted = False
        for rule in active:
            if not types.true_for(rule.condition.node) & bit:
                continue
            wanted = True
            found = cover(rule.condition.node, types, bit)
            atoms = None if found is None or atoms is None else atoms | found
            if atoms is None:
                break
        if not wanted:
            continue
        if atoms is None or len(atoms) > MAX_ATOMS:
            filters[name] = TypeFilter(everything=True)
        else:
            filters[name] = _filter(atoms)
    return KernelFilter(types=filters)
