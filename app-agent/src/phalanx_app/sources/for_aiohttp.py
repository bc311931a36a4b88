"""aiohttp and Tornado."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import patch, runtime
from ..request import Request, current
from ..sinks import response
from .common import after_async, deep, guarded, some_text, text


def aiohttp_app(module: ModuleType) -> None:
    """`aiohttp.web_app`"""

    def entry(original: Any) -> Callable[..., Any]:
        async def wrapper(self: Any, inner: Any) -> Any:
            agent = runtime.RUNTIME
            began = agent.begin("http") if agent is not None else None
            if agent is None or began is None:
                return await original(self, inner)
            request, token = began
            try:
                with runtime.Busy(request):
                    request.method, request.path = inner.method, inner.path
                    request.query, request.host = inner.query_string, str(inner.host)[:300]
                    request.headers = dict(list(inner.headers.items())[:60])
                    request.content_type = inner.headers.get("Content-Type", "")[:200]
                    request.traceparent = inner.headers.get("traceparent", "")[:60]
                    request.authenticated = "Authorization" in inner.headers or "Cookie" in inner.headers
                    from ..verify import offered

                    request.verify = offered(request)
                    if request.verify is not None:
                        inner[_VERIFY] = request.verify
            except Exception:  # noqa: BLE001
                runtime.failed("aiohttp")
            try:
                answer = await original(self, inner)
                try:
                    with runtime.Busy(request):
                        request.status = int(answer.status)
                        response.headers(request, list(answer.headers.items()))
                except Exception:  # noqa: BLE001
                    runtime.failed("aiohttp")
                return answer
            finally:
                agent.end(request, token)

        return wrapper

    patch.wrap(module, "Application._handle", entry)


def aiohttp_routes(module: ModuleType) -> None:
    """`aiohttp.web_urldispatcher`: the template of the matched route."""

    def resolved(request: Request, kind: str, match: Any) -> Any:
        route = getattr(match, "route", None)
        resource = getattr(route, "resource", None)
        if resource is not None:
            request.route = str(resource.canonical)
        code = getattr(getattr(match, "handler", None), "__code__", None)
        agent = runtime.RUNTIME
        if code is not None and agent is not None:
            request.handler = f"{agent.scope.short(code.co_filename)}:{code.co_firstlineno}"
        return match

    patch.wrap(module, "UrlDispatcher.resolve", after_async("", resolved))


def aiohttp_request(module: ModuleType) -> None:
    """`aiohttp.web_request`"""
    kind: Any = module.BaseRequest

    def getter(name: str, source: str, how: Callable[[Request, str, Any], Any]) -> None:
        original = vars(kind).get(name) or vars(module.Request).get(name)
        if original is None:
            return
        owner: Any = kind if name in vars(kind) else module.Request

        def read(self: Any) -> Any:
            value = original.__get__(self, type(self))
            request = current()
            return guarded(request, how, request, source, value) if request is not None else value

        patch.put(owner, name, property(read))

    getter("query", "query", _multidict)
    getter("rel_url", "path", lambda request, source, value: value)
    getter("headers", "header", _multidict)
    getter(
        "cookies",
        "cookie",
        lambda request, source, value: {key: request.taint(one, source, key) for key, one in value.items()},
    )
    getter("path", "path", some_text)
    getter("query_string", "query", some_text)
    getter("match_info", "path", deep_mapping)
    patch.wrap(module, "BaseRequest.read", after_async("body", _aiohttp_body))
    patch.wrap(module, "BaseRequest.text", after_async("body", text))
    patch.wrap(module, "BaseRequest.json", after_async("json", deep))
    patch.wrap(module, "BaseRequest.post", after_async("form", _multidict))


def _aiohttp_body(request: Request, kind: str, value: Any) -> Any:
    request.body = bytes(value[: 1 << 20])
    return request.taint(value, kind, kind)


def _multidict(request: Request, kind: str, value: Any) -> Any:
    """A multidict proxy as one with tainted text; the class stays."""
    pairs = [
        (
            request.taint(str(name), f"{kind}.name", str(name)) if type(name) is str else name,
            request.taint(one, kind, str(name)) if isinstance(one, str) else one,
        )
        for name, one in value.items()
    ]
    if kind == "form":
        for name, one in pairs[:100]:
            if isinstance(one, str):
                request.form[str(name)] = one
    from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy

    return (
        CIMultiDictProxy(CIMultiDict(pairs))
        if isinstance(value, CIMultiDictProxy)
        else MultiDictProxy(MultiDict(pairs))
    )


def deep_mapping(request: Request, kind: str, value: Any) -> Any:
    """Path values of aiohttp."""
    for name in list(value):
        if isinstance(value[name], str):
            dict.__setitem__(value, name, request.taint(value[name], kind, name))
    return value


def aiohttp_response(module: ModuleType) -> None:
    """`aiohttp.web_response`"""

    def init(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **keywords: Any) -> None:
            original(self, *args, **keywords)
            request = current()
            given = keywords.get("text") or keywords.get("body")
            if request is not None and isinstance(given, (str, bytes)):
                guarded(request, response.body, request, [given], str(self.content_type or ""), None)

        return wrapper

    def prepare(original: Any) -> Callable[..., Any]:
        async def wrapper(self: Any, inner: Any) -> Any:
            # Also the answer to an exception, which is made after the application's own handling ended.
            verification = inner.get(_VERIFY) if hasattr(inner, "get") else None
            if verification is not None and not self.prepared:
                self.headers["X-Phalanx-Verify-Result"] = verification.result()
            return await original(self, inner)

        return wrapper

    patch.wrap(module, "Response.__init__", init)
    patch.wrap(module, "StreamResponse.prepare", prepare)


_VERIFY = "phalanx_app.verify"


def tornado_web(module: ModuleType) -> None:
    """`tornado.web`"""

    def execute(original: Any) -> Callable[..., Any]:
        async def wrapper(self: Any, transforms: Any, *args: Any, **keywords: Any) -> Any:
            agent = runtime.RUNTIME
            began = agent.begin("http") if agent is not None else None
            if agent is None or began is None:
                return await original(self, transforms, *args, **keywords)
            request, token = began
            try:
                with runtime.Busy(request):
                    inner = self.request
                    request.method, request.path, request.query, request.host = (
                        inner.method,
                        inner.path,
                        inner.query,
                        str(inner.host)[:300],
                    )
                    request.headers = dict(list(inner.headers.get_all())[:60])
                    request.content_type = inner.headers.get("Content-Type", "")[:200]
                    request.body = inner.body[: agent.config.max_body]
                    request.route = getattr(type(self), "__name__", "")
                    inner.body = request.taint(inner.body, "body", "body")
                    args = tuple(
                        request.taint(one, "path", "path") if isinstance(one, (str, bytes)) else one for one in args
                    )
                    keywords = {
                        name: request.taint(one, "path", name) if isinstance(one, (str, bytes)) else one
                        for name, one in keywords.items()
                    }
                    for name, value in list(inner.headers.items()):
                        if len(inner.headers.get_list(name)) == 1:
                            inner.headers[name] = request.taint(value, "cookie" if name == "Cookie" else "header", name)
            except Exception:  # noqa: BLE001
                runtime.failed("tornado")
            try:
                return await original(self, transforms, *args, **keywords)
            finally:
                agent.end(request, token)

        return wrapper

    def write(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, chunk: Any) -> Any:
            request = current()
            if request is not None and isinstance(chunk, (str, bytes)):
                guarded(
                    request, response.body, request, [chunk], str(self._headers.get("Content-Type", "text/html")), None
                )
            return original(self, chunk)

        return wrapper

    patch.wrap(module, "RequestHandler._execute", execute)
    patch.wrap(module, "RequestHandler.write", write)

    def one(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, name: Any, *args: Any, **keywords: Any) -> Any:
            value = original(self, name, *args, **keywords)
            request = current()
            return (
                guarded(request, lambda r, k, v: r.deep(v, k, str(name)), request, "query", value)
                if request is not None
                else value
            )

        return wrapper

    def decoded(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, value: Any, name: Any = None) -> Any:
            text = original(self, value, name)
            request = current()
            return request.taint(text, "query" if name else "path", str(name or "path")) if request is not None else text

        return wrapper

    patch.wrap(module, "RequestHandler.decode_argument", decoded)
    for method in ("get_argument", "get_query_argument", "get_body_argument", "get_arguments", "get_cookie"):
        patch.wrap(module, f"RequestHandler.{method}", one)


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "aiohttp.web_app": aiohttp_app,
    "aiohttp.web_urldispatcher": aiohttp_routes,
    "aiohttp.web_request": aiohttp_request,
    "aiohttp.web_response": aiohttp_response,
    "tornado.web": tornado_web,
}
