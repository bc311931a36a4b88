"""Ranking: no unexplained number, and an order that a person would agree with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from phalanx.model.container import Container
from phalanx.model.finding import Reason
from phalanx.model.process import Process
from phalanx.model.severity import Severity
from phalanx.risk.rank import TERMS, combine, rank_threat, term


def process(**values: object) -> Process:
    fields: dict[str, object] = {
        "id": "b:1:1",
        "pid": 1,
        "start_ns": 1,
        "name": "x",
        "exepath": "/usr/bin/x",
        "uid": 1000,
        "container_id": "abc",
    }
    return Process(**(fields | values))  # type: ignore[arg-type]


def score(severity: Severity, acting: Process | None, **more: object) -> int:
    return rank_threat(severity, acting, (acting,) if acting else (), None, rule="R", **more).score  # type: ignore[arg-type]


def test_a_worse_rule_ranks_higher() -> None:
    scores = [score(severity, process()) for severity in Severity]
    assert scores == sorted(scores)
    assert len(set(scores)) == 5


def test_each_sign_raises_the_score_and_says_so() -> None:
    plain = score(Severity.MEDIUM, process())
    for name, acting in {
        "root": process(uid=0),
        "drift": process(exe_upper=True),
        "fileless": process(exe_memfd=True),
        "temporary": process(exepath="/dev/shm/x"),
        "on_host": process(container_id="host"),
        "terminal": process(tty=34816),
        "capabilities": process(cap_effective=1 << 21),
    }.items():
        risk = rank_threat(Severity.MEDIUM, acting, (acting,), None, rule="R")
        assert risk.score > plain, name
        assert name in {reason.term for reason in risk.reasons}


def test_drift_is_of_containers_only() -> None:
    risk = rank_threat(Severity.LOW, process(exe_upper=True, container_id="host"), (), None, rule="R")
    assert "drift" not in {reason.term for reason in risk.reasons}


def test_a_privileged_container_and_neighbouring_rules_count() -> None:
    container = Container(id="abc", full_id="abc", since_ns=1, privileged=True)
    acting = process()
    assert rank_threat(Severity.LOW, acting, (acting,), container, rule="R").score > score(Severity.LOW, acting)
    assert (
        score(Severity.LOW, acting, other_rules=3)
        > score(Severity.LOW, acting, other_rules=1)
        > score(Severity.LOW, acting)
    )
    assert (
        score(Severity.LOW, acting, criticality=3)
        > score(Severity.LOW, acting, criticality=2)
        > score(Severity.LOW, acting)
    )


def test_a_web_server_that_started_it_counts() -> None:
    shell = process(name="sh")
    server = process(name="nginx")
    risk = rank_threat(Severity.LOW, shell, (shell, server), None, rule="R")
    assert "network_parent" in {reason.term for reason in risk.reasons}


def test_what_is_not_known_adds_nothing() -> None:
    risk = rank_threat(Severity.HIGH, None, (), None, rule="R")
    assert {reason.term for reason in risk.reasons} == {"rule_high", "severity_high"}


def test_every_term_has_a_factor_a_weight_and_a_sentence() -> None:
    for name, (factor, weight, text) in TERMS.items():
        assert factor in ("likelihood", "impact"), name
        assert 0 < weight < 1, name
        assert text, name


REASONS = st.lists(
    st.builds(
        Reason,
        term=st.sampled_from([*TERMS, "other"]),
        text=st.just("x"),
        factor=st.sampled_from(["likelihood", "impact"]),
        weight=st.floats(-1, 2, allow_nan=False),
    ),
    max_size=12,
)


@given(REASONS)
def test_the_score_stays_in_its_bounds_and_does_not_depend_on_order(reasons: list[Reason]) -> None:
    risk = combine(reasons)
    assert 0 <= risk.score <= 100
    assert 0 <= risk.likelihood <= 1
    assert 0 <= risk.impact <= 1
    if len({reason.term for reason in reasons}) == len(reasons):
        assert combine(reversed(reasons)).score == risk.score


def test_a_term_told_twice_counts_once() -> None:
    assert combine([term("root"), term("root"), term("rule_low")]) == combine([term("root"), term("rule_low")])
