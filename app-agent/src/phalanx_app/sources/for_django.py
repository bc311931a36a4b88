"""Django: requests, routes, responses, and its test client."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import patch, runtime
from ..request import Request, current
from ..sinks import response
from . import wsgi
from .common import after, guarded, lists, some_text, text, wrap_property


def django_wsgi(module: ModuleType) -> None:
    """`django.core.handlers.wsgi`"""

    def entry(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, environ: Any, start_response: Any) -> Any:
            return wsgi.call(lambda e, s: original(self, e, s), environ, start_response)

        return wrapper

    patch.wrap(module, "WSGIHandler.__call__", entry)
    kind: Any = module.WSGIRequest
    wrap_property(kind, "GET", "query", lists)
    wrap_property(kind, "COOKIES", "cookie", lists)

    def post(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            before = "_post" in self.__dict__
            result = original(self)
            request = current()
            if request is not None and not before:
                guarded(request, lists, request, "form", self._post)
            return result

        return wrapper

    patch.wrap(module, "WSGIRequest._get_post", post)
    found = vars(kind).get("POST")
    if isinstance(found, property):
        patch.put(kind, "POST", property(kind._get_post, kind._set_post))


def django_request(module: ModuleType) -> None:
    """`django.http.request`"""
    kind: Any = module.HttpRequest
    wrap_property(kind, "body", "body", text)
    patch.wrap(module, "HttpRequest.get_full_path", after("path", some_text))
    patch.wrap(module, "HttpRequest.build_absolute_uri", after("path", some_text))


def django_test(module: ModuleType) -> None:
    """`django.test.client`: the test client calls the handler itself."""

    def entry(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, environ: Any) -> Any:
            agent = runtime.RUNTIME
            began = agent.begin("http") if agent is not None else None
            if agent is None or began is None:
                return original(self, environ)
            request, token = began
            try:
                with runtime.Busy(request):
                    wsgi.fill(request, environ)
                answer = original(self, environ)
                with runtime.Busy(request):
                    request.status = int(answer.status_code)
                    response.headers(request, list(answer.items()))
                return answer
            finally:
                agent.end(request, token)

        return wrapper

    patch.wrap(module, "ClientHandler.__call__", entry)


def django_base(module: ModuleType) -> None:
    """`django.core.handlers.base`: the resolved route and its values."""

    def resolved(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, inner: Any) -> Any:
            match = original(self, inner)
            request = current()
            if request is not None:
                guarded(request, _django_route, request, match, None)
            return match

        return wrapper

    patch.wrap(module, "BaseHandler.resolve_request", resolved)


def _django_route(request: Request, match: Any, nothing: Any) -> None:
    request.route = "/" + str(match.route).lstrip("^/")
    for name, value in list(match.kwargs.items()):
        if isinstance(value, str):
            match.kwargs[name] = request.taint(value, "path", name)
    match.args = tuple(request.taint(one, "path", "path") if isinstance(one, str) else one for one in match.args)
    view = match.func
    code = getattr(getattr(view, "__wrapped__", view), "__code__", None)
    agent = runtime.RUNTIME
    if agent is not None:
        if code is not None:
            request.handler = f"{agent.scope.short(code.co_filename)}:{code.co_firstlineno}"
        if agent.inventory is not None:
            agent.inventory.django()
        from django.conf import settings

        if settings.DEBUG:
            response.debug(request, request.handler)


def django_response(module: ModuleType) -> None:
    """`django.http.response`: text bodies before they are encoded."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, value: Any) -> Any:
            request = current()
            if request is not None and isinstance(value, (str, bytes)):
                guarded(request, response.body, request, [value], str(self.get("Content-Type", "")), None)
            return original(self, value)

        return wrapper

    patch.wrap(module, "HttpResponseBase.make_bytes", make)


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "django.core.handlers.wsgi": django_wsgi,
    "django.core.handlers.base": django_base,
    "django.http.request": django_request,
    "django.http.response": django_response,
    "django.test.client": django_test,
}
