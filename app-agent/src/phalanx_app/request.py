"""One request under analysis: its sources, its taint table, what was found in it, and its masked picture for the report."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextvars import Token
from typing import Any

from . import taint
from .taint import CURRENT

MAX_SOURCES = 500
MAX_DEPTH = 12
MAX_MEMBERS = 5_000
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)?|secret|token|api[-_]?key|authorization|cookie|session|credential|csrf|private[-_]?key|\bpin\b|cvv",
    re.I,
)
MASK = "•••"


def secret_name(name: str) -> bool:
    """Whether a parameter or header of this name is masked in reports."""
    return _SECRET_NAME.search(name) is not None


def shown(value: Any, limit: int = 200) -> str:
    """A value as short, printable text."""
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value[: limit * 2]).decode("latin-1")
    text = str(value[: limit + 1]) if isinstance(value, str) else str(value)
    cut = len(text) > limit
    text = "".join(
        one if one.isprintable() else f"\\x{ord(one):02x}" if ord(one) < 256 else "�" for one in text[:limit]
    )
    return text + "…" if cut else text


class Request:
    """What the agent knows of the request that runs now; the `owner` of its taint table."""

    __slots__ = (
        "agent_ns",
        "authenticated",
        "body",
        "content_type",
        "depth",
        "form",
        "found",
        "handler",
        "headers",
        "host",
        "kind",
        "method",
        "path",
        "path_params",
        "query",
        "route",
        "sources",
        "started_ns",
        "status",
        "steps_cache",
        "table",
        "traceparent",
        "values",
        "verify",
    )

    def __init__(self, kind: str, max_entries: int) -> None:
        self.kind = kind
        """`http`, `task`, `message` or `rpc`."""
        self.method = ""
        self.path = ""
        self.query = ""
        self.host = ""
        self.headers: dict[str, str] = {}
        self.route = ""
        """The framework's own template of the path, such as `/users/<name>`; empty until it is known."""
        self.handler = ""
        self.sources: list[tuple[str, str, Any]] = []
        """Kind, name and value of every source, by number; masked and shortened when it is told."""
        self.values: dict[Any, tuple[int, Any]] = {}
        """Value to its source and its tainted object, to find again what a C library copied."""
        self.found: set[Any] = set()
        self.table = taint.Table(owner=self, max_entries=max_entries)
        self.started_ns = time.perf_counter_ns()
        self.agent_ns = 0
        """Time spent in the agent's own Python code for this request."""
        self.body = b""
        self.form: dict[str, str] = {}
        self.path_params: dict[str, str] = {}
        self.content_type = ""
        self.traceparent = ""
        self.authenticated = False
        self.verify: Any = None
        self.status = 0
        self.steps_cache: Any = None
        self.depth = 0

    # --- sources -----------------------------------------------------------------------------------------------------------------------

    def taint(self, value: Any, kind: str, name: str) -> Any:
        """Taint one text value as coming from `kind` (`query`, `form`, `header` …) under `name`; returns the object to use."""
        if not value or not isinstance(value, (str, bytes, bytearray)):
            return value
        if self.table.has(value):
            # A member that a parser took out of the body gets its own name, which tells a person more than "body".
            ranges = self.table.ranges(value)
            if kind != "json" or self.sources[ranges[0][2]][0] != "body":
                return value
            value = taint.core.copy(value)
        known = self.values.get(value) if not isinstance(value, bytearray) else None
        if known is not None and type(known[1]) is type(value) and self.sources[known[0]][:2] == (kind, name):
            return known[1]
        if len(self.sources) >= MAX_SOURCES:
            number = MAX_SOURCES - 1
        else:
            number = len(self.sources)
            self.sources.append((kind, name[:200], value))
        out = self.table.source(value, number, f"source {kind}")
        if not isinstance(value, bytearray) and len(value) <= 65_536:
            self.values.setdefault(value, (number, out))
        return out

    def deep(self, value: Any, kind: str, name: str = "", depth: int = 0) -> Any:
        """Taint every text leaf of nested dicts and lists (in place where they are mutable); returns what stands for `value`."""
        if isinstance(value, (str, bytes)):
            return self.taint(value, kind, name)
        if depth > MAX_DEPTH:
            return value
        if type(value) is dict:
            if len(value) > MAX_MEMBERS:
                return value
            renamed = False
            for key, one in list(value.items()):
                inner = f"{name}.{key}" if name else str(key)
                made = self.deep(one, kind, inner, depth + 1)
                if made is not one:
                    value[key] = made
                renamed = renamed or type(key) is str
            if renamed:
                items = [
                    (self.taint(key, f"{kind}.name", key) if type(key) is str else key, one)
                    for key, one in value.items()
                ]
                value.clear()
                value.update(items)
            return value
        if type(value) is list:
            for index, one in enumerate(value[:MAX_MEMBERS]):
                made = self.deep(one, kind, name, depth + 1)
                if made is not one:
                    value[index] = made
            return value
        if type(value) is tuple:
            return tuple(self.deep(one, kind, name, depth + 1) for one in value)
        return value

    def again(self, value: Any) -> Any:
        """The tainted object equal to `value`, where a C library handed out a copy; `value` itself when there is none.

        Values of fewer than three characters are not looked up: they are equal by chance.
        """
        if isinstance(value, (str, bytes)) and len(value) >= 3 and not self.table.has(value):
            known = self.values.get(value)
            if known is not None and type(known[1]) is type(value):
                return known[1]
        return value

    # --- the report's picture ------------------------------------------------------------------------------------------------------------

    def picture(self) -> dict[str, Any]:
        """The request with secrets masked, complete enough to replay it."""
        return {
            "method": self.method,
            "path": shown(self.path, 2000),
            "query": mask_query(self.query),
            "host": self.host,
            "headers": {
                name: MASK if secret_name(name) else shown(value, 500)
                for name, value in list(self.headers.items())[:60]
            },
            "content_type": self.content_type,
            "body": self._body(),
        }

    def _body(self) -> str:
        text = self.body[:4096].decode("utf-8", "replace") if self.body else ""
        if self.content_type.startswith("application/x-www-form-urlencoded"):
            return mask_query(text)
        if secret_name(text):
            text = re.sub(r'("(?:[^"\\]|\\.){1,80}"\s*:\s*)"((?:[^"\\]|\\.)*)"', _mask_member, text)
        return shown(text, 4096)


def _mask_member(match: re.Match[str]) -> str:
    return f'{match.group(1)}"{MASK}"' if secret_name(match.group(1)) else match.group(0)


def mask_query(query: str) -> str:
    """A query string or form with the values of secret names masked."""
    parts = []
    for one in query[:8000].split("&"):
        name, equals, _ = one.partition("=")
        parts.append(f"{name}={MASK}" if equals and secret_name(name) else one)
    return shown("&".join(parts), 8000)


def current() -> Request | None:
    """The request that runs in this context, or None."""
    table = CURRENT.get()
    return table.owner if table is not None else None


def enter(request: Request) -> Token[Any]:
    """Make `request` the running one."""
    return CURRENT.set(request.table)


def leave(token: Token[Any] | None) -> None:
    """Undo `enter`. In another context than it was entered in (a generator closed elsewhere) the old context keeps its value."""
    if token is None:
        return
    try:
        CURRENT.reset(token)
    except ValueError:
        CURRENT.set(None)


def names_of(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header pairs as a dict, bounded."""
    out: dict[str, str] = {}
    for name, value in items:
        if len(out) >= 60:
            break
        out[name] = value[:1000]
    return out
