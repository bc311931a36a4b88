"""One condition, three places: the naive interpreter, the generated matcher and DuckDB say the same of every event, UNKNOWN included."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.condition_samples import AGENT, BOOT, HOST, Sampler, comparisons, conditions

from phalanx.language import RuleSource, load_rules, parse_condition
from phalanx.language.matcher import Matcher
from phalanx.model.container import Container
from phalanx.model.event import Event
from phalanx.model.process import Process
from phalanx.store.events.facts import fact_table
from phalanx.store.events.flatten import flatten
from phalanx.store.events.lowering import lower_condition
from phalanx.store.events.relation import event_rows, process_rows
from phalanx.store.events.sql import Sources, flat
from phalanx.store.events.wrap import wrap


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    yield connection
    connection.close()


def asked_of_duckdb(database: duckdb.DuckDBPyConnection, condition: str, seen: list[Event]) -> list[bool | None]:
    """What the lowered condition says of each event after it went through a column batch."""
    import pyarrow as pa

    lowered = lower_condition(parse_condition(condition))
    batch = wrap(flatten(seen, batch="b", host=HOST, boot=BOOT, agent=AGENT))
    facts = [(HOST, event.container) for event in seen if isinstance(event.container, Container)]
    assert len({id(container) for _, container in facts}) == len(facts)
    sources = Sources(
        hot_events={"hot_events_1": pa.table([])},
        hot_processes={"hot_processes_1": pa.table([])},
        facts=fact_table(facts),
    )
    database.register("hot_events_1", pa.Table.from_batches([event_rows(batch, 0)]))
    database.register("hot_processes_1", pa.Table.from_batches([process_rows([(batch, 0)])]))
    database.register("facts", sources.facts)
    text = f"SELECT seq, ({lowered.sql}) FROM ({flat(sources, lowered.columns, [])}) ORDER BY seq"
    return [answer for _, answer in database.execute(text, list(lowered.parameters)).fetchall()]


def matched(condition: str, seen: list[Event]) -> list[bool | None]:
    """What the generated matcher says, beside rules that share parts of the condition with it."""
    text = f"""
- rule: Asked
  desc: d
  condition: |
    {condition}
  output: o
  priority: INFO
- rule: Shares all
  desc: d
  condition: |
    ({condition}) and proc.name = bash
  output: o
  priority: INFO
- rule: Negates
  desc: d
  condition: |
    evt.type in (execve, openat, connect) and not ({condition})
  output: o
  priority: INFO
"""
    ruleset = load_rules([RuleSource("r.yaml", text)])
    assert not ruleset.errors, ruleset.errors
    matcher = Matcher(ruleset)
    number = next((index for index, rule in enumerate(matcher.rules) if rule.name == "Asked"), None)
    answers: list[bool | None] = []
    for event in seen:
        hits, undecided = matcher.match(event)
        assert not set(hits) & set(undecided)
        for index, rule in enumerate(matcher.rules):
            expected = rule.condition.holds(event)
            got = True if index in hits else None if index in undecided else False
            assert got is expected, (rule.name, condition, event)
        answers.append(False if number is None else True if number in hits else None if number in undecided else False)
    if number is None:
        answers = [parse_condition(condition).holds(event) for event in seen]
        assert not any(answers), "a rule that was called dormant holds"
    return answers


def one_container(seen: list[Event]) -> list[Event]:
    """The store knows one fact for a container and time: keep one container, and let its events be told apart by it."""
    kept: list[Event] = []
    told = False
    for event in seen:
        if isinstance(event.container, Container):
            if told:
                continue
            told = True
        kept.append(event)
    if told:
        kept = [
            event
            for event in kept
            if isinstance(event.container, Container)
            or not isinstance(event.process, Process)
            or event.process.container_id == "host"
        ]
    return kept


some_events = st.integers(0, 2**32).map(lambda seed: Sampler(seed).events(24))


def agree(database: duckdb.DuckDBPyConnection, condition: str, seen: list[Event]) -> None:
    asked = parse_condition(condition)
    expected = [asked.holds(event) for event in seen]
    assert matched(condition, seen) == [answer if answer is not None else None for answer in expected]
    stored = one_container(seen)
    assert asked_of_duckdb(database, condition, stored) == [asked.holds(event) for event in stored]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=comparisons, seen=some_events)
def test_every_comparison_means_the_same_in_all_three_places(
    database: duckdb.DuckDBPyConnection, condition: str, seen: list[Event]
) -> None:
    agree(database, condition, seen)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, seen=some_events)
def test_every_condition_means_the_same_in_all_three_places(
    database: duckdb.DuckDBPyConnection, condition: str, seen: list[Event]
) -> None:
    agree(database, condition, seen)


@pytest.mark.long
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=comparisons | conditions, seen=some_events)
def test_every_condition_means_the_same_in_all_three_places_at_length(
    database: duckdb.DuckDBPyConnection, condition: str, seen: list[Event]
) -> None:
    agree(database, condition, seen)
