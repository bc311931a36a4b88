"""The engine: at once, undecided, decided later, reloaded, bounded."""

from __future__ import annotations

import threading

import pytest

from phalanx.detect import Engine
from phalanx.detect import engine as engine_module
from phalanx.errors import RuleError
from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.model.container import Container
from phalanx.model.event import Exec
from phalanx.model.process import Process
from phalanx.model.severity import Severity
from phalanx.model.values import UNKNOWN

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


def rules(*conditions: str, names: tuple[str, ...] = ()) -> RuleSet:
    text = "".join(
        f"- rule: {names[number] if names else f'R{number}'}\n  desc: d\n  condition: evt.type = execve and {condition}\n"
        "  output: '%proc.name in %container.id'\n"
        "  priority: CRITICAL\n  tags: [T1059]\n"
        for number, condition in enumerate(conditions)
    )
    return load_rules([RuleSource("r", text)])


def started(seq: int = 1, container: str = "host", **more: object) -> Exec:
    process = Process(
        **{
            "id": f"b:{seq}:1",
            "pid": seq,
            "start_ns": 1,
            "name": "bash",
            "container_id": container,
            "parent": None,
            **more,
        }
    )  # type: ignore[arg-type]
    return Exec(ts_ns=1_700_000_000 * SECOND, agent="a", seq=seq, type="execve", process=process)


def fact(image: str = "nginx", container: str = "abc") -> Container:
    return Container(id=container, full_id=container * 4, since_ns=1_600_000_000 * SECOND, image_repository=image)


IMAGE = "container.image.repository = nginx"


def test_a_detection_says_what_where_and_why() -> None:
    (found,) = Engine(rules("proc.name = bash"), clock=Clock()).feed(started())
    assert (found.id, found.severity, found.priority, found.techniques) == (
        f"{started().id}/R0",
        Severity.CRITICAL,
        "CRITICAL",
        ("T1059",),
    )
    assert found.output == "bash in host"
    assert [match.field for match in found.matches] == ["evt.type", "proc.name"]
    assert [process.name for process in found.lineage] == ["bash"]
    assert not found.waited


def test_a_rule_that_waits_for_facts_fires_when_they_come() -> None:
    clock = Clock()
    engine = Engine(rules(IMAGE), clock=clock)
    assert engine.feed(started(container="abc")) == []
    clock.now += SECOND // 5
    (found,) = engine.facts_arrived(fact())
    assert found.waited
    assert found.container == fact()
    assert found.decided_ns - found.ts_ns == SECOND // 5
    assert engine.tick(clock.now + SECOND) == []
    assert engine.statistics().undecided == 0


def test_after_half_a_second_it_is_recorded_as_undecided_and_still_decided_within_a_minute() -> None:
    clock = Clock()
    engine = Engine(rules(IMAGE, "container.privileged = true"), clock=clock)
    engine.feed(started(container="abc"))
    assert engine.tick(clock.now + SECOND // 2 - 1) == []
    clock.now += SECOND // 2
    records = engine.tick()
    assert [(record.rule, record.container, record.decided) for record in records] == [
        ("R0", "abc", None),
        ("R1", "abc", None),
    ]
    assert engine.tick() == [], "told once"
    clock.now += 30 * SECOND
    (late,) = engine.facts_arrived(fact())
    assert late.rule == "R0"
    statistics = engine.statistics()
    assert (statistics.undecided, statistics.waiting) == (2, 0)
    assert [record.decided for record in statistics.recent_undecided] == [True, False]
    assert [(rule.matched, rule.undecided, rule.waited) for rule in statistics.rules] == [(1, 1, 1), (0, 1, 0)]


def test_after_a_minute_the_event_is_let_go() -> None:
    clock = Clock()
    engine = Engine(rules(IMAGE), clock=clock)
    engine.feed(started(container="abc"))
    clock.now += 61 * SECOND
    engine.tick()
    assert engine.facts_arrived(fact()) == []
    assert (engine.statistics().waiting, engine.statistics().undecided) == (0, 1)


def test_no_alert_rests_on_what_is_not_known_and_facts_of_another_container_decide_nothing() -> None:
    engine = Engine(rules(f"not {IMAGE}", IMAGE), clock=Clock())
    assert engine.feed(started(container="abc")) == []
    assert engine.facts_arrived(fact(container="def")) == []
    assert [found.rule for found in engine.facts_arrived(fact("redis"))] == ["R0"]


def test_facts_that_are_there_already_are_used_at_once() -> None:
    engine = Engine(rules(IMAGE), clock=Clock(), facts=lambda container, _: fact() if container == "abc" else UNKNOWN)
    assert [found.waited for found in engine.feed(started(container="abc"))] == [False]
    assert engine.feed(started(2, container="def")) == []
    assert engine.statistics().waiting == 1


def test_an_event_of_an_unknown_process_is_recorded_too() -> None:
    clock = Clock()
    engine = Engine(rules("proc.name = bash"), clock=clock)
    engine.feed(Exec(ts_ns=clock.now, agent="a", seq=1, type="execve"))
    clock.now += SECOND
    (record,) = engine.tick()
    assert (record.rule, record.container) == ("R0", "")


def test_too_many_waiting_events_push_out_the_oldest_which_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_WAITING", 10)
    engine = Engine(rules(IMAGE), clock=Clock())
    for seq in range(1, 26):
        engine.feed(started(seq, container="abc"))
    statistics = engine.statistics()
    assert (statistics.waiting, statistics.dropped, statistics.undecided) == (10, 15, 15)
    assert [found.event.seq for found in engine.facts_arrived(fact())] == list(range(16, 26))


def test_a_rule_set_with_an_error_changes_nothing() -> None:
    engine = Engine(rules("proc.name = bash"), clock=Clock())
    with pytest.raises(RuleError, match="no field"):
        engine.reload(rules("proc.nmae = bash"))
    assert len(engine.feed(started())) == 1


def test_a_reload_takes_waiting_events_along() -> None:
    engine = Engine(rules(IMAGE, "container.image.repository = gone", names=("kept", "removed")), clock=Clock())
    engine.feed(started(container="abc"))
    engine.reload(rules("container.image.repository = redis", names=("kept",)))
    assert [found.rule for found in engine.facts_arrived(fact("redis"))] == ["kept"]
    assert engine.statistics().reloads == 1


def test_reloads_from_another_thread_lose_no_event() -> None:
    engine = Engine(rules("proc.name = bash"), clock=Clock())
    sets = [rules("proc.name = bash", f"proc.name = other{number}") for number in range(6)]
    stop = threading.Event()

    def reload_all() -> None:
        number = 0
        while not stop.is_set():
            engine.reload(sets[number % len(sets)])
            number += 1

    thread = threading.Thread(target=reload_all)
    thread.start()
    try:
        found = sum(len(engine.feed(started(seq))) for seq in range(1, 3001))
    finally:
        stop.set()
        thread.join()
    assert found == 3000
    assert engine.statistics().rules[0].matched == 3000


def test_statistics_count_what_each_rule_was_asked() -> None:
    engine = Engine(rules("proc.name = bash", "proc.name = zsh"), clock=Clock())
    for seq in range(1, 101):
        engine.feed(started(seq))
    first, second = engine.statistics().rules
    assert (first.evaluated, first.matched, second.evaluated, second.matched) == (100, 100, 100, 0)
    assert first.last_match_ns == started().ts_ns
