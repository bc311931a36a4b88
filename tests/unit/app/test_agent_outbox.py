"""What an agent saw reaches the hub: through a dead hub, a refusing hub, a lying hub, and a restart."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phalanx.app.agent.link import HubLink
from phalanx.app.agent.outbox import Outbox
from phalanx.bus.spool import Spool
from phalanx.errors import CorruptError, UnavailableError

Answer = tuple[int, bytes]


class UnixHub(socketserver.ThreadingUnixStreamServer):
    """A hub that answers as ``answer`` says and remembers what it acknowledged."""

    daemon_threads = True

    def __init__(self, path: Path, answer: Callable[[bytes], Answer]) -> None:
        self.answer = answer
        self.taken: list[bytes] = []
        super().__init__(str(path), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        status, answer = server.answer(body)
        if status == 200:
            server.taken.append(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def acknowledge(body: bytes) -> Answer:
    return 200, msgspec.json.encode({"acknowledged": body.decode()})


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Callable[[bytes], Answer]], UnixHub]]:
    started: list[UnixHub] = []

    def start(answer: Callable[[bytes], Answer]) -> UnixHub:
        path = tmp_path / "hub.sock"
        path.unlink(missing_ok=True)
        hub = UnixHub(path, answer)
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        started.append(hub)
        return hub

    yield start
    for hub in started:
        hub.shutdown()
        hub.server_close()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    said: list[str] = []
    box = Outbox(Spool(tmp_path / "spool"), HubLink(tmp_path / "hub.sock"), "/x", "text/plain", said.append)
    box.said = said  # type: ignore[attr-defined]
    thread = threading.Thread(target=box.run)
    thread.start()
    yield box
    box.stop()
    thread.join(10)
    assert not thread.is_alive()
    box.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_waits_is_delivered_in_order_once_the_hub_is_there(outbox: Outbox, serve: Any) -> None:
    for n in range(20):
        outbox.put(f"b{n}", f"b{n}".encode())
    until(lambda: bool(outbox.state.last_error))
    hub = serve(acknowledge)
    until(lambda: outbox.state.delivered == 20)
    assert hub.taken == [f"b{n}".encode() for n in range(20)]
    assert outbox.spool.first() is None
    assert outbox.said[-1] == "the hub answers again"  # type: ignore[attr-defined]


def test_a_hub_in_trouble_is_asked_again_and_nothing_is_forgotten(outbox: Outbox, serve: Any) -> None:
    troubles = iter([(503, b"busy"), (500, b"broken"), (429, b"slowly")])
    serve(lambda body: next(troubles, None) or acknowledge(body))
    outbox.put("one", b"one")
    until(lambda: outbox.state.delivered == 1)
    assert outbox.state.refused == 0


def test_what_the_hub_will_never_take_is_set_aside_counted_and_said(outbox: Outbox, serve: Any) -> None:
    serve(lambda body: (413, b"too large") if body == b"bad" else acknowledge(body))
    outbox.put("bad", b"bad")
    outbox.put("good", b"good")
    until(lambda: outbox.state.delivered == 1)
    assert outbox.state.refused == 1
    assert any("HTTP 413" in text for text in outbox.said)  # type: ignore[attr-defined]


def test_an_acknowledgement_of_something_else_is_no_acknowledgement(tmp_path: Path, serve: Any) -> None:
    serve(lambda _: (200, b'{"acknowledged":"other"}'))
    with pytest.raises(CorruptError):
        HubLink(tmp_path / "hub.sock").deliver("/x", "mine", b"", "text/plain")


def test_a_silent_socket_is_an_unavailable_hub(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        HubLink(tmp_path / "none.sock").deliver("/x", "mine", b"", "text/plain")


def test_what_was_not_delivered_comes_after_a_restart(tmp_path: Path, serve: Any) -> None:
    with Spool(tmp_path / "spool") as spool:
        spool.append("kept", b"kept")
    hub = serve(acknowledge)
    box = Outbox(Spool(tmp_path / "spool"), HubLink(tmp_path / "hub.sock"), "/x", "text/plain", lambda _: None)
    thread = threading.Thread(target=box.run)
    thread.start()
    until(lambda: hub.taken == [b"kept"])
    box.stop()
    thread.join(10)
    box.close()
