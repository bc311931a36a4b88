"""Intervals against the simplest model there is: a set of instants."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from phalanx.model.columns import Coverage
from phalanx.store.events import coverage
from phalanx.store.events.coverage import CoverageMap, Intervals

SPAN = st.tuples(st.integers(min_value=0, max_value=60), st.integers(min_value=0, max_value=60)).map(sorted)


@given(st.lists(st.tuples(st.sampled_from(["add", "remove"]), SPAN), max_size=25), SPAN)
def test_intervals_are_a_set_of_instants(steps: list[tuple[str, list[int]]], asked: list[int]) -> None:
    held = Intervals()
    model: set[int] = set()
    for step, (since, until) in steps:
        if step == "add":
            held.add(since, until)
            model |= set(range(since, until))
        else:
            held.remove(since, until)
            model -= set(range(since, until))
        spans = list(held)
        assert {instant for low, high in spans for instant in range(low, high)} == model
        assert all(first[1] < second[0] for first, second in itertools.pairwise(spans)), "disjoint, apart, in order"
    missing = held.missing(*asked)
    assert {instant for low, high in missing for instant in range(low, high)} == set(range(*asked)) - model


def test_too_many_intervals_forget_the_oldest_and_claim_less() -> None:
    held = Intervals()
    for number in range(coverage.MAX_INTERVALS + 10):
        held.add(number * 10, number * 10 + 5)
    assert len(held) == coverage.MAX_INTERVALS
    assert held.missing(0, 5) == [(0, 5)]
    newest = (coverage.MAX_INTERVALS + 9) * 10
    assert held.missing(newest, newest + 5) == []


def test_the_whole_profile_covers_every_kind_and_one_kind_only_itself() -> None:
    held = CoverageMap()
    held.add("a", [Coverage(kind="*", since_ns=0, until_ns=10), Coverage(kind="open", since_ns=10, until_ns=20)])
    assert held.gaps(["a"], ["open"], 0, 20) == ([], 0, 20)
    gaps, since, until = held.gaps(["a"], ["exec"], 0, 20)
    assert (gaps, since, until) == ([], 0, 10), "the time after the last report is no gap, it is not claimed"


def test_an_agent_that_recorded_nothing_then_is_one_gap() -> None:
    held = CoverageMap()
    held.add("a", [Coverage(kind="*", since_ns=0, until_ns=10)])
    gaps, since, _ = held.gaps(["a", "b"], ["*"], 0, 10)
    assert [(gap.agent, gap.since_ns, gap.until_ns) for gap in gaps] == [("b", 0, 10)]
    assert since == 10


def test_what_is_forgotten_of_some_agents_stays_of_the_others() -> None:
    held = CoverageMap()
    for agent in ("a", "b"):
        held.add(agent, [Coverage(kind="*", since_ns=0, until_ns=10)])
    held.forget(2, 5, ["a"])
    assert list(held.of("a", "exec")) == [(0, 2), (5, 10)]
    assert list(held.of("b", "exec")) == [(0, 10)]
