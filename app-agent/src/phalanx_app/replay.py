"""`phalanx-app verify`: sends the request of each finding again with harmless markers and reads the agent's answer.

It runs outside of the application and talks to the one URL it was given. Requests are signed, so nobody else can make the agent watch; values that the report
masked are not known, so a session is given with `--header`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import http.client
import json
import re
import secrets
import time
import urllib.parse
from typing import Any

from .cli import read_findings
from .errors import AgentError
from .marks import BIT
from .request import MASK
from .structure import payloads
from .verify import sign

TIMEOUT_SECONDS = 20
_RAW = "<>'\"(){}[];:,/|*$!@`=?"
_TOKEN = re.compile(r"[\w.~+/=%:-]*\Z")
_HOP = frozenset({"host", "content-length", "connection", "transfer-encoding", "cookie", "x-phalanx-verify"})


class Shape:
    """A request that can be changed at one place."""

    def __init__(self, finding: dict[str, Any]) -> None:
        recorded = finding.get("request") or {}
        self.method = recorded.get("method") or "GET"
        self.path = recorded.get("path") or "/"
        self.query = recorded.get("query") or ""
        self.headers = {
            name: value
            for name, value in (recorded.get("headers") or {}).items()
            if name.lower() not in _HOP and value != MASK
        }
        self.content_type = recorded.get("content_type") or ""
        self.body = (recorded.get("body") or "").encode()
        self.cookies: dict[str, str] = {}

    def with_payload(self, kind: str, name: str, old: str, payload: str) -> bool:
        """Put the payload where the source was; False when this kind of source cannot be replayed."""
        if kind == "query" and name in ("query_string", "QUERY_STRING", "RAW_URI", "REQUEST_URI"):
            pairs = urllib.parse.parse_qsl(self.query, keep_blank_values=True)
            # The application reads the query as it is sent, so what need not be encoded is not.
            self.query = "&".join(f"{key}={urllib.parse.quote(payload, safe=_RAW)}" for key, _ in pairs)
        elif kind == "query":
            self.query = _replaced(self.query, name, payload)
        elif kind == "query.name":
            pairs = urllib.parse.parse_qsl(self.query, keep_blank_values=True)
            self.query = urllib.parse.urlencode([(payload if key == name else key, value) for key, value in pairs])
        elif kind == "form":
            self.body = _replaced(self.body.decode("utf-8", "replace"), name, payload).encode()
            self.content_type = "application/x-www-form-urlencoded"
        elif kind == "body":
            if payload != old:
                self.body = self._whole_body(payload)
        elif kind == "json":
            try:
                document = json.loads(self.body)
            except ValueError:
                return False
            self.body = json.dumps(_set(document, name.split(".") if name else [], payload)).encode()
        elif kind == "cookie":
            if "\r" in payload or "\n" in payload:
                return False
            self.cookies[name] = (
                payload if _TOKEN.match(payload) else '"' + payload.replace("\\", "\\\\").replace('"', '\\"') + '"'
            )
        elif kind == "header":
            if "\r" in payload or "\n" in payload:
                return False
            self.headers[name] = payload
        elif kind == "path":
            quoted = urllib.parse.quote(payload, safe="")
            if old and old in self.path:
                head, _, tail = self.path.rpartition(old)
                self.path = urllib.parse.quote(head) + quoted + urllib.parse.quote(tail)
            else:
                return False
        else:
            return False
        return True

    def _whole_body(self, payload: str) -> bytes:
        if "json" in self.content_type:
            try:
                return json.dumps(_everywhere(json.loads(self.body), payload)).encode()
            except ValueError:
                return payload.encode()
        return payload.encode()


def _everywhere(document: Any, payload: str) -> Any:
    """A document with the payload in the place of every text."""
    if isinstance(document, dict):
        return {key: _everywhere(one, payload) for key, one in document.items()}
    if isinstance(document, list):
        return [_everywhere(one, payload) for one in document]
    return payload if isinstance(document, str) else document


def _replaced(query: str, name: str, payload: str) -> str:
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    if not any(key == name for key, _ in pairs):
        pairs.append((name, payload))
    return urllib.parse.urlencode([(key, payload if key == name else value) for key, value in pairs])


def _set(document: Any, path: list[str], payload: str) -> Any:
    """A document with the payload at `path`; a list takes it in every text member."""
    if isinstance(document, list):
        return [_set(one, path, payload) for one in document]
    if isinstance(document, dict) and path:
        return {key: _set(one, path[1:], payload) if key == path[0] else one for key, one in document.items()}
    return payload if isinstance(document, str) else document


def attempts(finding: dict[str, Any], marker: str, callback: str) -> list[tuple[str, str]]:
    """Payloads for one finding, plain and in the encoding that the recorded value had."""
    source = finding.get("source") or {}
    old = source.get("value") or ""
    value = "1" if old == MASK or old.endswith("…") else old
    plain = payloads(finding["rule"], marker, value, callback)
    out = [(value, one) for one in plain]
    try:
        decoded = base64.b64decode(
            value.encode(), altchars=b"-_" if "-" in value or "_" in value else None, validate=True
        )
        text = decoded.decode()
        if len(value) >= 4 and text.isprintable():
            out += [
                (value, base64.b64encode(one.encode()).decode())
                for one in payloads(finding["rule"], marker, text, callback)
            ]
    except (binascii.Error, ValueError):
        pass  # not base64: the plain payloads are all there is
    return out


def send(url: urllib.parse.SplitResult, shape: Shape, extra: dict[str, str], signature: str) -> tuple[int, str]:
    """One request; the status and the agent's answer (empty when none came)."""
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "127.0.0.1", url.port, timeout=TIMEOUT_SECONDS)
    headers = {**shape.headers, **extra, "X-Phalanx-Verify": signature, "Connection": "close"}
    if shape.cookies:
        cookie = "; ".join(f"{name}={value}" for name, value in shape.cookies.items())
        headers["Cookie"] = f"{headers['Cookie']}; {cookie}" if "Cookie" in headers else cookie
    if shape.content_type:
        headers["Content-Type"] = shape.content_type
    target = urllib.parse.quote(shape.path, safe="/%") + (f"?{shape.query}" if shape.query else "")
    try:
        connection.request(shape.method, target, shape.body or None, headers)
        answer = connection.getresponse()
        answer.read(1 << 20)
        return answer.status, answer.getheader("X-Phalanx-Verify-Result", "")
    finally:
        connection.close()


def verify(finding: dict[str, Any], url: urllib.parse.SplitResult, key: str, extra: dict[str, str]) -> dict[str, Any]:
    """Replay one finding; its fingerprint, the answer and what was tried."""
    source = finding.get("source") or {}
    out: dict[str, Any] = {
        "fingerprint": finding["fingerprint"],
        "rule": finding["rule"],
        "route": finding.get("route", ""),
        "tried": 0,
        "answer": "not reachable",
    }
    marker = "px" + secrets.token_hex(5)
    taint = finding["rule"] in BIT and source
    tries = attempts(finding, marker, f"{url.hostname}:{url.port or 80}") if taint else [("", "")]
    for old, payload in tries:
        shape = Shape(finding)
        if taint and not shape.with_payload(source["kind"], source["name"], old, payload):
            out["answer"] = out["answer"] if out["tried"] else "cannot be replayed"
            continue
        try:
            _, answer = send(
                url, shape, extra, sign(key, finding["fingerprint"], finding["rule"], marker, int(time.time()))
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            out["answer"], out["error"] = "no answer", str(error)[:200]
            continue
        out["tried"] += 1
        if not answer:
            out["answer"] = "no agent"
            continue
        word = answer.partition(";")[0]
        if word == "confirmed":
            out["answer"] = word
            break
        if word == "sanitized" or out["answer"] in ("cannot be replayed", "no answer", "no agent"):
            out["answer"] = word
    return out


def verify_report(options: argparse.Namespace) -> int:
    """The command.

    Raises:
        AgentError: for a wrong URL, a missing key, or an unreadable report.
    """
    url = urllib.parse.urlsplit(options.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise AgentError(f"not a URL: {options.url[:100]}", "such as http://127.0.0.1:5000")
    if not options.key:
        raise AgentError("no key", "start the application with PHALANX_APP_VERIFY_KEY and give the same with --key")
    extra = {}
    for one in options.header:
        name, colon, value = one.partition(":")
        if not colon:
            raise AgentError(f"not a header: {one[:100]}", "--header 'Name: value'")
        extra[name.strip()] = value.strip()
    counts: dict[str, int] = {}
    for finding in read_findings(options.report):
        if options.rule and finding["rule"] not in options.rule:
            continue
        result = verify(finding, url, options.key, extra)
        counts[result["answer"]] = counts.get(result["answer"], 0) + 1
        if options.json:
            print(json.dumps(result))
        else:
            print(f"{result['answer']:18} {result['rule']:28} {result['route']}")
    if not options.json:
        print(", ".join(f"{number} {answer}" for answer, number in sorted(counts.items())) or "no findings")
    return 1 if options.fail and counts.get("confirmed") else 0
