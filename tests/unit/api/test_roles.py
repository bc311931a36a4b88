"""Every route against every role: nothing is open that was not said to be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from litestar import get
from litestar.testing import create_test_client

from phalanx.api.access import AGENT, RouteNeed, check_routes, guard
from phalanx.api.peer import Peer
from phalanx.app.hub import Application
from phalanx.errors import PhalanxError
from phalanx.identity.permissions import PERMISSIONS_OF, Permission, Role

OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/v1/version"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/setup"),
    ("POST", "/setup"),
}
"""What anybody may call, beside the API's description and the console's static files."""


def routes(application: Application) -> list[RouteNeed]:
    return [need for need in check_routes(application.litestar) if need.method not in ("OPTIONS", "HEAD", "*")]


def concrete(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path) or "/"


def ask(browser: Any, need: RouteNeed) -> int:
    body: dict[str, Any] = (
        {} if need.method == "GET" else {"content": b"{}", "headers": {"Content-Type": "application/json"}}
    )
    if "stream" in need.path:
        # a live stream does not end by itself; who may not enter is refused before it begins
        body["headers"] = {"X-Test": "1"}
    return int(browser.request(need.method, concrete(need.path), **body).status_code)


def test_every_route_says_what_it_needs_and_only_the_known_ones_are_open(application: Application) -> None:
    found = {(need.method, need.path) for need in routes(application) if need.need == ""}
    unexpected = {pair for pair in found - OPEN if not pair[1].startswith(("/api/schema", "/static"))}
    assert unexpected == set()
    assert len(routes(application)) > 60


def test_nobody_and_every_role_get_exactly_what_the_table_says(
    application: Application, people: dict[str, Any]
) -> None:
    wrong: list[str] = []
    checked = 0
    for need in routes(application):
        if need.need in ("", AGENT):
            continue
        permission = Permission(need.need)
        if ask(people["nobody"], need) not in (401, 303):
            wrong.append(f"nobody {need}")
        for role in Role:
            allowed = permission in PERMISSIONS_OF[role]
            if allowed and (need.method != "GET" or "stream" in need.path):
                continue  # that who may really can is shown by the tests of each service; here it would change what others see
            status = ask(people[role.value], need)
            checked += 1
            if allowed == (status == 403):
                wrong.append(f"{role.value} {need.method} {need.path} needs {need.need}: {status}")
    assert wrong == []
    assert checked > 200


def test_the_agents_routes_are_closed_to_people_and_to_other_local_users(
    application: Application, people: dict[str, Any]
) -> None:
    stranger = type(people["nobody"])(application, peer=Peer(pid=5, uid=65_534, gid=65_534))
    own = [need for need in routes(application) if need.need == AGENT]
    assert len(own) >= 5
    for need in own:
        for who in (people["nobody"], people["admin"], stranger):
            assert ask(who, need) == 403, need


def test_a_handler_that_says_nothing_stops_the_start() -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "open"

    with create_test_client([forgotten], guards=[guard], openapi_config=None) as client:
        with pytest.raises(PhalanxError, match="/forgotten does not say who may call it"):
            list(check_routes(client.app))
        assert client.get("/forgotten").status_code >= 400
