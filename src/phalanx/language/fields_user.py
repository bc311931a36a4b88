"""Fields of classes ``user`` and ``group``: under which account. Names and types are those of Falco's reference."""

from __future__ import annotations

from typing import Any, Final

from phalanx.language.fields import Field, Getter, Need
from phalanx.model.event import Event
from phalanx.model.process import Process

__all__ = ["FIELDS", "NA"]

NA: Final = "<NA>"
"""What Falco's libraries return for a user or group that has no entry: a text like any other, so ``!=`` on it holds."""

_PROCESS: Final[frozenset[Need]] = frozenset({"process"})


def _number(name: str, doc: str, attribute: str) -> Field:
    return Field(
        name=name,
        type="int",
        doc=doc,
        needs=_PROCESS,
        access=("process", attribute),
        columns=(f"proc_{attribute}",),
    )


def _entry(attribute: str) -> Getter:
    def value(event: Event) -> Any:
        process = event.process
        if not isinstance(process, Process):
            return process
        held = getattr(process, attribute)
        return NA if held is None else held

    return value


def _named(name: str, doc: str, attribute: str) -> Field:
    return Field(
        name=name,
        type="text",
        doc=doc,
        needs=_PROCESS,
        get=_entry(attribute),
        columns=(f"proc_{attribute}",),
        never_absent=True,
    )


FIELDS: Final[tuple[Field, ...]] = (
    _number("user.uid", "Effective user id.", "uid"),
    _named("user.name", "Its name; the text `<NA>` when it has none.", "user"),
    _named("user.homedir", "Its home; `<NA>` when it has none.", "homedir"),
    _named("user.shell", "Its login shell; `<NA>` when it has none.", "shell"),
    _number("user.loginuid", "User id of the login, by audit; -1 when there was no login.", "loginuid"),
    _named("user.loginname", "Its name; `<NA>` when it has none.", "loginuser"),
    _number("group.gid", "Effective group id.", "gid"),
    _named("group.name", "Its name; `<NA>` when it has none.", "group"),
)
"""All of them."""
