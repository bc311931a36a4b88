"""What frameworks make of a request: parsed parameters, forms, cookies, headers, path values, JSON, and the name of the route.

Each function patches one module after it was imported. Parsed structures are tainted when the framework makes them, leaf by leaf and in place, so that
application code finds tainted values however it looks them up.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import patch, runtime
from ..request import Request, current
from ..sinks import response
from . import asgi, wsgi


def _guarded(request: Request | None, function: Callable[..., Any], *args: Any) -> Any:
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
            return _guarded(request, how, request, kind, result) if request is not None else result

        return wrapper

    return make


def after_async(kind: str, how: Callable[[Request, str, Any], Any]) -> Callable[[Any], Callable[..., Any]]:
    """The same for a coroutine method."""

    def make(original: Any) -> Callable[..., Any]:
        async def wrapper(*args: Any, **keywords: Any) -> Any:
            result = await original(*args, **keywords)
            request = current()
            return _guarded(request, how, request, kind, result) if request is not None else result

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


def _property(owner: type, name: str, kind: str, how: Callable[[Request, str, Any], Any]) -> None:
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


# --- werkzeug and Flask -----------------------------------------------------------------------------------------------------------------


def werkzeug_request(module: ModuleType) -> None:
    """`werkzeug.wrappers.request`: parameters, form, cookies, raw data, files."""
    kind: Any = module.Request  # type: ignore[attr-defined]
    _property(kind, "args", "query", lists)
    _property(kind, "cookies", "cookie", lists)
    for name in ("path", "full_path", "url", "base_url", "access_route", "referrer", "user_agent", "remote_user"):
        _property(kind, name, "path" if name in ("path", "full_path", "url", "base_url") else "header", _some_text)
    _property(kind, "form", "form", lists)
    _property(kind, "files", "file", _files)
    _property(kind, "data", "body", text)
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


def _some_text(request: Request, kind: str, value: Any) -> Any:
    return request.taint(value, kind, kind) if type(value) is str else value


def _files(request: Request, kind: str, value: Any) -> Any:
    for one in [member for members in dict.values(value) for member in (members if isinstance(members, list) else [members])]:
        if isinstance(getattr(one, "filename", None), str):
            one.filename = request.taint(one.filename, "file", "filename")
    return value


def werkzeug_headers(module: ModuleType) -> None:
    """`werkzeug.datastructures.headers`: names of headers as the application iterates them (values come tainted from the environment)."""

    def iterate(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            request = current()
            for name, value in original(self):
                yield (request.taint(name, "header.name", name), request.taint(value, "header", name)) if request is not None else (name, value)

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
                values = [given] if isinstance(given, (str, bytes)) else list(given) if isinstance(given, (list, tuple)) else []
                _guarded(request, response.body, request, values, str(self.content_type or ""), None)

        return wrapper

    def data(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, value: Any) -> Any:
            original(self, value)
            request = current()
            if request is not None:
                _guarded(request, response.body, request, [value], str(self.content_type or ""), None)

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
                _guarded(request, _flask_route, request, self, None)
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


# --- Django --------------------------------------------------------------------------------------------------------------------------------


def django_wsgi(module: ModuleType) -> None:
    """`django.core.handlers.wsgi`"""

    def entry(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, environ: Any, start_response: Any) -> Any:
            return wsgi.call(lambda e, s: original(self, e, s), environ, start_response)

        return wrapper

    patch.wrap(module, "WSGIHandler.__call__", entry)
    kind: Any = module.WSGIRequest  # type: ignore[attr-defined]
    _property(kind, "GET", "query", lists)
    _property(kind, "COOKIES", "cookie", lists)

    def post(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            before = "_post" in self.__dict__
            result = original(self)
            request = current()
            if request is not None and not before:
                _guarded(request, lists, request, "form", self._post)
            return result

        return wrapper

    patch.wrap(module, "WSGIRequest._get_post", post)
    found = vars(kind).get("POST")
    if isinstance(found, property):
        patch.put(kind, "POST", property(kind._get_post, kind._set_post))


def django_request(module: ModuleType) -> None:
    """`django.http.request`"""
    kind: Any = module.HttpRequest  # type: ignore[attr-defined]
    _property(kind, "body", "body", text)
    patch.wrap(module, "HttpRequest.get_full_path", after("path", _some_text))
    patch.wrap(module, "HttpRequest.build_absolute_uri", after("path", _some_text))


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
                _guarded(request, _django_route, request, match, None)
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
                _guarded(request, response.body, request, [value], str(self.get("Content-Type", "")), None)
            return original(self, value)

        return wrapper

    patch.wrap(module, "HttpResponseBase.make_bytes", make)


# --- Starlette and FastAPI -------------------------------------------------------------------------------------------------------------------


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
    kind: Any = module.HTTPConnection  # type: ignore[attr-defined]
    _property(kind, "query_params", "query", _multi)
    _property(kind, "cookies", "cookie", deep)
    _property(kind, "path_params", "path", deep)
    patch.wrap(module, "Request.body", after_async("body", text))
    patch.wrap(module, "Request.json", after_async("json", deep))
    patch.wrap(module, "Request._get_form", after_async("form", _multi))


def _multi(request: Request, kind: str, value: Any) -> Any:
    """Starlette's immutable multi-dict keeps a dict and a list."""
    inner = getattr(value, "_dict", None)
    if isinstance(inner, dict) and not getattr(value, "_phalanx", False):
        pairs = [(request.taint(name, f"{kind}.name", name), request.taint(one, kind, name) if isinstance(one, str) else one) for name, one in value._list]
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
            return request.taint(value, "header", str(key)) if request is not None and type(value) is str and _incoming(request, self) else value

        return wrapper

    def names(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            found = original(self)
            request = current()
            if request is None or not _incoming(request, self):
                return found
            return [request.taint(one, "header.name", one) if isinstance(one, str) else (request.taint(one[0], "header.name", one[0]), request.taint(one[1], "header", one[0])) for one in found]

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
                _guarded(request, _starlette_route, request, (self, scope), None)
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
                _guarded(request, response.body, request, [content], str(self.media_type or ""), None)
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


# --- aiohttp, Tornado ----------------------------------------------------------------------------------------------------------------------


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
                    request.headers = {name: value for name, value in list(inner.headers.items())[:60]}
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
    kind: Any = module.BaseRequest  # type: ignore[attr-defined]

    def getter(name: str, source: str, how: Callable[[Request, str, Any], Any]) -> None:
        original = vars(kind).get(name) or vars(module.Request).get(name)  # type: ignore[attr-defined]
        if original is None:
            return
        owner: Any = kind if name in vars(kind) else module.Request  # type: ignore[attr-defined]

        def read(self: Any) -> Any:
            value = original.__get__(self, type(self))
            request = current()
            return _guarded(request, how, request, source, value) if request is not None else value

        patch.put(owner, name, property(read))

    getter("query", "query", _multidict)
    getter("rel_url", "path", lambda request, source, value: value)
    getter("headers", "header", _multidict)
    getter("cookies", "cookie", lambda request, source, value: {key: request.taint(one, source, key) for key, one in value.items()})
    getter("path", "path", _some_text)
    getter("query_string", "query", _some_text)
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
    pairs = [(request.taint(str(name), f"{kind}.name", str(name)) if type(name) is str else name, request.taint(one, kind, str(name)) if isinstance(one, str) else one) for name, one in value.items()]
    if kind == "form":
        for name, one in pairs[:100]:
            if isinstance(one, str):
                request.form[str(name)] = one
    from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy

    return CIMultiDictProxy(CIMultiDict(pairs)) if isinstance(value, CIMultiDictProxy) else MultiDictProxy(MultiDict(pairs))


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
                _guarded(request, response.body, request, [given], str(self.content_type or ""), None)

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
                    request.method, request.path, request.query, request.host = inner.method, inner.path, inner.query, str(inner.host)[:300]
                    request.headers = dict(list(inner.headers.get_all())[:60])
                    request.content_type = inner.headers.get("Content-Type", "")[:200]
                    request.body = inner.body[: agent.config.max_body]
                    request.route = getattr(type(self), "__name__", "")
                    inner.body = request.taint(inner.body, "body", "body")
                    args = tuple(request.taint(one, "path", "path") if isinstance(one, (str, bytes)) else one for one in args)
                    keywords = {name: request.taint(one, "path", name) if isinstance(one, (str, bytes)) else one for name, one in keywords.items()}
                    for name, value in list(inner.headers.items()):
                        dict.__setitem__(inner.headers._dict, name, request.taint(value, "header", name))
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
                _guarded(request, response.body, request, [chunk], str(self._headers.get("Content-Type", "text/html")), None)
            return original(self, chunk)

        return wrapper

    patch.wrap(module, "RequestHandler._execute", execute)
    patch.wrap(module, "RequestHandler.write", write)

    def one(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, name: Any, *args: Any, **keywords: Any) -> Any:
            value = original(self, name, *args, **keywords)
            request = current()
            return _guarded(request, lambda r, k, v: r.deep(v, k, str(name)), request, "query", value) if request is not None else value

        return wrapper

    for method in ("get_argument", "get_query_argument", "get_body_argument", "get_arguments", "get_cookie"):
        patch.wrap(module, f"RequestHandler.{method}", one)


# --- templates ---------------------------------------------------------------------------------------------------------------------------------


def jinja_environment(module: ModuleType) -> None:
    """`jinja2.environment`: what templates yield is joined with its taint."""
    from .. import taint

    kind: Any = module.Environment  # type: ignore[attr-defined]
    plain = kind.concat

    def concat(parts: Any) -> Any:
        if not taint.ON:
            return plain(parts)
        members = taint.core.seq(parts)
        return taint.core.meth(plain(members), "join", "", members)

    patch.put(kind, "concat", staticmethod(concat))


# --- servers ------------------------------------------------------------------------------------------------------------------------------------


def wsgiref_handlers(module: ModuleType) -> None:
    """`wsgiref.handlers`: any WSGI application under the standard library's server."""

    def run(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, application: Any) -> Any:
            return original(self, lambda e, s: wsgi.call(application, e, s))

        return wrapper

    patch.wrap(module, "BaseHandler.run", run)


def gunicorn_base(module: ModuleType) -> None:
    """`gunicorn.app.base`: the application that workers run."""

    def load(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            application = original(self)
            if getattr(application, "phalanx_app", False) or not callable(application):
                return application

            def entry(environ: Any, start_response: Any) -> Any:
                return wsgi.call(application, environ, start_response)

            entry.phalanx_app = True  # type: ignore[attr-defined]
            entry.__wrapped__ = application  # type: ignore[attr-defined]
            return entry

        return wrapper

    patch.wrap(module, "BaseApplication.wsgi", load)


def uvicorn_config(module: ModuleType) -> None:
    """`uvicorn.config`: any ASGI application."""

    def load(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            result = original(self)
            application = self.loaded_app

            async def entry(scope: Any, receive: Any, send: Any) -> Any:
                return await asgi.call(application, (), scope, receive, send)

            entry.__wrapped__ = application  # type: ignore[attr-defined]
            self.loaded_app = entry
            return result

        return wrapper

    patch.wrap(module, "Config.load", load)


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "werkzeug.wrappers.request": werkzeug_request,
    "werkzeug.datastructures.headers": werkzeug_headers,
    "werkzeug.wrappers.response": werkzeug_response,
    "flask.app": flask_app,
    "django.core.handlers.wsgi": django_wsgi,
    "django.core.handlers.base": django_base,
    "django.http.request": django_request,
    "django.http.response": django_response,
    "django.test.client": django_test,
    "starlette.applications": starlette_app,
    "starlette.requests": starlette_requests,
    "starlette.datastructures": starlette_datastructures,
    "starlette.routing": starlette_routing,
    "starlette.responses": starlette_responses,
    "fastapi.routing": fastapi_routing,
    "aiohttp.web_app": aiohttp_app,
    "aiohttp.web_urldispatcher": aiohttp_routes,
    "aiohttp.web_request": aiohttp_request,
    "aiohttp.web_response": aiohttp_response,
    "tornado.web": tornado_web,
    "jinja2.environment": jinja_environment,
    "wsgiref.handlers": wsgiref_handlers,
    "gunicorn.app.base": gunicorn_base,
    "uvicorn.config": uvicorn_config,
}
