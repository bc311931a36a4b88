"""What every bus does, whatever carries it. A further member (NATS) is added to MEMBERS and has to pass."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phalanx.bus.interface import MAX_IDENTITY_BYTES, MAX_RECORD_BYTES, Bus
from phalanx.bus.memory import MemoryBus
from phalanx.bus.spool import Spool
from phalanx.errors import LimitError, UnavailableError

Open = Callable[..., Bus]

MEMBERS = ("memory", "spool")


@pytest.fixture(params=MEMBERS)
def open_bus(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    made = []

    def make(*, max_bytes: int = 1024 * 1024) -> Bus:
        if request.param == "memory":
            made.append(MemoryBus(max_bytes=max_bytes))
        else:
            made.append(Spool(tmp_path / f"spool{len(made)}", max_bytes=max_bytes))
        return made[-1]

    yield make
    for bus in made:
        bus.close()


def drain(bus: Bus) -> list[tuple[str, bytes]]:
    taken = []
    while (entry := bus.first()) is not None:
        taken.append((entry.id, entry.payload))
        assert bus.forget(entry.id)
    return taken


def test_an_empty_bus_has_no_first_record(open_bus: Open) -> None:
    bus = open_bus()
    assert bus.first() is None
    assert not bus.forget("never seen")
    assert not bus.wait(0)


def test_records_come_out_in_the_order_they_went_in(open_bus: Open) -> None:
    bus = open_bus()
    sent = [(f"id-{number}", bytes([number]) * number) for number in range(50)]
    for identity, payload in sent:
        bus.append(identity, payload)
    assert drain(bus) == sent
    assert bus.statistics().records == 0
    assert bus.statistics().forgotten == 50


def test_first_stays_until_it_is_forgotten(open_bus: Open) -> None:
    bus = open_bus()
    bus.append("a", b"1")
    bus.append("b", b"2")
    assert bus.first() == bus.first()
    assert bus.forget("a")
    assert not bus.forget("a")
    entry = bus.first()
    assert entry is not None
    assert entry.id == "b"


def test_a_record_may_be_forgotten_out_of_order(open_bus: Open) -> None:
    bus = open_bus()
    for name in "abcd":
        bus.append(name, name.encode())
    assert bus.forget("c")
    assert [identity for identity, _ in drain(bus)] == ["a", "b", "d"]


def test_the_same_id_is_kept_once_and_counted(open_bus: Open) -> None:
    bus = open_bus()
    bus.append("a", b"first")
    bus.append("a", b"second")
    assert drain(bus) == [("a", b"first")]
    assert bus.statistics().duplicates == 1
    bus.append("a", b"third")
    assert drain(bus) == [("a", b"third")]


def test_at_the_bound_the_oldest_go_and_are_counted(open_bus: Open) -> None:
    bus = open_bus(max_bytes=256 * 1024)
    payload = bytes(4096)
    for number in range(200):
        bus.append(f"id-{number}", payload)
    statistics = bus.statistics()
    kept = [identity for identity, _ in drain(bus)]
    assert statistics.dropped > 0
    assert statistics.dropped + len(kept) == 200
    assert statistics.dropped_bytes == statistics.dropped * 4096
    assert statistics.bytes <= statistics.max_bytes
    assert kept == [f"id-{number}" for number in range(200 - len(kept), 200)], "the newest are kept, in order"


def test_what_is_too_large_is_refused_and_harms_nothing(open_bus: Open) -> None:
    bus = open_bus(max_bytes=128 * 1024)
    bus.append("small", b"x")
    with pytest.raises(LimitError):
        bus.append("large", bytes(256 * 1024))
    with pytest.raises(LimitError):
        bus.append("", b"x")
    with pytest.raises(LimitError):
        bus.append("i" * (MAX_IDENTITY_BYTES + 1), b"x")
    assert MAX_RECORD_BYTES >= 64 * 1024 * 1024
    assert bus.statistics().refused == 3
    assert drain(bus) == [("small", b"x")]


def test_any_buffer_is_taken_as_it_is(open_bus: Open) -> None:
    bus = open_bus()
    bus.append("view", memoryview(b"0123456789")[2:5])
    bus.append("array", bytearray(b"abc"))
    bus.append("empty", b"")
    assert drain(bus) == [("view", b"234"), ("array", b"abc"), ("empty", b"")]


def test_a_waiting_thread_is_woken_by_a_record(open_bus: Open) -> None:
    bus = open_bus()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(bus.wait(30)))
    thread.start()
    bus.append("a", b"1")
    thread.join()
    assert seen == [True]


def test_many_senders_and_one_receiver_lose_nothing(open_bus: Open) -> None:
    bus = open_bus()
    names = [f"{sender}-{number}" for sender in range(4) for number in range(50)]

    def send(sender: int) -> None:
        for number in range(50):
            bus.append(f"{sender}-{number}", b"payload")

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in senders:
        thread.start()
    received: list[str] = []
    while len(received) < len(names):
        assert bus.wait(30)
        received += [identity for identity, _ in drain(bus)]
    for thread in senders:
        thread.join()
    assert sorted(received) == sorted(names)
    for sender in range(4):
        own = [name for name in received if name.startswith(f"{sender}-")]
        assert own == [f"{sender}-{number}" for number in range(50)]


def test_a_closed_bus_says_so(open_bus: Open) -> None:
    bus = open_bus()
    bus.close()
    bus.close()
    with pytest.raises(UnavailableError):
        bus.append("a", b"1")
    with pytest.raises(UnavailableError):
        bus.first()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.text(min_size=1, max_size=8), st.binary(max_size=64)),
            st.tuples(st.just("forget"), st.text(min_size=1, max_size=8), st.just(b"")),
        ),
        max_size=60,
    ),
)
def test_it_behaves_as_an_ordered_dictionary(open_bus: Open, steps: list[tuple[str, str, bytes]]) -> None:
    bus = open_bus()
    model: dict[str, bytes] = {}
    for step, identity, payload in steps:
        if step == "append":
            bus.append(identity, payload)
            model.setdefault(identity, payload)
        else:
            assert bus.forget(identity) == (model.pop(identity, None) is not None)
        entry = bus.first()
        assert (None if entry is None else (entry.id, entry.payload)) == next(iter(model.items()), None)
    assert drain(bus) == list(model.items())
