"""The whole application in this process, spoken to as ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from phalanx.api.peer import PEER, Peer
from phalanx.app.config import HubConfig
from phalanx.app.hub import Application, create_app
from phalanx.identity.permissions import Permission, Role

T = TypeVar("T")
PASSWORD = "seven cranes fly at dawn"
BASE = "http://127.0.0.1:7430"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    directory: Path = tmp_path_factory.mktemp("hub")
    made = create_app(HubConfig(state_dir=str(directory), socket=str(directory / "s"), login_attempts=1000))
    yield made
    made.services.close()


class Browser:
    """Requests of somebody: cookies are kept, each request runs in a loop of its own."""

    def __init__(self, application: Application, *, peer: Peer | None = None, token: str | None = None) -> None:
        self._application = application
        self._peer = peer
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if self._peer is not None:
            scope["extensions"] = {PEER: self._peer}
        await self._application.asgi(scope, receive, send)

    def request(
        self, method: str, path: str, *, csrf: bool = True, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        async def story() -> httpx.Response:
            sent = {**self._headers, **({"X-CSRF-Token": self.csrf} if csrf and self.csrf else {}), **(headers or {})}
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=self.cookies) as client:
                return await client.request(method, path, headers=sent, **more)

        return asyncio.run(story())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@pytest.fixture(scope="module")
def people(application: Application) -> dict[str, Browser]:
    """One person for each role, signed in, beside nobody and root at the socket."""
    accounts = application.services.accounts

    async def make() -> dict[str, Browser]:
        token = await accounts.open_setup()
        signed = await accounts.setup(token or "", "ann", PASSWORD, source="127.0.0.1", agent="test")
        actor = await accounts.by_cookie(signed.cookie, source="127.0.0.1")
        assert actor is not None
        found = {"nobody": Browser(application), "root": Browser(application, peer=Peer(pid=1, uid=0, gid=0))}
        for role in Role:
            await accounts.create_user(actor, f"one-{role.value}", PASSWORD, frozenset({role}))
            entered = await accounts.login(f"one-{role.value}", PASSWORD, source="127.0.0.1", agent="test")
            browser = Browser(application)
            browser.cookies["phalanx_session"], browser.csrf = entered.cookie, entered.csrf
            found[role.value] = browser
        return found

    return asyncio.run(make())


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    return asyncio.run


@pytest.fixture
def make_token(application: Application, people: dict[str, Browser]) -> Callable[..., str]:
    def make(role: Role, *scopes: Permission) -> str:
        async def story() -> str:
            browser = people[role.value]
            actor = await application.services.accounts.by_cookie(browser.cookies["phalanx_session"], source="x")
            assert actor is not None
            return (await application.services.accounts.create_token(actor, "t", frozenset(scopes))).token

        return asyncio.run(story())

    return make
