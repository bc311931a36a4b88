"""Every page in Chromium against a running hub: accessible, within its policy, without sideways scrolling, in both languages and themes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.needs_browser]

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"

PAGES = (
    "/",
    "/live",
    "/events?range=1h",
    "/findings",
    "/findings/F-1",
    "/findings/F-1/timeline",
    "/findings/F-1/network",
    "/findings/F-1/evidence",
    "/findings/F-1/history",
    "/findings/F-1/narrow",
    "/estate",
    "/estate?level=containers",
    "/estate?level=processes",
    "/estate?level=images",
    "/assets/host/node-04",
    "/assets/container/7f21c0d9a4b6",
    "/rules",
    "/rules/coverage",
    "/rules/drafts",
    "/rules/new",
    "/rules/PHX-SHL-001",
    "/rules/PHX-SHL-001/text",
    "/rules/PHX-SHL-001/backtest",
    "/rules/PHX-SHL-001/edit",
    "/simulations",
    "/audit",
    "/health",
    "/settings",
    "/settings/users",
    "/settings/tokens",
    "/settings/notify",
    "/settings/about",
    "/search?q=order",
)
MAIN = ("/", "/live", "/findings", "/findings/F-1")
LOOKS = [("light", "en", 1440), ("dark", "zh", 1440), ("light", "zh", 400), ("dark", "en", 400)]

Open = Callable[..., Page]


def violations(page: Page) -> list[str]:
    """What axe-core finds: one line for each rule and element."""
    # evaluate() runs in the page without being part of it, so the policy of the page stays as it is
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{v['id']}: {node['html'][:160]} — {node['failureSummary'][:200]}"
        for v in found["violations"]
        for node in v["nodes"][:3]
    ]


def look_at(open_page: Open, paths: Sequence[str], theme: str, language: str, width: int) -> list[str]:
    """What is wrong with ``paths`` in one look."""
    page = open_page("/", theme=theme, language=language, width=width)
    base = page.url.rstrip("/")
    wrong: list[str] = []
    for path in paths:
        answer = page.goto(base + path)
        assert answer is not None
        assert answer.status == 200, path
        page.wait_for_selector("html[data-stream=open]")
        wrong += [f"{path}: {line}" for line in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            wrong.append(f"{path}: {wide} px wide")
    return wrong


IDS = ["-".join(map(str, look)) for look in LOOKS]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(len(LOOKS)), ids=IDS)
def test_every_page_is_accessible_and_fits_its_width(open_page: Open, number: int) -> None:
    """Each page in one of the looks, the main ones in all; every page in every look is in the long tests."""
    needs_axe()
    paths = [path for i, path in enumerate(PAGES) if path in MAIN or i % len(LOOKS) == number]
    assert look_at(open_page, paths, *LOOKS[number]) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("theme", "language", "width"), LOOKS, ids=IDS)
def test_every_page_in_every_look(open_page: Open, theme: str, language: str, width: int) -> None:
    needs_axe()
    assert look_at(open_page, PAGES, theme, language, width) == []


def needs_axe() -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci)")


@pytest.mark.timeout(300)
def test_nothing_scrolls_sideways_at_320_pixels(open_page: Open) -> None:
    page = open_page("/", width=320)
    base = page.url.rstrip("/")
    wide = []
    for path in PAGES:
        page.goto(base + path)
        if page.evaluate("document.documentElement.scrollWidth") > 320:
            wide.append(path)
    assert wide == []
