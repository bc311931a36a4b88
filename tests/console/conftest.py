"""A really running hub with a small estate, and Debian's Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from .sample_estate import Machine

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PASSWORD = "correct horse battery"


class Hub:
    """A hub process in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.socket = directory / "hub.sock"
        self.log = directory / "hub.log"
        command = Path(sys.executable).parent / "phalanx"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(command),
                    "hub",
                    "--state-dir",
                    str(directory / "state"),
                    "--socket",
                    str(self.socket),
                    "--address",
                    f"127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.setup_link = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.log.read_text(errors="replace")
            found = re.search(r"http\S+/setup\?token=\S+", text)
            if found and self.socket.exists():
                return found.group()
            if self.process.poll() is not None:
                raise AssertionError(f"the hub ended:\n{text[-4000:]}")
            time.sleep(0.1)
        raise AssertionError(f"the hub did not start:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    running = Hub(tmp_path_factory.mktemp("hub"))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def machine(hub: Hub) -> Machine:
    return Machine(hub.socket)


@pytest.fixture(scope="session")
def signed_in(hub: Hub, browser: Browser, machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The way in that everybody takes first: the one-time link. Answers the path of the session's storage."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(hub.setup_link)
    page.fill("[name=name]", "lin")
    page.fill("[name=password]", PASSWORD)
    page.click("button.p")
    page.wait_for_url(f"{hub.address}/")
    machine.morning()
    path = str(tmp_path_factory.mktemp("session") / "state.json")
    context.storage_state(path=path)
    context.close()
    return path


Open = Callable[..., Page]


@pytest.fixture
def open_page(hub: Hub, browser: Browser, signed_in: str) -> Iterator[Open]:
    """Opens a page as ``lin``; at the end no page may have complained: no error, no refused script, style or request."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(path: str, *, width: int = 1440, language: str = "en", theme: str = "light") -> Page:
        context = browser.new_context(
            storage_state=signed_in,
            viewport={"width": width, "height": 900},
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{path}: {message.text}") if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.goto(f"{hub.address}/settings")
        csrf = page.evaluate("document.body.dataset.csrf")
        answer = context.request.post(
            f"{hub.address}/preferences",
            form={"csrf": csrf, "language": language, "theme": theme, "back": "/settings"},
            headers={"origin": hub.address},
        )
        assert answer.ok, answer.text()[:500]
        page.goto(f"{hub.address}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
