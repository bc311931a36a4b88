"""YAML as values with exact places, built from the parser's events without recursion and within stated bounds.

Aliases are followed but counted as often as they are used, so no document grows beyond :data:`~phalanx.language.limits.MAX_YAML_NODES`. Tags are
ignored: nothing in a file can name a Python type. Scalars stay text; who reads a key knows what it must be.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from phalanx.errors import RuleError
from phalanx.language.limits import MAX_FILE_CHARS, MAX_YAML_DEPTH, MAX_YAML_NODES
from phalanx.language.problems import Text

__all__ = ["Mapping", "Scalar", "Sequence", "YamlNode", "YamlProblem", "load"]

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlNode:
    """A value of a file; ``start`` and ``end`` are offsets in its text."""

    __slots__ = ("end", "size", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.size = 1


class Scalar(YamlNode):
    """A text, whatever it looks like."""

    __slots__ = ("style", "value")

    def __init__(self, value: str, style: str, start: int, end: int) -> None:
        super().__init__(start, end)
        self.value = value
        self.style = style

    @property
    def empty(self) -> bool:
        """True for a plain nothing, ``~`` or ``null``."""
        return not self.style and self.value in ("", "~", "null", "Null", "NULL")


class Sequence(YamlNode):
    """A list."""

    __slots__ = ("items",)

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.items: list[YamlNode] = []


class Mapping(YamlNode):
    """Keys and values in their order; keys are texts."""

    __slots__ = ("pairs",)

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.pairs: list[tuple[Scalar, YamlNode]] = []

    def get(self, key: str) -> YamlNode | None:
        """The value of ``key`` (the last one when it is there twice); None when it is not there."""
        found = None
        for name, value in self.pairs:
            if name.value == key:
                found = value
        return found


class YamlProblem(RuleError):
    """A file is not YAML, or passes a bound."""

    code = "yaml"


def text_at(name: str, raw: str, node: YamlNode) -> Text:
    """The text of a scalar with its place; of another node its start."""
    if isinstance(node, Scalar):
        return Text(value=node.value, file=name, raw=raw, start=node.start, end=node.end, style=node.style)
    return Text(value="", file=name, raw=raw, start=node.start, end=node.end, style="=")


def _problem(name: str, raw: str, at: int, message: str, hint: str | None = None) -> YamlProblem:
    line, column, source = Text(value="", file=name, raw=raw, start=min(at, len(raw)), end=len(raw), style="=").place(0)
    return YamlProblem(message, hint=hint, file=name, line=line, column=column, source=source)


def load(name: str, raw: str) -> list[YamlNode]:
    """The documents of a file. YamlProblem says where it is no YAML or which bound it passes."""
    if len(raw) > MAX_FILE_CHARS:
        raise _problem(name, raw, 0, f"the file has more than {MAX_FILE_CHARS} characters", "split it")
    documents: list[YamlNode] = []
    anchors: dict[str, YamlNode] = {}
    stack: list[tuple[Sequence | Mapping, Scalar | None, str | None]] = []
    total = 0
    pending: Scalar | None = None
    try:
        for event in yaml.parse(raw, Loader=_LOADER):
            at, end = _span(event)
            node: YamlNode
            if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                if len(stack) >= MAX_YAML_DEPTH:
                    raise _problem(
                        name, raw, at, f"nested more than {MAX_YAML_DEPTH} deep", "a rule file needs six levels"
                    )
                kind = Sequence if isinstance(event, yaml.SequenceStartEvent) else Mapping
                stack.append((kind(at, at), pending, event.anchor))
                pending = None
                continue
            if isinstance(event, yaml.ScalarEvent):
                node = Scalar(event.value, event.style or "", at, end)
                if event.anchor:
                    anchors[event.anchor] = node
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise _problem(
                        name,
                        raw,
                        at,
                        f"there is no anchor {event.anchor!r} before this alias",
                        "an anchor cannot contain itself",
                    )
                node = anchors[event.anchor]
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                holder, pending_outer, anchor = stack.pop()
                if pending is not None:
                    raise _problem(name, raw, at, "a key without a value")
                holder.end = end
                if anchor:
                    anchors[anchor] = holder
                node, pending = holder, pending_outer
            else:
                if isinstance(event, yaml.DocumentStartEvent):
                    anchors = {}
                continue
            total += node.size if isinstance(event, yaml.AliasEvent) else 1
            if total > MAX_YAML_NODES:
                raise _problem(
                    name,
                    raw,
                    at,
                    f"more than {MAX_YAML_NODES} values, aliases counted as often as they are used",
                    "split the file",
                )
            if not stack:
                documents.append(node)
                continue
            holder = stack[-1][0]
            holder.size += node.size
            if isinstance(holder, Sequence):
                holder.items.append(node)
            elif pending is None:
                if not isinstance(node, Scalar):
                    raise _problem(name, raw, at, "a key must be a word")
                pending = node
            else:
                holder.pairs.append((pending, node))
                pending = None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = 0 if mark is None else _offset(raw, mark.line, mark.column)
        raise _problem(
            name,
            raw,
            place,
            f"not YAML: {error.problem or 'cannot be read'}",
            "check quotes and indentation here",
        ) from error
    except (yaml.YAMLError, UnicodeError) as error:
        position = getattr(error, "position", None)
        raise _problem(
            name,
            raw,
            position if isinstance(position, int) else 0,
            f"not YAML: {str(error)[:200]}",
            "remove control characters",
        ) from error
    return documents


def _span(event: yaml.Event) -> tuple[int, int]:
    """Offsets of an event's first character and of the one after its last."""
    start, end = event.start_mark, event.end_mark
    return (start.index if start is not None else 0), (end.index if end is not None else 0)


def _offset(raw: str, line: int, column: int) -> int:
    at = 0
    for _ in range(line):
        found = raw.find("\n", at)
        if found < 0:
            return len(raw)
        at = found + 1
    return min(len(raw), at + column)
