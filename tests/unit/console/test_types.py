"""The islands are typed: the compiler that the lock file names finds nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMPILER = ROOT / "node_modules/.bin/tsc"


@pytest.mark.skipif(
    not COMPILER.exists() or shutil.which("node") is None, reason="node or TypeScript is not installed (make console)"
)
def test_islands_are_typed() -> None:
    done = subprocess.run([str(COMPILER), "--noEmit", "-p", str(ROOT)], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert "registry" not in lock
