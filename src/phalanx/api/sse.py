"""Server-sent events (WHATWG HTML, section 9.2): `id:` to resume after, a comment every 15 seconds to tell that the stream lives.

Data are JSON on one line, so no observed text can end a message or begin another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from litestar.response import Stream

__all__ = ["HEARTBEAT_S", "RETRY_MS", "message", "stream"]

HEARTBEAT_S: Final = 15.0
"""After so many quiet seconds a stream says that it lives."""
RETRY_MS: Final = 2_000
"""After this time a browser whose stream broke connects again."""


def message(event: str, data: object, *, id: str | None = None) -> bytes:
    """One message. ``event`` and ``id`` come from phalanx and hold no line break (ValueError else)."""
    if any(char in text for text in (event, id or "") for char in "\r\n\0"):
        raise ValueError("a line break in the frame of a server-sent event")
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


def stream(messages: AsyncIterator[bytes]) -> Stream:
    """The response that sends ``messages`` as they come, and a sign of life in between."""
    return Stream(
        _framed(messages),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _framed(messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # The first bytes go out at once: a browser that waits for headers behind a buffering proxy would not show "live".
    yield f"retry: {RETRY_MS}\n\n".encode()
    following = asyncio.ensure_future(_next(messages))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=HEARTBEAT_S)
            if not done:
                yield b": alive\n\n"
                continue
            part = following.result()
            if part is None:
                return
            yield part
            following = asyncio.ensure_future(_next(messages))
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        closing: Any = getattr(messages, "aclose", None)
        if closing is not None:
            await closing()


async def _next(messages: AsyncIterator[bytes]) -> bytes | None:
    return await anext(messages, None)
