"""Any ASGI application: HTTP requests and WebSocket connections begin and end here."""

from __future__ import annotations

from typing import Any

from .. import runtime
from ..request import Request
from ..sinks import response
from ..verify import offered

_KEY = "phalanx_app.request"


def fill(request: Request, scope: dict[str, Any]) -> None:
    """Take the request's outline from the scope and taint what the client chose. Values are bytes on the wire."""
    request.method = str(scope.get("method", scope.get("type", "")))[:20]
    request.path = str(scope.get("path", ""))
    query = scope.get("query_string", b"")
    request.query = query.decode("latin-1") if isinstance(query, bytes) else str(query)
    taint = request.taint
    headers = []
    for name, value in list(scope.get("headers", ()))[:300]:
        shown = name.decode("latin-1").title()
        request.headers[shown] = value.decode("latin-1")
        headers.append(
            (taint(name, "header.name", shown), taint(value, "cookie" if shown == "Cookie" else "header", shown))
        )
    scope["headers"] = headers
    if query:
        scope["query_string"] = taint(query, "query", "query_string")
    if scope.get("path"):
        scope["path"] = taint(scope["path"], "path", "path")
    request.host = request.headers.get("Host", "")[:300]
    request.content_type = request.headers.get("Content-Type", "")[:200]
    request.traceparent = request.headers.get("Traceparent", "")[:60]
    request.authenticated = "Authorization" in request.headers or "Cookie" in request.headers


async def call(application: Any, args: tuple[Any, ...], scope: dict[str, Any], receive: Any, send: Any) -> Any:
    """Run an ASGI application as one analysed request."""
    agent = runtime.RUNTIME
    if agent is None or scope.get("type") not in ("http", "websocket") or _KEY in scope:
        return await application(*args, scope, receive, send)
    began = agent.begin("http")
    if began is None:
        return await application(*args, scope, receive, send)
    request, token = began
    inner = dict(scope)
    try:
        with runtime.Busy(request):
            inner[_KEY] = request
            fill(request, inner)
            request.verify = offered(request)
    except Exception:  # noqa: BLE001
        runtime.failed("asgi")
    limit = agent.config.max_body

    async def taking() -> Any:
        message = await receive()
        try:
            body = message.get("body") or message.get("bytes") or message.get("text")
            if body and len(request.body) < limit:
                request.body += (body.encode() if isinstance(body, str) else body)[: limit - len(request.body)]
                for key in ("body", "bytes", "text"):
                    if message.get(key):
                        message = {
                            **message,
                            key: request.taint(message[key], "body" if key == "body" else "message", key),
                        }
        except Exception:  # noqa: BLE001
            runtime.failed("asgi")
        return message

    async def sending(message: Any) -> None:
        try:
            with runtime.Busy(request):
                if message.get("type") == "http.response.start":
                    request.status = int(message.get("status", 0))
                    pairs = [
                        (name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())
                    ]
                    response.headers(request, pairs)
                    if request.verify is not None:
                        extra = (b"x-phalanx-verify-result", request.verify.result().encode())
                        message = {**message, "headers": [*message.get("headers", ()), extra]}
                elif message.get("type") == "http.response.body":
                    response.chunks(request, [message.get("body", b"")])
        except Exception:  # noqa: BLE001
            runtime.failed("asgi")
        await send(message)

    try:
        return await application(*args, inner, taking, sending)
    finally:
        agent.end(request, token)
