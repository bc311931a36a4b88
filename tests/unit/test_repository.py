"""What holds for the repository as a whole: lean parts, reasons for dependencies, no trace of one machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HUB_LIBRARIES = {"litestar", "uvicorn", "jinja2", "sqlalchemy", "alembic", "pyarrow", "duckdb", "argon2", "apprise"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    ("part", "imports"),
    [
        ("the command line", "phalanx.cli.main, phalanx.cli.up, phalanx.cli.rules, phalanx.cli.simulate"),
        ("the agent", "phalanx.app.agent.runtime, phalanx.app.agent.main, phalanx.content"),
        ("the supervisor", "phalanx.app.supervisor, phalanx.app.readable"),
        ("the scanner", "phalanx.cli.scan, phalanx.cli.advisories"),
    ],
)
def test_lean_parts_import_none_of_the_hubs_libraries(part: str, imports: str) -> None:
    code = f"import sys, {imports}\nprint(sorted({{m.partition('.')[0] for m in sys.modules}} & {HUB_LIBRARIES!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", part


def requirement_names() -> set[str]:
    names = set()
    for file in (ROOT / "requirements").glob("*.in"):
        for line in file.read_text().splitlines():
            match = re.match(r"[A-Za-z0-9][A-Za-z0-9_.\-]*", line)
            if match:
                names.add(match[0].lower())
    return names


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text().partition("## Native and system")[0]
    rows = {
        row.split("|")[1].strip().lower()
        for row in page.splitlines()
        if row.startswith("| ") and "| licence |" not in row
    }
    npm = json.loads((ROOT / "package.json").read_text())
    named = requirement_names() | set(npm["dependencies"]) | set(npm["devDependencies"])
    assert named == rows


def test_locks_hold_hashes_and_no_download_address() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text, lock.name
    assert not (ROOT / "uv.lock").exists() or ROOT / "uv.lock" not in tracked()


def test_no_module_is_longer_than_800_lines() -> None:
    code = [path for path in tracked() if path.suffix in {".py", ".pyx", ".c", ".h", ".js", ".css", ".html"}]
    assert [path.relative_to(ROOT).as_posix() for path in code if len(path.read_bytes().splitlines()) > 800] == []


def test_the_repository_names_no_place_of_one_machine() -> None:
    traces = re.compile(rb"/work/(main|tmp|shared)|/root/\.pyenv|registry\.npmjs|files\.pythonhosted|proxy\.golang")
    found = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if path.name != Path(__file__).name and traces.search(path.read_bytes())
    ]
    assert found == []


def test_every_package_tells_its_story() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src" / "phalanx").rglob("__init__.py")
        if not path.read_text().lstrip().startswith('"""')
    ]
    assert silent == []
