"""Detections become findings: the same statement once, its history kept, its judgement by people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import pytest

from phalanx.errors import ConflictError, NotFoundError, PermissionError_, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Role
from phalanx.model.container import Container, Pod
from phalanx.model.evidence import ProcessTree, RuleMatch, SeenEvent
from phalanx.model.finding import Finding, State
from phalanx.model.severity import Severity
from phalanx.services.findings import FindingChange, FindingFilter
from phalanx.services.hub import Services

T = TypeVar("T")
Make = Callable[..., Any]
S = 10**9


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def ingest(services: Services, *detections: Any, host: str = "node-17") -> tuple[str, ...]:
    return run(services.findings.ingest(detections, host=host, agent="a" * 16))


def get(services: Services, admin: Actor, identifier: str) -> Finding:
    return run(services.findings.get(admin, identifier))


def test_one_detection_is_one_finding_with_story_risk_and_evidence(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    (identifier,) = ingest(services, make_detection())
    finding = get(services, admin, identifier)
    assert finding.id == "F-1"
    assert finding.state is State.OPEN
    assert "nc (pid" in finding.story
    assert "node-17" in finding.story
    assert "started by bash" in finding.story
    assert finding.risk.score > 0
    assert {reason.term for reason in finding.risk.reasons} >= {"rule_high", "on_host", "root"}
    assert [type(item) for item in finding.evidence] == [RuleMatch, ProcessTree, SeenEvent]
    assert [entry.what for entry in finding.history] == ["new"]


def test_the_same_again_counts_and_makes_no_second_finding(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    first = ingest(services, make_detection(), make_detection())
    second = ingest(services, make_detection())
    assert set(first + second) == {"F-1"}
    assert get(services, admin, "F-1").count == 3


def test_a_detection_delivered_twice_counts_once(services: Services, admin: Actor, make_detection: Make) -> None:
    detection = make_detection()
    assert ingest(services, detection) == ingest(services, detection) == ("F-1",)
    assert ingest(services, detection, detection) == ("F-1", "F-1")
    assert get(services, admin, "F-1").count == 1


def test_another_rule_program_or_host_is_another_finding(services: Services, make_detection: Make) -> None:
    found = ingest(
        services, make_detection(), make_detection(rule="PHX-EXE-002"), make_detection(exepath="/usr/bin/ncat")
    )
    other = ingest(services, make_detection(), host="node-18")
    assert (*found, *other) == ("F-1", "F-2", "F-3", "F-4")


def test_pods_of_one_deployment_are_one_finding(services: Services, admin: Actor, make_detection: Make) -> None:
    def of(identifier: str, pod: str) -> Any:
        container = Container(id=identifier, full_id=identifier, since_ns=1, pod=Pod(name=pod, namespace="shop"))
        return make_detection(container_id=identifier, container=container)

    found = ingest(
        services, of("aaaaaaaaaaaa", "api-7d9c5b6f8d-x2x7k"), of("bbbbbbbbbbbb", "api-7d9c5b6f8d-9zk2w"), host="n1"
    )
    assert found == ("F-1", "F-1")
    finding = get(services, admin, "F-1")
    assert finding.asset.name == "shop/api"
    assert ("pod", "shop/api-7d9c5b6f8d-x2x7k") in {(entity.kind, entity.key) for entity in finding.entities}


def test_evidence_is_bounded_and_keeps_the_beginning_and_the_end(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    for start in range(0, 60, 20):
        ingest(services, *(make_detection(argv=(str(start + number),)) for number in range(20)))
    finding = get(services, admin, "F-1")
    seen = [item.event.process.argv[0] for item in finding.evidence if isinstance(item, SeenEvent)]  # type: ignore[union-attr]
    assert seen == ["0", "1", "2", "3", "56", "57", "58", "59"]
    assert finding.count == 60


def test_a_huge_lineage_is_cut_and_says_so(services: Services, admin: Actor, make_detection: Make) -> None:
    detection = make_detection()
    fat = tuple(
        msgspec.structs.replace(process, argv=tuple("x" * 1_000 for _ in range(60))) for process in detection.lineage
    )
    ingest(services, msgspec.structs.replace(detection, lineage=fat))
    finding = get(services, admin, "F-1")
    tree = next(item for item in finding.evidence if isinstance(item, ProcessTree))
    assert tree.cut_from is not None
    assert len(msgspec.json.encode(finding)) < 200_000


def test_seen_again_after_fixed_is_open_with_its_history(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    ingest(services, make_detection())
    run(services.findings.change(admin, "F-1", FindingChange(state=State.FIXED, reason="patched")))
    ingest(services, make_detection())
    finding = get(services, admin, "F-1")
    assert finding.state is State.OPEN
    assert [entry.what for entry in finding.history] == ["new", "state", "reopened"]
    assert finding.history[1].reason == "patched"


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FALSE_POSITIVE])
def test_what_was_accepted_stays_accepted_and_still_counts(
    services: Services, admin: Actor, make_detection: Make, clock: Any, state: State
) -> None:
    ingest(services, make_detection())
    run(
        services.findings.change(
            admin, "F-1", FindingChange(state=state, reason="known job", expires_ns=clock.now + 3600 * S)
        )
    )
    ingest(services, make_detection())
    finding = get(services, admin, "F-1")
    assert (finding.state, finding.count) == (state, 2)


def test_a_worse_severity_raises_the_finding_and_says_so(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    ingest(services, make_detection(severity=Severity.LOW))
    ingest(services, make_detection(severity=Severity.CRITICAL))
    ingest(services, make_detection(severity=Severity.LOW))
    finding = get(services, admin, "F-1")
    assert finding.severity is Severity.CRITICAL
    assert [entry.what for entry in finding.history] == ["new", "worse"]


def test_other_rules_in_the_same_place_raise_the_rank(services: Services, admin: Actor, make_detection: Make) -> None:
    ingest(services, make_detection(rule="PHX-A"))
    ingest(services, make_detection(rule="PHX-B"))
    first, second = get(services, admin, "F-1"), get(services, admin, "F-2")
    assert second.risk.score > first.risk.score
    assert "other_rules" in {reason.term for reason in second.risk.reasons}


def test_hostile_text_is_shown_in_the_story_and_kept_in_the_evidence(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    nasty = "a\x1b[2J\u202e<script>\n"
    ingest(services, make_detection(argv=(nasty,)))
    finding = get(services, admin, "F-1")
    assert "\x1b" not in finding.story
    assert "<ESC>" in finding.story
    seen = next(item for item in finding.evidence if isinstance(item, SeenEvent))
    assert seen.event.process.argv == (nasty,)  # type: ignore[union-attr]


def test_sightings_do_not_disturb_a_person_who_is_judging(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    ingest(services, make_detection())
    version = get(services, admin, "F-1").version
    ingest(services, make_detection())
    changed = run(services.findings.change(admin, "F-1", FindingChange(state=State.CONFIRMED), version=version))
    assert changed.state is State.CONFIRMED
    with pytest.raises(ConflictError):
        run(services.findings.change(admin, "F-1", FindingChange(state=State.FIXED), version=version))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (FindingChange(state=State.VERIFIED), "check only"),
        (FindingChange(state=State.FALSE_POSITIVE), "reason"),
        (FindingChange(state=State.ACCEPTED, reason="x"), "end within a year"),
        (FindingChange(state=State.ACCEPTED, reason="x", expires_ns=1), "end within a year"),
        (FindingChange(state=State.ACCEPTED, reason="x", expires_ns=9 * 10**18), "end within a year"),
        (FindingChange(owner="nobody-here"), "no active user"),
    ],
)
def test_a_judgement_that_cannot_be_is_refused(
    services: Services, admin: Actor, make_detection: Make, change: FindingChange, why: str
) -> None:
    ingest(services, make_detection())
    with pytest.raises(UsageError, match=why):
        run(services.findings.change(admin, "F-1", change))
    assert get(services, admin, "F-1").state is State.OPEN


def test_an_acceptance_ends(services: Services, admin: Actor, make_detection: Make, clock: Any) -> None:
    ingest(services, make_detection())
    run(
        services.findings.change(
            admin, "F-1", FindingChange(state=State.ACCEPTED, reason="x", expires_ns=clock.now + 60 * S)
        )
    )
    assert run(services.findings.expire()) == 0
    clock.pass_(61)
    assert run(services.findings.expire()) == 1
    finding = get(services, admin, "F-1")
    assert finding.state is State.OPEN
    assert finding.history[-1].what == "expired"
    assert finding.history[-1].actor == "phalanx"


def test_a_viewer_cannot_judge(services: Services, make_detection: Make) -> None:
    ingest(services, make_detection())
    viewer = Actor(name="vic", roles=frozenset({Role.VIEWER}))
    with pytest.raises(PermissionError_):
        run(services.findings.change(viewer, "F-1", FindingChange(state=State.FIXED)))


def test_pages_neither_repeat_nor_skip_while_findings_come(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    ingest(services, *(make_detection(rule=f"R-{number:03}") for number in range(30)))
    for sort in ("-risk", "risk", "-last_seen", "title", "-count", "first_seen", "-severity"):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = run(services.findings.list(admin, sort=sort, cursor=cursor, limit=7))
            seen += [row.id for row in page.rows]
            if page.next is None:
                break
            cursor = page.next
        assert len(seen) == len(set(seen)) == 30, sort
    first = run(services.findings.list(admin, sort="-last_seen", limit=7))
    ingest(services, make_detection(rule="R-new", ts_ns=1_795_000_000_000_000_000))
    second = run(services.findings.list(admin, sort="-last_seen", cursor=first.next, limit=50))
    assert not {row.id for row in first.rows} & {row.id for row in second.rows}
    assert len(second.rows) == 23


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "WyIteCIsMV0", "W10", "bnVsbA", "WyItcmlzayIsMWU5OSwxXQ"])
def test_a_cursor_that_is_none_is_refused(services: Services, admin: Actor, cursor: str) -> None:
    with pytest.raises(UsageError):
        run(services.findings.list(admin, cursor=cursor))


def test_filters_and_facets_agree(services: Services, admin: Actor, make_detection: Make) -> None:
    ingest(
        services,
        make_detection(rule="A", severity=Severity.LOW),
        make_detection(rule="B"),
        make_detection(rule="B", exepath="/bin/x"),
    )
    facets = {facet.field: dict(facet.values) for facet in run(services.findings.facets(admin))}
    assert facets["rule"] == {"A": 1, "B": 2}
    assert facets["severity"] == {"low": 1, "high": 2}
    page = run(services.findings.list(admin, FindingFilter(rule=("B",), severity=(Severity.HIGH,))))
    assert page.count.value == 2
    narrowed = {
        facet.field: dict(facet.values) for facet in run(services.findings.facets(admin, FindingFilter(rule=("A",))))
    }
    assert narrowed["rule"] == {"A": 1, "B": 2}  # a facet ignores its own restriction
    assert narrowed["severity"] == {"low": 1}


@pytest.mark.parametrize("text", ["%", "_", "'; DROP TABLE findings; --", "\\", "f-1"])
def test_search_text_is_text(services: Services, admin: Actor, make_detection: Make, text: str) -> None:
    ingest(services, make_detection())
    page = run(services.findings.list(admin, FindingFilter(text=text)))
    assert [row.id for row in page.rows] == (["F-1"] if text == "f-1" else [])


def test_neighbours_walk_the_list_that_was_left(services: Services, admin: Actor, make_detection: Make) -> None:
    ingest(services, *(make_detection(rule=f"R-{number}") for number in range(5)))
    order = [row.id for row in run(services.findings.list(admin)).rows]
    for place, identifier in enumerate(order):
        around = run(services.findings.neighbours(admin, identifier))
        assert around.position == place + 1
        assert around.previous == (order[place - 1] if place else None)
        assert around.next == (order[place + 1] if place + 1 < len(order) else None)
    outside = run(services.findings.neighbours(admin, order[0], FindingFilter(rule=("R-nothing",))))
    assert outside.position is None


def test_bulk_changes_with_one_undo_and_names_what_it_left(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    ingest(services, *(make_detection(rule=f"R-{number}") for number in range(4)))
    run(services.findings.change(admin, "F-4", FindingChange(state=State.FALSE_POSITIVE, reason="x")))
    result = run(services.findings.bulk(admin, FindingChange(state=State.CONFIRMED), ids=["F-1", "F-2", "F-4", "F-99"]))
    assert result.changed == ("F-1", "F-2")
    assert {identifier for identifier, _ in result.skipped} == {"F-4", "F-99"}
    run(services.findings.change(admin, "F-2", FindingChange(state=State.IN_PROGRESS)))
    other = Actor(name="bob", roles=frozenset({Role.ANALYST}))
    with pytest.raises(NotFoundError):
        run(services.findings.undo(other, result.undo))
    back = run(services.findings.undo(admin, result.undo))
    assert back.changed == ("F-1",)
    assert back.skipped[0][0] == "F-2"
    assert get(services, admin, "F-1").state is State.OPEN
    with pytest.raises(NotFoundError):
        run(services.findings.undo(admin, result.undo))


def test_an_undo_ends_after_ten_minutes(services: Services, admin: Actor, make_detection: Make, clock: Any) -> None:
    ingest(services, make_detection())
    result = run(services.findings.bulk(admin, FindingChange(state=State.CONFIRMED), where=FindingFilter()))
    clock.pass_(601)
    with pytest.raises(NotFoundError):
        run(services.findings.undo(admin, result.undo))


def test_each_judgement_is_in_the_trail(services: Services, admin: Actor, make_detection: Make) -> None:
    ingest(services, make_detection())
    run(services.findings.change(admin, "F-1", FindingChange(state=State.FIXED, reason="patched")))
    page = run(services.audit.list(admin))
    assert [(row.actor, row.action, row.object, row.detail["reason"]) for row in page.rows] == [
        ("ann", "finding.state", "F-1", "patched")
    ]
    assert run(services.audit.verify(admin)).intact


def test_a_stream_tells_new_then_more_and_resumes_where_it_was_left(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    async def story() -> None:
        stream = services.findings.subscribe(admin)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await services.findings.ingest([make_detection()], host="h", agent="a")
        (update,) = await asyncio.wait_for(first, 5)
        assert (update.what, update.finding.id) == ("new", "F-1")
        await stream.aclose()  # type: ignore[attr-defined]
        await services.findings.ingest([make_detection()], host="h", agent="a")
        await services.findings.ingest([make_detection(rule="R-2")], host="h", agent="a")
        resumed = services.findings.subscribe(admin, after=update.id)
        batch = await asyncio.wait_for(anext(resumed), 5)
        assert [(item.what, item.finding.id, item.finding.count) for item in batch] == [
            ("seen_again", "F-1", 2),
            ("new", "F-2", 1),
        ]
        await resumed.aclose()  # type: ignore[attr-defined]
        assert services.findings.updates.listeners == 0

    run(story())


def test_a_stream_sends_one_message_for_many_changes_of_one_finding(
    services: Services, admin: Actor, make_detection: Make
) -> None:
    async def story() -> None:
        stream = services.findings.subscribe(admin, after="0")
        for _ in range(50):
            await services.findings.ingest([make_detection()], host="h", agent="a")
        batch = await asyncio.wait_for(anext(stream), 5)
        assert [(item.what, item.finding.count) for item in batch] == [("new", 50)]

    run(story())


def test_findings_survive_a_restart(services: Services, admin: Actor, make_detection: Make, tmp_path: Any) -> None:
    from phalanx.services.wiring import ServiceOptions, open_services

    ingest(services, make_detection())
    services.close()
    again = open_services(tmp_path, ServiceOptions())
    try:
        assert run(again.findings.get(admin, "F-1")).count == 1
        assert run(again.findings.ingest([make_detection(rule="other")], host="node-17", agent="a")) == ("F-2",)
    finally:
        again.close()
