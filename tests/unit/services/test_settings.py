"""Channels: kept with their secrets masked, and what is found arrives at a real receiver."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from phalanx.errors import NotFoundError, PermissionError_, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Role
from phalanx.model.severity import Severity
from phalanx.respond.notify.send import MASK
from phalanx.services.hub import Services
from phalanx.services.settings import Channel


class Receiver(http.server.BaseHTTPRequestHandler):
    got: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        type(self).got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def web() -> Iterator[str]:
    Receiver.got.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook/secret-path"
    server.shutdown()
    server.server_close()
    thread.join()


def test_secrets_of_a_channel_are_never_shown_and_stay_when_it_is_changed(
    services: Services, admin: Actor, web: str
) -> None:
    async def story() -> None:
        view = await services.settings.save_channel(
            admin, Channel(name="hook", kind="webhook", address=web, secret="the key")
        )
        assert "secret-path" not in view.channel.address
        assert view.channel.secret == MASK
        changed = await services.settings.save_channel(admin, Channel(**{**as_fields(view.channel), "name": "renamed"}))
        assert changed.channel.name == "renamed"
        told = await services.settings.test_channel(admin, changed.channel.id)
        assert told.ok, told.error
        assert Receiver.got[0]["test"] is True
        page = await services.audit.list(admin)
        assert "secret-path" not in str(page.rows)
        assert "the key" not in str(page.rows)
        await services.settings.delete_channel(admin, changed.channel.id)
        with pytest.raises(NotFoundError):
            await services.settings.test_channel(admin, changed.channel.id)

    asyncio.run(story())


def as_fields(channel: Channel) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(channel)


@pytest.mark.parametrize(
    "channel",
    [
        Channel(name="", kind="webhook", address="http://127.0.0.1/"),
        Channel(name="x", kind="webhook", address="file:///etc/passwd"),
        Channel(name="x", kind="syslog", address="nonsense"),
        Channel(name="x", kind="webhook", address="http://127.0.0.1/", per_hour=0),
        Channel(name="x", kind="webhook", address="http://127.0.0.1/", kinds=("nonsense",)),
        Channel(name="x", kind="webhook", address="http://127.0.0.1/" + "x" * 3000),
    ],
)
def test_a_channel_that_cannot_be_is_refused(services: Services, admin: Actor, channel: Channel) -> None:
    with pytest.raises(UsageError):
        asyncio.run(services.settings.save_channel(admin, channel))


def test_who_may_not_does_not(services: Services, web: str) -> None:
    auditor = Actor(name="au", roles=frozenset({Role.AUDITOR}))
    assert asyncio.run(services.settings.channels(auditor)) == ()
    with pytest.raises(PermissionError_):
        asyncio.run(services.settings.save_channel(auditor, Channel(name="x", kind="webhook", address=web)))


def test_what_is_found_arrives_once_grouped_and_filtered(
    services: Services, admin: Actor, web: str, make_detection: Callable[..., Any]
) -> None:
    async def story() -> None:
        await services.settings.save_channel(
            admin, Channel(name="hook", kind="webhook", address=web, min_severity=Severity.HIGH, group_seconds=1)
        )
        task = asyncio.ensure_future(services.settings.deliver())
        await asyncio.sleep(0.1)
        await services.findings.ingest([make_detection(rule="R-first")], host="h", agent="a")
        await until(lambda: len(Receiver.got) == 1)
        burst = [make_detection(rule=f"R-{number}") for number in range(5)]
        quiet = [make_detection(rule="R-low", severity=Severity.LOW), make_detection(rule="R-first")]
        await services.findings.ingest(burst + quiet, host="h", agent="a")
        await until(lambda: len(Receiver.got) == 2)
        await asyncio.sleep(0.3)
        services.findings.updates.close()
        await asyncio.wait_for(task, 10)

    asyncio.run(story())
    assert [[item["rule"] for item in got["findings"]] for got in Receiver.got] == [
        ["R-first"],
        [f"R-{number}" for number in range(5)],
    ]
    (view,) = asyncio.run(services.settings.channels(admin))
    assert (view.sent, view.failed, view.last_error) == (2, 0, "")
    assert "story" in Receiver.got[0]["findings"][0]


def test_a_dead_receiver_does_not_hold_up_the_others(
    services: Services, admin: Actor, web: str, make_detection: Callable[..., Any]
) -> None:
    async def story() -> None:
        await services.settings.save_channel(admin, Channel(name="dead", kind="webhook", address="http://127.0.0.1:1/"))
        await services.settings.save_channel(admin, Channel(name="hook", kind="webhook", address=web))
        task = asyncio.ensure_future(services.settings.deliver())
        await asyncio.sleep(0.1)
        await services.findings.ingest([make_detection()], host="h", agent="a")
        await until(lambda: len(Receiver.got) == 1)
        services.findings.updates.close()
        await asyncio.wait_for(task, 10)
        views = {view.channel.name: view for view in await services.settings.channels(admin)}
        assert "does not answer" in views["dead"].last_error
        assert views["hook"].sent == 1

    asyncio.run(story())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not arrive")
