"""Setting an attribute of a module or type, immutable C types included, and remembering it."""

from __future__ import annotations

import ctypes
import functools
import gc
import types
from collections.abc import Callable
from typing import Any

from . import runtime


class BuiltinCall:
    """Stands for a wrapped builtin: like a builtin, and unlike a function, it does not bind when it is a class attribute."""

    __slots__ = ("__dict__", "__wrapped__", "_call")

    def __init__(self, call: Callable[..., Any], original: Any) -> None:
        self._call = call
        self.__wrapped__ = original
        for name in ("__name__", "__qualname__", "__doc__", "__module__", "__text_signature__"):
            if hasattr(original, name):
                self.__dict__[name] = getattr(original, name)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._call(*args, **keywords)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> Any:
        return self.__wrapped__.__reduce__()

    @property
    def __self__(self) -> Any:
        return getattr(self.__wrapped__, "__self__", None)


def resolve(module: Any, path: str) -> tuple[Any, str, Any] | None:
    """The owner, attribute name and present value of ``Class.attr`` in a module; None when it is not there."""
    owner = module
    *parents, name = path.split(".")
    for one in parents:
        owner = getattr(owner, one, None)
        if owner is None:
            return None
    value = vars(owner).get(name) if isinstance(owner, type) else getattr(owner, name, None)
    if value is None and isinstance(owner, type):
        value = getattr(owner, name, None)
    return (owner, name, value) if value is not None else None


def put(owner: Any, name: str, value: Any) -> None:
    """Set the attribute and remember it, so that its removal is noticed.

    A type made in C refuses attributes; its own dictionary is changed and the method cache told, as the type's own set-up does.
    """
    try:
        setattr(owner, name, value)
    except TypeError:
        inner = next((one for one in gc.get_referents(owner.__dict__) if type(one) is dict), None)
        if inner is None:
            raise
        inner[name] = value
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))
    if runtime.RUNTIME is not None:
        runtime.RUNTIME.patched.append((owner, name, value))


def wrap(module: Any, path: str, make: Callable[[Any], Callable[..., Any]]) -> bool:
    """Replace ``module:Class.attr`` by ``make(original)``; False when it is not there. Wrapping twice is refused."""
    found = resolve(module, path)
    if found is None:
        return False
    owner, name, original = found
    raw = original
    if isinstance(raw, (staticmethod, classmethod)):
        kind = type(raw)
        inner = raw.__func__
        if getattr(inner, "__phalanx__", False):
            return False
        put(owner, name, kind(_named(make(inner), inner)))
        return True
    if getattr(original, "__phalanx__", False):
        return False
    wrapper = _named(make(original), original)
    if isinstance(original, (types.BuiltinFunctionType, types.BuiltinMethodType)) and not isinstance(owner, type):
        carrier = BuiltinCall(wrapper, original)
        carrier.__dict__["__phalanx__"] = True
        put(owner, name, carrier)
    else:
        put(owner, name, wrapper)
    return True


def _named(wrapper: Any, original: Any) -> Any:
    try:
        functools.update_wrapper(wrapper, original)
    except (AttributeError, TypeError):
        wrapper.__wrapped__ = original
    wrapper.__phalanx__ = True
    return wrapper
