"""The test applications under the agent: flawed cases are reported, safe twins are quiet, answers are those of the bare application, and replay proves it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

APPS = Path(__file__).parent / "apps"
sys.path.insert(0, str(APPS))
from score import findings_of, score  # noqa: E402

NEEDS = {
    "flask": ["flask", "lxml", "ldap3", "elementpath", "yaml"],
    "fastapi": ["fastapi", "httpx", "lxml", "multipart"],
    "django": ["django"],
    "aiohttp": ["aiohttp"],
}
KEY = "test-key"


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PHALANX_", "PYTHON"))}
    return {
        **env,
        "PHALANX_APP_STATE": str(tmp_path / "state"),
        "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"),
        "PYTHONWARNINGS": "ignore",
        **more,
    }


def agent(*command: str, report: Path) -> list[str]:
    return [sys.executable, "-m", "phalanx_app", "run", "--root", str(APPS), "--report", str(report), "--", *command]


@pytest.fixture(params=sorted(NEEDS))
def name(request: pytest.FixtureRequest) -> str:
    missing = [one for one in NEEDS[request.param] if importlib.util.find_spec(one) is None]
    if missing:
        pytest.skip(f"{request.param}: not installed here: {', '.join(missing)}")
    return request.param


def drive(name: str, tmp_path: Path, times: Path, under_agent: bool, **more: str) -> Path:
    report = tmp_path / "report.jsonl"
    command = [sys.executable, str(APPS / "drive.py"), name]
    env = environment(tmp_path, PHALANX_TEST_TIMES=str(times), **more)
    done = subprocess.run(
        agent(*command, report=report) if under_agent else command,
        cwd=APPS,
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "FAILED" not in done.stdout, done.stdout + done.stderr[-2000:]
    return report


def truth(name: str, tmp_path: Path) -> list[dict]:
    done = subprocess.run(
        [sys.executable, str(APPS / "drive.py"), name, "cases"],
        cwd=APPS,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def stable(answers: dict) -> dict:
    """Answers without what is random in them by intention."""
    return {
        route: [status, re.sub(r"[0-9a-f-]{8,}|\d+", "#", text)]
        for route, (status, text) in answers.items()
        if "random" not in route
    }


def test_flaws_are_found_and_safe_twins_stay_quiet(name: str, tmp_path: Path) -> None:
    bare, under = tmp_path / "bare.json", tmp_path / "under.json"
    drive(name, tmp_path, bare, under_agent=False)
    report = drive(name, tmp_path, under, under_agent=True)
    rows = score(truth(name, tmp_path), findings_of(str(report)))
    print(json.dumps({category: [row["tpr"], row["fpr"]] for category, row in rows.items()}))
    wrong = {category: row["wrong"] for category, row in rows.items() if row["wrong"]}
    assert sum(row["j"] for row in rows.values()) / len(rows) >= 0.95, wrong
    assert min(row["j"] for row in rows.values()) >= 0.70, wrong
    assert stable(json.loads(under.read_text())["answers"]) == stable(json.loads(bare.read_text())["answers"])
    health = [json.loads(line) for line in report.read_text().splitlines() if '"kind": "health"' in line][-1]
    assert health["errors"] == 0, health["last_errors"]
    assert health["hooks_removed"] == []
    assert health["modules_failed"] == 0


def test_a_finding_tells_the_way_of_the_data(tmp_path: Path) -> None:
    if any(importlib.util.find_spec(one) is None for one in NEEDS["flask"]):
        pytest.skip("flask application: something it needs is not installed here")
    report = drive("flask", tmp_path, tmp_path / "t.json", under_agent=True)
    found = {one["route"]: one for one in findings_of(str(report)) if one["rule"] == "sql-injection"}
    one = found["/sql-injection/sql_raw_query_string"]
    assert one["cwe"] == 89
    assert one["request"]["query"] == "name=ada&x=1"
    assert one["sink"]["code"] == "return jsonify(database().execute(buffer.getvalue()).fetchall())"
    lines = [step["code"] for step in one["flow"]]
    assert 'name = urllib.parse.unquote_plus(query.split("name=")[1].split("&")[0])' in lines
    assert lines.index("buffer.write(name)") > 0
    assert {"text": "ada", "source": "query_string"} in one["evidence"]["parts"]
    assert "parameters" in one["fix"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    for _ in range(300):
        assert process.poll() is None, "the application ended"
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the application did not listen")


def replayed(report: Path, port: int, tmp_path: Path, *more: str) -> list[dict]:
    command = [
        sys.executable,
        "-m",
        "phalanx_app",
        "verify",
        "--report",
        str(report),
        "--url",
        f"http://127.0.0.1:{port}",
        "--key",
        KEY,
        "--json",
        *more,
    ]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def served(name: str, tmp_path: Path):
    """The application on a real server, under the agent, as a test environment."""
    port = free_port()
    env = environment(tmp_path, PHALANX_APP_VERIFY_KEY=KEY, PHALANX_APP_ENVIRONMENT="test")
    command = agent(sys.executable, str(APPS / "drive.py"), name, "serve", str(port), report=tmp_path / "served.jsonl")
    process = subprocess.Popen(command, cwd=APPS, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_replay_confirms_flaws_and_no_safe_twin(name: str, served: int, tmp_path: Path) -> None:
    report = drive(name, tmp_path, tmp_path / "t.json", under_agent=True)
    cases = {one["route"]: one for one in truth(name, tmp_path)}
    findings = [
        one
        for one in findings_of(str(report))
        if one["route"] in cases and cases[one["route"]]["category"] == one["rule"]
    ]
    chosen = tmp_path / "chosen.jsonl"
    # Safe twins: the finding of a flawed case, aimed at the safe route with the safe case's own request, as after a fix.
    pretended = findings_by_request(name, cases)
    chosen.write_text("".join(json.dumps({"kind": "finding", **one}) + "\n" for one in [*findings, *pretended]))
    results = replayed(chosen, served, tmp_path)
    flawed = [one for one in results if cases[one["route"]]["flawed"]]
    # What came from a database or is the name of a header has no place in the request where a marker could go.
    possible = [one for one in flawed if one["answer"] != "cannot be replayed"]
    confirmed = [one for one in possible if one["answer"] == "confirmed"]
    print(f"{name}: {len(confirmed)} of {len(possible)} confirmed, {len(flawed) - len(possible)} cannot be replayed")
    assert len(confirmed) >= 0.95 * len(possible), [one for one in possible if one["answer"] != "confirmed"]
    assert len(possible) >= 0.9 * len(flawed)
    safe = [one for one in results if not cases[one["route"]]["flawed"]]
    assert safe
    assert [one for one in safe if one["answer"] == "confirmed"] == []


def findings_by_request(name: str, cases: dict) -> list[dict]:
    """For each safe case with a parameter: a pretended finding over its own request."""
    code = (
        "import sys, json, importlib; sys.path.insert(0, '.'); import drive;"
        f"m = importlib.import_module(drive.MODULES[{name!r}]);"
        "print(json.dumps([{k: v for k, v in c.items()} for c in m.CASES if not c['flawed']], default=str))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=APPS, capture_output=True, text=True, check=True)
    out = []
    for number, one in enumerate(json.loads(done.stdout)):
        request = one["request"]
        query = (
            request.get("query_string")
            or request.get("params")
            or (request.get("data") if request.get("method", "GET") == "GET" else None)
        )
        form = (
            request.get("data") if request.get("method") == "POST" and isinstance(request.get("data"), dict) else None
        )
        if isinstance(query, dict) and query:
            kind, values = "query", query
        elif form:
            kind, values = "form", form
        else:
            continue
        key, value = next(iter(values.items()))
        pairs = "&".join(f"{left}={right}" for left, right in values.items())
        out.append(
            {
                "fingerprint": f"{number:032x}",
                "rule": one["category"],
                "route": one["route"],
                "source": {"kind": kind, "name": key, "value": str(value)},
                "request": {
                    "method": request.get("method", "GET"),
                    "path": one["path"],
                    "query": pairs if kind == "query" else "",
                    "headers": {},
                    "content_type": "application/x-www-form-urlencoded" if kind == "form" else "",
                    "body": pairs if kind == "form" else "",
                },
            }
        )
    return out


def test_an_unsigned_request_gets_no_answer(served: int, tmp_path: Path) -> None:
    import http.client

    for header in ("v1;" + "0" * 32 + ";sql-injection;pxabcdef12;1;" + "0" * 64, "nonsense", "v1;" * 500):
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=10)
        connection.request("GET", "/", headers={"X-Phalanx-Verify": header})
        assert connection.getresponse().getheader("X-Phalanx-Verify-Result") is None
        connection.close()
