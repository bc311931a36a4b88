"""`make test`: every part with its real counterparts, its time beside its budget, every skip with its reason.

The last line is ``N passed, N failed, N skipped`` over all parts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET  # reads only files that pytest has just written here
from pathlib import Path

from check import STEPS, run_steps

ROOT = Path(__file__).resolve().parent.parent

PARTS: tuple[tuple[str, list[str], int], ...] = (
    ("unit", ["tests/unit"], 180),
    ("conformance", ["tests/conformance"], 60),
    ("integration", ["tests/integration"], 240),
    ("scenarios", ["tests/scenarios"], 150),
    ("console", ["tests/console"], 120),
)
"""Name, paths, budget in seconds. A part over its budget is marked, not failed: machines differ."""


def pytest(
    paths: list[str], report: Path, marks: str, cwd: Path = ROOT, python: str = sys.executable
) -> tuple[int, str]:
    """Run pytest on ``paths``; its exit code and output."""
    command = [python, "-m", "pytest", "-q", "-rs", "-m", marks, f"--junitxml={report}", *paths]
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def counts(report: Path) -> tuple[int, int, int]:
    """(passed, failed, skipped) of a junit report; (0, 1, 0) when pytest wrote none."""
    if not report.exists():
        return 0, 1, 0
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314
    if suite is None:
        return 0, 1, 0
    bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    skipped = int(suite.get("skipped", 0))
    return int(suite.get("tests", 0)) - bad - skipped, bad, skipped


def app_agent(report: Path, marks: str) -> tuple[int, str]:
    """The application agent's own suite, in the environment that its script makes."""
    script = ROOT / "app-agent" / "scripts" / "test.sh"
    done = subprocess.run(
        ["sh", str(script), f"--junitxml={report}", "-m", marks],
        cwd=ROOT / "app-agent",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def main() -> int:
    """Run all parts; exit code 1 when a check or a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="run the tests marked long instead")
    parser.add_argument("parts", nargs="*", help="only these parts")
    options = parser.parse_args()
    os.environ.setdefault("PYTHONHASHSEED", "0")
    marks = "long" if options.long else "not long"
    failed_checks = [] if options.long or options.parts else run_steps(STEPS)
    total = [0, 0, 0]
    lines: list[str] = []
    runs = [(name, budget, lambda report, paths=paths: pytest(paths, report, marks)) for name, paths, budget in PARTS]
    if (ROOT / "app-agent" / "scripts" / "test.sh").exists():
        runs.append(("app-agent", 300, lambda report: app_agent(report, marks)))
    with tempfile.TemporaryDirectory() as scratch:
        for name, budget, run in runs:
            if options.parts and name not in options.parts:
                continue
            report = Path(scratch) / f"{name}.xml"
            start = time.monotonic()
            code, output = run(report)
            seconds = time.monotonic() - start
            passed, failed, skipped = counts(report)
            if code not in (0, 5) and failed == 0:  # 5: pytest found nothing to run
                failed = 1
            total = [total[0] + passed, total[1] + failed, total[2] + skipped]
            mark = "FAIL" if failed else "ok  "
            over = "" if seconds <= budget else "  over its budget"
            lines.append(
                f"{mark} {name:12} {seconds:6.1f} s of {budget:4} s  {passed} passed, {failed} failed, {skipped} skipped{over}"
            )
            print(lines[-1], flush=True)
            lines.extend("     " + line for line in output.splitlines() if line.startswith("SKIPPED"))
            if failed:
                print(output[-20000:], flush=True)
    print("\n".join(["", "Parts", *lines, ""]))
    if failed_checks:
        print("failed checks: " + ", ".join(failed_checks))
    print(f"{total[0]} passed, {total[1] + len(failed_checks)} failed, {total[2]} skipped")
    return 1 if total[1] or failed_checks else 0


if __name__ == "__main__":
    sys.exit(main())
