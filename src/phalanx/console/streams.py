"""Several sources into the one stream of a page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

__all__ = ["merged"]

_WAITING: Final = 16
"""Messages that wait for a slow browser; the sources wait behind them and bound themselves."""


async def merged(*sources: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What ``sources`` yield, as it comes; ends when the first of them ends, raises what one raises, and closes all of them."""
    queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(_WAITING)

    async def pump(source: AsyncIterator[bytes]) -> None:
        try:
            async for part in source:
                await queue.put(part)
            await queue.put(None)
        except Exception as error:  # noqa: BLE001 — handed to the reader, who raises it
            await queue.put(error)
        finally:
            closing: Any = getattr(source, "aclose", None)
            if closing is not None:
                await closing()

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    try:
        while True:
            part = await queue.get()
            if part is None:
                return
            if isinstance(part, BaseException):
                raise part
            yield part
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
