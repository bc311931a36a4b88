"""The API's page tells every route, permission and kind of problem, and nothing that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from phalanx.api.access import check_routes
from phalanx.api.problems import _WORDS
from phalanx.app.hub import Application
from phalanx.identity.permissions import PERMISSIONS_OF, Permission, Role

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/api.md").read_text("utf-8")


def test_the_table_of_routes_is_that_of_the_application(application: Application) -> None:
    told = set(re.findall(r"^\| `([A-Z]+ /api/v1\S*)` \| (?:`([a-z:]+)`|nobody) \|", PAGE, re.MULTILINE))
    real = {
        (f"{need.method} {re.sub(r':[a-z]+}', '}', need.path)}", need.need or "")
        for need in check_routes(application.litestar)
        if need.path.startswith("/api/v1/") and need.method not in ("OPTIONS", "HEAD")
    }
    assert told == real


def test_the_table_of_permissions_is_that_of_the_code() -> None:
    lines = PAGE.splitlines()
    header = next(line for line in lines if line.startswith("| permission |"))
    roles = [Role(cell.strip()) for cell in header.split("|")[2:-1]]
    assert set(roles) == set(Role)
    for permission in Permission:
        row = next(line for line in lines if line.startswith(f"| `{permission.value}` |"))
        granted = {role for role, cell in zip(roles, row.split("|")[2:-1], strict=True) if cell.strip()}
        assert granted == {role for role in Role if permission in PERMISSIONS_OF[role]}, permission


def test_every_kind_of_problem_is_told() -> None:
    told = set(
        re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| \d", PAGE, re.MULTILINE)))
    )
    assert told == {word for _, word, _ in _WORDS}
