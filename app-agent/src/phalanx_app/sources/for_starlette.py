"""Starlette and FastAPI: requests, models after validation, routes, responses."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import patch, runtime
from ..request import Request, current
from ..sinks import response
from . import asgi
from .common import after_async, deep, guarded, text, wrap_property


def starlette_app(module: ModuleType) -> None:
    """`starlette.applications`"""

    def entry(original: Any) -> Callable[..., Any]:
        async def wrapper(self: Any, scope: Any, receive: Any, send: Any) -> None:
            agent = runtime.RUNTIME
            if agent is not None and agent.inventory is not None and scope.get("type") == "http":
                agent.inventory.starlette(self)
            await asgi.call(original, (self,), scope, receive, send)

        return wrapper

    patch.wrap(module, "Starlette.__call__", entry)


def starlette_requests(module: ModuleType) -> None:
    """`starlette.requests`"""
    kind: Any = module.HTTPConnection
    wrap_property(kind, "query_params", "query", _multi)
    wrap_property(kind, "cookies", "cookie", deep)
    wrap_property(kind, "path_params", "path", deep)
    patch.wrap(module, "Request.body", after_async("body", text))
    patch.wrap(module, "Request.json", after_async("json", deep))
    patch.wrap(module, "Request._get_form", after_async("form", _multi))


def _multi(request: Request, kind: str, value: Any) -> Any:
    """Starlette's immutable multi-dict keeps a dict and a list."""
    inner = getattr(value, "_dict", None)
    if isinstance(inner, dict) and not getattr(value, "_phalanx", False):
        pairs = [
            (request.taint(name, f"{kind}.name", name), request.taint(one, kind, name) if isinstance(one, str) else one)
            for name, one in value._list
        ]
        value._list[:] = pairs
        inner.clear()
        inner.update(pairs)
        value._phalanx = True
        if kind == "form":
            for name, one in pairs[:100]:
                if isinstance(one, str):
                    request.form[name] = one
    return value


def starlette_datastructures(module: ModuleType) -> None:
    """`starlette.datastructures`: request headers are decoded at each look."""

    def get(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, key: Any) -> Any:
            value = original(self, key)
            request = current()
            return (
                request.taint(value, "header", str(key))
                if request is not None and type(value) is str and _incoming(request, self)
                else value
            )

        return wrapper

    def names(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            found = original(self)
            request = current()
            if request is None or not _incoming(request, self):
                return found
            return [
                request.taint(one, "header.name", one)
                if isinstance(one, str)
                else (request.taint(one[0], "header.name", one[0]), request.taint(one[1], "header", one[0]))
                for one in found
            ]

        return wrapper

    patch.wrap(module, "Headers.__getitem__", get)
    patch.wrap(module, "Headers.keys", names)
    patch.wrap(module, "Headers.items", names)


def _incoming(request: Request, headers: Any) -> bool:
    raw = headers._list
    return bool(raw) and request.table.has(raw[0][1])


def starlette_routing(module: ModuleType) -> None:
    """`starlette.routing`: the template of the matched route."""

    def handle(original: Any) -> Callable[..., Any]:
        async def wrapper(self: Any, scope: Any, receive: Any, send: Any) -> Any:
            request = current()
            if request is not None:
                guarded(request, _starlette_route, request, (self, scope), None)
            return await original(self, scope, receive, send)

        return wrapper

    patch.wrap(module, "Route.handle", handle)


def _starlette_route(request: Request, pair: Any, nothing: Any) -> None:
    route, scope = pair
    request.route = str(getattr(route, "path_format", route.path))
    for name, value in list(scope.get("path_params", {}).items()):
        if isinstance(value, str):
            scope["path_params"][name] = request.taint(value, "path", name)
            request.path_params[name] = value
    code = getattr(getattr(route, "endpoint", None), "__code__", None)
    agent = runtime.RUNTIME
    if code is not None and agent is not None:
        request.handler = f"{agent.scope.short(code.co_filename)}:{code.co_firstlineno}"
    if getattr(scope.get("app"), "debug", False):
        response.debug(request, request.handler)


def starlette_responses(module: ModuleType) -> None:
    """`starlette.responses`: text bodies before they are encoded."""

    def render(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, content: Any) -> Any:
            result = original(self, content)
            request = current()
            if request is not None and isinstance(content, (str, bytes)):
                # The media type of an instance is set before `render` in every version; a class default serves otherwise.
                guarded(request, response.body, request, [content], str(self.media_type or ""), None)
            return result

        return wrapper

    patch.wrap(module, "Response.render", render)


def fastapi_routing(module: ModuleType) -> None:
    """`fastapi.routing`: arguments after validation; what the validator copied is found again by value."""

    def run(original: Any) -> Callable[..., Any]:
        async def wrapper(*args: Any, **keywords: Any) -> Any:
            request = current()
            values = keywords.get("values")
            if request is not None and isinstance(values, dict):
                with runtime.Busy(request):
                    try:
                        for name in list(values):
                            values[name] = again(request, values[name], 0)
                    except Exception:  # noqa: BLE001
                        runtime.failed("fastapi")
            return await original(*args, **keywords)

        return wrapper

    patch.wrap(module, "run_endpoint_function", run)


def again(request: Request, value: Any, depth: int) -> Any:
    """Find tainted values again inside dicts, lists, and instances of models."""
    if isinstance(value, str):
        return request.again(value)
    if depth > 6:
        return value
    if type(value) is list:
        value[:] = [again(request, one, depth + 1) for one in value]
    elif type(value) is dict:
        for key in list(value):
            value[key] = again(request, value[key], depth + 1)
    elif hasattr(type(value), "model_fields") or hasattr(type(value), "__dataclass_fields__"):
        inner = value.__dict__
        for key in list(inner):
            made = again(request, inner[key], depth + 1)
            if made is not inner[key]:
                inner[key] = made
    return value


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "starlette.applications": starlette_app,
    "starlette.requests": starlette_requests,
    "starlette.datastructures": starlette_datastructures,
    "starlette.routing": starlette_routing,
    "starlette.responses": starlette_responses,
    "fastapi.routing": fastapi_routing,
}
