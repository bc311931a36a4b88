"""Matching at scale: 5,000 components against everything that is known, and against ten times that (synthetic).

    python bench/scan_match.py [ADVISORIES]

Half of the components have advisories. The ten-fold database holds the real one and nine copies with other names of packages, so that it is as
large as a real one ten times its size, while the components asked for stay the same.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from phalanx.advisories.compiler import Compiler
from phalanx.advisories.database import Database
from phalanx.advisories.local import read_directory
from phalanx.advisories.match import match
from phalanx.advisories.model import Advisory
from phalanx.artifacts.model import Component
from phalanx.artifacts.vulnerabilities import queries, vulnerabilities

TYPES = {
    "PyPI": "pypi",
    "npm": "npm",
    "Maven": "maven",
    "Go": "golang",
    "crates.io": "cargo",
    "Debian:12": "deb",
    "RubyGems": "gem",
}


class Copies(Compiler):
    """Adds each advisory ten times, nine of them for packages of other names."""

    def advisories(self, advisories: Iterator[Advisory]) -> None:  # type: ignore[override]
        for advisory in advisories:
            super().advisories([advisory])
            for copy in range(1, 10):
                affected = tuple(
                    msgspec.structs.replace(one, name=f"{one.name}-copy{copy}") for one in advisory.affected
                )
                super().advisories(
                    [
                        msgspec.structs.replace(
                            advisory, id=f"{advisory.id}-{copy}", aliases=(), upstream=(), affected=affected
                        )
                    ]
                )


def components(database: Database) -> list[Component]:
    """5,000 components of real names; every second has advisories, its version is a start or an end of a range."""
    chooser = random.Random(5000)
    known = []
    for ecosystem, type_ in TYPES.items():
        for key in database._connection.execute("SELECT k FROM package WHERE k LIKE ?", (f"{ecosystem}\x1f%",)):
            name = key[0].partition("\x1f")[2]
            if "-copy" not in name:
                known.append((ecosystem, type_, name))
    known.sort()
    made = []
    for ecosystem, type_, name in chooser.sample(known, 2500):
        versions = [
            text for entry in database.entries(ecosystem, name) for one in entry[3] for text in one[3:5] if text
        ] or ["1.0.0"]
        space, _, last = name.rpartition(":" if type_ == "maven" else "/")
        made.append(
            Component(type=type_, namespace=space, name=last, version=chooser.choice(versions), ecosystem=ecosystem)
        )
        made.append(
            Component(type=type_, namespace=space, name=f"{last}-unknown", version="1.0.0", ecosystem=ecosystem)
        )
    return made


def main() -> int:
    data = Path(
        sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PHALANX_ADVISORY_DATA", "../shared/data/advisories")
    )
    with tempfile.TemporaryDirectory() as place:
        for label, compiler in (("everything", Compiler()), ("10 x everything", Copies())):
            path = Path(place) / f"{label.partition(' ')[0]}.db"
            started = time.perf_counter()
            read_directory(data, compiler)
            compiler.write(path)
            built = time.perf_counter() - started
            asked = components(Database(path))
            pid = os.fork()
            if pid == 0:  # a process of its own: cold caches of the database, and the memory is that of matching alone
                database = Database(path)
                started, cpu = time.perf_counter(), time.process_time()
                found = vulnerabilities(asked, database)
                cold, cold_cpu = time.perf_counter() - started, time.process_time() - cpu
                cpu = time.process_time()
                hits = sum(len(match(database, *query)) for one in asked for query in queries(one))
                alone = time.process_time() - cpu
                print(
                    f"{label:16} {path.stat().st_size / 1e6:6.1f} MB, compiled in {built:5.1f} s; {len(asked)} components, {len(found)} findings: "
                    f"{cold:.3f} s ({cold_cpu:.3f} CPU s); matching alone, {hits} hits, warm: {alone:.3f} CPU s",
                    flush=True,
                )
                os._exit(0)
            os.waitpid(pid, 0)
        print(f"peak memory of compiling: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
