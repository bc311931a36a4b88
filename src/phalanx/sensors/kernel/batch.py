"""Puts the buffers of the two tables into one block: the agent's unit of recording."""

from __future__ import annotations

import uuid

import msgspec

from phalanx.model.columns import MAGIC, BatchHeader, ColumnBuffers, Coverage

__all__ = ["encode_batch"]

Buffers = tuple[str, bytes, bytes | None, bytes | None, bytes | None]
"""Name, data, validity, offsets, list offsets of a column."""


def encode_batch(
    *,
    agent: str,
    host: str,
    boot: str,
    rows: int,
    processes: int,
    tables: dict[str, list[Buffers]],
    coverage: tuple[Coverage, ...],
) -> bytes:
    """The block that :mod:`phalanx.model.columns` describes."""
    batch = uuid.uuid4().hex
    body: list[bytes] = []
    size = 0

    def place(buffer: bytes | None) -> tuple[int, int] | None:
        nonlocal size
        if buffer is None:
            return None
        at = size
        padding = -len(buffer) % 64
        body.append(buffer)
        body.append(bytes(padding))
        size += len(buffer) + padding
        return at, len(buffer)

    placed = [
        (table, name, place(data), place(validity), place(offsets), place(lists))
        for table, columns in tables.items()
        for name, data, validity, offsets, lists in columns
    ]

    def header(base: int) -> bytes:
        def moved(at: tuple[int, int] | None) -> tuple[int, int] | None:
            return None if at is None else (at[0] + base, at[1])

        return msgspec.json.encode(
            BatchHeader(
                batch=batch,
                agent=agent,
                host=host,
                boot=boot,
                rows=rows,
                processes=processes,
                columns=tuple(
                    ColumnBuffers(
                        table="event" if table == "event" else "process",
                        name=name,
                        data=moved(data) or (base, 0),
                        validity=moved(validity),
                        offsets=moved(offsets),
                        list_offsets=moved(lists),
                    )
                    for table, name, data, validity, offsets, lists in placed
                ),
                coverage=coverage,
            )
        )

    # the offsets stand in the header whose length they depend on: leave room, then check
    base = 0
    while True:
        raw = header(base)
        needed = 16 + len(raw)
        needed += -needed % 64
        if needed <= base:
            break
        base = needed + 64
    return b"".join((MAGIC, len(raw).to_bytes(8, "little"), raw, bytes(base - 16 - len(raw)), *body))
