"""Idempotency keys: a POST that is sent again with the same ``Idempotency-Key`` gets the first answer and does nothing again.

Kept for a day, for each person or token's owner. The same key with another request is refused; so is one whose first request is still under way.
Answers with a server's error are not kept: trying again is right then. Answers that show a secret once (new tokens) are never kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from phalanx.errors import ConflictError, PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.services.base import State
from phalanx.store.state import accounts as store

__all__ = ["HEADER", "IdempotencyLayer"]

HEADER: Final = b"idempotency-key"
_PREFIX: Final = "/api/v1/"
_SECRET: Final = frozenset({"/api/v1/tokens"})
_MAX_BODY: Final = 1 << 20
_MAX_ANSWER: Final = 256 << 10

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


class IdempotencyLayer:
    """ASGI around the application, inside the layer that knows who asks."""

    def __init__(self, app: App, state: State) -> None:
        self._app = app
        self._state = state
        self._under_way: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        key = _key(scope)
        actor = scope.get("state", {}).get("actor")
        if key is None or not isinstance(actor, Actor) or scope["state"].get("refused") is not None:
            await self._app(scope, receive, send)
            return
        try:
            answer, receive, request = await self._look(scope, receive, actor, key)
        except PhalanxError as error:
            scope["state"]["refused"] = error
            await self._app(scope, receive, send)
            return
        if answer is not None:
            await _replay(answer, send)
            return
        place = (actor.name, key)
        self._under_way.add(place)
        try:
            await self._first(scope, receive, send, actor, key, request)
        finally:
            self._under_way.discard(place)

    async def _look(self, scope: Scope, receive: Receive, actor: Actor, key: str) -> tuple[Any, Receive, str]:
        if (actor.name, key) in self._under_way:
            raise ConflictError("the first request with this Idempotency-Key is still under way")
        body, again = await _body(receive)
        hasher = hashlib.sha256(
            f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\n".encode()
        )
        hasher.update(body)
        request = hasher.hexdigest()
        known = await self._state.read(
            lambda connection: store.idempotent_answer(connection, actor=actor.name, key=key)
        )
        if known is not None and known.request != request:
            raise ConflictError("this Idempotency-Key was used for another request", hint="use a new key for each act")
        return known, again, request

    async def _first(self, scope: Scope, receive: Receive, send: Send, actor: Actor, key: str, request: str) -> None:
        status, kept, whole = 500, bytearray(), True

        async def wrapped(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                kept.extend(message.get("body", b""))
                if len(kept) > _MAX_ANSWER:
                    whole = False
                    kept.clear()
                if not message.get("more_body", False) and whole and 200 <= status < 300:
                    # kept before the last byte goes out: who has the answer can rely on the key
                    values = {
                        "actor": actor.name,
                        "key": key,
                        "request": request,
                        "status": status,
                        "body": bytes(kept),
                        "created_ns": self._state.clock(),
                    }
                    await self._state.write(lambda connection: store.keep_answer(connection, values))
            await send(message)

        await self._app(scope, receive, wrapped)


def _key(scope: Scope) -> str | None:
    if (
        scope["type"] != "http"
        or scope["method"] != "POST"
        or not scope["path"].startswith(_PREFIX)
        or scope["path"] in _SECRET
    ):
        return None
    raw = next((value for name, value in scope["headers"] if name == HEADER), None)
    if raw is None:
        return None
    text: str = raw.decode("latin-1").strip().strip('"')
    return text if 1 <= len(text) <= 128 and text.isascii() and text.isprintable() else None


async def _body(receive: Receive) -> tuple[bytes, Receive]:
    body = bytearray()
    while True:
        part = await receive()
        if part["type"] != "http.request":
            break
        body += part.get("body", b"")
        if len(body) > _MAX_BODY:
            raise UsageError("a request with an Idempotency-Key is at most 1 MiB long")
        if not part.get("more_body", False):
            break
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return bytes(body), again


async def _replay(answer: Any, send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer.body)).encode()),
        (b"idempotency-replayed", b"true"),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
