"""What every event store answers, wherever its events lie. A further member (ClickHouse) is added to MEMBERS and has to pass."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.event_samples import (
    AGENT,
    BOXED,
    CHILD_OF_ORPHAN,
    CURL,
    HOSTILE,
    HOUR,
    OTHER,
    SECOND,
    SHELL,
    T0,
    batch_of,
    every_kind,
    samples,
)

from phalanx.errors import CorruptError, LimitError, NotFoundError, UnavailableError, UsageError
from phalanx.language.query import EventQuery
from phalanx.model.container import Container, Mount, Pod
from phalanx.model.event import Event, Exec, Loss, Open
from phalanx.model.ids import event_id
from phalanx.model.process import Process
from phalanx.store.events.interface import Cancel, EventStore
from phalanx.store.events.log import LogEventStore
from phalanx.store.events.options import LogOptions

PHASES = ("hot", "compacted", "mixed", "reopened")
NOW = T0 + 100 * HOUR


class LogMember:
    """Opens a :class:`LogEventStore` and brings its events where a phase wants them."""

    def __init__(self, root: Path, phase: str) -> None:
        self.root = root
        self.phase = phase
        self.facts: list[tuple[str, Container]] = []
        self.store: EventStore = self.open()

    def open(self) -> LogEventStore:
        options = LogOptions(retention_s=1e9, compact_after=2)
        return LogEventStore(
            self.root, options=options, facts=lambda since, until: self.facts, clock=lambda: NOW, maintain=False
        )

    def fill(self, blocks: Sequence[bytes]) -> EventStore:
        half = len(blocks) // 2
        for number, block in enumerate(blocks):
            self.store.append(block)
            if (self.phase == "compacted" and number % 2 == 0) or (self.phase == "mixed" and number == half):
                self.seal()
        if self.phase == "compacted":
            self.seal()
        if self.phase == "reopened":
            self.store.close()
            self.store = self.open()
        return self.store

    def seal(self) -> None:
        assert isinstance(self.store, LogEventStore)
        before = self.store.statistics().hot_events
        self.store.rotate()
        deadline = time.monotonic() + 30
        while self.store.statistics().hot_events and before and time.monotonic() < deadline:
            self.store.maintain()


MEMBERS: dict[str, Callable[[Path, str], LogMember]] = {"log": LogMember}


@pytest.fixture(params=[(member, phase) for member in MEMBERS for phase in PHASES], ids="-".join)
def member(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogMember]:
    name, phase = request.param
    made = MEMBERS[name](tmp_path / "events", phase)
    yield made
    made.store.close()


@pytest.fixture(params=MEMBERS)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogMember]:
    """A member whose phase does not matter."""
    made = MEMBERS[request.param](tmp_path / "events", "hot")
    yield made
    made.store.close()


EVENTS = samples(120, step=50 * SECOND)
"""120 events over 100 minutes: three hours of the clock."""


def blocks_of(events: Sequence[Event], size: int = 15) -> list[bytes]:
    ordered = sorted(events, key=lambda event: event.ts_ns)
    chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    bounds = [*(chunk[0].ts_ns for chunk in chunks), ordered[-1].ts_ns + 1]
    return [
        batch_of(chunk, f"batch-{number}", since=bounds[number], until=bounds[number + 1])
        for number, chunk in enumerate(chunks)
    ]


def ids(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def newest_first(events: Sequence[Event]) -> list[str]:
    return [
        str(event.id) for event in sorted(events, key=lambda event: (event.ts_ns, event.agent, event.seq), reverse=True)
    ]


# --- rows ----------------------------------------------------------------------------------------------------------------


def test_rows_come_newest_first_and_are_complete(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    answer = store.query(EventQuery(limit=1000))
    assert ids(answer.rows()) == newest_first(EVENTS)
    assert answer.cursor is None
    assert answer.completeness.complete


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_neither_skip_nor_repeat(member: LogMember, order: str) -> None:
    same_instant = [
        Exec(ts_ns=T0 + 7 * SECOND, agent=AGENT, seq=1000 + number, type="execve", process=CURL) for number in range(30)
    ]
    events = [*EVENTS[:40], *same_instant]
    store = member.fill(blocks_of(events))
    seen: list[str] = []
    cursor = ""
    while True:
        answer = store.query(EventQuery(limit=7, cursor=cursor, order=order))  # type: ignore[arg-type]
        seen += ids(answer.rows())
        assert len(answer.rows()) <= 7
        if answer.cursor is None:
            break
        cursor = answer.cursor
    expected = newest_first(events)
    assert seen == (expected if order == "newest" else expected[::-1])


def test_the_end_of_the_time_is_excluded_and_its_beginning_included(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    since, until = EVENTS[10].ts_ns, EVENTS[50].ts_ns
    rows = store.query(EventQuery(since_ns=since, until_ns=until, limit=1000)).rows()
    assert ids(rows) == newest_first(EVENTS[10:50])


def test_kinds_and_agents_restrict(member: LogMember) -> None:
    theirs = samples(40, agent=OTHER, seed=5)
    store = member.fill([*blocks_of(EVENTS), batch_of(theirs, "theirs", agent=OTHER, host="host-b")])
    rows = store.query(EventQuery(kinds=("open", "connect"), agents=(OTHER,), limit=1000)).rows()
    assert ids(rows) == newest_first([event for event in theirs if event.__struct_config__.tag in ("open", "connect")])
    assert {row["host"] for row in rows} == {"host-b"}
    assert store.query(EventQuery(agents=("nobody",))).rows() == []


def test_a_row_shows_its_process_parent_and_descriptor(member: LogMember) -> None:
    event = Open(ts_ns=T0, agent=AGENT, seq=1, type="openat", ret=3, process=CURL, name="x")
    store = member.fill([batch_of([event], "one")])
    fields = (
        "proc_name",
        "proc_cmdline",
        "proc_args",
        "pproc_name",
        "pproc_cmdline",
        "aname",
        "apid",
        "acmdline",
        "proc_argv",
        "proc_cap_effective",
        "ret",
    )
    row = store.query(EventQuery(fields=fields)).rows()[0]
    assert row == {
        "id": event.id,
        "ts_ns": T0,
        "proc_name": "curl",
        "proc_cmdline": CURL.cmdline,
        "proc_args": CURL.args,
        "pproc_name": "bash",
        "pproc_cmdline": "bash -l",
        "aname": ["bash", "systemd"],
        "apid": [40, 1],
        "acmdline": ["bash -l", "systemd"],
        "proc_argv": list(CURL.argv),
        "proc_cap_effective": 2**40,
        "ret": 3,
    }


def test_unknown_and_absent_processes_are_told_apart(member: LogMember) -> None:
    events = [
        Exec(ts_ns=T0, agent=AGENT, seq=0, type="execve"),
        Loss(ts_ns=T0 + 1, agent=AGENT, seq=1, type="loss", process=None, cause="x"),
        Exec(ts_ns=T0 + 2, agent=AGENT, seq=2, type="execve", process=CURL),
        Exec(ts_ns=T0 + 3, agent=AGENT, seq=3, type="execve", process=CHILD_OF_ORPHAN),
        Exec(ts_ns=T0 + 4, agent=AGENT, seq=4, type="execve", process=CHILD_OF_ORPHAN.parent),  # type: ignore[arg-type]
    ]
    store = member.fill([batch_of(events, "one")])
    fields = ("proc_unknown", "pproc_unknown", "lineage_unknown", "container_unknown", "aname")
    rows = store.query(EventQuery(fields=fields, order="oldest")).rows()
    told = [tuple(row[field] for field in fields) for row in rows]
    assert told == [
        (True, True, True, True, None),
        (False, False, False, False, None),
        (False, False, False, False, ["bash", "systemd"]),
        (False, False, True, False, ["orphan"]),
        (False, True, True, False, []),
    ]


# --- text -----------------------------------------------------------------------------------------------------------------


def test_text_is_found_whatever_its_case_and_never_interpreted(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))

    def holds(event: Event, text: str) -> bool:
        texts = [getattr(event, name, None) for name in ("name", "filename", "oldpath", "newpath", "addr")]
        texts.append(event.fd.name if event.fd is not None else None)
        if isinstance(event.process, Process):
            texts += [
                event.process.cmdline,
                event.process.exepath,
                event.process.user,
                event.process.cwd,
                event.process.container_id,
            ]
        return any(text.lower() in value.lower() for value in texts if value is not None)

    for text in ("FILE3", "10.0.0.1/X", "/usr/sbin/nginx", HOSTILE.strip()[:20], "%_\\", "\U0001f4a5", "no such thing"):
        rows = store.query(EventQuery(text=text, limit=1000)).rows()
        assert ids(rows) == newest_first([event for event in EVENTS if holds(event, text)]), text


def test_hostile_names_of_agent_and_host_are_data(member: LogMember) -> None:
    hostile = "a'\"; DROP--\x00\n"
    event = Exec(ts_ns=T0, agent=hostile, seq=1, type="execve", process=CURL)
    store = member.fill([batch_of([event], "b'\"; --", agent=hostile, host=hostile)])
    row = store.query(EventQuery(agents=(hostile,), fields=("agent", "host"))).rows()[0]
    assert (row["agent"], row["host"]) == (hostile, hostile)


# --- counting -------------------------------------------------------------------------------------------------------------


def test_groups_are_counted_commonest_first(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    rows = store.query(EventQuery(group_by=("kind", "proc_name"))).rows()
    expected = Counter(
        (event.__struct_config__.tag, event.process.name if isinstance(event.process, Process) else None)
        for event in EVENTS
    )
    assert {(row["kind"], row["proc_name"]): row["count"] for row in rows} == dict(expected)
    counts = [row["count"] for row in rows]
    assert counts == sorted(counts, reverse=True)
    top = store.query(EventQuery(group_by=("kind",), top_n=2)).rows()
    assert [row["count"] for row in top] == [
        count for _, count in Counter(event.__struct_config__.tag for event in EVENTS).most_common(2)
    ]


def test_a_histogram_begins_at_multiples_of_its_bucket(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    width = 600 * SECOND
    rows = store.query(EventQuery(bucket_ns=width, order="oldest")).rows()
    expected = Counter(event.ts_ns // width * width for event in EVENTS)
    assert [(row["bucket_ns"], row["count"]) for row in rows] == sorted(expected.items())


def test_a_histogram_by_group_has_the_commonest_groups(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    rows = store.query(EventQuery(bucket_ns=HOUR, group_by=("kind",), top_n=2, limit=1000)).rows()
    top = [kind for kind, _ in Counter(event.__struct_config__.tag for event in EVENTS).most_common(2)]
    expected = Counter(
        (event.ts_ns // HOUR * HOUR, event.__struct_config__.tag)
        for event in EVENTS
        if event.__struct_config__.tag in top
    )
    assert {(row["bucket_ns"], row["kind"]): row["count"] for row in rows} == dict(expected)


# --- one event ------------------------------------------------------------------------------------------------------------


def test_one_event_comes_back_as_it_was_with_all_its_ancestors(member: LogMember) -> None:
    chain = SHELL
    for number in range(12):
        chain = Process(id=f"b007:{200 + number}:1", pid=200 + number, start_ns=1, name=f"p{number}", parent=chain)  # type: ignore[arg-type]
    deep = Exec(ts_ns=T0 + 9, agent=AGENT, seq=77, type="execve", process=chain)
    events = [*every_kind(), *EVENTS[20:30], deep]
    store = member.fill([batch_of(events, "one"), *blocks_of(EVENTS[40:])])
    for event in events:
        assert store.get(event.id) == event


def test_an_event_that_is_not_stored_is_not_found(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    for wrong in (
        event_id(T0, AGENT, 4711),
        event_id(T0, OTHER, 0),
        event_id(T0 + 1, AGENT, 0),
        "nonsense",
        "",
        "0" * 16 + "-x-" + "0" * 12,
    ):
        with pytest.raises(NotFoundError):
            store.get(wrong)


# --- containers -----------------------------------------------------------------------------------------------------------


def test_container_facts_hold_for_their_time_only(member: LogMember) -> None:
    def fact(image: str, since: int, until: int | None, **more: Any) -> Container:
        return Container(
            id="c0ffee012345", full_id="c0ffee012345" + "0" * 52, since_ns=since, until_ns=until, image=image, **more
        )

    mount = Mount(source="/", destination="/host", writable=False, mode="ro")
    pod = Pod(name="web-1", namespace="shop", labels={"app": "web", "tier": "front"})
    member.facts += [
        ("host-a", fact("first", T0 + 10, None, name="one", mounts=(mount,), pod=pod)),
        ("host-a", fact("second", T0 + 20, T0 + 30)),
        ("host-b", fact("elsewhere", 0, None)),
    ]
    events: list[Event] = [
        Exec(ts_ns=T0 + offset, agent=AGENT, seq=offset, type="execve", process=BOXED)
        for offset in (5, 10, 15, 20, 29, 30)
    ]
    events.append(Exec(ts_ns=T0 + 40, agent=AGENT, seq=40, type="execve", process=CURL))
    store = member.fill([batch_of(events, "one")])
    fields = (
        "container_unknown",
        "container_image",
        "container_mount_destination",
        "container_mount_writable",
        "k8s_pod_name",
        "k8s_label_values",
    )
    rows = store.query(EventQuery(fields=fields, order="oldest")).rows()
    assert [(row["container_unknown"], row["container_image"]) for row in rows] == [
        (True, None),
        (False, "first"),
        (False, "first"),
        (False, "second"),
        (False, "second"),
        (True, None),
        (False, None),
    ]
    assert (rows[1]["container_mount_destination"], rows[1]["container_mount_writable"]) == (["/host"], [False])
    assert (rows[1]["k8s_pod_name"], rows[1]["k8s_label_values"]) == ("web-1", ["web", "front"])
    assert rows[3]["k8s_pod_name"] is None


def test_a_fact_that_comes_late_is_seen_by_the_next_question(member: LogMember) -> None:
    event = Exec(ts_ns=T0, agent=AGENT, seq=0, type="execve", process=BOXED)
    store = member.fill([batch_of([event], "one")])
    question = EventQuery(fields=("container_unknown", "container_name"))
    assert store.query(question).rows()[0]["container_unknown"]
    member.facts.append(("host-a", Container(id="c0ffee012345", full_id="c0ffee012345", since_ns=T0, name="late")))
    assert store.query(question).rows()[0]["container_name"] == "late"


# --- completeness ---------------------------------------------------------------------------------------------------------


def test_an_empty_store_never_claims_to_be_complete(fresh: LogMember) -> None:
    answer = fresh.store.query(EventQuery(since_ns=T0, until_ns=T0 + HOUR))
    assert answer.rows() == []
    assert not answer.completeness.complete
    assert answer.completeness.recorded_since_ns is None


def test_not_recorded_before_is_said(member: LogMember) -> None:
    store = member.fill(blocks_of(EVENTS))
    end = EVENTS[-1].ts_ns + 1
    told = store.query(EventQuery(since_ns=T0 - HOUR, until_ns=end)).completeness
    assert not told.complete
    assert told.recorded_since_ns == T0
    assert [(gap.since_ns, gap.until_ns) for gap in told.gaps] == [(T0 - HOUR, T0)]
    assert store.query(EventQuery(since_ns=T0, until_ns=end)).completeness.complete


def test_a_hole_in_the_record_is_a_gap(member: LogMember) -> None:
    first, second = samples(5), samples(5, start=T0 + 2 * HOUR, first_seq=5)
    until = T0 + 2 * HOUR + 5 * SECOND
    store = member.fill([batch_of(first, "one", until=T0 + HOUR), batch_of(second, "two", until=until)])
    told = store.query(EventQuery(since_ns=T0, until_ns=until)).completeness
    assert not told.complete
    assert [(gap.agent, gap.since_ns, gap.until_ns) for gap in told.gaps] == [(AGENT, T0 + HOUR, T0 + 2 * HOUR)]
    assert told.recorded_since_ns == T0 + 2 * HOUR
    assert store.query(EventQuery(since_ns=T0 + 2 * HOUR, until_ns=until)).completeness.complete


def test_every_agent_in_question_must_have_recorded(member: LogMember) -> None:
    ours = batch_of(samples(5), "ours", until=T0 + HOUR)
    theirs = batch_of(samples(5, agent=OTHER, start=T0 + HOUR // 2), "theirs", agent=OTHER, until=T0 + HOUR)
    store = member.fill([ours, theirs])
    assert store.query(EventQuery(since_ns=T0, until_ns=T0 + HOUR, agents=(AGENT,))).completeness.complete
    told = store.query(EventQuery(since_ns=T0, until_ns=T0 + HOUR)).completeness
    assert not told.complete
    assert told.recorded_since_ns == T0 + HOUR // 2


def test_coverage_of_one_kind_says_nothing_of_another(member: LogMember) -> None:
    store = member.fill([batch_of(samples(5), "one", until=T0 + HOUR, kind="exec")])
    assert store.completeness(EventQuery(since_ns=T0, until_ns=T0 + HOUR, kinds=("exec",))).complete
    assert not store.completeness(EventQuery(since_ns=T0, until_ns=T0 + HOUR, kinds=("open",))).complete
    assert not store.completeness(EventQuery(since_ns=T0, until_ns=T0 + HOUR)).complete


def test_losses_of_the_time_are_counted_and_make_it_incomplete(member: LogMember) -> None:
    events: list[Event] = [
        *samples(5),
        Loss(
            ts_ns=T0 + 6 * SECOND,
            agent=AGENT,
            seq=6,
            type="loss",
            process=None,
            count=30,
            cause="ring_full",
            since_ns=T0 + 5 * SECOND,
        ),
        Loss(
            ts_ns=T0 + 7 * SECOND,
            agent=AGENT,
            seq=7,
            type="loss",
            process=None,
            count=None,
            cause="agent_restart",
            since_ns=T0 + 6 * SECOND,
        ),
    ]
    store = member.fill([batch_of(events, "one", until=T0 + HOUR)])
    told = store.query(EventQuery(since_ns=T0, until_ns=T0 + HOUR)).completeness
    assert (told.complete, told.lost, told.lost_unknown) == (False, 30, True)
    later = store.query(EventQuery(since_ns=T0 + 10 * SECOND, until_ns=T0 + HOUR)).completeness
    assert (later.complete, later.lost) == (True, 0)


def test_time_after_the_last_report_is_not_claimed(member: LogMember) -> None:
    store = member.fill([batch_of(samples(5), "one", until=T0 + HOUR)])
    told = store.query(EventQuery(since_ns=T0, until_ns=T0 + 3 * HOUR)).completeness
    assert told.recorded_until_ns == T0 + HOUR


# --- appending ------------------------------------------------------------------------------------------------------------


def test_the_same_batch_again_is_acknowledged_and_not_stored_again(member: LogMember) -> None:
    blocks = blocks_of(EVENTS)
    store = member.fill(blocks)
    for block in blocks:
        ack = store.append(block)
        assert ack.duplicate
    assert store.statistics().events == len(EVENTS)
    assert store.statistics().duplicates == len(blocks)


def test_another_agent_may_use_the_same_batch_id(fresh: LogMember) -> None:
    fresh.store.append(batch_of(samples(3), "same"))
    ack = fresh.store.append(batch_of(samples(3, agent=OTHER), "same", agent=OTHER))
    assert not ack.duplicate
    assert fresh.store.statistics().events == 6


def test_a_batch_without_events_carries_its_coverage(member: LogMember) -> None:
    store = member.fill([batch_of([], "quiet", since=T0, until=T0 + HOUR)])
    assert store.query(EventQuery(since_ns=T0, until_ns=T0 + HOUR)).completeness.complete
    assert store.query(EventQuery()).rows() == []


def test_late_events_are_found_at_their_time(member: LogMember) -> None:
    late = samples(10, start=T0 - 30 * HOUR, first_seq=9000, seed=3)
    store = member.fill([*blocks_of(EVENTS), batch_of(late, "late")])
    rows = store.query(EventQuery(until_ns=T0, limit=1000)).rows()
    assert ids(rows) == newest_first(late)
    assert ids(store.query(EventQuery(limit=1000)).rows()) == newest_first([*EVENTS, *late])


def test_threads_append_while_others_ask_and_nothing_is_missing(fresh: LogMember) -> None:
    store = fresh.store
    failures: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        last = 0
        try:
            while not done.is_set():
                rows = store.query(EventQuery(group_by=("agent",))).rows()
                total = sum(row["count"] for row in rows)
                assert total >= last, "what was seen once stays"
                last = total
        except BaseException as error:
            failures.append(error)

    asker = threading.Thread(target=ask)
    asker.start()

    def send(number: int) -> None:
        for part in range(10):
            store.append(
                batch_of(
                    samples(20, first_seq=part * 20, agent=f"agent{number}", seed=number),
                    f"{part}",
                    agent=f"agent{number}",
                )
            )

    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in senders:
        thread.start()
    for number in range(4):
        senders[number].join()
        store.rotate()  # type: ignore[attr-defined]
        store.maintain()  # type: ignore[attr-defined]
    done.set()
    asker.join()
    assert not failures
    rows = store.query(EventQuery(group_by=("agent",))).rows()
    assert {row["agent"]: row["count"] for row in rows} == {f"agent{number}": 200 for number in range(4)}


# --- the live tail --------------------------------------------------------------------------------------------------------


def test_the_tail_gives_what_came_since(fresh: LogMember) -> None:
    store = fresh.store
    store.append(batch_of(samples(3), "one"))
    table, position, skipped = store.tail(0)
    assert (table.num_rows, skipped) == (0, 0)
    assert not store.wait(position, 0)
    fresh_events = samples(4, start=T0 + HOUR, first_seq=10)
    store.append(batch_of(fresh_events, "two"))
    assert store.wait(position, 30)
    table, after, skipped = store.tail(position, columns=("id", "proc_name", "container_unknown"))
    assert [row["id"] for row in table.to_pylist()] == newest_first(fresh_events)[::-1]
    assert after > position
    assert store.tail(after)[0].num_rows == 0


def test_the_tail_gives_the_newest_and_counts_the_rest(fresh: LogMember) -> None:
    store = fresh.store
    store.append(batch_of(samples(1), "zero"))
    _, position, _ = store.tail(0)
    events = samples(60, start=T0 + HOUR, first_seq=10)
    for number in range(6):
        store.append(batch_of(events[number * 10 : number * 10 + 10], f"b{number}"))
    table, _, skipped = store.tail(position, columns=("id",), limit=25)
    assert [row["id"] for row in table.to_pylist()] == newest_first(events)[:25][::-1]
    assert skipped == 35


# --- refusing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        EventQuery(limit=0),
        EventQuery(limit=100_000),
        EventQuery(cursor="nonsense"),
        EventQuery(cursor="WzEsMl0"),
        EventQuery(group_by=("kind", "kind", "kind", "kind", "kind")),
        EventQuery(since_ns=5, until_ns=4),
        EventQuery(bucket_ns=-1),
        EventQuery(text="x" * 5000),
    ],
)
def test_a_wrong_question_is_refused(fresh: LogMember, question: EventQuery) -> None:
    with pytest.raises(UsageError):
        fresh.store.query(question)


def test_a_broken_batch_is_refused_and_nothing_of_it_kept(fresh: LogMember) -> None:
    block = batch_of(samples(5), "one")
    for broken in (b"", b"x" * 100, block[:-200], block[:20], b"PHXCOL\x00\x02" + block[8:]):
        with pytest.raises((CorruptError, LimitError)):
            fresh.store.append(broken)
    assert fresh.store.statistics().events == 0
    assert fresh.store.append(block).rows == 5


def test_a_cancelled_question_ends(fresh: LogMember) -> None:
    fresh.store.append(batch_of(samples(5), "one"))
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(LimitError, match="cancelled"):
        fresh.store.query(EventQuery(), cancel=cancel)
    late = Cancel()
    assert len(fresh.store.query(EventQuery(), cancel=late).rows()) == 5, "the store goes on"
    late.cancel()


def test_a_question_that_takes_too_long_is_ended_with_advice(fresh: LogMember) -> None:
    for number in range(40):
        fresh.store.append(batch_of(samples(500, step=1000, first_seq=number * 500), f"batch-{number}"))
    with pytest.raises(LimitError, match="longer than") as caught:
        fresh.store.query(
            EventQuery(text="zzzz", group_by=("id", "fd_name", "proc_cmdline"), limit=10_000), time_limit_s=1e-6
        )
    assert caught.value.hint
    assert fresh.store.statistics().events == 20_000


def test_a_closed_store_says_so(fresh: LogMember) -> None:
    fresh.store.close()
    fresh.store.close()
    with pytest.raises(UnavailableError):
        fresh.store.append(batch_of(samples(1), "one"))
    with pytest.raises(UnavailableError):
        fresh.store.query(EventQuery())
