"""The taint table and the hot hooks in plain Python: the twin of `_native.c`, with the same interface.

It serves where the extension could not be built, and it is the model that the property tests hold the extension against.

A hook is called after the interpreter did the real operation: it gets the result and the operands, and returns the result (or an equal
copy that can carry taint). It performs no operation of the application, so it cannot change what the application computes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from .ranges import Range, Ranges, clip, moved, normal

ON: list[bool] = []
"""Truthy while any request in this process holds taint; rewritten code reads the same as the bool `__px_on__` in builtins."""

_live = 0
_current: ContextVar[Any]
_slow: dict[str, Callable[..., Any]] = {}
_on_error: Callable[[str], None]
_agent_prefix = ""
_match_type: type = type(None)
_formatted_type: type = type(None)
_flags: dict[str, Any] = {}

_ASCII_HEADER = sys.getsizeof("") - 1
_LATIN_HEADER = str.__basicsize__ - ctypes.sizeof(ctypes.c_void_p)
_BYTES_HEADER = bytes.__basicsize__ - 1


def setup(
    current: ContextVar[Any],
    slow: dict[str, Callable[..., Any]],
    on_error: Callable[[str], None],
    agent_prefix: str,
    match: type,
    formatted: type,
    flags: dict[str, Any],
) -> None:
    """Give the module what it shares with its twin.

    Args:
        current: holds the `Table` of the running request, or None.
        slow: transfer functions that run only when an operand is tainted, by hook or method name.
        on_error: called inside an `except` block with the name of the hook that failed.
        agent_prefix: frames of files under this directory are skipped when a step is located.
        match: the type of `re.Match`.
        formatted: the type that stands for a formatted value among the pieces of an f-string; its first slot is `value`.
        flags: where `__px_on__` is kept (the dictionary of builtins).
    """
    global _current, _slow, _on_error, _agent_prefix, _match_type, _formatted_type, _flags
    _flags = flags
    flags["__px_on__"] = bool(ON)
    _current, _slow, _on_error, _agent_prefix = current, slow, on_error, agent_prefix
    _match_type, _formatted_type = match, formatted


def _fresh_one(value: Any) -> Any:
    """An object equal to a one-character `value` that is not the interpreter's shared one; needs ctypes."""
    api = ctypes.pythonapi
    if type(value) is bytes:
        make = api.PyBytes_FromStringAndSize
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_ssize_t]
        fresh = make(None, 1)
        ctypes.memmove(id(fresh) + _BYTES_HEADER, value, 1)
        return fresh
    code = ord(value)
    if code > 255:
        return (value + " ")[:-1]  # only Latin-1 characters are shared
    make = api.PyUnicode_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_ssize_t, ctypes.c_uint32]
    fresh = make(1, 127 if code < 128 else 255)
    ctypes.memmove(id(fresh) + (_ASCII_HEADER if code < 128 else _LATIN_HEADER), bytes([code]), 1)
    return fresh


def copy(value: Any) -> Any:
    """An equal, exact `str` or `bytes` with an identity of its own; anything else is returned as it is."""
    if type(value) is str:
        return (value + " ")[:-1] if len(value) > 1 else (_fresh_one(value) if value else value)
    if type(value) is bytes:
        return (value + b" ")[:-1] if len(value) > 1 else (_fresh_one(value) if value else value)
    return value


class Table:
    """Which values of one request are tainted, where, and how the taint came there.

    Values are found by identity and kept alive until `clear`, so an identity is never reused while the table knows it.
    """

    __slots__ = (
        "__weakref__",
        "_alive",
        "_entries",
        "_max_entries",
        "_max_ranges",
        "_max_steps",
        "_steps",
        "overflow",
        "owner",
        "steps_lost",
    )

    def __init__(
        self, owner: Any = None, max_entries: int = 50_000, max_ranges: int = 64, max_steps: int = 20_000
    ) -> None:
        self.owner = owner
        self.overflow = 0
        self.steps_lost = 0
        self._entries: dict[int, tuple[Any, Ranges, int]] = {}
        self._steps: list[list[Any]] = []
        self._max_entries, self._max_ranges, self._max_steps = max_entries, max_ranges, max_steps
        self._alive = False

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        return True

    def ranges(self, value: Any) -> Ranges | None:
        """The ranges of this very object, or None."""
        entry = self._entries.get(id(value))
        return entry[1] if entry is not None else None

    def has(self, value: Any) -> bool:
        """Whether this very object is tainted."""
        return id(value) in self._entries

    def touches(self, values: tuple[Any, ...]) -> bool:
        """Whether any of the values, or a member of one, is tainted."""
        return any(any_tainted(self, one) for one in values)

    def source(self, value: Any, source: int, op: str) -> Any:
        """Taint all of `value` as coming from `source`; returns the object that carries the taint."""
        # What comes in may be shared with anything (a constant, a server's cache), so short values get an identity of their own.
        if len(value) <= 65_536:
            value = copy(value)
        return self.put(value, ((0, len(value), source, 0),), op, (), source)

    def put(self, value: Any, ranges: Sequence[Range], op: str, parents: tuple[Any, ...] = (), source: int = -1) -> Any:
        """Record `ranges` for `value` and return the object that carries them.

        It is a copy when `value` is shared by the interpreter (interned, one character) or is one of `parents` with other taint.
        `parents` are the operands; the first two that are tainted are remembered for the way. Nothing is recorded for a value without length.
        """
        kind = type(value)
        limit = self._max_ranges
        if kind is str or kind is bytes:
            length = len(value)
            found = normal(ranges, limit, length)
            if not found:
                return value
            known = self._entries.get(id(value))
            if known is not None and known[1] == found:
                return value
            shared = length <= 1 or known is not None or (kind is str and _interned(value))
            if not shared:
                for one in parents:
                    if one is value:
                        shared = True
                        break
            if shared:
                value = copy(value)
        else:
            found = normal(ranges, limit, None)
            if not found:
                self._entries.pop(id(value), None)
                return value
        if len(self._entries) >= self._max_entries and id(value) not in self._entries:
            self.overflow += 1
            return value
        first = second = -1
        for one in parents:
            entry = self._entries.get(id(one))
            if entry is not None and entry[2] >= 0:
                if first < 0:
                    first = entry[2]
                elif entry[2] != first:
                    second = entry[2]
                    break
        self._entries[id(value)] = (value, found, self._step(op, first, second, source))
        if not self._alive:
            self._alive = True
            _count(1)
        return value

    def _step(self, op: str, first: int, second: int, source: int) -> int:
        if len(self._steps) >= self._max_steps:
            self.steps_lost += 1
            return first
        frame = sys._getframe(2)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_agent_prefix):
            frame = frame.f_back
        self._steps.append([op, frame.f_code, frame.f_lasti, first, second, source, 0])
        return len(self._steps) - 1

    def drop(self, value: Any) -> None:
        """Forget this object."""
        self._entries.pop(id(value), None)

    def step(self, value: Any) -> int:
        """The number of the step that made this object, -1 if it is not known."""
        entry = self._entries.get(id(value))
        return entry[2] if entry is not None else -1

    def steps(self) -> list[tuple[Any, ...]]:
        """All steps as ``(op, code, lasti, first parent, second parent, source, validated marks)``; -1 for none."""
        return [tuple(one) for one in self._steps]

    def step_at(self, number: int) -> tuple[Any, ...]:
        """One step."""
        return tuple(self._steps[number])

    def validate(self, number: int, marks: int) -> None:
        """Add `marks` to what a step was found to be safe for."""
        if 0 <= number < len(self._steps):
            self._steps[number][6] |= marks

    def clear(self) -> None:
        """Forget everything; the table may be used again."""
        if self._alive:
            self._alive = False
            _count(-1)
        self._entries.clear()
        self._steps.clear()

    def __del__(self) -> None:
        if self._alive:
            self._alive = False
            _count(-1)


def _count(by: int) -> None:
    global _live
    _live += by
    if _live > 0 and not ON:
        ON.append(True)
        _flags["__px_on__"] = True
    elif _live <= 0:
        ON.clear()
        _flags["__px_on__"] = False


def _interned(value: str) -> bool:
    check = getattr(sys, "_is_interned", None)
    if check is not None:
        return bool(check(value))
    # Before 3.13 the state is read from the object: PyASCIIObject.state, two low bits `interned`.
    return bool(ctypes.c_uint8.from_address(id(value) + 32).value & 3)


def live() -> int:
    """How many tables hold taint now."""
    return _live


def _table() -> Any:
    table = _current.get(None)
    return table if table is not None and table._entries else None


def _run(name: str, table: Any, result: Any, *args: Any) -> Any:
    function = _slow.get(name)
    if function is None:
        return result
    try:
        return function(table, result, *args)
    except Exception:  # noqa: BLE001 - an error of the agent never reaches the application
        _on_error(name)
        return result


_TEXT = (str, bytes, bytearray)


def add(result: Any, left: Any, right: Any) -> Any:
    """``left + right``"""
    table = _table()
    if table is None:
        return result
    one, two = table.ranges(left), table.ranges(right)
    if (one is None and two is None) or not isinstance(result, _TEXT):
        return result
    try:
        cut = len(left)
        if len(result) != cut + len(right):
            return _run("add", table, result, left, right)
        pieces = list(one or ())
        if two is not None:
            pieces += moved(two, cut)
        return table.put(result, pieces, "+", (left, right))
    except Exception:  # noqa: BLE001 - an error of the agent never reaches the application
        _on_error("add")
        return result


def mul(result: Any, left: Any, right: Any) -> Any:
    """``left * right``"""
    table = _table()
    if table is None or not isinstance(result, _TEXT) or not (table.has(left) or table.has(right)):
        return result
    return _run("mul", table, result, left, right)


def mod(result: Any, left: Any, right: Any) -> Any:
    """``left % right`` as text formatting"""
    table = _table()
    if table is None or not isinstance(result, _TEXT) or not (table.has(left) or any_tainted(table, right)):
        return result
    return _run("mod", table, result, left, right)


def item(result: Any, value: Any, key: Any) -> Any:
    """``value[key]``"""
    table = _table()
    if table is None:
        return result
    if type(value) is _match_type:
        return _run("group", table, result, value, key)
    ranges = table.ranges(value)
    if ranges is None or not isinstance(result, _TEXT):
        return result
    try:
        size = len(value)
        if type(key) is slice:
            start, stop, step = key.indices(size)
            if step != 1:
                return _run("stride", table, result, value, start, stop, step)
            return table.put(result, clip(ranges, start, max(start, stop)), "[:]", (value,))
        if type(key) is int:
            at = key + size if key < 0 else key
            return table.put(result, clip(ranges, at, at + 1), "[]", (value,))
    except Exception:  # noqa: BLE001 - an error of the agent never reaches the application
        _on_error("item")
    return result


def part(result: Any, value: Any, start: Any, stop: Any, step: Any) -> Any:
    """``value[start:stop:step]``"""
    table = _table()
    if table is None or not table.has(value):
        return result
    return item(result, value, slice(start, stop, step))


def fstr(result: Any, *pieces: Any) -> Any:
    """An f-string whose parts, in order, are `pieces`; what is no `str` is a value whose text is not known."""
    table = _table()
    if table is None:
        return result
    for piece in pieces:
        one: Any = getattr(piece, "value", None) if type(piece) is _formatted_type else piece
        if type(one) not in _PLAIN and any_tainted(table, one):
            break
    else:
        return result
    return _run("fstr", table, result, *pieces)


_PLAIN = (int, float, bool, type(None))


def any_tainted(table: Any, value: Any) -> bool:
    """Whether `value`, or for an exact tuple, list or dict one of its first 64 members, is tainted."""
    if table.has(value):
        return True
    kind = type(value)
    if kind is tuple or kind is list:
        return any(table.has(one) for one in value[:64])
    if kind is dict:
        for count, one in enumerate(value.values()):
            if count >= 64:
                break
            if table.has(one):
                return True
    return False


def meth(result: Any, name: str, receiver: Any, *args: Any) -> Any:
    """``receiver.name(*args)``"""
    table = _table()
    if table is None:
        return result
    if not table.has(receiver) and type(receiver) is not _match_type:
        if name == "join":
            if not (len(args) == 1 and type(args[0]) in (list, tuple) and any(table.has(one) for one in args[0])):
                return result
        else:
            for one in args:
                if type(one) not in _PLAIN and any_tainted(table, one):
                    break
            else:
                return result
    return _run("." + name, table, result, receiver, args, None)


def methk(result: Any, name: str, receiver: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """``receiver.name(*args, **keywords)``"""
    table = _table()
    if table is None:
        return result
    if not (
        table.has(receiver)
        or type(receiver) is _match_type
        or any(any_tainted(table, one) for one in args)
        or any(any_tainted(table, one) for one in keywords.values())
    ):
        return result
    return _run("." + name, table, result, receiver, args, keywords)


def call(result: Any, name: str, *args: Any) -> Any:
    """The builtin ``name(*args)``"""
    table = _table()
    if table is None:
        return result
    for one in args:
        if type(one) not in _PLAIN and any_tainted(table, one):
            return _run(name, table, result, *args)
    return result


def cmp(result: Any, op: int, left: Any, right: Any) -> Any:
    """A comparison that may validate: `op` 0 is ``in``, 1 ``not in``, 2 ``==``, 3 ``!=``"""
    table = _table()
    if table is None or not (table.has(left) or table.has(right)):
        return result
    return _run("cmp", table, result, op, left, right)


def loop(value: Any) -> Any:
    """What a loop goes over: tainted text becomes the list of its tainted characters, all else stays."""
    table = _table()
    if table is None or type(value) is not str or not table.has(value):
        return value
    return _run("loop", table, value)


def seq(value: Any) -> Any:
    """What `join` goes over: an iterator becomes a list, once, so that its members can be looked at afterwards."""
    kind = type(value)
    if kind is list or kind is tuple or kind is str or kind is bytes or not hasattr(kind, "__iter__"):
        return value
    return list(value)


# Forms for places where nothing can be bound: they do the operation, then what the hook does.


def oadd(left: Any, right: Any) -> Any:
    result = left + right
    return add(result, left, right) if ON else result


def omod(left: Any, right: Any) -> Any:
    result = left % right
    return mod(result, left, right) if ON else result


def omul(left: Any, right: Any) -> Any:
    result = left * right
    return mul(result, left, right) if ON else result


def iadd(left: Any, right: Any) -> Any:
    """``left += right``; a `bytearray` grows in place, so its ranges are looked at before."""
    table = _table()
    if table is not None and type(left) is bytearray:
        old, more, size = table.ranges(left) or (), table.ranges(right) or (), len(left)
        left += right
        if old or more:
            table.put(left, [*old, *moved(more, size)], "+=", (left, right))
        return left
    before = left
    left += right
    return add(left, before, right)


def imod(left: Any, right: Any) -> Any:
    before = left
    left %= right
    return mod(left, before, right)


def imul(left: Any, right: Any) -> Any:
    before = left
    left *= right
    return mul(left, before, right)


def oitem(value: Any, key: Any) -> Any:
    result = value[key]
    return item(result, value, key) if ON else result


def ofstr(*pieces: str) -> str:
    result = "".join(pieces)
    return fstr(result, *pieces) if ON else result


def ometh(name: str, receiver: Any, /, *args: Any, **keywords: Any) -> Any:
    result = getattr(receiver, name)(*args, **keywords)
    if not ON:
        return result
    return methk(result, name, receiver, args, keywords) if keywords else meth(result, name, receiver, *args)


def ocall(name: str, function: Any, *args: Any) -> Any:
    result = function(*args)
    return call(result, name, *args) if ON else result


def ocmp(op: int, left: Any, right: Any) -> Any:
    if op == 0:
        result: Any = left in right
    elif op == 1:
        result = left not in right
    elif op == 2:
        result = left == right
    else:
        result = left != right
    return cmp(result, op, left, right) if ON else result
