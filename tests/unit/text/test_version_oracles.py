"""Every version order against an independent implementation, on pairs of versions that real advisories name."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import zipfile
from functools import cache
from pathlib import Path

import packaging.version
import pytest
import univers.versions as oracle
import zstandard

from phalanx.text.versions import compare

REPOSITORY = Path(__file__).resolve().parents[3]


def advisory_data() -> Path:
    """The folder with real advisory data; skips the test when this machine has none."""
    place = Path(os.environ.get("PHALANX_ADVISORY_DATA") or REPOSITORY.parent / "shared/data/advisories")
    if not (place / "osv").is_dir():
        pytest.skip("no advisory data: set PHALANX_ADVISORY_DATA")
    return place


@cache
def versions_of(ecosystem: str) -> tuple[tuple[str, ...], ...]:
    """For each package of ``ecosystem`` the distinct versions that advisories name: listed ones and ends of ranges."""
    packages: dict[str, set[str]] = {}
    if ecosystem == "Alpine":
        return _alpine()
    with zipfile.ZipFile(advisory_data() / "osv" / ecosystem / "all.zip") as archive:
        for name in archive.namelist():
            for affected in json.loads(archive.read(name)).get("affected", ()):
                found = packages.setdefault(affected["package"]["name"], set())
                found.update(affected.get("versions", ()))
                for one in affected.get("ranges", ()):
                    if one.get("type") != "GIT":
                        found.update(v for event in one["events"] for v in event.values() if v != "0")
    return tuple(tuple(sorted(found)) for _, found in sorted(packages.items()) if len(found) > 1)


def _alpine() -> tuple[tuple[str, ...], ...]:
    packages: dict[str, set[str]] = {}
    with (advisory_data() / "distro/alpine-secdb.jsonl.zst").open("rb") as stream:
        for line in zstandard.ZstdDecompressor().stream_reader(stream).read().splitlines():
            row = json.loads(line)
            packages.setdefault(row["package"], set()).update(version for version in row["secfixes"] if version != "0")
    return tuple(tuple(sorted(found)) for _, found in sorted(packages.items()) if len(found) > 1)


def pairs(ecosystem: str, count: int) -> list[tuple[str, str]]:
    """``count`` pairs of versions of one package each, the same ones at each run; all pairs when there are fewer."""
    chooser = random.Random(f"phalanx {ecosystem}")
    groups = versions_of(ecosystem)
    total = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    if total <= count:
        return [pair for group in groups for pair in itertools.combinations(group, 2)]
    made: set[tuple[str, str]] = set()
    while len(made) < count:
        left, right = chooser.sample(chooser.choice(groups), 2)
        made.add((left, right))
    return sorted(made)


COUNT = 20_000


# Differences that were looked into, one by one, with why phalanx reads the version as it does.
def explained(scheme: str, left: str, right: str) -> bool:
    """A pair on which the oracle is known to be wrong, and why."""
    if scheme == "maven":  # Maven itself (ComparableVersion's main) says X == X.RELEASE
        return left.removesuffix(".RELEASE") == right.removesuffix(".RELEASE")
    if (
        scheme == "composer"
    ):  # the oracle reads SemVer: three numbers, and "-p9" as older; Composer reads four, and a patch as newer
        return any(text.count(".") == 3 or "-p" in text for text in (left, right))
    # These are Debian versions, and some have two hyphens; no RPM version or release may hold one.
    return scheme == "rpm" and max(left.count("-"), right.count("-")) > 1


def differences(
    scheme: str, cases: list[tuple[str, str]], cls: type[oracle.Version]
) -> list[tuple[str, str, int, int]]:
    """The pairs on which phalanx and the oracle disagree; a version that the oracle cannot read is left out."""
    wrong = []
    read: dict[str, oracle.Version | None] = {}
    for left, right in cases:
        for text in (left, right):
            if text not in read:
                try:
                    read[text] = cls(text)
                except Exception:  # the oracle raises many types for what it cannot read
                    read[text] = None
        a, b = read[left], read[right]
        if a is None or b is None:
            continue
        expected = (a > b) - (a < b)
        got = compare(scheme, left, right)
        if got != expected and not explained(scheme, left, right):
            wrong.append((left, right, got, expected))
    return wrong


@pytest.mark.parametrize(
    ("scheme", "ecosystem", "cls"),
    [
        ("deb", "Debian", oracle.DebianVersion),
        ("rpm", "Debian", oracle.RpmVersion),
        ("apk", "Alpine", oracle.AlpineLinuxVersion),
        ("pypi", "PyPI", oracle.PypiVersion),
        ("maven", "Maven", oracle.MavenVersion),
        ("semver", "npm", oracle.SemverVersion),
        ("semver", "crates.io", oracle.SemverVersion),
        ("golang", "Go", oracle.GolangVersion),
        ("gem", "RubyGems", oracle.RubygemsVersion),
        ("nuget", "NuGet", oracle.NugetVersion),
        ("composer", "Packagist", oracle.ComposerVersion),
    ],
)
def test_real_pairs_order_as_the_oracle_says(scheme: str, ecosystem: str, cls: type[oracle.Version]) -> None:
    cases = pairs(ecosystem, COUNT)
    assert len(cases) > 1000
    assert differences(scheme, cases, cls) == []


def test_python_pairs_order_as_packaging_says() -> None:
    seen = 0
    for left, right in pairs("PyPI", COUNT):
        try:
            a, b = packaging.version.Version(left), packaging.version.Version(right)
        except packaging.version.InvalidVersion:
            continue
        seen += 1
        assert compare("pypi", left, right) == (a > b) - (a < b), (left, right)
    assert seen > 10_000


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here")
def test_debian_pairs_order_as_dpkg_says() -> None:
    for left, right in pairs("Debian", COUNT)[::80]:
        expected = "lt" if compare("deb", left, right) < 0 else "gt" if compare("deb", left, right) > 0 else "eq"
        done = subprocess.run(["dpkg", "--compare-versions", left, expected, right], capture_output=True, check=False)
        assert done.returncode == 0, (left, expected, right)


MAVEN = sorted(Path("/usr/share/maven/lib").glob("*.jar"))


@pytest.mark.skipif(not MAVEN or shutil.which("java") is None, reason="Maven's own library is not here")
def test_maven_pairs_order_as_maven_says() -> None:
    flat = [version for pair in pairs("Maven", COUNT) for version in pair]
    checked = 0
    for start in range(0, len(flat), 10_000):
        done = subprocess.run(
            ["java", "-cp", ":".join(map(str, MAVEN)), "org.apache.maven.artifact.versioning.ComparableVersion", *flat[start : start + 10_000]],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in ("<", "==", ">"):
                checked += 1
                assert compare("maven", words[0], words[2]) == {"<": -1, "==": 0, ">": 1}[words[1]], line
    assert checked > 15_000
