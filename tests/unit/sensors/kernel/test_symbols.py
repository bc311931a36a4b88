"""Numbers as the text that rules compare."""

from __future__ import annotations

import os
import socket
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.sensors.kernel.symbols import Family, render


@pytest.mark.parametrize(
    ("family", "value", "text"),
    [
        (Family.OPEN, os.O_RDONLY, "O_RDONLY"),
        (Family.OPEN, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, "O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC"),
        (Family.OPEN, os.O_RDWR | os.O_TMPFILE, "O_RDWR|O_TMPFILE"),
        (Family.OPEN, os.O_RDWR | os.O_SYNC, "O_RDWR|O_SYNC"),
        (Family.OPEN, os.O_RDONLY | os.O_DIRECTORY, "O_RDONLY|O_DIRECTORY"),
        (Family.MODE, 0o4755, "S_ISUID|S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IROTH|S_IXOTH"),
        (Family.MODE, stat.S_IFBLK | 0o600, "S_IFBLK|S_IRUSR|S_IWUSR"),
        (Family.MODE, 0, "0"),
        (
            Family.CLONE,
            0x7E020000,
            "CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET",
        ),
        (Family.CLONE, 17, "0"),
        (Family.PTRACE, 16, "PTRACE_ATTACH"),
        (Family.BPF, 5, "BPF_PROG_LOAD"),
        (Family.DOMAIN, socket.AF_PACKET, "AF_PACKET"),
        (Family.SOCKET_TYPE, socket.SOCK_RAW, "SOCK_RAW"),
        (Family.MOUNT, 4096 | 16384, "MS_BIND|MS_REC"),
        (Family.CAPABILITIES, 1 << 21 | 1, "CAP_CHOWN|CAP_SYS_ADMIN"),
        (Family.UNLINK, 0x200, "AT_REMOVEDIR"),
        (Family.PTRACE, 999, "999"),
    ],
)
def test_a_number_has_its_name(family: Family, value: int, text: str) -> None:
    assert render(family, value) == text


@given(family=st.sampled_from(list(Family)), value=st.integers(0, 2**64 - 1))
def test_every_number_has_a_text_and_no_bit_of_flags_is_lost(family: Family, value: int) -> None:
    text = render(family, value)
    assert text
    assert "\n" not in text
    if family in (Family.MOUNT, Family.RENAME, Family.AT, Family.MEMFD):
        names = {part for part in text.split("|") if not part.startswith("0")}
        rest = [int(part, 16) for part in text.split("|") if part.startswith("0x")]
        assert len(names) + sum(bit.bit_count() for bit in rest) == value.bit_count()
