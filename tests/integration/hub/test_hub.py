"""The hub as a process: who reaches what, what survives, how it ends."""

from __future__ import annotations

import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from phalanx.model.columns import Coverage
from phalanx.model.report import AgentStatus, Report
from phalanx.store.events.flatten import flatten

AGENT = "a" * 16
Make = Callable[..., Any]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: connects as another user")


def report(identifier: str, *detections: Any, **more: Any) -> bytes:
    return msgspec.json.encode(
        Report(
            report=identifier,
            agent=AGENT,
            host="node-17",
            boot="b",
            sent_ns=time.time_ns(),
            detections=detections,
            **more,
        )
    )


def sign_in(hub: Any, client: httpx.Client) -> str:
    """Through the set-up page, as a person; answers the CSRF token."""
    from phalanx.identity.secrets import csrf_token

    token = hub.link.partition("token=")[2]
    form = {"token": token, "name": "ann", "password": "seven cranes fly at dawn"}
    answer = client.post(f"{hub.base}/setup", data=form)
    assert answer.status_code in (302, 303), answer.text[:2000]
    return csrf_token(next(iter(client.cookies.values())))


@pytest.mark.needs_root
@needs_root
def test_a_detection_sent_at_the_socket_reaches_an_open_stream(hub: Any, make_detection: Make) -> None:
    hub.start()
    agent, reader = hub.local(), hub.local()
    got: list[dict[str, Any]] = []
    ready = threading.Event()

    def read() -> None:
        with reader.stream("GET", "/api/v1/findings/stream", timeout=30) as answer:
            ready.set()
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    got.extend(json.loads(line[6:]))
                    return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert ready.wait(10)
    time.sleep(0.2)
    assert agent.post("/agent/v1/reports", content=report("r1", make_detection())).json() == {"acknowledged": "r1"}
    thread.join(10)
    assert [(item["what"], item["finding"]["id"]) for item in got] == [("new", "F-1")]


@pytest.mark.needs_root
@needs_root
def test_the_kernel_says_who_is_there_and_strangers_are_refused(hub: Any) -> None:
    hub.start()
    for parent in (hub.directory, *hub.directory.parents):
        if parent != Path("/"):
            os.chmod(parent, os.stat(parent).st_mode | 0o011)
    code = (
        "import os,sys,http.client,socket\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for path in ('/agent/v1/rules?version=', '/api/v1/findings'):\n"
        "    c=http.client.HTTPConnection('hub'); c.sock=socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
        "    c.request('GET', path, headers={'X-Forwarded-User':'root','X-Peer-Uid':'0'}); print(c.getresponse().status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(hub.socket)], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["403", "401"], done.stderr
    assert hub.local().get("/agent/v1/rules?version=").status_code == 200


def test_the_network_does_not_reach_what_is_for_the_socket(hub: Any) -> None:
    hub.start()
    with httpx.Client(base_url=hub.base) as client:
        for path in ("/agent/v1/rules?version=", "/agent/v1/commands?agent=x"):
            assert client.get(path, headers={"phalanx.peer": "0", "X-Real-IP": "unix:1"}).status_code == 403
        assert client.post("/agent/v1/reports", content=b"{}").status_code in (401, 403)
        assert client.get("/api/v1/findings").status_code == 401
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready"}


def test_a_person_signs_in_by_the_printed_link_and_a_program_by_a_token(hub: Any, tmp_path: Path) -> None:
    hub.start()
    with httpx.Client() as client:
        csrf = sign_in(hub, client)
        assert client.get(f"{hub.base}/api/v1/me").json()["name"] == "ann"
        body = {"name": "ci", "scopes": ["findings:read", "audit:read", "events:read"]}
        made = client.post(f"{hub.base}/api/v1/tokens", json=body, headers={"X-CSRF-Token": csrf}).json()
        again = client.post(
            f"{hub.base}/setup", data={"token": hub.link.partition("token=")[2], "name": "eve", "password": "x" * 20}
        )
        assert again.status_code >= 400
    (tmp_path / "token").write_text(made["token"] + "\n")
    for command in (["findings", "list"], ["events", "query"], ["audit", "verify"]):
        done = run_cli(*command, "--json", "--url", hub.base, "--token-file", str(tmp_path / "token"))
        assert done.returncode == 0, done.stderr
    refused = run_cli(
        "findings", "set", "F-1", "--state", "fixed", "--url", hub.base, "--token-file", str(tmp_path / "token")
    )
    assert refused.returncode == 4
    assert "scope findings:triage" in refused.stderr
    assert hub.stop() == 0
    hub.start()
    assert "token=" not in hub.link  # there is a user: nobody is offered another set-up


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PHALANX_")}
    return subprocess.run(
        [sys.executable, "-m", "phalanx.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


@pytest.mark.needs_root
@needs_root
def test_the_command_line_speaks_through_the_socket(hub: Any, make_detection: Make, make_event: Make) -> None:
    hub.start()
    agent = hub.local()
    agent.post("/agent/v1/reports", content=report("r1", make_detection(), make_detection(rule="PHX-B")))
    events = [make_event(name="curl"), make_event(name="na\x1b[2Jsty")]
    block = flatten(
        events,
        batch="b1",
        host="node-17",
        boot="b",
        coverage=(Coverage(kind="*", since_ns=1, until_ns=time.time_ns()),),
    )
    assert agent.post("/agent/v1/batches", content=block).json() == {"acknowledged": "b1"}
    place = ("--socket", str(hub.socket))
    listed = run_cli("findings", "list", "--json", *place)
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == ["F-2", "F-1"]
    assert run_cli("findings", "list", "--fail-on", "high", *place).returncode == 1
    assert run_cli("findings", "list", "--fail-on", "critical", *place).returncode == 0
    assert run_cli("findings", "set", "F-1", "--state", "fixed", "--reason", "patched", *place).returncode == 0
    shown = run_cli("findings", "show", "F-1", *place)
    assert "open → fixed" in shown.stdout
    assert "patched" in shown.stdout
    assert run_cli("findings", "set", "F-1", "--state", "accepted", *place).returncode == 2
    assert run_cli("findings", "show", "F-99", *place).returncode == 2
    history = run_cli("events", "query", "evt.type = execve", *place)
    assert "\x1b" not in history.stdout
    assert "na<ESC>[2Jsty" in history.stdout
    counted = run_cli("events", "query", "--count-by", "proc.name", "--json", *place)
    assert {json.loads(line)["value"] for line in counted.stdout.splitlines()} == {"curl", "na\x1b[2Jsty"}
    wrong = run_cli("events", "query", "proc.nam = x", *place)
    assert (wrong.returncode, "proc.name" in wrong.stderr) == (2, True)
    verified = run_cli("audit", "verify", "--json", *place)
    assert (verified.returncode, json.loads(verified.stdout)["intact"]) == (0, True)
    hub.stop()
    assert run_cli("findings", "list", *place).returncode == 3


@pytest.mark.needs_root
@needs_root
def test_what_was_acknowledged_survives_kills_and_counts_once(hub: Any, make_detection: Make, make_event: Make) -> None:
    ledger_reports: list[str] = []
    ledger_events: list[str] = []
    unsure: list[tuple[str, bytes]] = []
    for turn in range(3):
        hub.start()
        agent = hub.local()
        for path, body in unsure:  # what was under way at the kill is sent again, as an agent does
            assert agent.post(path, content=body).status_code == 200
        unsure = []
        killer = threading.Timer(0.3 + 0.17 * turn, hub.kill)
        killer.start()
        number = 0
        try:
            while True:
                number += 1
                name = f"{turn}-{number}"
                detection, event = make_detection(rule=f"R-{name}"), make_event()
                body, block = report(name, detection), flatten([event], batch=name, host="n", boot="b")
                ledger_reports.append(f"R-{name}")
                ledger_events.append(event.id)
                unsure = [("/agent/v1/reports", body), ("/agent/v1/batches", block)]
                assert agent.post("/agent/v1/reports", content=body).status_code == 200
                unsure = unsure[1:]
                assert agent.post("/agent/v1/batches", content=block).status_code == 200
                unsure = []
        except httpx.HTTPError:
            killer.join()
    hub.start()
    client = hub.local()
    for path, body in unsure:
        assert client.post(path, content=body).status_code == 200
    found: dict[str, int] = {}
    cursor = ""
    while True:
        page = client.get(
            "/api/v1/findings", params={"limit": 1000, "sort": "title", **({"cursor": cursor} if cursor else {})}
        ).json()
        found.update((row["rule"], row["count"]) for row in page["rows"])
        cursor = page["next"]
        if not cursor:
            break
    assert found == dict.fromkeys(ledger_reports, 1)
    stored: list[str] = []
    cursor = ""
    while True:
        page = client.get("/api/v1/events", params={"limit": 1000, **({"cursor": cursor} if cursor else {})}).json()
        stored += [row["id"] for row in page["rows"]]
        cursor = page["next"]
        if not cursor:
            break
    assert sorted(stored) == sorted(ledger_events)
    assert len(ledger_reports) > 10


@pytest.mark.needs_root
@needs_root
def test_it_ends_cleanly_with_streams_and_long_polls_open(hub: Any) -> None:
    hub.start()
    version = hub.local().get("/agent/v1/rules?version=").json()["version"]
    ended: list[object] = []

    def hang(path: str) -> None:
        with hub.local().stream("GET", path, timeout=60) as answer:
            ended.append((path, answer.status_code, len(answer.read())))

    paths = [
        "/api/v1/findings/stream",
        "/api/v1/events/stream",
        f"/agent/v1/rules?version={version}",
        "/agent/v1/commands?agent=x",
    ]
    threads = [threading.Thread(target=hang, args=(path,), daemon=True) for path in paths]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    assert hub.stop() == 0
    for thread in threads:
        thread.join(10)
    assert len(ended) == 4
    assert not hub.socket.exists()
    assert "Traceback" not in (hub.directory / "log").read_text()


def test_beyond_loopback_only_with_tls(hub: Any) -> None:
    process = hub.start(address="0.0.0.0:0", ready=False)
    assert process.wait(30) == 2
    assert "no TLS" in (hub.directory / "log").read_text()


def certificate(directory: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def test_with_tls_it_listens_anywhere_and_its_cookie_is_bound_to_the_host(hub: Any, tmp_path: Path) -> None:
    import ssl

    cert, key = certificate(tmp_path)
    (tmp_path / "hub.yaml").write_text(f"tls_certificate: {cert}\ntls_key: {key}\n")
    hub.start("--config", str(tmp_path / "hub.yaml"), address="0.0.0.0:0")
    port = hub.base.rpartition(":")[2]
    hub.base = f"https://localhost:{port}"
    with httpx.Client(verify=ssl.create_default_context(cafile=str(cert))) as client:
        sign_in(hub, client)
        assert [cookie.name for cookie in client.cookies.jar] == ["__Host-phalanx_session"]
        answer = client.get(f"{hub.base}/api/v1/me")
        assert answer.json()["name"] == "ann"
        assert "max-age" in answer.headers["strict-transport-security"]
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
    assert hub.local().get("/healthz").status_code == 200


def test_a_taken_port_a_second_hub_and_a_stale_socket_are_told(hub: Any, tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(hub.socket))
    stale.close()
    hub.start()
    port = hub.base.rpartition(":")[2]
    other = type(hub)(tmp_path / "other")
    other.directory.mkdir()
    try:
        assert other.start(address=f"127.0.0.1:{port}", ready=False).wait(30) == 3
        assert "another program has this port" in (other.directory / "log").read_text()
        other.socket = hub.socket
        assert other.start(ready=False).wait(30) == 3
        assert "another hub listens" in (other.directory / "log").read_text()
        other.socket, other.directory = tmp_path / "x.sock", hub.directory
        assert other.start(ready=False).wait(30) == 3
        assert "another process has the event store" in (hub.directory / "log").read_text()
    finally:
        other.end()
    assert hub.local().get("/healthz").status_code == 200


@pytest.mark.parametrize("damage", ["not a database at all, just text\n" * 200, ""])
def test_a_damaged_state_store_is_told_and_an_empty_one_is_made(hub: Any, damage: str) -> None:
    (hub.directory / "hub").mkdir(mode=0o700)
    (hub.directory / "hub" / "state.db").write_text(damage)
    if not damage:
        hub.start()
        return
    process = hub.start(ready=False)
    assert process.wait(30) == 3
    assert "damaged" in (hub.directory / "log").read_text()
    assert (hub.directory / "hub" / "state.db").read_text() == damage


@pytest.mark.needs_root
@needs_root
def test_what_an_agent_will_never_be_believed_is_refused_for_good(hub: Any) -> None:
    hub.start()
    client = hub.local()
    bodies = [
        b"",
        b"{}",
        b"[",
        b"\xff\xfe",
        b'{"report":"r","agent":"a","host":"h","boot":"b","sent_ns":"x"}',
        b"PHXCOL\x00\x01" + b"\xff" * 64,
    ]
    for body in bodies:
        for path in ("/agent/v1/reports", "/agent/v1/batches"):
            answer = client.post(path, content=body)
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.status_code not in (401, 403, 408, 429)
    assert client.get("/healthz").status_code == 200
    assert "Traceback" not in (hub.directory / "log").read_text()


def test_an_idle_hub_is_small_and_its_files_are_private(hub: Any) -> None:
    process = hub.start()
    with httpx.Client(base_url=hub.base) as client:
        client.get("/login", follow_redirects=True)
    time.sleep(1.0)
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert resident < 250 * 1024, f"{resident} kB"
    assert (hub.directory / "hub").stat().st_mode & 0o077 == 0
    for path in (hub.directory / "hub").rglob("*"):
        assert path.stat().st_mode & 0o007 == 0, path
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


@pytest.mark.needs_root
@needs_root
def test_a_silent_start_knows_its_agents_again(hub: Any) -> None:
    hub.start()
    hub.local().post("/agent/v1/reports", content=report("r1", status=AgentStatus(version="9", started_ns=1)))
    hub.kill()
    hub.start()
    agents = hub.local().get("/api/v1/health").json()["agents"]
    assert [(agent["host"], agent["version"]) for agent in agents] == [("node-17", "9")]
