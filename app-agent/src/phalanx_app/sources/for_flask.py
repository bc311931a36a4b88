"""Werkzeug and Flask: parsed parameters, forms, cookies, headers, path values, JSON, routes, responses."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import patch, runtime
from ..request import Request, current
from ..sinks import response
from . import wsgi
from .common import after, deep, guarded, lists, some_text, text, wrap_property


def werkzeug_request(module: ModuleType) -> None:
    """`werkzeug.wrappers.request`: parameters, form, cookies, raw data, files."""
    kind: Any = module.Request
    wrap_property(kind, "args", "query", lists)
    wrap_property(kind, "cookies", "cookie", lists)
    for name in ("path", "full_path", "url", "base_url", "access_route", "referrer", "user_agent", "remote_user"):
        wrap_property(kind, name, "path" if name in ("path", "full_path", "url", "base_url") else "header", some_text)
    wrap_property(kind, "form", "form", lists)
    wrap_property(kind, "files", "file", _files)
    wrap_property(kind, "data", "body", text)
    patch.wrap(module, "Request.get_data", after("body", text))
    patch.wrap(module, "Request.get_json", after("json", deep))

    def query_string(original: Any) -> Callable[..., Any]:
        def init(self: Any, *args: Any, **keywords: Any) -> None:
            original(self, *args, **keywords)
            request = current()
            if request is not None:
                raw = self.__dict__.get("query_string")
                if raw:
                    self.__dict__["query_string"] = request.taint(raw, "query", "query_string")

        return init

    patch.wrap(module, "Request.__init__", query_string)


def _files(request: Request, kind: str, value: Any) -> Any:
    for one in [
        member for members in dict.values(value) for member in (members if isinstance(members, list) else [members])
    ]:
        if isinstance(getattr(one, "filename", None), str):
            one.filename = request.taint(one.filename, "file", "filename")
    return value


def werkzeug_headers(module: ModuleType) -> None:
    """`werkzeug.datastructures.headers`: names of headers as the application iterates them (values come tainted from the environment)."""

    def iterate(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            request = current()
            for name, value in original(self):
                yield (
                    (request.taint(name, "header.name", name), request.taint(value, "header", name))
                    if request is not None
                    else (name, value)
                )

        return wrapper

    def get(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, key: Any, *args: Any, **keywords: Any) -> Any:
            value = original(self, key, *args, **keywords)
            request = current()
            return request.taint(value, "header", str(key)) if request is not None and type(value) is str else value

        return wrapper

    patch.wrap(module, "EnvironHeaders.__iter__", iterate)
    patch.wrap(module, "EnvironHeaders.__getitem__", get)


def werkzeug_response(module: ModuleType) -> None:
    """`werkzeug.wrappers.response`: text bodies before they are encoded."""

    def body(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **keywords: Any) -> Any:
            original(self, *args, **keywords)
            given = args[0] if args else keywords.get("response")
            request = current()
            if request is not None and given is not None:
                values = (
                    [given]
                    if isinstance(given, (str, bytes))
                    else list(given)
                    if isinstance(given, (list, tuple))
                    else []
                )
                guarded(request, response.body, request, values, str(self.content_type or ""), None)

        return wrapper

    def data(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, value: Any) -> Any:
            original(self, value)
            request = current()
            if request is not None:
                guarded(request, response.body, request, [value], str(self.content_type or ""), None)

        return wrapper

    patch.wrap(module, "Response.__init__", body)
    patch.wrap(module, "Response.set_data", data)


def flask_app(module: ModuleType) -> None:
    """`flask.app`: entry, route, path values."""

    def entry(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, environ: Any, start_response: Any) -> Any:
            agent = runtime.RUNTIME
            if agent is not None and agent.inventory is not None:
                agent.inventory.flask(self)
            return wsgi.call(lambda e, s: original(self, e, s), environ, start_response)

        return wrapper

    def dispatch(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **keywords: Any) -> Any:
            request = current()
            if request is not None:
                guarded(request, _flask_route, request, self, None)
            return original(self, *args, **keywords)

        return wrapper

    patch.wrap(module, "Flask.wsgi_app", entry)
    patch.wrap(module, "Flask.dispatch_request", dispatch)


def _flask_route(request: Request, app: Any, nothing: Any) -> None:
    import sys

    flask = sys.modules["flask"]
    inner: Any = flask.request
    rule = inner.url_rule
    if rule is not None:
        request.route = rule.rule
        view = app.view_functions.get(rule.endpoint)
        code = getattr(getattr(view, "__wrapped__", view), "__code__", None)
        agent = runtime.RUNTIME
        if code is not None and agent is not None:
            request.handler = f"{agent.scope.short(code.co_filename)}:{code.co_firstlineno}"
    if inner.view_args:
        for name, value in list(inner.view_args.items()):
            if isinstance(value, str):
                inner.view_args[name] = request.taint(value, "path", name)
                request.path_params[name] = value
    if app.debug:
        response.debug(request, request.handler)


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "werkzeug.wrappers.request": werkzeug_request,
    "werkzeug.datastructures.headers": werkzeug_headers,
    "werkzeug.wrappers.response": werkzeug_response,
    "flask.app": flask_app,
}
