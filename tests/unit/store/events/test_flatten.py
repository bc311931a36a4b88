"""Any event goes into a batch and comes out as it was."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.event_samples import AGENT, batch_of, every_kind, samples

from phalanx.errors import UsageError
from phalanx.model.columns import EVENT_COLUMNS, PROCESS_COLUMNS
from phalanx.model.event import Event, EventBase
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN, Maybe
from phalanx.store.events.flatten import flatten, to_event, to_process
from phalanx.store.events.hot import HotSegment
from phalanx.store.events.schema import COLUMNS, PROCESSLESS_KINDS
from phalanx.store.events.wrap import Batch, wrap

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
I64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
UNSIGNED = {"cpu": 16, "tid": 32, "pid": 32, "ino": 64, "cport": 16, "sport": 16, "seq": 64, "exe_ino": 64}
UNSIGNED |= {"cap_permitted": 64, "cap_effective": 64, "cap_inheritable": 64}
KINDS: dict[str, type[EventBase]] = {str(member.__struct_config__.tag): member for member in Event.__args__}


def value_for(name: str, kind: Any) -> st.SearchStrategy[Any]:
    text = str(kind)
    if name in UNSIGNED:
        number: st.SearchStrategy[Any] = st.integers(min_value=0, max_value=2 ** UNSIGNED[name] - 1)
        return st.none() | number if "None" in text else number
    if "tuple" in text:
        return st.lists(TEXT, max_size=3).map(tuple)
    base = st.booleans() if "bool" in text else TEXT if "str" in text or "Id" in text else I64
    return st.none() | base if "None" in text else base


def fields_of(struct: type[msgspec.Struct], skip: set[str]) -> dict[str, st.SearchStrategy[Any]]:
    return {
        field.name: value_for(field.name, field.type)
        for field in msgspec.structs.fields(struct)
        if field.name not in skip
    }


PROCESSES: st.SearchStrategy[Process] = st.recursive(
    st.builds(Process, parent=st.sampled_from([None, UNKNOWN]), **fields_of(Process, {"parent"})),
    lambda parent: st.builds(Process, parent=parent, **fields_of(Process, {"parent"})),
    max_leaves=4,
)
DESCRIPTORS = st.none() | st.builds(Descriptor, **fields_of(Descriptor, set()))


@functools.cache
def events(kind: str) -> st.SearchStrategy[Event]:
    member = KINDS[kind]
    special: dict[str, st.SearchStrategy[Any]] = {
        "agent": st.just(AGENT),
        "process": st.just(None) if kind in PROCESSLESS_KINDS else (st.just(UNKNOWN) | PROCESSES),
        "fd": DESCRIPTORS,
        "source": st.sampled_from(["syscall", "log"]),
        "fields": st.dictionaries(
            TEXT, st.none() | st.booleans() | st.integers(min_value=-(2**53), max_value=2**53) | TEXT, max_size=3
        ),
        "by_cpu": st.dictionaries(TEXT, st.integers(min_value=0, max_value=2**53), max_size=3),
    }
    chosen = {
        field.name: special[field.name] if field.name in special else value_for(field.name, field.type)
        for field in msgspec.structs.fields(member)
        if field.name != "container"
    }
    return st.builds(member, **chosen)


def back(batch: Batch) -> list[Event]:
    def process_at(row: int | None, kind: str = "") -> Maybe[Process]:
        if row is None:
            return None if kind in PROCESSLESS_KINDS else UNKNOWN
        values = batch.process.slice(row, 1).to_pylist()[0]
        up = values["parent"]
        return to_process(values, None if up is None else UNKNOWN if up < 0 else process_at(up))

    rows = batch.event.to_pylist()
    return [to_event(row, agent=batch.header.agent, process=process_at(row["proc"], row["kind"])) for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_event_comes_back_as_it_was(data: st.DataObject) -> None:
    made = data.draw(st.lists(st.sampled_from(sorted(KINDS)).flatmap(events), min_size=1, max_size=4))
    batch = wrap(flatten(made, batch="b", host="h", boot="x"))
    assert back(batch) == made


def test_every_kind_comes_back_as_it_was() -> None:
    assert back(wrap(batch_of(every_kind(), "one"))) == every_kind()


def test_a_process_that_many_events_share_is_kept_once() -> None:
    made = samples(500)
    batch = wrap(batch_of(made, "one"))
    assert batch.process.num_rows <= 6


def test_the_events_of_two_agents_do_not_fit_into_one_batch() -> None:
    with pytest.raises(UsageError):
        flatten([*samples(1), *samples(1, agent="other")], batch="b", host="h", boot="x")
    with pytest.raises(UsageError):
        flatten([], batch="b", host="h", boot="x")


def test_every_field_of_every_event_and_process_has_its_place_in_the_layout() -> None:
    placed = " ".join(column.field for column in (*EVENT_COLUMNS, *PROCESS_COLUMNS))
    for field in msgspec.structs.fields(Process):
        assert f"Process.{field.name}" in placed
    for kind, member in KINDS.items():
        for field in msgspec.structs.fields(member):
            if field.name in ("container", "agent"):
                continue  # joined when asked; told by the batch
            assert f"Event.{field.name}" in placed or f".{field.name}" in placed or field.name in ("flags",), (
                kind,
                field.name,
            )


def test_the_flat_relation_names_every_stored_column() -> None:
    for column in EVENT_COLUMNS:
        assert column.name == "proc" or column.name in COLUMNS
    for column in PROCESS_COLUMNS:
        assert column.name == "parent" or {f"proc_{column.name}", f"pproc_{column.name}"} <= COLUMNS.keys()
    for column in COLUMNS.values():
        assert column.unknown is None or COLUMNS[column.unknown].type == "bool"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(PROCESSES, min_size=1, max_size=5))
def test_the_process_relation_says_what_the_structs_say(processes: list[Process]) -> None:
    from phalanx.model.event import Exec

    made = [
        Exec(ts_ns=number, agent=AGENT, seq=number, type="execve", process=process)
        for number, process in enumerate(processes)
    ]
    segment = HotSegment(3, None)  # type: ignore[arg-type]
    segment.add(wrap(flatten(made, batch="b", host="h", boot="x")), 1, 0)
    relation = {row["proc"]: row for row in segment.processes().to_pylist()}
    for event, process in zip(segment.events().to_pylist(), processes, strict=True):
        row = relation[event["proc"]]
        above = list(process.ancestors())
        assert (row["proc_name"], row["proc_args"], row["proc_cmdline"]) == (
            process.name,
            process.args,
            process.cmdline,
        )
        assert row["aname"] == [one.name for one in above]
        assert row["acmdline"] == [one.cmdline for one in above]
        assert row["apid"] == [one.pid for one in above]
        assert row["aexepath"] == [one.exepath for one in above]
        assert row["pproc_unknown"] == (process.parent is UNKNOWN)
        last = above[-1] if above else process
        assert row["lineage_unknown"] == (last.parent is UNKNOWN)
        if isinstance(process.parent, Process):
            assert row["pproc_cmdline"] == process.parent.cmdline
            assert row["pproc_uid"] == process.parent.uid
        else:
            assert row["pproc_name"] is None
