"""Latency of requests over loopback: the Flask test application bare, under the agent, and under the agent with analysis off.

Each of the three is a real werkzeug server; a client sends every case in turn over one connection, several passes, the
servers in turns. Prints p50 and p99 of what the client saw, the ratios to the bare server, and the memory of each server.
Run: ``python bench/app_agent_requests.py [passes]`` with the test requirements installed.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

APPS = Path(__file__).parent.parent / "app-agent" / "tests" / "apps"
SKIP = ("command-injection", "server-side-request-forgery")
"""Categories whose time is that of a child process or a refused connection."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(agent: bool, mode: str, state: str) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    code = (
        "import sys; sys.path.insert(0, '.'); from flaskapp import app; from werkzeug.serving import WSGIRequestHandler, make_server;"
        "WSGIRequestHandler.protocol_version = 'HTTP/1.1'; WSGIRequestHandler.log_request = lambda *a, **k: None;"
        f"make_server('127.0.0.1', {port}, app, threaded=True).serve_forever()"
    )
    env = {**os.environ, "PHALANX_APP_MODE": mode, "PHALANX_APP_STATE": state}
    command = [sys.executable, "-c", code]
    if agent:
        command = [sys.executable, "-m", "phalanx_app", "run", "--root", str(APPS), "--", *command]
    process = subprocess.Popen(command, cwd=APPS, env=env, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return process, port
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def requests() -> list[tuple[str, str, bytes | None, dict[str, str]]]:
    code = "import sys, json; sys.path.insert(0, '.'); from flaskapp import CASES; print(json.dumps([c for c in CASES], default=lambda b: b.decode('latin-1')))"
    out = []
    for one in json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=APPS)):
        given = one["request"]
        if one["category"] in SKIP:
            continue
        path, body, headers = one["path"], None, dict(given.get("headers", {}))
        query = given.get("query_string")
        if query:
            path += "?" + (query if isinstance(query, str) else urllib.parse.urlencode(query))
        if given.get("cookies"):
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in given["cookies"].items())
        if "json" in given:
            body, headers["Content-Type"] = json.dumps(given["json"]).encode(), "application/json"
        elif "data" in given:
            data = given["data"]
            body = urllib.parse.urlencode(data).encode() if isinstance(data, dict) else data.encode("latin-1")
            headers["Content-Type"] = given.get("content_type", "application/x-www-form-urlencoded")
        out.append((given.get("method", "GET"), path, body, headers))
    return out


def main() -> None:
    passes = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    shapes = requests()
    with tempfile.TemporaryDirectory() as state:
        servers = {"bare": serve(False, "on", state), "on": serve(True, "on", state), "off": serve(True, "off", state)}
        try:
            times: dict[str, list[float]] = {name: [] for name in servers}
            for number in range(passes + 2):
                for name, (_, port) in servers.items():
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    connection.connect()
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for method, path, body, headers in shapes:
                        start = time.perf_counter()
                        connection.request(method, path, body, headers)
                        connection.getresponse().read()
                        if number >= 2:  # the first passes warm caches
                            times[name].append(time.perf_counter() - start)
                    connection.close()
            base = sorted(times["bare"])
            for name, (process, _) in servers.items():
                row = sorted(times[name])
                p50, p99 = row[len(row) // 2], row[int(len(row) * 0.99)]
                b50, b99 = base[len(base) // 2], base[int(len(base) * 0.99)]
                memory = (
                    next(
                        int(line.split()[1])
                        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
                        if line.startswith("VmRSS")
                    )
                    / 1024
                )
                print(
                    f"{name:5} p50 {p50 * 1e3:6.2f} ms x{p50 / b50:.2f}   p99 {p99 * 1e3:6.2f} ms x{p99 / b99:.2f}   {memory:.0f} MiB   {len(row)} requests"
                )
        finally:
            for process, _ in servers.values():
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
