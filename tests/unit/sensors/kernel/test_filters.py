"""The native filter against its own definition, written naively."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.language.event_types import KIND_OF
from phalanx.language.kernel_filter import KernelFilter, TypeFilter
from phalanx.sensors.kernel._decode import Decoder
from phalanx.sensors.kernel.calls import CALLS, When
from phalanx.sensors.kernel.filters import TYPE_NUMBERS, native_filter, wants

from .conftest import Owner, make_record

_WORD = st.text(alphabet="ab/ .", max_size=4)
_LISTS = st.lists(_WORD, max_size=2).map(tuple)
_FILTERS = st.builds(
    TypeFilter,
    everything=st.booleans(),
    fd_prefixes=_LISTS,
    fd_names=_LISTS,
    fd_suffixes=_LISTS,
    proc_names=_LISTS,
    exe_paths=_LISTS,
    arg_substrings=_LISTS,
)


def naive(chosen: TypeFilter, fd: str | None, name: str, exepath: str, argv: list[str], texts: list[str]) -> bool:
    """The words of TypeFilter's docstrings."""
    cmdline = " ".join([name, *argv])
    return (
        chosen.everything
        or (
            fd is not None
            and (fd.startswith(chosen.fd_prefixes) or fd in chosen.fd_names or fd.endswith(chosen.fd_suffixes))
        )
        or name in chosen.proc_names
        or exepath in chosen.exe_paths
        or any(some in where for some in chosen.arg_substrings for where in [cmdline, *texts])
    )


@settings(max_examples=200, deadline=None)
@given(
    chosen=_FILTERS,
    name=st.text(alphabet="ab", max_size=3),
    argv=st.lists(st.text(alphabet="ab/ ", max_size=3), max_size=3),
    path=st.lists(st.sampled_from(["a", "b", "ab"]), max_size=2),
)
def test_what_a_rule_can_match_always_passes(chosen: TypeFilter, name: str, argv: list[str], path: list[str]) -> None:
    decoder = Decoder(Owner(), "a", "0" * 32)
    exe = b"".join(part.encode() + b"\0" for part in reversed(path))
    raw = b"".join(a.encode() + b"\0" for a in ["zero", *argv])
    decoder.feed_bytes(
        make_record(
            type=1,
            nr=59,
            pid=7,
            tid=7,
            start=5,
            comm=name.encode(),
            strings=[(1, 1, exe), (3, 0, raw), (5, 0, b"/given")],
        )
    )
    decoder.take_candidates()
    decoder.set_filter(native_filter(KernelFilter(types={"openat": chosen})))
    decoder.feed_bytes(
        make_record(
            type=6, nr=257, pid=7, tid=7, start=5, ret=3, arg=[0, 0, 1], comm=name.encode(),
            fd={"num": 3, "mode": 0o100644, "ino": 1}, strings=[(8, 1, exe), (9, 0, b"ab/given")],
        )
    )  # fmt: skip
    fd = exepath = "/" + "/".join(path)
    texts = ["ab/given", "O_WRONLY"]
    passed = bool(decoder.take_candidates())
    assert passed >= naive(chosen, fd, name, exepath, argv, texts)
    if not any(chosen.arg_substrings):
        assert passed == naive(chosen, fd, name, exepath, argv, texts), "and nothing else does"


def test_every_event_type_of_the_language_has_a_number_and_the_other_way_round() -> None:
    assert set(TYPE_NUMBERS) - set(KIND_OF) == {"chdir", "fchdir", "setsid", "setpgid"}
    assert set(KIND_OF) - set(TYPE_NUMBERS) <= {"umount"}, "i386's old call is told as umount2"
    assert len(set(TYPE_NUMBERS.values())) == len(TYPE_NUMBERS)


def test_without_rules_the_kernel_sends_the_profile_and_nothing_else() -> None:
    chosen = wants(KernelFilter(types={}))
    for call in CALLS:
        assert bool(chosen[call.nr][0] & 1) == (call.when is not When.RULES), call.name
    assert not chosen[257][0] & 4, "opens for reading stay in the kernel"
    assert wants(KernelFilter(types={"openat": TypeFilter(everything=True)}))[257][0] & 4
