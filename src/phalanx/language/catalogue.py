"""The field catalogue: every field of Falco's libraries (reference of libs 0.25), what fills it here and which column keeps it.

A field that no sensor fills is in it as well, so that any rule loads: its comparisons are false, and a rule that can therefore never fire is *dormant*.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from phalanx.language import fields_container, fields_event, fields_fd, fields_process, fields_user
from phalanx.language.fields import Field, Ref

__all__ = ["CATALOGUE", "ArgumentProblem", "lookup", "suggest"]

CATALOGUE: Final[dict[str, Field]] = {
    field.name: field
    for module in (fields_event, fields_process, fields_user, fields_fd, fields_container)
    for field in module.FIELDS
}
"""Every field by name."""

_BOUND: dict[tuple[str, str | None], Ref] = {}


class ArgumentProblem(ValueError):
    """The field exists, but not with this argument (or without one); the text says what it takes."""


def lookup(name: str, argument: str | None = None) -> Ref | None:
    """The field ``name[argument]``, ready to read; None when there is no such field. ArgumentProblem when the argument is wrong."""
    key = (name, argument)
    found = _BOUND.get(key)
    if found is None:
        found = _bind(name, argument)
        if found is not None and len(_BOUND) < 10_000:
            _BOUND[key] = found
    return found


def _bind(name: str, argument: str | None) -> Ref | None:
    field = CATALOGUE.get(name)
    if field is None:
        head, dot, rest = name, "", ""
        while field is None and "." in head:
            head, dot, last = head.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
            field = CATALOGUE.get(head)
            if field is not None and not field.dotted:
                return None
        if field is None or argument is not None or not dot:
            return None
        argument = rest
    if argument is None:
        if field.argument == "required":
            raise ArgumentProblem(f"{field.name} needs an argument: {field.name}[{'0' if field.index else 'name'}]")
        return Ref(field)
    if field.bind is None:
        if field.argument == "none":
            raise ArgumentProblem(f"{field.name} takes no argument")
        return Ref(field, argument, kinds=field.kinds)
    bound = field.bind(argument)
    if bound is None:
        raise ArgumentProblem(
            f"{field.name} takes {'a number' if field.index else 'another kind of argument'}, not {argument[:60]!r}"
        )
    return bound


def suggest(name: str) -> str | None:
    """The field that was probably meant; None when nothing is near."""
    near = get_close_matches(name, CATALOGUE, 1, 0.75)
    return near[0] if near else None
