"""From what the rules can match to what the kernel sends and what becomes an object."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from phalanx.sensors.kernel._filter import Filter
from phalanx.sensors.kernel.calls import ALIASES32, BY_NAME, CALLS, Call, When

if TYPE_CHECKING:
    from phalanx.language.kernel_filter import KernelFilter, TypeFilter

__all__ = ["TYPE_NUMBERS", "calls32", "native_filter", "wants"]

TYPE_NUMBERS: Final[dict[str, int]] = {
    **{call.name: call.nr for call in CALLS},
    "clone": 56,
    "fork": 57,
    "vfork": 58,
    "clone3": 435,
    "procexit": 512,
    "cgroup_mkdir": 513,
    "cgroup_rmdir": 514,
}
"""Number of each event type in the native filter: the x86_64 number of the call, or one above all of them."""

_ON, _FAILED, _READS, _ALL, _ONLY_FAILED, _BULK = 1, 2, 4, 8, 16, 32  # PH_W_* of bpf/record.h


def _atoms(chosen: TypeFilter) -> tuple[list[bytes], ...] | None:
    if chosen.everything:
        return None
    return tuple(
        [text.encode("utf-8", "surrogatepass") for text in some]
        for some in (
            *(chosen.fd_prefixes, chosen.fd_names, chosen.fd_suffixes, chosen.fd_substrings),
            *(chosen.proc_names, chosen.exe_paths, chosen.arg_substrings),
        )
    )


def native_filter(chosen: KernelFilter | None) -> Filter:
    """Which events become objects; None: every one. Types that no sensor gives are left out."""
    if chosen is None:
        return Filter(dict.fromkeys(TYPE_NUMBERS.values()))
    return Filter({TYPE_NUMBERS[name]: _atoms(some) for name, some in chosen.types.items() if name in TYPE_NUMBERS})


def _flags(call: Call, wanted: bool) -> int:
    flags = 0
    if wanted or call.when != When.RULES:
        flags |= _ON
    if call.failed or wanted:
        flags |= _FAILED
    if call.only_failed:
        flags |= _ONLY_FAILED
    if call.bulk:
        flags |= _BULK
    if wanted:
        flags |= _READS | _ALL
    return flags


def wants(chosen: KernelFilter | None) -> dict[int, bytes]:
    """``struct ph_want`` of each call, by its number. Without a filter, every event is wanted."""
    return {
        call.nr: struct.pack(
            "8B",
            _flags(call, chosen is None or call.name in chosen.types),
            *(call.handler, call.fd, call.name_arg, call.base, call.name2, call.base2, call.word),
        )
        for call in CALLS
    }


def calls32() -> dict[int, int]:
    """x86_64 number + 1 of each call of 32-bit programs."""
    table = {call.nr32: call.nr + 1 for call in CALLS if call.nr32 is not None}
    for number, name in ALIASES32.items():
        table[number] = BY_NAME[name].nr + 1
    return table
