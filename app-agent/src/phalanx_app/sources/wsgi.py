"""Any WSGI application: the request begins and ends here, the environment is tainted here, the response is looked at here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .. import runtime
from ..request import Request, enter, leave
from ..sinks import response
from ..verify import offered

_KEY = "phalanx_app.request"


def fill(request: Request, environ: dict[str, Any]) -> None:
    """Take the request's outline from the environment and taint what the client chose."""
    request.method = str(environ.get("REQUEST_METHOD", ""))[:20]
    request.path = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
    request.query = str(environ.get("QUERY_STRING", ""))
    request.host = str(environ.get("HTTP_HOST", environ.get("SERVER_NAME", "")))[:300]
    request.content_type = str(environ.get("CONTENT_TYPE", ""))[:200]
    headers = request.headers
    taint = request.taint
    for key, value in list(environ.items())[:300]:
        if type(key) is str and key[:5] == "HTTP_" and type(value) is str:
            name = key[5:].replace("_", "-").title()
            headers[name] = value
            environ[key] = taint(value, "cookie" if key == "HTTP_COOKIE" else "header", name)
    if request.content_type:
        headers["Content-Type"] = request.content_type
    request.traceparent = headers.get("Traceparent", "")[:60]
    request.authenticated = "Authorization" in headers or "Cookie" in headers
    for key, kind in (("QUERY_STRING", "query"), ("PATH_INFO", "path"), ("RAW_URI", "query"), ("REQUEST_URI", "query")):
        value = environ.get(key)
        if type(value) is str and value:
            environ[key] = taint(value, kind, key)
    stream = environ.get("wsgi.input")
    if stream is not None and not isinstance(stream, Body):
        environ["wsgi.input"] = Body(stream, request)


class Body:
    """The request body: what is read is tainted and the first part is kept for the report."""

    def __init__(self, stream: Any, request: Request) -> None:
        self._stream = stream
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _take(self, data: Any) -> Any:
        try:
            agent = runtime.RUNTIME
            limit = agent.config.max_body if agent is not None else 0
            if isinstance(data, bytes) and data and len(self._request.body) < limit:
                self._request.body += data[: limit - len(self._request.body)]
                return self._request.taint(data, "body", "body")
        except Exception:  # noqa: BLE001
            runtime.failed("body")
        return data

    def read(self, *args: Any) -> Any:
        return self._take(self._stream.read(*args))

    def readline(self, *args: Any) -> Any:
        return self._take(self._stream.readline(*args))

    def readlines(self, *args: Any) -> list[Any]:
        return [self._take(one) for one in self._stream.readlines(*args)]

    def __iter__(self) -> Iterator[Any]:
        for one in self._stream:
            yield self._take(one)

    def readinto(self, buffer: Any) -> Any:
        count = self._stream.readinto(buffer)
        if count:
            self._take(bytes(buffer[:count]))
        return count


def call(
    application: Callable[..., Iterable[bytes]], environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Run a WSGI application as one analysed request."""
    agent = runtime.RUNTIME
    if agent is None or _KEY in environ:
        return application(environ, start_response)
    began = agent.begin("http")
    if began is None:
        return application(environ, start_response)
    request, token = began
    try:
        with runtime.Busy(request):
            environ[_KEY] = request
            fill(request, environ)
            request.verify = offered(request)
    except Exception:  # noqa: BLE001
        runtime.failed("wsgi")

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        try:
            with runtime.Busy(request):
                request.status = int(status[:3])
                response.headers(request, headers)
                if request.verify is not None:
                    headers = [*headers, ("X-Phalanx-Verify-Result", request.verify.result())]
        except Exception:  # noqa: BLE001
            runtime.failed("wsgi")
        return start_response(status, headers, *rest)

    try:
        answer = application(environ, start)
    except BaseException:
        agent.end(request, token)
        raise
    if isinstance(answer, (list, tuple)):
        try:
            with runtime.Busy(request):
                response.chunks(request, answer)
        finally:
            agent.end(request, token)
        return answer
    # The call is over, and whoever made it goes on in this context; the body is produced later, each step inside the request again.
    leave(token)
    return Answer(agent, request, answer)


class Answer:
    """The iterable answer of an application; the request ends when it is exhausted, closed, or forgotten."""

    def __init__(self, agent: runtime.Runtime, request: Request, answer: Iterable[bytes]) -> None:
        self._agent, self._request, self._answer = agent, request, answer
        self._iterator: Iterator[bytes] | None = None
        self._seen = 0
        self._done = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def __iter__(self) -> Answer:
        return self

    def __next__(self) -> bytes:
        token = enter(self._request)
        try:
            if self._iterator is None:
                self._iterator = iter(self._answer)
            chunk = next(self._iterator)
            if self._seen < 64:
                self._seen += 1
                try:
                    with runtime.Busy(self._request):
                        response.chunks(self._request, [chunk])
                except Exception:  # noqa: BLE001
                    runtime.failed("wsgi")
        except BaseException:
            self._finish()
            raise
        finally:
            leave(token)
        return chunk

    def _finish(self) -> None:
        if not self._done:
            self._done = True
            self._agent.end(self._request, None)

    def close(self) -> None:
        """Close the application's answer inside the request, then end it."""
        token = enter(self._request)
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            leave(token)
            self._finish()

    def __del__(self) -> None:
        self._finish()
