"""The model's types hold what the rest relies on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.model import event as events
from phalanx.model.columns import EVENT_COLUMNS, MAGIC, PROCESS_COLUMNS, BatchHeader, encode_header
from phalanx.model.container import Container
from phalanx.model.event import Event, Exec, Loss, decode_event, encode_event
from phalanx.model.finding import TRANSITIONS, State
from phalanx.model.ids import digest, event_id, parse_event_id, process_id
from phalanx.model.process import Process
from phalanx.model.severity import FALCO_PRIORITIES, Severity, severity_of_priority
from phalanx.model.values import UNKNOWN


def an_exec(**changes: object) -> Exec:
    process = Process(id=process_id("boot0000", 7, 5), pid=7, start_ns=5, name="sh")
    return Exec(**({"ts_ns": 10, "agent": "a" * 16, "seq": 3, "type": "execve", "process": process} | changes))  # type: ignore[arg-type]


def test_absent_and_unknown_survive_json_and_stay_two_things() -> None:
    absent, unknown = an_exec(container=None), an_exec(container=UNKNOWN)
    assert decode_event(encode_event(absent)).container is None
    assert decode_event(encode_event(unknown)).container is UNKNOWN
    known = an_exec(container=Container(id="c", full_id="cc", since_ns=1))
    assert decode_event(encode_event(known)) == known


def test_every_kind_has_its_own_tag_and_comes_back_as_its_own_type() -> None:
    kinds = [getattr(events, name) for name in events.__all__ if isinstance(getattr(events, name), type)]
    kinds = [kind for kind in kinds if kind is not events.EventBase]
    tags = {kind.__struct_config__.tag for kind in kinds}
    assert len(tags) == len(kinds) >= 25
    for kind in kinds:
        event = kind(ts_ns=1, agent="a", seq=1, type="x")
        assert type(decode_event(encode_event(event))) is kind


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**48 - 1))
def test_an_event_id_names_time_agent_and_sequence(ts_ns: int, seq: int) -> None:
    assert parse_event_id(event_id(ts_ns, "ab12", seq)) == (ts_ns, "ab12", seq)


@pytest.mark.parametrize("text", ["", "x", "1-2-3", "0" * 16 + "--" + "0" * 12, "a-b-c-d", "zz" * 8 + "-a-" + "0" * 12])
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_event_id(text)


def test_event_ids_sort_by_time() -> None:
    ids = [event_id(ts, "a", 1) for ts in (5, 10, 2**40, 2**62)]
    assert ids == sorted(ids)


def test_a_digest_of_parts_does_not_collide_by_joining() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a", "") != digest("a")


def test_a_process_with_the_same_pid_started_later_is_another() -> None:
    assert process_id("b" * 32, 7, 1) != process_id("b" * 32, 7, 2) != process_id("c" * 32, 7, 2)


def test_a_long_chain_of_parents_is_walked_to_a_bound() -> None:
    parent: Process | None = None
    for pid in range(1, 100):
        parent = Process(id=process_id("b", pid, 1), pid=pid, start_ns=1, parent=parent)
    assert parent is not None
    assert len(list(parent.ancestors())) == 16


def test_every_priority_of_falco_has_a_severity() -> None:
    assert [severity_of_priority(p).rank for p in FALCO_PRIORITIES] == sorted(
        (severity_of_priority(p).rank for p in FALCO_PRIORITIES), reverse=True
    )
    assert Severity.CRITICAL.rank == 4


def test_verified_is_reached_from_fixed_only() -> None:
    assert [state for state, after in TRANSITIONS.items() if State.VERIFIED in after] == [State.FIXED]
    assert set(TRANSITIONS) == set(State)


def test_every_attribute_of_an_event_and_a_process_has_a_column() -> None:
    held = {column.field for column in EVENT_COLUMNS}
    texts = " ".join(held)
    base = {f.name for f in msgspec.structs.fields(events.EventBase)}
    generic = {"flags", "mode", "agent", "process", "container", "fd", "fields", "message", "by_cpu"}
    for kind in msgspec.inspect.type_info(Event).types:  # type: ignore[attr-defined]
        for field in kind.fields:
            if field.name in base | generic:
                continue
            assert f"{kind.cls.__name__}.{field.name}" in texts, (kind.cls.__name__, field.name)
    process = {column.field.removeprefix("Process.").split(" ")[0] for column in PROCESS_COLUMNS}
    assert process == {field.name for field in msgspec.structs.fields(Process)}


def test_a_batch_header_ends_at_a_multiple_of_64() -> None:
    raw = encode_header(BatchHeader(batch="b", agent="a", host="h", boot="x", rows=0, processes=0, columns=()))
    assert raw.startswith(MAGIC)
    assert len(raw) % 64 == 0


def test_a_loss_needs_no_process() -> None:
    assert decode_event(encode_event(Loss(ts_ns=1, agent="a", seq=1, type="loss", count=None))).process is UNKNOWN
