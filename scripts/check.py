"""`make check`: format, lint, types, import contracts and unit tests, each with the time it took; stops at nothing, fails at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

STEPS: tuple[tuple[str, list[str]], ...] = (
    ("format", [str(BIN / "ruff"), "format", "--check", "-q", "src", "tests", "bench", "scripts"]),
    ("lint", [str(BIN / "ruff"), "check", "-q", "src", "tests", "bench", "scripts"]),
    ("types", [str(BIN / "mypy"), "src"]),
    ("contracts", [str(BIN / "lint-imports"), "--no-cache"]),
)
UNIT = ("unit tests", [sys.executable, "-m", "pytest", "-q", "tests/unit", "-m", "not long"])


def run_steps(steps: tuple[tuple[str, list[str]], ...]) -> list[str]:
    """Run every step; prints a line for each and the output of those that fail; returns the names of those."""
    failed = []
    for name, command in steps:
        start = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name:12} {time.monotonic() - start:6.1f} s", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print((done.stdout + done.stderr)[-8000:], flush=True)
    return failed


def main() -> int:
    """Run the steps; exit code 1 when one failed."""
    failed = run_steps((*STEPS, UNIT))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
