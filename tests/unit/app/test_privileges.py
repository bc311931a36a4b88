"""A process that gave up a right does not get it back."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from phalanx.app.privileges import AGENT_CAPABILITIES, capabilities_of, confine, names_of
from phalanx.app.readable import blocked_by, needed_distributions
from phalanx.model.capabilities import CAPABILITIES

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
REPORT = """
from phalanx.app.privileges import capabilities_of
import os
found = capabilities_of()
no_new = open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0]
print(os.getresuid(), os.getgroups(), sorted(found["effective"] | found["permitted"] | found["bounding"] | found["ambient"]), no_new)
"""
STATUS = """
import os
keys = ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
print(os.getresuid(), [line.split()[1] for line in open("/proc/self/status") if line.startswith(keys)])
"""


def run(**how: object) -> str:
    done = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, check=True, **how)  # type: ignore[call-overload]
    return str(done.stdout.strip())


def test_a_mask_is_read_as_names() -> None:
    assert names_of(1 << 21 | 1 << 39) == {"sys_admin", "bpf"}
    assert names_of(1 << 63) == {"cap_63"}
    assert len(CAPABILITIES) == 41  # CAP_LAST_CAP is 40 since Linux 5.9


@needs_root
@pytest.mark.needs_root
def test_a_confined_child_of_another_user_has_no_capability_at_all_and_gets_none() -> None:
    public = "/usr/bin/python3"
    if not Path(public).exists():
        pytest.skip("no interpreter that every user can run")
    done = subprocess.run(
        [public, "-c", STATUS],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        preexec_fn=lambda: confine(user=(65534, 65534)),
    )
    zero = "0000000000000000"
    assert done.stdout.strip() == f"(65534, 65534, 65534) {[zero, zero, zero, zero, '1']}"


@needs_root
@pytest.mark.needs_root
def test_root_with_the_agents_rights_keeps_those_and_only_those() -> None:
    mine = capabilities_of()["permitted"]
    assert (
        run(preexec_fn=lambda: confine(AGENT_CAPABILITIES))
        == f"(0, 0, 0) {os.getgroups()} {sorted(AGENT_CAPABILITIES & mine)} 1"
    )


@needs_root
@pytest.mark.needs_root
def test_keep_only_drops_in_the_running_process() -> None:
    code = "from phalanx.app.privileges import keep_only; print(sorted(keep_only({'sys_ptrace'})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['sys_ptrace']"


def test_what_keeps_a_user_out_is_named() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        home = Path(scratch)
        inner = home / "clone"
        inner.mkdir()
        assert blocked_by(inner, 65534, frozenset({65534})) == home
        home.chmod(0o755)
        assert blocked_by(inner, 65534, frozenset({65534})) is None


def test_a_copy_takes_what_phalanx_needs_and_not_what_tests_need() -> None:
    names = {distribution.metadata["Name"].lower() for distribution in needed_distributions()}
    assert {"phalanx", "litestar", "duckdb", "msgspec"} <= names
    assert not names & {"pytest", "mypy", "playwright", "hypothesis"}
