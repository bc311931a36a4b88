"""The tutorial's ten attacks, as they stand there, in three variants: each is caught. Done on a stage, so that the machine stays as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Watch, watching

from phalanx.sensors.kernel import doctor

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text()
SECTIONS = re.findall(r"^### ([^\n]+?): (PHX-[^\n]+)\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
CASES = [
    pytest.param(set(rules.split(", ")), commands, id=f"{title} ({variant})")
    for title, rules, body in SECTIONS
    for variant, commands in re.findall(r"^```sh (\w+)\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
]
STAGE = """
import subprocess, sys
from phalanx.respond.simulate.stage import on_stage, find_program
import shutil
def act(stage):
    stage.veil("/etc", {"cron.d/.keep": b""})
    stage.veil("/root")
    stage.veil("/var/log")
    shutil.copy(find_program("busybox"), "/tmp/simulation")
    subprocess.run(["bash", "-c", sys.argv[1]], check=False, timeout=15)
sys.exit(on_stage(act))
"""
pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(check.required and not check.ok for check in doctor.checks()), reason="the kernel sensor cannot run here"
    ),
    pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="needs busybox-static"),
]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with watching() as watch:
        yield watch


def test_the_tutorial_has_ten_attacks_in_three_variants() -> None:
    assert len(SECTIONS) == 10
    assert len(CASES) == 30


@pytest.mark.parametrize(("rules", "commands"), CASES)
def test_a_hand_typed_attack_is_caught(watch: Watch, rules: set[str], commands: str) -> None:
    watch.settle()
    before = len(watch.detections)
    done = subprocess.run(
        [sys.executable, "-c", STAGE, commands], capture_output=True, text=True, timeout=60, check=False
    )
    time.sleep(0.05)
    watch.settle()
    fired = {str(detection.rule) for detection in watch.detections[before:]}
    assert fired & rules, (fired, done.returncode, done.stderr)
