"""The record layout is described once: what the programs were compiled with, what the decoder reads and what the tests write agree."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from phalanx.sensors.kernel import _decode, calls, filters
from phalanx.sensors.kernel.sensor import OBJECT

from .conftest import Fd, Record, Str, Task


@pytest.fixture(scope="module")
def btf() -> dict[str, dict[str, int]]:
    """Structures of the kernel object by its own type information: member → offset in bytes; ``""`` → size."""
    if not OBJECT.exists():
        pytest.skip("needs the kernel object: make bpf")
    if shutil.which("bpftool") is None:
        pytest.skip("needs bpftool: apt-get install bpftool")
    listing = subprocess.run(["bpftool", "-j", "btf", "dump", "file", str(OBJECT)], capture_output=True, check=True)
    found = {}
    for kind in json.loads(listing.stdout)["types"]:
        if kind["kind"] == "STRUCT" and kind["name"].startswith("ph_"):
            found[kind["name"]] = {m["name"]: m["bits_offset"] // 8 for m in kind["members"]} | {"": kind["size"]}
    return found


@pytest.mark.parametrize(
    ("name", "written"), [("ph_record", Record), ("ph_fd", Fd), ("ph_task", Task), ("ph_str", Str)]
)
def test_kernel_decoder_and_tests_agree(
    btf: dict[str, dict[str, int]], name: str, written: type[ctypes.Structure]
) -> None:
    by_tests = {field[0]: getattr(written, field[0]).offset for field in written._fields_} | {
        "": ctypes.sizeof(written)
    }
    assert btf[name] == _decode.layout()[name] == by_tests


def test_what_user_space_wants_has_the_kernels_size(btf: dict[str, dict[str, int]]) -> None:
    (packed,) = {len(want) for want in filters.wants(None).values()}
    assert packed == btf["ph_want"][""]
    assert list(btf["ph_want"])[:-1] == ["flags", "handler", "fd", "name", "base", "name2", "base2", "word"]


@pytest.mark.parametrize(("file", "attribute"), [("unistd_64.h", "nr"), ("unistd_32.h", "nr32")])
def test_numbers_of_system_calls_are_the_kernels(file: str, attribute: str) -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm", file)
    if not header.exists():
        pytest.skip("needs linux-libc-dev")
    theirs = {
        line.split()[1].removeprefix("__NR_"): int(line.split()[2])
        for line in header.read_text().splitlines()
        if line.startswith("#define __NR_")
    }
    for call in calls.CALLS:
        number = getattr(call, attribute)
        if call.name in theirs and number is not None:
            assert number == theirs[call.name], call.name
    if attribute == "nr32":
        by_number = {number: name for name, number in theirs.items()}
        for number, name in calls.ALIASES32.items():
            assert by_number[number].removesuffix("32").removesuffix("64").replace("umount", "umount2") == name


def test_no_call_is_described_twice() -> None:
    assert len({call.nr for call in calls.CALLS}) == len(calls.CALLS) == len(calls.BY_NAME)
    assert all(call.nr < 512 for call in calls.CALLS)
