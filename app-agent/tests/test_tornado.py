"""Tornado: arguments, path values and headers are sources, what is written is looked at."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

APP = """
import asyncio, html, sqlite3, urllib.request
import tornado.httpserver, tornado.testing, tornado.web

class Sql(tornado.web.RequestHandler):
    def get(self):
        connection = sqlite3.connect(":memory:")
        connection.execute("create table t(a)")
        connection.execute("select * from t where a = '" + self.get_argument("a") + "'")
        self.write({"ok": 1})

class Page(tornado.web.RequestHandler):
    async def get(self, name):
        self.write("<p>" + name + "</p>")

class Header(tornado.web.RequestHandler):
    def get(self):
        self.write("<p>" + self.request.headers["X-Name"] + "</p>")

class Safe(tornado.web.RequestHandler):
    def get(self):
        self.write("<p>" + html.escape(self.get_argument("a")) + "</p>")

async def main():
    app = tornado.web.Application([("/sql", Sql), ("/page/(.*)", Page), ("/header", Header), ("/safe", Safe)])
    server = tornado.httpserver.HTTPServer(app)
    socket, port = tornado.testing.bind_unused_port()
    server.add_socket(socket)
    def get(path):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-Name": "ada"})
        return urllib.request.urlopen(request).read().decode()
    for path in ("/sql?a=1", "/page/bob", "/header", "/safe?a=2"):
        print(await asyncio.to_thread(get, path))

asyncio.run(main())
"""


@pytest.mark.skipif(importlib.util.find_spec("tornado") is None, reason="tornado is not installed here")
def test_tornado(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(APP))
    report = tmp_path / "report.jsonl"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PHALANX_", "PYTHON"))}
    env["PHALANX_APP_STATE"] = str(tmp_path / "state")
    command = [sys.executable, "-m", "phalanx_app", "run", "--root", str(tmp_path), "--report", str(report), "--"]
    done = subprocess.run([*command, sys.executable, "program.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ['{"ok": 1}', "<p>bob</p>", "<p>ada</p>", "<p>2</p>"], done.stderr
    messages = [json.loads(line) for line in report.read_text().splitlines()]
    found = {(one["route"], one["rule"]) for one in messages if one["kind"] == "finding" and one.get("source")}
    assert found == {("Sql", "sql-injection"), ("Page", "cross-site-scripting"), ("Header", "cross-site-scripting")}
    assert [one for one in messages if one["kind"] == "health"][-1]["errors"] == 0
