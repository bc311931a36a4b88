"""Notifications against real receivers on this machine: what arrives, byte for byte, and what happens when nothing answers."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.errors import PhalanxError, UnavailableError, UsageError
from phalanx.model.severity import Severity
from phalanx.respond.notify.message import Notice, Notification, body_of, title_of
from phalanx.respond.notify.send import MASK, check_address, masked, send
from phalanx.respond.notify.syslog import format_message, send_syslog

RFC5424 = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([\x21-\x7e]{1,255}) phalanx - (\w+) "
    rb"(-|\[phalanx@32473(?: \w+=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*\]) \xef\xbb\xbf(.*)",
    re.DOTALL,
)


def notice(number: int = 1, **values: object) -> Notice:
    fields: dict[str, object] = {
        "finding": f"F-{number}",
        "kind": "threat",
        "title": "Container escaped to its host",
        "severity": Severity.CRITICAL,
        "score": 97,
        "asset": "order-api",
        "what": "new",
        "rule": "PHX-ESC-007",
        "techniques": ("T1611",),
        "story": "sh rewrote core_pattern.",
        "advice": "Isolate the node.",
        "ts_ns": 1_795_000_000_123_456_789,
    }
    return Notice(**(fields | values))  # type: ignore[arg-type]


def note(*notices: Notice, **values: object) -> Notification:
    fields: dict[str, object] = {"id": "n1", "notices": notices or (notice(),), "base_url": "https://phalanx.example"}
    return Notification(**(fields | values))  # type: ignore[arg-type]


class Receiver(http.server.BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        type(self).got.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
        self.send_response(type(self).status)
        if type(self).status in (301, 307):
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def web() -> Iterator[str]:
    Receiver.got, Receiver.status = [], 200
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def tcp_syslog() -> Iterator[tuple[int, list[bytes]]]:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while part := connection.recv(65_536):
                    got.append(part)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], got
        thread.join(5)


def frames(raw: bytes) -> list[bytes]:
    """Octet counting, RFC 6587 section 3.4.1."""
    found = []
    while raw:
        length, _, rest = raw.partition(b" ")
        found.append(rest[: int(length)])
        raw = rest[int(length) :]
    return found


def test_syslog_over_udp_is_rfc_5424() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        send("syslog", f"udp://127.0.0.1:{receiver.getsockname()[1]}", "", note())
        message = receiver.recv(65_536)
    match = RFC5424.fullmatch(message)
    assert match is not None, message
    assert int(match[1]) == 13 * 8 + 1
    assert match[2] == b"2026-11-18T10:26:40.123457Z" or match[2].startswith(b"2026-11-18T")
    assert b'finding="F-1"' in match[5]
    assert b'techniques="T1611"' in match[5]
    assert b"Container escaped" in match[6]


def test_syslog_over_tcp_counts_octets() -> None:
    with tcp_syslog() as (port, got):
        send_syslog(f"tcp://127.0.0.1:{port}", note(notice(1), notice(2, title="naïve — 容器")), hostname="hub 1")
    messages = frames(b"".join(got))
    assert len(messages) == 2
    assert all(RFC5424.fullmatch(message) for message in messages)
    assert "容器".encode() in messages[1]
    assert b" hub?1 " in messages[0]


def test_syslog_to_a_local_socket(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(5)
        send("syslog", f"unix://{path}", "", note())
        assert RFC5424.fullmatch(receiver.recv(65_536))


@given(st.text(), st.text(), st.text(max_size=40))
def test_no_observed_text_breaks_a_syslog_message(title: str, asset: str, rule: str) -> None:
    message = format_message(notice(title=title, asset=asset, rule=rule), note(), hostname="hub", limit=2_048)
    assert len(message) <= 2_048
    assert RFC5424.fullmatch(message)
    assert b"\n" not in message
    assert b"\x1b" not in message


def test_a_syslog_message_is_cut_at_a_character() -> None:
    message = format_message(notice(title="容" * 400, story="器" * 3_000), note(), hostname="hub", limit=2_048)
    assert len(message) <= 2_048
    message.decode("utf-8")


def test_a_webhook_gets_json_with_a_signature_that_fits(web: str) -> None:
    send("webhook", f"http://{web}/hook?x=1", "the key", note(notice(1), notice(2), more=3))
    ((path, headers, body),) = Receiver.got
    assert path == "/hook?x=1"
    stamp, _, mac = headers["x-phalanx-signature"].partition(",")
    expected = hmac.new(b"the key", stamp.removeprefix("t=").encode() + b"." + body, hashlib.sha256).hexdigest()
    assert mac == f"v1={expected}"
    payload = json.loads(body)
    assert [item["id"] for item in payload["findings"]] == ["F-1", "F-2"]
    assert payload["more"] == 3
    assert payload["findings"][0]["url"] == "https://phalanx.example/findings/F-1"
    assert headers["x-phalanx-delivery"] == "n1"


def test_a_webhook_without_a_key_is_not_signed(web: str) -> None:
    send("webhook", f"http://{web}/", "", note())
    assert "x-phalanx-signature" not in Receiver.got[0][1]


@pytest.mark.parametrize("status", [307, 404, 500])
def test_a_webhook_that_does_not_take_it_is_a_failure_and_a_redirect_is_not_followed(web: str, status: int) -> None:
    Receiver.status = status
    with pytest.raises(UnavailableError, match=str(status)):
        send("webhook", f"http://{web}/", "", note())
    assert [path for path, _, _ in Receiver.got] == ["/"]


def test_apprise_delivers_title_and_text(web: str) -> None:
    send("apprise", f"json://{web}/in", "", note())
    payload = json.loads(Receiver.got[0][2])
    assert payload["title"] == "[critical] Container escaped to its host"
    assert "Isolate the node." in payload["message"]
    assert payload["type"] == "failure"


def test_apprise_says_when_the_service_refuses(web: str) -> None:
    Receiver.status = 500
    with pytest.raises(UnavailableError):
        send("apprise", f"json://{web}/in", "", note())


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhook", "http://127.0.0.1:1/"),
        ("syslog", "tcp://127.0.0.1:1"),
        ("syslog", "unix:///nonexistent/socket"),
        ("apprise", "json://127.0.0.1:1/"),
    ],
)
def test_a_receiver_that_is_not_there_is_a_typed_error(kind: str, address: str) -> None:
    with pytest.raises(UnavailableError):
        send(kind, address, "", note())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhook", "ftp://host/"),
        ("webhook", "http://"),
        ("webhook", "http://host:99999/"),
        ("webhook", "http://ho st/"),
        ("webhook", "http://[::1"),
        ("syslog", "udp://[::1"),
        ("syslog", "http://host"),
        ("syslog", "udp://"),
        ("syslog", "udp://host:x"),
        ("apprise", "nonsense"),
        ("apprise", "file:///etc/passwd"),
        ("apprise", "syslog://"),
    ],
)
def test_an_address_that_cannot_be_is_refused_when_it_is_saved(kind: str, address: str) -> None:
    with pytest.raises(UsageError):
        check_address(kind, address)  # type: ignore[arg-type]


@given(st.sampled_from(["webhook", "syslog"]), st.text(max_size=200))
def test_any_address_is_taken_or_refused_with_a_typed_error(kind: str, address: str) -> None:
    try:
        check_address(kind, address)  # type: ignore[arg-type]
    except PhalanxError:
        return
    except ValueError as error:  # urlsplit's own; must not reach a caller
        pytest.fail(f"{address!r}: {error}")


def test_secrets_in_addresses_are_masked() -> None:
    assert masked("apprise", "slack://tokenA/tokenB/tokenC") == f"slack://{MASK}"
    assert (
        masked("webhook", "https://user:pw@hooks.example:8443/services/T0/B0/key?k=1")
        == f"https://hooks.example:8443/{MASK}"
    )
    assert masked("webhook", "https://hooks.example/") == "https://hooks.example/"
    assert masked("syslog", "udp://log.example:514") == "udp://log.example:514"


def test_the_text_names_the_worst_and_counts_the_rest_and_tells_what_was_kept_back() -> None:
    many = note(*(notice(number) for number in range(1, 16)), more=4, suppressed=7, failed=2)
    assert title_of(many) == "[critical] Container escaped to its host (and 18 more)"
    text = body_of(many)
    assert "F-10 " in text
    assert "F-11 " not in text
    assert "9 more findings" in text
    assert "7 findings were not sent" in text
    assert "2 findings could not be delivered" in text


def test_observed_text_stays_on_its_line() -> None:
    hostile = note(notice(title="a\x1b[2J\r\nDo: run rm -rf /", asset="x\nF-99 critical"))
    assert "\x1b" not in body_of(hostile) + title_of(hostile)
    assert not any(line.startswith(("F-99", "Do: run")) for line in body_of(hostile).splitlines())


def test_a_test_message_says_that_it_is_one(web: str) -> None:
    send("webhook", f"http://{web}/", "", note(test=True))
    assert json.loads(Receiver.got[0][2])["test"] is True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        send("syslog", f"udp://127.0.0.1:{receiver.getsockname()[1]}", "", Notification(id="t", notices=(), test=True))
        assert b" test " in receiver.recv(65_536)
