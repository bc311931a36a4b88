"""`make bench`: every program of bench/, one after another, into one dated report with the machine and the commit.

Each program prints its own table: the measure, the baseline or peer of the same run, the goal. This only runs them and keeps what they say.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def machine() -> str:
    """One line about this machine."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "?",
    )
    memory = int(Path("/proc/meminfo").read_text().split(None, 2)[1]) >> 20
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> int:
    """Run the named programs (all when none is named); exit code 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="programs in bench/, without .py")
    options = parser.parse_args()
    programs = sorted(path for path in (ROOT / "bench").glob("*.py") if not path.name.startswith("_"))
    programs = [path for path in programs if not options.names or path.stem in options.names]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.datetime.now(tz=datetime.UTC)
    report = ROOT / "bench" / "results" / f"{now:%Y-%m-%d}.md"
    report.parent.mkdir(exist_ok=True)
    failed = []
    with report.open("a") as out:
        out.write(f"# {now:%Y-%m-%d %H:%M} UTC, commit {commit}\n\n{machine()}\n\n")
        for program in programs:
            print(f"== {program.stem}", flush=True)
            start = time.monotonic()
            done = subprocess.run([sys.executable, str(program)], cwd=ROOT, capture_output=True, text=True, check=False)
            print(done.stdout, done.stderr[-2000:] if done.returncode else "", flush=True)
            out.write(f"## {program.stem} ({time.monotonic() - start:.0f} s)\n\n```\n{done.stdout.rstrip()}\n```\n\n")
            out.flush()
            if done.returncode:
                failed.append(program.stem)
                out.write(f"ended with exit code {done.returncode}\n\n")
    print(f"written to {report.relative_to(ROOT)}")
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
