"""Names of users from files that belong to whoever owns the container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.sensors.kernel.groups import container_of_cgroup
from phalanx.sensors.kernel.names import ABSENT, Names, parse_group, parse_passwd, read_beneath

ID = "ab" * 32


def test_the_first_line_of_a_uid_counts_and_broken_lines_are_skipped() -> None:
    raw = b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\n\nshort:x:1\nbad:x:x:0::/:/\n\xff:x:7:7::/h\xff:/bin/sh\n"
    users = parse_passwd(raw)
    assert users[0] == ("root", "/root", "/bin/bash")
    assert users[7] == ("\uf7ff", "/h\uf7ff", "/bin/sh")
    assert set(users) == {0, 7}
    assert parse_group(b"wheel:x:10:a,b\nbroken\n") == {10: "wheel"}


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    for names in (parse_passwd(raw).values(), parse_group(raw).values()):
        for some in names:
            "".join(some).encode("utf-8")


def test_a_container_cannot_point_its_passwd_out_of_its_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret:x:0:0::/:/\n")
    (root / "etc/passwd").symlink_to(tmp_path / "outside")
    assert read_beneath(str(root), "etc/passwd") is None
    (root / "etc/group").write_text("g:x:1:\n")
    assert read_beneath(str(root), "etc/group") == b"g:x:1:\n"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "etc").symlink_to("/etc")
    assert read_beneath(str(linked), "etc/passwd") is None
    os.mkfifo(root / "etc/shadow")
    assert read_beneath(str(root), "etc/shadow") is None, "a pipe would hold the sensor for ever"


def test_what_has_no_name_is_absent_as_falco_writes_it() -> None:
    names = Names()
    assert names.lookup("host", 0, 0, -1, os.getpid()) == (
        "root",
        "/root",
        names.lookup("host", 0, 0, 0, 1)[2],
        "root",
        ABSENT,
    )
    assert names.lookup("host", 4_000_000_000, 4_000_000_000, -1, os.getpid()) == (
        ABSENT,
        ABSENT,
        ABSENT,
        ABSENT,
        ABSENT,
    )
    assert names.lookup("0123456789ab", 0, 0, -1, 2**22 + 1) == (ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), (
        "its process is gone"
    )


@pytest.mark.parametrize(
    ("path", "container"),
    [
        ("/", "host"),
        ("/system.slice/ssh.service", "host"),
        ("/user.slice/user-1000.slice/session-1.scope", "host"),
        (f"/docker/{ID}", ID[:12]),
        (f"/system.slice/docker-{ID}.scope", ID[:12]),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{ID}.scope",
            ID[:12],
        ),
        (f"/kubepods/besteffort/pod11-22/{ID}", ID[:12]),
        (f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope", ID[:12]),
        (f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope/container", ID[:12]),
        (f"/machine.slice/libpod-{ID}.scope", ID[:12]),
        (f"/machine.slice/libpod-{ID}.scope/init.scope", ID[:12]),
        (f"/user.slice/user-1.slice/user@1.service/user.slice/libpod-{ID}.scope", ID[:12]),
        (f"/docker/{'cd' * 32}/docker/{ID}", ID[:12]),
        (f"/docker/{ID[:63]}", "host"),
        (f"/docker/{ID}ab", "host"),
        (f"/x{ID}", "host"),
        ("/../../etc", "host"),
        ("/..", "host"),
    ],
)
def test_the_container_of_a_cgroup(path: str, container: str) -> None:
    assert container_of_cgroup(path) == container
