"""Grouping, limits and tries of one channel, on a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from phalanx.model.severity import Severity
from phalanx.respond.notify.message import Notice, Notification
from phalanx.respond.notify.queue import MAX_WAITING, RETRY_S, ChannelQueue


def notice(number: int, severity: Severity = Severity.HIGH) -> Notice:
    return Notice(finding=f"F-{number}", kind="threat", title="t", severity=severity, score=50, asset="a", what="new")


def due(queue: ChannelQueue, now: float) -> Notification | None:
    return queue.due(now, base_url="")


def test_the_first_goes_at_once_and_those_after_it_as_one() -> None:
    queue = ChannelQueue(group_s=30, per_hour=10)
    queue.offer(notice(1), 100)
    first = due(queue, 100)
    assert first is not None
    assert [item.finding for item in first.notices] == ["F-1"]
    queue.done()
    for number in (2, 3, 4):
        queue.offer(notice(number, Severity.CRITICAL if number == 3 else Severity.LOW), 101 + number)
    assert due(queue, 110) is None
    assert queue.wake_at(110) == 130
    second = due(queue, 130)
    assert second is not None
    assert [item.finding for item in second.notices] == ["F-3", "F-2", "F-4"]


def test_nothing_waits_nothing_is_sent() -> None:
    queue = ChannelQueue(group_s=30, per_hour=10)
    assert due(queue, 5) is None
    assert queue.wake_at(5) is None


def test_a_storm_is_bounded_and_counted() -> None:
    queue = ChannelQueue(group_s=30, per_hour=10)
    for number in range(1_000):
        queue.offer(notice(number), 0)
    message = due(queue, 0)
    assert message is not None
    assert len(message.notices) == MAX_WAITING
    assert message.more == 1_000 - MAX_WAITING


def test_the_hourly_limit_keeps_back_counts_and_tells_later() -> None:
    queue = ChannelQueue(group_s=0, per_hour=2)
    for number in (1, 2):
        queue.offer(notice(number), number)
        assert due(queue, number) is not None
        queue.done()
    queue.offer(notice(3), 10)
    assert due(queue, 10) is None
    queue.offer(notice(4), 20)
    assert due(queue, 20) is None
    assert queue.suppressed == 2
    queue.offer(notice(5), 3_602)
    message = due(queue, 3_602)
    assert message is not None
    assert message.suppressed == 2
    queue.done()
    queue.offer(notice(6), 7_500)
    after = due(queue, 7_500)
    assert after is not None
    assert after.suppressed == 0


def test_a_message_that_fails_is_the_same_message_again_until_it_is_given_up() -> None:
    queue = ChannelQueue(group_s=30, per_hour=10)
    queue.offer(notice(1), 0)
    message = due(queue, 0)
    assert message is not None
    now = 0.0
    for pause in RETRY_S:
        assert queue.broken(now) is False
        assert due(queue, now + pause - 0.1) is None
        now += pause
        again = due(queue, now)
        assert again is not None
        assert again.id == message.id
    queue.offer(notice(2), now)
    assert queue.broken(now) is True
    assert queue.failed == 1
    later = due(queue, now + 30)
    assert later is not None
    assert [item.finding for item in later.notices] == ["F-2"]
    assert later.failed == 1


def test_what_failed_is_told_until_a_message_arrives() -> None:
    queue = ChannelQueue(group_s=0, per_hour=100)
    queue.offer(notice(1), 0)
    assert due(queue, 0) is not None
    now = 0.0
    while not queue.broken(now):
        now += 1_000
        assert due(queue, now) is not None
    queue.offer(notice(2), now)
    told = due(queue, now)
    assert told is not None
    assert told.failed == 1
    queue.done()
    queue.offer(notice(3), now)
    after = due(queue, now)
    assert after is not None
    assert after.failed == 0


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), max_size=200))
def test_every_finding_is_sent_waiting_kept_back_or_failed(steps: list[tuple[float, bool, bool]]) -> None:
    queue = ChannelQueue(group_s=5, per_hour=3)
    now, offered, delivered = 0.0, 0, 0
    flight: Notification | None = None
    for pause, offer, works in steps:
        now += pause
        if offer:
            queue.offer(notice(offered), now)
            offered += 1
        if flight is None:
            flight = due(queue, now)
        if flight is not None:
            if works:
                delivered += len(flight.notices) + flight.more
                queue.done()
            else:
                queue.broken(now)
            flight = None
    waiting = len(queue._waiting) + queue._more
    flying = 0 if queue._flight is None else len(queue._flight.notices) + queue._flight.more
    assert offered == delivered + queue.suppressed + queue.failed + waiting + flying
