"""The small parts: broadcasts, limits, cursors."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.errors import LimitError, UsageError
from phalanx.services.limits import Bucket, RateLimitError, Window
from phalanx.services.live import MAX_LISTENERS, Broadcast
from phalanx.services.paging import bounded_limit, decode_cursor, encode_cursor


def test_a_slow_listener_loses_the_oldest_and_knows_how_many() -> None:
    broadcast: Broadcast[int] = Broadcast(keep=100, queue=4)
    slow = broadcast.subscribe()
    for number in range(10):
        broadcast.publish(number)
    assert [item.item for item in slow.take()] == [6, 7, 8, 9]
    assert slow.dropped == 6
    assert broadcast.dropped == 6


def test_who_comes_back_gets_what_it_missed_as_far_as_it_is_kept() -> None:
    broadcast: Broadcast[str] = Broadcast(keep=3, queue=10)
    for text in "abcdef":
        broadcast.publish(text)
    assert [item.item for item in broadcast.subscribe(4).take()] == ["e", "f"]
    late = broadcast.subscribe(1)
    assert [item.item for item in late.take()] == ["d", "e", "f"]
    assert late.dropped == 2
    assert broadcast.subscribe(None).take() == []


def test_a_listener_of_a_former_process_gets_all_that_is_kept() -> None:
    former: Broadcast[str] = Broadcast(start=1_000)
    last = former.publish("x")
    now: Broadcast[str] = Broadcast(start=5_000)
    now.publish("missed")
    back = now.subscribe(last)
    assert [item.item for item in back.take()] == ["missed"]
    assert back.dropped == 0


def test_listeners_are_bounded_and_leave() -> None:
    broadcast: Broadcast[int] = Broadcast()
    held = [broadcast.subscribe() for _ in range(MAX_LISTENERS)]
    with pytest.raises(LimitError):
        broadcast.subscribe()
    held[0].close()
    held[0].close()
    broadcast.subscribe()
    assert broadcast.listeners == MAX_LISTENERS


def test_the_end_reaches_every_listener_also_a_late_one() -> None:
    async def story() -> None:
        broadcast: Broadcast[int] = Broadcast()
        waiting = broadcast.subscribe()

        async def read() -> list[int]:
            return [item.item async for batch in waiting.batches() for item in batch]

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        broadcast.publish(1)
        broadcast.close()
        assert await asyncio.wait_for(task, 5) == [1]
        assert [batch async for batch in broadcast.subscribe().batches()] == []

    asyncio.run(story())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_window_refuses_until_the_oldest_failure_has_passed() -> None:
    clock = Clock()
    window = Window(most=3, seconds=60, clock=clock)
    for second in (0, 10, 20):
        clock.now = second
        window.check("ann")
        window.fail("ann")
    with pytest.raises(RateLimitError) as told:
        window.check("ann")
    assert told.value.retry_after_s == 40
    window.check("bob")
    clock.now = 61
    window.check("ann")
    window.forget("ann")
    window.check("ann")


def test_a_window_forgets_the_oldest_key_and_stays_small() -> None:
    window = Window(most=1, seconds=60, clock=Clock(), keys=10)
    for number in range(1_000):
        window.fail(str(number))
    window.check("0")
    with pytest.raises(RateLimitError):
        window.check("999")
    assert len(window._failures) == 10


def test_a_bucket_lets_a_burst_through_and_then_a_rate() -> None:
    clock = Clock()
    bucket = Bucket(rate=2, burst=5, clock=clock)
    for _ in range(5):
        bucket.take("t")
    with pytest.raises(RateLimitError):
        bucket.take("t")
    bucket.take("other")
    clock.now = 1.0
    bucket.take("t")
    bucket.take("t")
    with pytest.raises(RateLimitError):
        bucket.take("t")


@given(st.text(max_size=20), st.integers(-(2**62), 2**62), st.text(max_size=50))
def test_a_cursor_comes_back_as_it_was(order: str, number: int, text: str) -> None:
    cursor = encode_cursor(order, (number, text))
    assert decode_cursor(cursor, order, (int, str)) == (number, text)
    with pytest.raises(UsageError):
        decode_cursor(cursor, order + "x", (int, str))
    with pytest.raises(UsageError):
        decode_cursor(cursor, order, (str, int))


@given(st.text(max_size=200))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        decode_cursor(text, "-risk", (int, int))
    except UsageError:
        return


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_limit_is_a_limit(limit: int) -> None:
    with pytest.raises(UsageError):
        bounded_limit(limit)
