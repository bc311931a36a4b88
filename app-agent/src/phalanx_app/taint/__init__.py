"""Taint of one request: the table, the hooks of rewritten code, and what finds the running request.

`core` is the extension where it was built, else its pure-Python twin; `PHALANX_APP_PURE=1` asks for the twin.
"""

from __future__ import annotations

import builtins
import os
import re
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from . import pure
from .ranges import Range, Ranges

core: ModuleType = pure
NATIVE = False
if os.environ.get("PHALANX_APP_PURE") != "1":
    try:
        from . import _native  # type: ignore[attr-defined]

        core = _native
        NATIVE = True
    except ImportError:
        NATIVE = False

CURRENT: ContextVar[Any] = ContextVar("phalanx_app_table", default=None)
"""The table of the running request; tasks inherit it, threads get it handed over (see `phalanx_app.sources.context`)."""

Table = core.Table
ON: list[bool] = core.ON


def current() -> Any:
    """The running request's table when it holds taint, else None."""
    table = CURRENT.get()
    return table if table is not None and len(table) else None


def wire(module: ModuleType, on_error: Any) -> None:
    """Connect one of the twins with the slow transfers (tests connect both)."""
    from . import transfer_more, validators  # noqa: F401 - both register transfers
    from .formats import Formatted
    from .transfer import SLOW

    agent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    module.setup(CURRENT, SLOW, on_error, agent, re.Match, Formatted, vars(builtins))


__all__ = ["CURRENT", "NATIVE", "ON", "Range", "Ranges", "Table", "core", "current", "wire"]
