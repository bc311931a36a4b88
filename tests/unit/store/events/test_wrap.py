"""A batch is not trusted: whatever its bytes are, it is read rightly or refused plainly."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.event_samples import batch_of, every_kind, samples

from phalanx.errors import CorruptError, LimitError
from phalanx.model.columns import ColumnBuffers, encode_header
from phalanx.store.events.hot import HotSegment
from phalanx.store.events.wrap import MAX_BATCH_BYTES, Batch, read_header, wrap

BLOCK = batch_of([*every_kind(), *samples(30, first_seq=100)], "one")
HEADER = read_header(BLOCK)


def use(batch: Batch) -> None:
    """Touches everything that the store makes of a batch; a wrong offset that slipped through would crash here."""
    segment = HotSegment(1, None)  # type: ignore[arg-type]
    segment.add(batch, 1, 0)
    segment.events().to_pylist()
    segment.processes().to_pylist()


def test_a_batch_is_wrapped_without_copying_its_buffers() -> None:
    batch = wrap(BLOCK)
    import pyarrow as pa

    start = pa.py_buffer(BLOCK).address
    for name in ("ts_ns", "kind", "fd_name"):
        for buffer in batch.event.column(name).buffers():
            assert buffer is None or start <= buffer.address < start + len(BLOCK)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32), count=st.integers(min_value=1, max_value=8))
def test_flipped_bytes_are_read_or_refused_and_never_crash(seed: int, count: int) -> None:
    chooser = random.Random(seed)
    raw = bytearray(BLOCK)
    for _ in range(count):
        # Half of the hits in the header and the offsets, where they hurt.
        place = chooser.randrange(len(raw)) if chooser.random() < 0.5 else chooser.randrange(len(encode_header(HEADER)))
        raw[place] = chooser.randrange(256)
    try:
        batch = wrap(bytes(raw))
    except (CorruptError, LimitError):
        return
    use(batch)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0, max_value=len(BLOCK) - 1))
def test_a_cut_batch_is_read_or_refused(cut: int) -> None:
    try:
        batch = wrap(BLOCK[:cut])
    except (CorruptError, LimitError):
        return
    use(batch)  # only padding was cut


@settings(max_examples=150, deadline=None)
@given(
    table=st.sampled_from(["event", "process"]),
    index=st.integers(min_value=0, max_value=200),
    field=st.sampled_from(["data", "validity", "offsets", "list_offsets"]),
    offset=st.integers(min_value=-(2**40), max_value=2**40)
    | st.integers(min_value=0, max_value=len(BLOCK)).map(lambda at: at // 8 * 8),
    length=st.integers(min_value=-5, max_value=2**40) | st.integers(min_value=0, max_value=5000),
)
def test_any_place_of_a_buffer_is_read_or_refused(table: str, index: int, field: str, offset: int, length: int) -> None:
    places = [place for place in HEADER.columns if place.table == table]
    victim = places[index % len(places)]
    changed = msgspec.structs.replace(victim, **{field: (offset, length)})
    columns = tuple(changed if place is victim else place for place in HEADER.columns)
    try:
        batch = wrap(BLOCK, header=msgspec.structs.replace(HEADER, columns=columns))
    except (CorruptError, LimitError):
        return
    use(batch)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": HEADER.rows + 1},
        {"rows": 10**9},
        {"rows": -1},
        {"processes": HEADER.processes - 1},
        {"processes": 0},
        {"batch": ""},
        {"agent": "a" * 300},
        {"columns": HEADER.columns[1:]},
        {"columns": (*HEADER.columns, HEADER.columns[0])},
        {
            "columns": (
                *HEADER.columns,
                ColumnBuffers(table="event", name="from_the_future", data=HEADER.columns[0].data),
            )
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_header_that_does_not_fit_its_buffers_is_refused(change: dict[str, Any]) -> None:
    header = msgspec.structs.replace(HEADER, **change)

    def take() -> None:
        read_header(encode_header(header))
        wrap(BLOCK, header=header)

    with pytest.raises((CorruptError, LimitError)):
        take()


def test_a_batch_beyond_the_bound_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitError):
        read_header(bytes(MAX_BATCH_BYTES + 1))


def test_text_that_is_not_utf8_is_refused() -> None:
    place = next(place for place in HEADER.columns if place.name == "fd_name")
    raw = bytearray(BLOCK)
    raw[place.data[0]] = 0xFF
    with pytest.raises(CorruptError, match="broken"):
        wrap(bytes(raw))


def test_processes_that_are_their_own_ancestors_do_not_hang_the_store() -> None:
    place = next(place for place in HEADER.columns if place.table == "process" and place.name == "parent")
    raw = bytearray(BLOCK)
    for row in range(HEADER.processes):
        raw[place.data[0] + 4 * row : place.data[0] + 4 * row + 4] = row.to_bytes(4, "little")
    batch = wrap(bytes(raw))
    segment = HotSegment(1, None)  # type: ignore[arg-type]
    segment.add(batch, 1, 0)
    assert max(len(names) for names in segment.processes().column("aname").to_pylist()) == 16
