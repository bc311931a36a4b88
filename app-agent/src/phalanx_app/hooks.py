"""The names that rewritten code calls, and their home in `builtins`."""

from __future__ import annotations

import builtins
from typing import Any

from . import taint
from .rewrite.transform import TEMPORARY
from .taint.formats import fmt, unread


def hide(names: Any) -> Any:
    """`locals()`, `vars()` or `dir()` of a function without the names that rewriting added."""
    if type(names) is list:
        return [one for one in names if not one.startswith(TEMPORARY)]
    for one in [one for one in names if type(one) is str and one.startswith(TEMPORARY)]:
        del names[one]
    return names


def ofmt(value: Any, conversion: str | None, spec: str) -> str:
    """``f"{value!conversion:spec}"``, done here where nothing can be bound."""
    shown = (
        repr(value)
        if conversion == "r"
        else ascii(value)
        if conversion == "a"
        else str(value)
        if conversion == "s"
        else value
    )
    text = format(shown, spec)
    if not taint.ON:
        return text
    return taint.core.fstr(text, fmt(value, conversion, spec))  # type: ignore[no-any-return]


def code(name: str, value: Any) -> Any:
    """What `eval`, `exec`, `compile` or `__import__` is about to be given."""
    if taint.ON:
        from . import runtime
        from .marks import CODE
        from .sinks import engine

        table = taint.current()
        if table is not None and not runtime.busy():
            with runtime.Busy(table.owner):
                try:
                    engine.plain(table.owner, "code-injection", CODE, f"builtins:{name}", [value])
                except Exception:  # noqa: BLE001 - the application's call is made whatever happens here
                    runtime.failed(f"sink {name}")
    return value


_WORDS = (
    "add mul mod item part fstr meth methk call cmp loop seq oadd omod omul iadd imod imul oitem ofstr ometh ocall ocmp"
)
_FROM_CORE = tuple(_WORDS.split())


def names() -> dict[str, Any]:
    """Every name that rewritten code may use."""
    found: dict[str, Any] = {f"__px_{one}__": getattr(taint.core, one) for one in _FROM_CORE}
    found["__px_slice__"] = slice
    found["__px_fmt__"] = fmt
    found["__px_open__"] = unread
    found["__px_ofmt__"] = ofmt
    found["__px_hide__"] = hide
    found["__px_code__"] = code
    return found


def install() -> None:
    """Put the names into `builtins`, beside the flag `__px_on__` that the taint core keeps there.

    They stay for the life of the process, since rewritten code stays as well.
    """
    for name, value in names().items():
        setattr(builtins, name, value)
