"""What administrators and builds do, on a copy of the system's directories: vendors' packages, image builds, servers. Nothing at warning or above."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import caused_by, watching

from phalanx.model.severity import Severity
from phalanx.sensors.kernel import doctor

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(check.required and not check.ok for check in doctor.checks()), reason="the kernel sensor cannot run here"
    ),
]
LOUD = (Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
"""Falco's warning and above."""
DRIVER = Path(__file__).with_name("ordinary_work.py")


def work(scratch: Path, *words: str) -> tuple[dict[str, str], list[str]]:
    """Do the work under watch: step → what became of it, and what was raised because of it."""
    with watching() as watch:
        child = subprocess.Popen(
            [sys.executable, str(DRIVER), str(scratch), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = child.communicate(timeout=1500)
        finally:
            child.kill()
        watch.settle()
        raised = [f"{hit.rule} {hit.output}" for hit in caused_by(child.pid, watch.detections) if hit.severity in LOUD]
    outcome = {line.partition(": ")[0]: line.partition(": ")[2] for line in said.splitlines() if ": " in line}
    return outcome, raised


@pytest.mark.timeout(300)
def test_a_vendors_package_an_image_build_and_a_loaded_server_are_quiet(tmp_path: Path) -> None:
    outcome, raised = work(tmp_path, "package", "container build", "ssh", "web server")
    assert raised == []
    assert {name for name, what in outcome.items() if what.startswith("failed")} == set(), outcome
    assert {name for name, what in outcome.items() if what.startswith("done")} >= {"package", "web server"}, outcome


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_installing_from_registries_building_and_working_are_quiet(tmp_path: Path) -> None:
    outcome, raised = work(tmp_path, "online")
    assert raised == []
    assert {name for name, what in outcome.items() if what.startswith("failed")} == set(), outcome
