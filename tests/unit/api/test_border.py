"""The border: headers, origins, cookies, problems, keys — as a browser, a program and an attacker see them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from phalanx.api import sse
from phalanx.api.problems import problem_of
from phalanx.api.security import content_policy
from phalanx.app.hub import Application
from phalanx.errors import (
    AuthenticationError,
    ConflictError,
    CorruptError,
    LimitError,
    NotFoundError,
    PermissionError_,
    PhalanxError,
    RuleError,
    SensorError,
    UnavailableError,
    UsageError,
)
from phalanx.identity.permissions import Permission, Role

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_every_answer_carries_the_strict_headers(people: dict[str, Any]) -> None:
    for path in ("/healthz", "/api/v1/findings", "/nowhere", "/login"):
        headers = people["nobody"].get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_page_has_a_fresh_nonce_and_no_unsafe_words(people: dict[str, Any]) -> None:
    one = people["admin"].get("/", headers={"Accept": "text/html"}).headers["content-security-policy"]
    other = people["admin"].get("/", headers={"Accept": "text/html"}).headers["content-security-policy"]
    nonces = [re.search(r"'nonce-([\w-]{20,})'", policy) for policy in (one, other)]
    assert all(nonces)
    assert nonces[0][1] != nonces[1][1]  # type: ignore[index]
    policy = content_policy("n")
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "object-src 'none'" in policy
    assert "base-uri 'none'" in policy


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7430", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "a/b", "[::1"]
)
def test_a_request_under_a_foreign_name_is_refused(people: dict[str, Any], host: str) -> None:
    answer = people["admin"].get("/api/v1/findings", headers={"Host": host})
    assert answer.status_code in (400, 401)
    assert "rows" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:9999"},
    ],
)
def test_a_page_of_another_site_changes_nothing_even_with_the_token(
    people: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = people["admin"].post("/api/v1/rules/check", json={"text": ""}, headers=headers)
    assert answer.status_code == 403
    login = people["nobody"].post(
        "/login", content="name=x&password=y", headers={**FORM, **headers, "Accept": "application/json"}
    )
    assert login.status_code == 403


def test_a_change_without_the_csrf_token_is_refused(people: dict[str, Any]) -> None:
    assert people["admin"].post("/api/v1/rules/check", json={"text": ""}, csrf=False).status_code == 403
    wrong = people["viewer"].csrf
    answer = people["admin"].post("/api/v1/rules/check", json={"text": ""}, csrf=False, headers={"X-CSRF-Token": wrong})
    assert answer.status_code == 403
    assert people["admin"].post("/api/v1/rules/check", json={"text": ""}).status_code == 200


def test_the_csrf_token_may_stand_in_a_form(people: dict[str, Any]) -> None:
    body = f"theme=dark&csrf={people['viewer'].csrf}"
    answer = people["viewer"].post("/preferences", content=body, csrf=False, headers=FORM)
    assert answer.status_code in (200, 303)
    refused = people["viewer"].post(
        "/preferences", content="theme=dark", csrf=False, headers={**FORM, "Accept": "application/json"}
    )
    assert refused.status_code == 403


def test_a_token_needs_no_csrf_and_is_bound_to_its_scopes(
    application: Application, people: dict[str, Any], make_token: Callable[..., str]
) -> None:
    program = type(people["nobody"])(application, token=make_token(Role.ADMIN, Permission.RULES_READ))
    assert program.post("/api/v1/rules/check", json={"text": ""}).status_code == 200
    refused = program.get("/api/v1/findings")
    assert refused.status_code == 403
    assert "scope findings:read" in refused.json()["detail"]


@pytest.mark.parametrize(
    "value", ["Bearer nonsense", "Bearer phx_000000000000_" + "a" * 49, "Basic YTpi", "Bearer ", "phx_x"]
)
def test_a_wrong_credential_is_an_error_also_where_nobody_is_needed(people: dict[str, Any], value: str) -> None:
    answer = people["nobody"].get("/api/v1/version", headers={"Authorization": value})
    assert answer.status_code in (400, 401)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cookie", ["x", "a" * 43, "é" * 30, "../../etc", "a" * 5000])
def test_a_made_up_cookie_is_nobody(application: Application, people: dict[str, Any], cookie: str) -> None:
    answer = people["nobody"].get("/api/v1/findings", headers={"Cookie": f"phalanx_session={cookie}".encode()})  # type: ignore[dict-item]
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("x"), 400),
        (RuleError("x", line=2, column=3, source="abc"), 400),
        (NotFoundError("x"), 404),
        (ConflictError("x"), 409),
        (PermissionError_("x"), 403),
        (AuthenticationError("x"), 401),
        (LimitError("x"), 413),
        (UnavailableError("x"), 503),
        (SensorError("x"), 503),
        (CorruptError("x"), 500),
        (PhalanxError("x"), 500),
        (ValueError("the secret text"), 500),
    ],
)
def test_errors_are_mapped_once(error: Exception, status: int) -> None:
    problem = problem_of(error, request_id="r1")
    assert problem.status == status
    assert problem.instance == "r1"
    assert problem.type.startswith("urn:phalanx:problem:")
    assert "secret" not in msgspec.json.encode(problem).decode()
    if isinstance(error, RuleError):
        assert (problem.line, problem.column, problem.source) == (2, 3, "abc")


def test_observed_text_in_an_error_is_shown_and_bounded() -> None:
    problem = problem_of(NotFoundError("no \x1b[2J\u202e" + "x" * 10_000), request_id="r")
    assert "\x1b" not in problem.detail
    assert len(problem.detail) < 3_000


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/findings?limit=0",
        "/api/v1/findings?limit=1001",
        "/api/v1/findings?sort=password",
        "/api/v1/findings?state=nonsense",
        "/api/v1/findings?cursor=xx",
        "/api/v1/events?since_ns=abc",
        "/api/v1/events?where=proc.nam%20%3D%20x",
        "/api/v1/events/histogram?buckets=9999",
    ],
)
def test_a_request_that_cannot_be_is_told_so(people: dict[str, Any], path: str) -> None:
    answer = people["admin"].get(path)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"change": 1}',
        b'{"change": {"state": "nonsense"}, "ids": ["F-1"]}',
        b'{"unknown": 1}',
        b"\xff",
    ],
)
def test_a_body_that_cannot_be_is_told_so(people: dict[str, Any], body: bytes) -> None:
    answer = people["admin"].post("/api/v1/findings/bulk", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text


def test_the_same_key_gives_the_first_answer_and_acts_once(people: dict[str, Any]) -> None:
    who = people["admin"]
    text = {"text": "- list: phx_test_words\n  items: [a]\n"}
    first = who.post("/api/v1/rules/drafts", json=text, headers={"Idempotency-Key": "k-1"})
    again = who.post("/api/v1/rules/drafts", json=text, headers={"Idempotency-Key": "k-1"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = who.post(
        "/api/v1/rules/drafts", json={"text": "- list: other\n  items: [a]\n"}, headers={"Idempotency-Key": "k-1"}
    )
    assert other.status_code == 409
    ids = [draft["id"] for draft in who.get("/api/v1/rules/drafts").json()]
    assert ids.count(first.json()["id"]) == 1
    stranger = people["policy_author"].post("/api/v1/rules/drafts", json=text, headers={"Idempotency-Key": "k-1"})
    assert stranger.json()["id"] != first.json()["id"]


def test_a_failed_request_is_not_kept_under_its_key(people: dict[str, Any]) -> None:
    who = people["admin"]
    for _ in range(2):
        answer = who.post("/api/v1/findings/undo/none", headers={"Idempotency-Key": "k-2"})
        assert answer.status_code == 404
        assert "idempotency-replayed" not in answer.headers


def test_a_new_tokens_secret_is_never_kept_for_a_second_answer(
    application: Application, people: dict[str, Any]
) -> None:
    who = people["admin"]
    body = {"name": "x", "scopes": ["findings:read"]}
    tokens = [
        who.post("/api/v1/tokens", json=body, headers={"Idempotency-Key": "k-3"}).json()["token"] for _ in range(2)
    ]
    assert tokens[0] != tokens[1]
    raw = b"".join(path.read_bytes() for path in application.services.state.store.path.parent.glob("state.db*"))
    assert not any(token.encode() in raw for token in tokens)


def test_the_description_of_the_api_names_every_route(application: Application, people: dict[str, Any]) -> None:
    described = people["nobody"].get("/api/schema/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    from phalanx.api.access import AGENT, check_routes

    known = {
        (need.method.lower(), re.sub(r":[a-z]+\}", "}", need.path))
        for need in check_routes(application.litestar)
        if need.path.startswith("/api/v1/") and need.need != AGENT and need.method not in ("OPTIONS", "HEAD")
    }
    told = {
        (method, path) for path, methods in described["paths"].items() for method in methods if "schema" not in path
    }
    assert known == told


def test_if_match_guards_a_finding(people: dict[str, Any]) -> None:
    answer = people["admin"].request(
        "PATCH", "/api/v1/findings/F-1", json={"state": "fixed"}, headers={"If-Match": "abc"}
    )
    assert answer.status_code == 400
    assert people["admin"].request("PATCH", "/api/v1/findings/F-1", json={"state": "fixed"}).status_code == 404


# --- streams ----------------------------------------------------------------------------------------


def test_a_message_is_one_message_whatever_it_says() -> None:
    raw = sse.message("events", {"text": "a\nid: 9\r\n\r\nevent: x"}, id="7")
    assert raw.count(b"\n\n") == 1
    assert raw.startswith(b"id: 7\nevent: events\ndata: {")
    with pytest.raises(ValueError, match="line break"):
        sse.message("x", {}, id="7\nid: 8")


def test_a_quiet_stream_says_that_it_lives_and_frees_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    freed = []

    async def quiet() -> Any:
        try:
            yield sse.message("one", 1)
            await asyncio.sleep(60)
            yield b"never"
        finally:
            freed.append(True)

    async def story() -> list[bytes]:
        parts = []
        frames = sse._framed(quiet())
        async for part in frames:
            parts.append(part)
            if len(parts) == 4:
                break
        await frames.aclose()  # type: ignore[attr-defined]
        return parts

    parts = asyncio.run(story())
    assert parts[0].startswith(b"retry: ")
    assert parts[1].startswith(b"event: one")
    assert parts[2] == parts[3] == b": alive\n\n"
    assert freed == [True]
