"""Downloads from a real server on loopback: whole or not at all, unchanged ones not again, failures leave what was there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from phalanx.advisories.sync import SOURCES, fetch, sync
from phalanx.errors import UsageError


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        elif self.path == "/gone":
            self.send_error(503)
        elif self.headers.get("If-None-Match") == '"1"':
            self.send_response(304)
            self.end_headers()
        else:
            body = f"feed {self.path}".encode()
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_feed_is_downloaded_once_and_then_unchanged(server: str, tmp_path: Path) -> None:
    place = tmp_path / "osv/PyPI/all.zip"
    assert fetch("x", f"{server}/a", place).result == "new"
    assert place.read_bytes() == b"feed /a"
    assert fetch("x", f"{server}/a", place).result == "unchanged"


@pytest.mark.parametrize("path", ["/short", "/gone"])
def test_a_failure_leaves_what_was_there_and_no_litter(server: str, tmp_path: Path, path: str) -> None:
    place = tmp_path / "kev.json"
    place.write_text("last good")
    done = fetch("x", server + path, place)
    assert done.result == "failed"
    assert done.reason
    assert place.read_text() == "last good"
    assert [one.name for one in tmp_path.iterdir()] == ["kev.json"]


def test_no_server_is_a_reason(tmp_path: Path) -> None:
    assert fetch("x", "http://127.0.0.1:9/x", tmp_path / "x").result == "failed"


def test_a_mirror_has_the_same_layout_as_the_directory(server: str, tmp_path: Path) -> None:
    done = sync(tmp_path, ["kev", "osv:*"], mirror=server)
    assert {one.result for one in done} == {"new"}
    assert (tmp_path / "signals/kev.json").read_text() == "feed /signals/kev.json"
    assert len(list((tmp_path / "osv").rglob("all.zip"))) == sum(one.name.startswith("osv:") for one in SOURCES)


def test_an_unknown_feed_and_a_file_address_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no source"):
        sync(tmp_path, ["nonsense"])
    with pytest.raises(UsageError, match="not an address"):
        fetch("x", "file:///etc/passwd", tmp_path / "x")
