"""Shared by the framework modules: wrappers that taint what a method, coroutine or property gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import patch, runtime
from ..request import Request, current


def guarded(request: Request | None, function: Callable[..., Any], *args: Any) -> Any:
    """Run agent code over a framework's value; on failure the value stays as it is (the last argument)."""
    if request is None:
        return args[-1]
    with runtime.Busy(request):
        try:
            return function(*args)
        except Exception:  # noqa: BLE001
            runtime.failed(getattr(function, "__name__", "source"))
    return args[-1]


def after(kind: str, how: Callable[[Request, str, Any], Any]) -> Callable[[Any], Callable[..., Any]]:
    """A wrapper that taints what a method returns."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(*args: Any, **keywords: Any) -> Any:
            result = original(*args, **keywords)
            request = current()
            return guarded(request, how, request, kind, result) if request is not None else result

        return wrapper

    return make


def after_async(kind: str, how: Callable[[Request, str, Any], Any]) -> Callable[[Any], Callable[..., Any]]:
    """The same for a coroutine method."""

    def make(original: Any) -> Callable[..., Any]:
        async def wrapper(*args: Any, **keywords: Any) -> Any:
            result = await original(*args, **keywords)
            request = current()
            return guarded(request, how, request, kind, result) if request is not None else result

        return wrapper

    return make


def deep(request: Request, kind: str, value: Any) -> Any:
    return request.deep(value, kind)


def text(request: Request, kind: str, value: Any) -> Any:
    return request.taint(value, kind, kind)


def lists(request: Request, kind: str, value: Any) -> Any:
    """A dict of lists (MultiDict, QueryDict): names and values, without going through the class's own setters."""
    if not isinstance(value, dict):
        return value
    pairs = list(dict.items(value))
    dict.clear(value)
    for name, members in pairs:
        if type(members) is list:
            members[:] = [request.taint(one, kind, str(name)) if isinstance(one, str) else one for one in members]
        elif type(members) is str:
            members = request.taint(members, kind, str(name))
        dict.__setitem__(value, request.taint(name, f"{kind}.name", str(name)), members)
    if kind == "form":
        for name, members in pairs[:100]:
            first = members[0] if type(members) is list and members else members
            if isinstance(first, str):
                request.form[str(name)] = first
    return value


def wrap_property(owner: type, name: str, kind: str, how: Callable[[Request, str, Any], Any]) -> None:
    """Wrap a property or a cached property of any framework's making."""
    found = next((vars(base)[name] for base in owner.__mro__ if name in vars(base)), None)
    if found is None:
        return
    getter = getattr(found, "fget", None) or getattr(found, "func", None) or getattr(found, "wrapped", None)
    if getter is None or getattr(getter, "__phalanx__", False):
        return
    wrapped = patch._named(after(kind, how)(getter), getter)
    if isinstance(found, property) and type(found) is property:
        made: Any = property(wrapped, found.fset, found.fdel, found.__doc__)
    else:
        made = type(found)(wrapped)
        if hasattr(made, "__set_name__"):
            made.__set_name__(owner, name)
    patch.put(owner, name, made)


def some_text(request: Request, kind: str, value: Any) -> Any:
    return request.taint(value, kind, kind) if type(value) is str else value
