"""Events, rules and back-tests over the real event store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from phalanx.errors import ConflictError, NotFoundError, PermissionError_, RuleError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Role
from phalanx.model.columns import Coverage
from phalanx.model.container import Container
from phalanx.model.event import Event, Exec, Loss
from phalanx.model.process import Process
from phalanx.model.report import AgentStatus, Command, CommandResult, Report
from phalanx.services.events import width_for
from phalanx.services.hub import Services
from phalanx.store.events.flatten import flatten

T = TypeVar("T")
AGENT = "a" * 16
NOW = 1_795_000_000_000_000_000
S = 10**9
RULE = """
- rule: Test netcat
  desc: netcat ran
  condition: evt.type = execve and proc.name = nc
  output: nc ran (%proc.cmdline)
  priority: WARNING
"""


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def exec_event(
    seq: int, name: str = "nc", *, ts_ns: int | None = None, argv: tuple[str, ...] = ("-l",), container: str = "host"
) -> Exec:
    parent = Process(id="b:1:1", pid=1, start_ns=1, name="bash", exepath="/bin/bash", parent=None)  # type: ignore[arg-type]
    process = Process(
        id=f"b:{seq}:{seq}",  # type: ignore[arg-type]
        pid=seq,
        start_ns=seq,
        name=name,
        exepath=f"/usr/bin/{name}",
        argv=argv,
        user="root",
        uid=0,
        container_id=container,
        parent=parent,
    )
    ts = NOW - 100 * S + seq * 10**6 if ts_ns is None else ts_ns
    return Exec(ts_ns=ts, agent=AGENT, seq=seq, type="execve", process=process, filename=f"/usr/bin/{name}", ret=0)


def feed(services: Services, *events: Event, batch: str = "b1", covered: bool = True) -> None:
    coverage = (Coverage(kind="*", since_ns=NOW - 3_600 * S, until_ns=NOW + 1),) if covered else ()
    block = flatten(events, batch=batch, host="node-17", boot="b", agent=AGENT, coverage=coverage)

    async def story() -> None:
        first = await services.ingest.batch(block)
        again = await services.ingest.batch(block)
        assert first.acknowledged == again.acknowledged == batch

    run(story())


def test_a_batch_is_found_once_with_its_line_and_coverage(services: Services, admin: Actor) -> None:
    feed(services, *(exec_event(number, argv=("-l", str(number))) for number in range(1, 6)))
    page = run(services.events.search(admin, where="proc.name = nc", since_ns=NOW - 200 * S, until_ns=NOW))
    assert [row.what for row in page.rows] == [f"nc -l {number}" for number in (5, 4, 3, 2, 1)]
    assert page.coverage.complete
    assert page.coverage.sentence == "Complete."
    assert (page.count.value, page.count.capped, page.next) == (5, False, None)


def test_pages_of_history_walk_all_of_it(services: Services, admin: Actor) -> None:
    feed(services, *(exec_event(number) for number in range(1, 24)))
    seen: list[str] = []
    cursor = None
    while True:
        page = run(services.events.search(admin, since_ns=NOW - 200 * S, until_ns=NOW, cursor=cursor, limit=5))
        seen += [row.id for row in page.rows]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 23


def test_what_is_not_recorded_is_said(services: Services, admin: Actor) -> None:
    feed(services, exec_event(1))
    page = run(services.events.search(admin, where="proc.name = curl", since_ns=NOW - 9_000 * S, until_ns=NOW))
    assert page.rows == ()
    assert not page.coverage.complete
    assert "Not recorded before" in page.coverage.sentence


@pytest.mark.parametrize("where", ["proc.nam = x", "proc.name =", "((((", "proc.name = 'x", "\x00"])
def test_a_wrong_condition_is_told_with_its_place(services: Services, admin: Actor, where: str) -> None:
    with pytest.raises(RuleError) as told:
        run(services.events.search(admin, where=where))
    assert told.value.line == 1
    with pytest.raises(RuleError):
        services.events.subscribe(admin, where=where)


@pytest.mark.parametrize(("since", "until"), [(5, 5), (9, 3), (-1, 5), (0, 1 << 63)])
def test_a_time_that_cannot_be_is_refused(services: Services, admin: Actor, since: int, until: int) -> None:
    with pytest.raises(UsageError):
        run(services.events.search(admin, since_ns=since, until_ns=until))


def test_a_histogram_counts_every_event_and_draws_gaps_as_gaps(services: Services, admin: Actor) -> None:
    feed(services, *(exec_event(number) for number in range(1, 31)))
    bars = run(services.events.histogram(admin, since_ns=NOW - 7_200 * S, until_ns=NOW, buckets=60))
    assert sum(bar.count for bar in bars.buckets) == 30
    assert len(bars.buckets) <= 60
    assert bars.series == ("exec",)
    assert not bars.buckets[0].covered
    assert bars.buckets[-2].covered


@pytest.mark.parametrize(
    ("span", "buckets"), [(1, 1), (60 * S, 60), (86_400 * S, 48), (90 * 86_400 * S, 60), (10 * 365 * 86_400 * S, 7)]
)
def test_bars_never_exceed_what_was_asked(span: int, buckets: int) -> None:
    width = width_for(span, buckets)
    for since in (0, 1, width - 1):
        first = since - since % width
        assert len(range(first, since + span, width)) <= max(buckets, 2)


def test_facets_write_conditions_that_find_the_same(services: Services, admin: Actor) -> None:
    feed(services, exec_event(1), exec_event(2, 'we"ird \\ na'), exec_event(3, 'we"ird \\ na'))
    (facet,) = run(services.events.facets(admin, since_ns=NOW - 200 * S, until_ns=NOW, fields=("proc.name",)))
    assert [(value.value, value.count) for value in facet.values] == [('we"ird \\ na', 2), ("nc", 1)]
    for value in facet.values:
        page = run(services.events.search(admin, where=value.condition, since_ns=NOW - 200 * S, until_ns=NOW))
        assert len(page.rows) == value.count


def test_one_event_has_its_fields_container_and_findings(
    services: Services, admin: Actor, make_detection: Callable[..., Any]
) -> None:
    event = exec_event(7, container="abcdefabcdef")
    container = Container(
        id="abcdefabcdef", full_id="abcdefabcdef", since_ns=1, name="web", image="nginx:1", image_repository="nginx"
    )
    feed(services, event)
    detection = make_detection(event=event, id=f"{event.id}/R", rule="R", container=container)
    report = Report(
        report="r1", agent=AGENT, host="node-17", boot="b", sent_ns=NOW, facts=(container,), detections=(detection,)
    )
    take(services, report)
    detail = run(services.events.get(admin, event.id))
    assert detail.findings == ("F-1",)
    assert detail.row.severity == "high"
    assert detail.container is not None
    assert detail.container.name == "web"
    fields = dict(detail.fields)
    assert fields["proc.name"] == "nc"
    assert fields["container.image.repository"] == "nginx"
    assert fields["proc.pname"] == "bash"
    with pytest.raises(NotFoundError):
        run(services.events.get(admin, "nonsense"))


def take(services: Services, report: Report) -> None:
    import msgspec

    assert run(services.ingest.report(msgspec.json.encode(report))).acknowledged == report.report


def test_live_tells_what_comes_with_and_without_a_condition(services: Services, admin: Actor) -> None:
    async def story() -> None:
        every, nc = services.events.subscribe(admin), services.events.subscribe(admin, where="proc.name = nc")
        waiting = [asyncio.ensure_future(anext(every)), asyncio.ensure_future(anext(nc))]
        await asyncio.sleep(0.1)
        now = services.state.clock()
        events = [
            exec_event(1, "curl", ts_ns=now + 1),
            exec_event(2, "nc", ts_ns=now + 2),
            exec_event(3, "curl", ts_ns=now + 3),
        ]
        await services.ingest.batch(flatten(events, batch="l1", host="h", boot="b"))
        first, second = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert [row.process for row in first.rows] == ["curl", "nc", "curl"]
        assert first.id == events[-1].id
        assert [row.process for row in second.rows] == ["nc"]
        await services.ingest.batch(flatten([exec_event(4, "nc", ts_ns=now + 4)], batch="l2", host="h", boot="b"))
        again = services.events.subscribe(admin, after=events[1].id)
        resumed = await asyncio.wait_for(anext(again), 10)
        assert [row.id for row in resumed.rows][:2] == [events[2].id, exec_event(4, ts_ns=now + 4).id]
        services.events.stop()
        for stream in (every, nc, again):
            await stream.aclose()  # type: ignore[attr-defined]

    run(story())


def test_a_report_is_taken_once_whatever_it_holds(
    services: Services, admin: Actor, make_detection: Callable[..., Any]
) -> None:
    loss = Loss(
        ts_ns=NOW - S, agent=AGENT, seq=9, type="loss", process=None, count=12, cause="ring_full", since_ns=NOW - 2 * S
    )
    status = AgentStatus(version="1", started_ns=1, rules_version="old", kernel="6.18")
    living = (
        Process(id="b:1:1", pid=1, start_ns=1, name="init", ppid=None),  # type: ignore[arg-type]
        Process(id="b:9:1", pid=9, start_ns=1, name="nginx", ppid=1),  # type: ignore[arg-type]
        Process(id="b:3:1", pid=3, start_ns=1, name="loop", ppid=4),  # type: ignore[arg-type]
        Process(id="b:4:1", pid=4, start_ns=1, name="loop", ppid=3),  # type: ignore[arg-type]
    )
    report = Report(
        report="r1",
        agent=AGENT,
        host="node-17",
        boot="b",
        sent_ns=NOW,
        detections=(make_detection(),),
        losses=(loss,),
        status=status,
        processes=living,
    )
    take(services, report)
    take(services, report)
    assert run(services.findings.get(admin, "F-1")).count == 1
    health = run(services.health.view(admin))
    assert [(cause.cause, cause.count) for cause in health.agents[0].lost] == [("ring_full", 12)]
    assert not health.agents[0].rules_current
    assert run(services.health.freshness(admin)).lost == 12
    page = run(services.estate.processes(admin))
    assert [(row.pid, row.depth) for row in page.rows] == [(1, 0), (9, 1), (3, 0), (4, 0)]
    assert [process.pid for process in run(services.estate.process(admin, "b:9:1")).lineage] == [9, 1]
    assert run(services.estate.hosts(admin))[0].findings == 1


def test_an_agent_that_is_not_heard_becomes_stale_then_silent(services: Services, admin: Actor, clock: Any) -> None:
    take(services, Report(report="r1", agent=AGENT, host="node-17", boot="b", sent_ns=NOW))
    for seconds, state in ((0, "live"), (20, "stale"), (60, "silent")):
        clock.pass_(seconds)
        assert run(services.health.view(admin)).agents[0].state == state
    assert "silent" in run(services.health.view(admin)).sentence


def test_containers_page_and_end(services: Services, admin: Actor) -> None:
    facts = tuple(
        Container(id=f"{number:012x}", full_id="f", since_ns=number, name=f"c{number}", image="nginx:1")
        for number in range(1, 8)
    )
    take(services, Report(report="r1", agent=AGENT, host="node-17", boot="b", sent_ns=NOW, facts=facts))
    ended = Container(id=f"{1:012x}", full_id="f", since_ns=1, until_ns=NOW, name="c1", image="nginx:1")
    take(services, Report(report="r2", agent=AGENT, host="node-17", boot="b", sent_ns=NOW, facts=(ended,)))
    seen: list[str] = []
    cursor = None
    while True:
        page = run(services.estate.containers(admin, cursor=cursor, limit=3))
        seen += [row.container.name for row in page.rows]
        cursor = page.next
        if cursor is None:
            break
    assert seen == ["c7", "c6", "c5", "c4", "c3", "c2", "c1"]
    assert run(services.estate.container(admin, f"{1:012x}")).running is False
    (image,) = run(services.estate.images(admin))
    assert (image.running, image.seen) == (6, 7)


# --- rules ------------------------------------------------------------------------------------------


def test_a_back_test_finds_what_would_have_fired(services: Services, admin: Actor) -> None:
    feed(services, *(exec_event(number, "nc" if number % 3 else "curl") for number in range(1, 13)))
    test = run(services.rules.back_test(admin, RULE, since_ns=NOW - 3_000 * S, until_ns=NOW))
    assert (test.fires, test.before, test.refused) == (8, 0, "")
    assert test.by_actor == (("/usr/bin/nc", 8),)
    assert test.coverage.complete
    assert test.histogram is not None
    assert sum(bar.count for bar in test.histogram.buckets) == 8


def test_a_rule_text_is_checked_with_places_and_changes_nothing(services: Services, admin: Actor) -> None:
    before = run(services.rules.effective()).version
    good = run(services.rules.check(admin, RULE))
    assert (good.ok, good.rules, good.live) == (True, 1, 1)
    bad = run(services.rules.check(admin, RULE.replace("proc.name = nc", "proc.nam = nc")))
    assert not bad.ok
    assert (bad.problems[0].line, "proc.name" in bad.problems[0].hint) == (4, True)
    assert run(services.rules.effective()).version == before


def test_a_draft_goes_into_force_and_out_again(services: Services, admin: Actor) -> None:
    async def story() -> None:
        before = await services.rules.effective()
        draft = await services.rules.save_draft(admin, RULE)
        assert draft.check is not None
        assert draft.check.ok
        assert (await services.rules.effective()).version == before.version
        waiting = asyncio.ensure_future(services.rules.wait(before.version, 20))
        await asyncio.sleep(0)
        await services.rules.apply(admin, draft.id)
        told = await asyncio.wait_for(waiting, 10)
        assert told is not None
        assert told.version != before.version
        assert "Test netcat" in told.files[-1][1]
        assert (await services.rules.get(admin, "Test netcat")).row.state == "live"
        with pytest.raises(ConflictError):
            await services.rules.apply(admin, draft.id)
        with pytest.raises(ConflictError):
            await services.rules.discard(admin, draft.id)
        await services.rules.undo(admin, draft.id)
        assert (await services.rules.effective()).version == before.version
        await services.rules.discard(admin, draft.id)
        assert await services.rules.drafts(admin) == ()

    run(story())


def test_a_draft_with_errors_cannot_be_applied(services: Services, admin: Actor) -> None:
    draft = run(services.rules.save_draft(admin, RULE.replace("proc.name", "proc.nam")))
    with pytest.raises(RuleError):
        run(services.rules.apply(admin, draft.id))


def test_a_draft_whose_ground_has_moved_is_not_applied(services: Services, admin: Actor) -> None:
    one = run(services.rules.save_draft(admin, RULE))
    two = run(services.rules.save_draft(admin, RULE.replace("Test netcat", "Test other")))
    run(services.rules.apply(admin, one.id))
    with pytest.raises(ConflictError, match="back-tested"):
        run(services.rules.apply(admin, two.id))


def test_author_and_approver_are_two(services: Services, admin: Actor) -> None:
    author = Actor(name="al", roles=frozenset({Role.POLICY_AUTHOR}))
    approver = Actor(name="ap", roles=frozenset({Role.POLICY_APPROVER}))
    draft = run(services.rules.save_draft(author, RULE))
    with pytest.raises(PermissionError_):
        run(services.rules.apply(author, draft.id))
    with pytest.raises(PermissionError_):
        run(services.rules.save_draft(approver, RULE))
    run(services.rules.apply(approver, draft.id))


def test_a_rule_is_switched_off_for_the_agents_and_on_again(services: Services, admin: Actor) -> None:
    rule = run(services.rules.list(admin))[0]
    before = run(services.rules.effective()).version
    assert run(services.rules.switch(admin, rule.id, on=False)).state == "off"
    bundle = run(services.rules.effective())
    assert bundle.disabled == (rule.id,)
    assert bundle.version != before
    assert run(services.rules.switch(admin, rule.id, on=True)).state == rule.state
    assert run(services.rules.effective()).version == before


def test_narrow_drafts_an_exception_back_tests_applies_and_undoes(
    services: Services, admin: Actor, make_detection: Callable[..., Any]
) -> None:
    feed(services, exec_event(1), exec_event(2), exec_event(3, argv=("-z",)))
    base = run(services.rules.save_draft(admin, RULE))
    run(services.rules.apply(admin, base.id))
    event = exec_event(3, argv=("-z",))
    process = event.process
    assert isinstance(process, Process)
    parent = process.parent
    assert isinstance(parent, Process)
    detection = make_detection(
        event=event, id=f"{event.id}/x", rule="Test netcat", ts_ns=event.ts_ns, lineage=(process, parent)
    )
    run(services.findings.ingest([detection], host="node-17", agent=AGENT))
    draft = run(services.rules.narrow(admin, "F-1", fields=("proc.cmdline", "proc.pname")))
    assert dict(draft.fields) == {"proc.cmdline": "nc -z", "proc.pname": "bash"}
    assert (draft.still_fires, draft.silenced) == (2, 1)
    assert "proc.exepath" in dict(draft.choices)
    run(services.rules.apply(admin, draft.draft.id))
    after = run(services.rules.back_test(admin, "", rule="Test netcat", since_ns=NOW - 3_000 * S, until_ns=NOW))
    assert after.fires == 2
    assert run(services.rules.get(admin, "Test netcat")).row.changed
    run(services.rules.undo(admin, draft.draft.id))
    again = run(services.rules.back_test(admin, "", rule="Test netcat", since_ns=NOW - 3_000 * S, until_ns=NOW))
    assert again.fires == 3


def test_an_exception_made_of_hostile_text_says_just_that(
    services: Services, admin: Actor, make_detection: Callable[..., Any]
) -> None:
    nasty = ('"]\n- rule: x', "\u2028}{%", "'; --", "\x1b[2J")
    event = exec_event(3, argv=nasty)
    feed(services, event, exec_event(4))
    base = run(services.rules.save_draft(admin, RULE))
    run(services.rules.apply(admin, base.id))
    detection = make_detection(
        event=event, id=f"{event.id}/x", rule="Test netcat", ts_ns=event.ts_ns, lineage=(event.process,)
    )
    run(services.findings.ingest([detection], host="node-17", agent=AGENT))
    draft = run(services.rules.narrow(admin, "F-1", fields=("proc.cmdline",)))
    assert draft.draft.check is not None
    assert draft.draft.check.ok, draft.draft.check.problems
    assert (draft.still_fires, draft.silenced) == (1, 1)


def test_a_simulation_goes_to_the_agent_and_its_result_is_what_was_found(
    services: Services, admin: Actor, make_detection: Callable[..., Any], clock: Any
) -> None:
    async def story() -> None:
        import msgspec

        scenario = (await services.simulate.scenarios(admin))[0]
        await services.ingest.report(
            msgspec.json.encode(Report(report="r1", agent=AGENT, host="n", boot="b", sent_ns=1))
        )
        from phalanx.errors import UnavailableError

        with pytest.raises(UnavailableError, match="does not take commands"):
            await services.simulate.start(admin, (scenario.id,))
        assert await services.simulate.next_command(AGENT, 0.0) is None
        started = await services.simulate.start(admin, (scenario.id, scenario.id))
        assert [step.state for step in started.steps] == ["waiting"]
        command = await services.simulate.next_command(AGENT, 1.0)
        assert command == Command(id=started.id, what="simulate", arguments=(scenario.id,))
        began = clock.now
        await services.simulate.performed(
            AGENT, CommandResult(command=started.id, step=scenario.id, ts_ns=began, last=True)
        )
        assert (await services.simulate.run(admin, started.id)).steps[0].state == "running"
        detection = make_detection(rule=scenario.id, ts_ns=began + 40_000_000)
        await services.findings.ingest([detection], host="n", agent=AGENT)
        (step,) = (await services.simulate.run(admin, started.id)).steps
        assert (step.state, step.ms, step.finding) == ("detected", 40.0, "F-1")
        with pytest.raises(NotFoundError):
            await services.simulate.performed("b" * 16, CommandResult(command=started.id, step=scenario.id))

    run(story())


def test_the_overview_counts_what_needs_a_decision(
    services: Services, admin: Actor, make_detection: Callable[..., Any]
) -> None:
    from phalanx.model.severity import Severity

    feed(services, exec_event(1))
    run(
        services.findings.ingest(
            [
                make_detection(rule=f"R-{number}", severity=severity)
                for number, severity in enumerate([Severity.CRITICAL, Severity.MEDIUM, Severity.LOW])
            ],
            host="n",
            agent=AGENT,
        )
    )
    view = run(services.overview.view(admin))
    assert (view.decisions, len(view.top), view.hidden, view.lower) == (2, 2, 1, 0)
    assert (view.loop.seen, view.loop.detected, view.loop.open) == (1, 3, 3)
    assert sum(bar.count for bar in view.detections.buckets) == 3
    assert {change.what for change in view.changes} == {"new"}
