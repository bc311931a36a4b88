"""The decoder alone: torn and hostile records, long chains of ancestors, full tables."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.language.kernel_filter import KernelFilter
from phalanx.model.event import Exec, Exit, Fork, Open
from phalanx.model.process import MAX_ANCESTORS, Process
from phalanx.model.values import UNKNOWN
from phalanx.sensors.kernel._decode import Decoder
from phalanx.sensors.kernel._table import living_states
from phalanx.sensors.kernel._text import hostile
from phalanx.sensors.kernel.filters import native_filter
from phalanx.text import hostile as python

from .conftest import Make, Owner, read_batch, rebuild, take

EXEC, FORK, EXIT, TASK, CALL = 1, 2, 3, 4, 6
S_EXE, S_CWD, S_ARGV, S_ENV, S_FILENAME, S_FD, S_NAME, S_BASE = 1, 2, 3, 4, 5, 8, 9, 10
PLAIN, PATH, CUT = 0, 1, 2


def backwards(path: str | bytes) -> bytes:
    """Components last first, as the kernel writes them."""
    raw = path.encode() if isinstance(path, str) else path
    return b"".join(part + b"\0" for part in reversed(raw.strip(b"/").split(b"/")) if part)


def spawn(make: Make, pid: int, start: int, ppid: int, parent_start: int, **more: Any) -> bytes:
    return make(
        type=FORK,
        nr=57,
        pid=pid,
        tid=pid,
        start=start,
        arg=[0, ppid, parent_start],
        ret=pid,
        comm=b"p",
        task={"ppid": ppid},
        **more,
    )


@given(st.binary(max_size=300))
def test_text_is_that_of_the_python_function(raw: bytes) -> None:
    assert hostile(raw) == python.decode(raw)
    assert python.encode(hostile(raw)) == raw


@given(st.text(max_size=100))
def test_valid_text_stays_as_it_is_but_for_the_code_points_that_hostile_bytes_use(text: str) -> None:
    assert python.encode(hostile(text.encode("utf-8", "surrogatepass"))) == text.encode("utf-8", "surrogatepass")


def test_an_exec_with_hostile_strings_survives_columns_and_objects(decoder: Decoder, make: Make) -> None:
    record = make(
        type=EXEC,
        nr=59,
        pid=7,
        tid=7,
        start=5,
        comm=b"\xff\x1b[31m\n",
        strings=[
            (S_EXE, PATH, backwards(b"/bin/\xfe\nx")),
            (S_CWD, PATH, b""),
            (S_ARGV, PLAIN, b"a\0\0\xc3\x28\0last"),
            (S_ENV, PLAIN, b"A=1\0MY_TOKEN=secret\0NOEQUALS\0"),
            (S_FILENAME, PLAIN, "\uf780".encode()),
        ],
    )
    assert decoder.feed_bytes(record)
    (event,) = decoder.take_candidates()
    assert isinstance(event, Exec)
    process = event.process
    assert isinstance(process, Process)
    assert python.encode(process.name) == b"\xff\x1b[31m\n"
    assert python.encode(process.exepath or "") == b"/bin/\xfe\nx"
    assert process.cwd == "/"
    assert [python.encode(a) for a in (process.exe or "", *process.argv)] == [b"a", b"", b"\xc3\x28", b"last"]
    assert process.env == ("A=1", "MY_TOKEN=***", "NOEQUALS")
    assert python.encode(event.filename or "") == "\uf780".encode()
    (read,) = rebuild(take(decoder))
    assert read.process == process


@pytest.mark.parametrize(
    ("given", "base", "resolved"),
    [
        ("a", "/x/y", "/x/y/a"),
        ("../../../etc/passwd", "/x/y", "/etc/passwd"),
        ("/a//b/./c/..", "/x", "/a/b"),
        ("..", "/", "/"),
        ("", "/x", "/x"),
        (".", "/", "/"),
        ("a\nb", "/", "/a\nb"),
    ],
)
def test_a_name_is_made_absolute_by_its_text(
    decoder: Decoder, make: Make, given: str, base: str, resolved: str
) -> None:
    strings = [(S_NAME, PLAIN, given.encode()), (S_BASE, PATH, backwards(base))]
    decoder.feed_bytes(make(type=CALL, nr=87, pid=7, tid=7, start=5, strings=strings))
    (event,) = decoder.take_candidates()
    assert event.name == resolved  # type: ignore[union-attr]


def test_a_path_deeper_than_its_bound_keeps_its_end_and_says_that_it_is_cut(decoder: Decoder, make: Make) -> None:
    record = make(
        type=CALL,
        nr=257,
        pid=7,
        tid=7,
        start=5,
        ret=3,
        flags=2,
        fd={"num": 3, "mode": 0o100644, "ino": 9},
        strings=[(S_FD, CUT, backwards("b/shadow"))],
    )
    decoder.feed_bytes(record)
    (event,) = decoder.take_candidates()
    assert isinstance(event, Open)
    assert event.fd is not None
    assert event.fd.name == ".../b/shadow"
    assert event.flags_truncated


def test_a_process_that_respawns_for_ever_keeps_at_least_sixteen_ancestors_in_bounded_memory(
    decoder: Decoder, make: Make
) -> None:
    decoder.feed_bytes(make(type=TASK, pid=1, tid=1, start=1, comm=b"init"))
    decoder.link()
    for pid in range(2, 500):
        decoder.feed_bytes(spawn(make, pid, pid, pid - 1, pid - 1))
        decoder.feed_bytes(make(type=EXIT, pid=pid - 1, tid=pid - 1, start=pid - 1, comm=b"p"))
    forks = [e for e in decoder.take_candidates() if isinstance(e, Fork)]
    last = forks[-1].process
    assert isinstance(last, Process)
    assert [p.pid for p in itertools.islice(last.ancestors(), MAX_ANCESTORS)] == list(
        range(498, 498 - MAX_ANCESTORS, -1)
    )
    depth, parent = 0, last
    while isinstance(parent.parent, Process):
        depth, parent = depth + 1, parent.parent
    assert depth <= 24
    assert decoder.table.living == 1
    assert rebuild(take(decoder))[-1].process is not None


def test_a_pid_that_is_used_again_is_another_process(decoder: Decoder, make: Make) -> None:
    decoder.feed_bytes(
        make(type=EXEC, nr=59, pid=7, tid=7, start=100, comm=b"old", strings=[(S_EXE, PATH, backwards("/old"))])
    )
    decoder.feed_bytes(make(type=CALL, nr=87, pid=7, tid=7, start=200, comm=b"new", strings=[(S_NAME, PLAIN, b"/x")]))
    first, second = decoder.take_candidates()
    assert isinstance(second.process, Process)
    assert first.process.id != second.process.id  # type: ignore[union-attr]
    assert second.process.exepath is None, "nothing of the old one is believed of the new one"
    assert second.process.parent is UNKNOWN


def test_a_full_table_is_counted_and_its_processes_stay_unknown(make: Make) -> None:
    decoder = Decoder(Owner(), "a", "0" * 32, processes=3)
    for pid in range(1, 6):
        decoder.feed_bytes(make(type=EXEC, nr=59, pid=pid, tid=pid, start=pid, strings=[(S_FILENAME, PLAIN, b"/x")]))
    events = decoder.take_candidates()
    assert [e.process is UNKNOWN for e in events] == [False, False, False, True, True]
    assert decoder.table.refused == 2
    assert [e.process is UNKNOWN for e in rebuild(take(decoder))] == [False, False, False, True, True]


def test_a_full_batch_takes_no_more_and_loses_nothing(make: Make) -> None:
    decoder = Decoder(Owner(), "a", "0" * 32, rows=3)
    records = [make(type=EXEC, nr=59, pid=pid, tid=pid, start=pid) for pid in range(1, 6)]
    taken = [decoder.feed_bytes(record) for record in records]
    assert taken == [True, True, True, False, False]
    first = rebuild(take(decoder))
    assert [decoder.feed_bytes(record) for record in records[3:]] == [True, True]
    assert [e.process.pid for e in first + rebuild(take(decoder))] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]


def test_rights_that_change_make_a_new_state_and_leave_the_old_one(decoder: Decoder, make: Make) -> None:
    for uid in (0, 65534):
        decoder.feed_bytes(
            make(type=CALL, nr=105, pid=7, tid=7, start=5, uid=uid, cap_effective=0 if uid else 2**41 - 1, arg=[uid])
        )
    first, second = decoder.take_candidates()
    assert (first.process.uid, first.process.user) == (0, "root")  # type: ignore[union-attr]
    assert (second.process.uid, second.process.user, second.process.cap_effective) == (65534, "<NA>", 0)  # type: ignore[union-attr]
    assert decoder.table.living == 1


def test_exit_ends_the_process_and_tells_how_long_it_lived(decoder: Decoder, make: Make) -> None:
    decoder.feed_bytes(make(type=EXEC, nr=59, pid=7, tid=7, start=100, ts=150))
    decoder.feed_bytes(make(type=EXIT, pid=7, tid=7, start=100, ts=400, ret=-9))
    event = decoder.take_candidates()[-1]
    assert isinstance(event, Exit)
    assert (event.ret, event.duration_ns) == (-9, 300)
    assert decoder.table.living == 0


_FIELDS = st.fixed_dictionaries(
    {
        "type": st.integers(0, 12),
        "nr": st.sampled_from(
            [
                2,
                3,
                42,
                44,
                49,
                56,
                59,
                72,
                80,
                82,
                85,
                88,
                101,
                105,
                126,
                157,
                165,
                166,
                257,
                263,
                268,
                288,
                304,
                308,
                313,
                316,
                321,
                322,
                429,
                437,
                511,
                512,
                65535,
            ]
        ),
        "pid": st.integers(0, 5),
        "tid": st.integers(0, 5),
        "start": st.integers(0, 3),
        "ts": st.integers(0, 2**63),
        "uid": st.integers(0, 2**32 - 1),
        "ret": st.integers(-(2**63), 2**63 - 1),
        "flags": st.integers(0, 511),
        "comm": st.binary(max_size=15),
        "cgroup": st.integers(0, 3),
        "arg": st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6),
        "fd": st.fixed_dictionaries(
            {
                "num": st.integers(-1001, 5),
                "mode": st.integers(0, 2**17),
                "ino": st.integers(0, 3),
                "magic": st.integers(0, 2),
                "family": st.sampled_from([0, 1, 2, 10, 16]),
                "sock_type": st.integers(0, 5),
                "proto": st.integers(0, 300),
                "lport": st.integers(0, 65535),
                "rport": st.integers(0, 65535),
                "laddr": st.binary(min_size=16, max_size=16),
                "raddr": st.binary(min_size=16, max_size=16) | st.just(b"\0" * 10 + b"\xff\xff\1\2\3\4"),
            }
        ),
        "task": st.fixed_dictionaries({"ppid": st.integers(0, 5), "parent_start": st.integers(0, 3)}),
        "strings": st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), st.binary(max_size=600)), max_size=8),
    }
)


@settings(max_examples=100, deadline=None)
@given(
    records=st.lists(_FIELDS, max_size=12),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 40),
)
def test_whatever_a_record_holds_the_decoder_stands_and_its_batch_equals_its_candidates(
    records: list[dict[str, Any]], damage: list[tuple[int, int]], cut: int, make: Make
) -> None:
    decoder = Decoder(Owner(), "00112233445566aa", "0" * 32)
    for fields in records:
        raw = bytearray(make(**fields))
        for at, value in damage:
            if at < len(raw):
                raw[at] = value
        decoder.feed_bytes(bytes(raw[: len(raw) - cut] if cut else raw))
    candidates = decoder.take_candidates()
    header, rows, _ = read_batch(take_copy := take(decoder))
    assert header.rows == len(rows) == len(candidates)
    for event, read in zip(candidates, rebuild(take_copy), strict=True):
        assert event.type == read.type
        assert event.fd == read.fd
        assert event.process == read.process


def test_thirty_thousand_processes_leave_no_state_behind(make: Make) -> None:
    before = living_states()
    decoder = Decoder(Owner(), "a", "0" * 32)
    decoder.set_filter(native_filter(KernelFilter(types={})))
    decoder.feed_bytes(make(type=TASK, pid=1, tid=1, start=1, comm=b"init"))
    decoder.link()
    for pid in range(2, 30_000):
        decoder.feed_bytes(spawn(make, pid, pid, 1, 1))
        decoder.feed_bytes(
            make(type=EXEC, nr=59, pid=pid, tid=pid, start=pid, strings=[(S_EXE, PATH, backwards("/bin/x"))])
        )
        decoder.feed_bytes(make(type=EXIT, pid=pid, tid=pid, start=pid))
        if decoder.rows > 10_000:
            decoder.take()
    decoder.take()
    assert decoder.table.living == 1
    assert living_states() - before == 1
    del decoder
    assert living_states() == before


def test_an_event_whose_object_cannot_be_made_is_counted_and_stays_in_the_history(make: Make) -> None:
    class Failing(Owner):
        def container(self, number: str | None) -> None:
            raise RuntimeError("a runtime's answer broke")

    decoder = Decoder(Failing(), "00112233445566aa", "0" * 32)
    decoder.feed_bytes(make(type=EXEC, nr=59, pid=7, tid=7, start=7))
    assert decoder.take_candidates() == []
    assert decoder.failed == 1
    assert len(rebuild(take(decoder))) == 1
