"""``phalanx scan`` and ``phalanx advisories`` as a person runs them: real commands, a real database, exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from phalanx.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[3]


def record(identifier: str, ecosystem: str, name: str, fixed: str) -> str:
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = [
        {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    ]
    return json.dumps({"id": identifier, "affected": affected, "database_specific": {"severity": "HIGH"}})


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    feeds = tmp_path / "feeds"
    for ecosystem, rows in {
        "PyPI": [("CVE-2024-1", "jinja2", "3.0")],
        "Maven": [("CVE-2022-22965", "org.springframework:spring-beans", "5.3.18")],
    }.items():
        place = feeds / "osv" / ecosystem
        place.mkdir(parents=True)
        with zipfile.ZipFile(place / "all.zip", "w") as archive:
            for identifier, name, fixed in rows:
                archive.writestr(f"{identifier}.json", record(identifier, ecosystem, name, fixed))
    path = tmp_path / "advisories.db"
    monkeypatch.setenv("PHALANX_ADVISORIES", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main(["advisories", "update", "--from", str(feeds)]) == 0
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    (place / "requirements.txt").write_text("Jinja2==2.10\n")
    return place


def test_a_flaw_ends_with_1_and_nothing_with_0(
    database: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", "fs", str(project)]) == 1
    out = capsys.readouterr().out
    assert "CVE-2024-1" in out
    assert "3.0" in out
    (project / "requirements.txt").write_text("Jinja2==3.0\n")
    assert main(["scan", "fs", str(project)]) == 0


def test_fail_on_decides_the_exit_code(database: Path, project: Path) -> None:
    codes = {
        word: main(["scan", "fs", str(project), "--fail-on", word])
        for word in ("any", "low", "high", "critical", "act", "attend", "never")
    }
    assert codes == {"any": 1, "low": 1, "high": 1, "critical": 0, "act": 0, "attend": 0, "never": 0}


@pytest.mark.parametrize(
    "name", ["table", "json", "sarif", "cyclonedx", "spdx", "openvex", "junit", "gitlab", "markdown", "html"]
)
def test_each_format_is_written_to_a_file(database: Path, project: Path, tmp_path: Path, name: str) -> None:
    assert main(["scan", "fs", str(project), "--format", name, "--output", str(tmp_path / "out")]) == 1
    assert "CVE-2024-1" in (tmp_path / "out").read_text()


def test_a_baseline_makes_only_new_findings_count(database: Path, project: Path, tmp_path: Path) -> None:
    main(["scan", "fs", str(project), "--json", "--output", str(tmp_path / "base.json")])
    assert main(["scan", "fs", str(project), "--new-since", str(tmp_path / "base.json")]) == 0


def test_an_ignore_file_in_the_working_directory_is_used(
    database: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".phalanx-ignore.yaml").write_text("ignore: [{id: CVE-2024-1, reason: accepted by the owner}]\n")
    assert main(["scan", "fs", str(project)]) == 0
    assert "Suppressed: 1" in capsys.readouterr().out


def test_no_database_is_said_with_what_to_do(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "fs", str(project), "--database", str(tmp_path / "none.db")]) == 3
    assert "phalanx advisories update" in capsys.readouterr().err
    assert main(["scan", "fs", str(project), "--scanners", "component"]) == 0


def test_a_bad_scanner_is_named(database: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "fs", str(project), "--scanners", "magic"]) == 2
    assert "magic" in capsys.readouterr().err


def test_an_update_without_feeds_keeps_the_last_good_database(database: Path, tmp_path: Path) -> None:
    before = database.read_bytes()
    (tmp_path / "nothing").mkdir()
    assert main(["advisories", "update", "--from", str(tmp_path / "nothing")]) == 2
    broken = tmp_path / "broken/osv/npm"
    broken.mkdir(parents=True)
    (broken / "all.zip").write_bytes(b"half a download")
    assert main(["advisories", "update", "--from", str(tmp_path / "broken")]) in (2, 3)
    assert database.read_bytes() == before


def test_status_show_and_search(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advisories", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["advisories"] == 2
    assert main(["advisories", "show", "CVE-2022-22965"]) == 0
    assert main(["advisories", "search", "spring"]) == 0
    assert "org.springframework:spring-beans" in capsys.readouterr().out
    assert main(["advisories", "show", "CVE-0000-0000"]) == 2


def test_archives_of_archives_and_packages(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:
        for name in "ABC":
            archive.writestr(f"org/springframework/beans/{name}.class", b"")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("lib/spring-beans-5.3.17.jar", jar.getvalue())
        archive.writestr("../../../etc/climbed", b"x")
    with tarfile.open(tmp_path / "release.tar.gz", "w:gz") as outer:
        info = tarfile.TarInfo("dist/app.zip")
        info.size = len(inner.getvalue())
        outer.addfile(info, io.BytesIO(inner.getvalue()))
    assert main(["scan", "archive", str(tmp_path / "release.tar.gz"), "--json"]) == 1
    made = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in made["vulnerabilities"]] == ["CVE-2022-22965"]
    assert made["components"][0]["locations"][0]["path"] == "dist/app.zip!/lib/spring-beans-5.3.17.jar"
    assert "climbs out" in made["skipped"][0]["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "advisories.db",
        "advisories.db.sha256",
        "feeds",
        "release.tar.gz",
    ]


def test_a_repository_at_a_revision_and_a_secret_in_its_history(
    database: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*arguments: str) -> None:
        identity = {
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        subprocess.run(
            ["git", "-C", str(project), *arguments], check=True, capture_output=True, env={**os.environ, **identity}
        )

    git("init", "-q")
    (project / "config.ini").write_text("url = postgres://app:Kx9vQ2mPz7@db.internal/app\n")
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    (project / "config.ini").write_text("url = from the environment\n")
    (project / "requirements.txt").write_text("Jinja2==3.0\n")
    git("commit", "-q", "-a", "-m", "two")
    (project / ".git/hooks/post-checkout").write_text("#!/bin/sh\ntouch /tmp/phalanx-hook-ran\n")
    (project / ".git/hooks/post-checkout").chmod(0o755)
    assert main(["scan", "repo", str(project)]) == 0
    assert main(["scan", "repo", str(project), "--revision", "HEAD~1", "--scanners", "vulnerability"]) == 1
    capsys.readouterr()
    assert main(["scan", "repo", str(project), "--history", "--json"]) == 1
    (issue,) = json.loads(capsys.readouterr().out)["issues"]
    assert issue["rule"] == "secret-url-password"
    assert "Kx9vQ2mPz7" not in json.dumps(issue)
    assert main(["scan", "repo", str(project), "--revision", "--upload-pack=x"]) == 2
    assert not Path("/tmp/phalanx-hook-ran").exists()


def test_the_scanner_never_imports_the_hubs_libraries(database: Path, project: Path) -> None:
    code = (
        "import sys\nfrom phalanx.cli.main import main\n"
        f"code = main(['scan', 'fs', {str(project)!r}, '--json', '--output', '/dev/null'])\n"
        "print(code, sorted({name.partition('.')[0] for name in sys.modules} & {'litestar', 'sqlalchemy', 'pyarrow', 'duckdb', 'jinja2', 'uvicorn'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"


def test_the_real_advisories_compile_and_find_what_they_must(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(os.environ.get("PHALANX_ADVISORY_DATA") or REPOSITORY.parent / "shared/data/advisories")
    if not (data / "osv").is_dir():
        pytest.skip("no advisory data: set PHALANX_ADVISORY_DATA")
    path = tmp_path / "real.db"
    assert main(["advisories", "update", "--from", str(data), "--database", str(path)]) == 0
    assert path.stat().st_size <= 20_000_000
    project = tmp_path / "p"
    project.mkdir()
    (project / "requirements.txt").write_text("Django==3.2.0\nurllib3==1.24.1\n")
    (project / "pom.xml").write_text(
        "<project><dependencies><dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId>"
        "<version>2.14.1</version></dependency></dependencies></project>"
    )
    capsys.readouterr()
    assert main(["scan", "fs", str(project), "--database", str(path), "--json"]) == 1
    found = [one["component"]["name"] for one in json.loads(capsys.readouterr().out)["vulnerabilities"]]
    assert {name: found.count(name) for name in set(found)} == {
        "Django": 25,
        "urllib3": 7,
        "org.apache.logging.log4j:log4j-core": 4,
    }
