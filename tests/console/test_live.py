"""What happens reaches an open page: rows into Live, a count over a list that somebody reads, and hostile text as text."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .sample_estate import HOSTILE, Machine, S

pytestmark = [pytest.mark.needs_browser]

Open = Callable[..., Page]


def test_a_program_start_enters_live_by_itself(open_page: Open, machine: Machine) -> None:
    page = open_page("/live")
    expect(page.locator("#fresh")).to_be_visible()
    page.wait_for_selector("html[data-stream=open]")
    now = time.time_ns()
    machine.exec(now, machine.process("tar", "-xzf", "/srv/seen-by-the-stream.tgz", parent=machine.init))
    machine.tell(now + 1)
    expect(page.locator(".evs .ev").first).to_contain_text("seen-by-the-stream", timeout=5_000)


def test_rows_hold_still_while_one_is_selected(open_page: Open, machine: Machine) -> None:
    page = open_page("/live")
    page.locator(".evs .ev a.what").nth(1).click()
    page.wait_for_url("**sel=**")
    first = page.locator(".evs .ev").first.get_attribute("data-id")
    now = time.time_ns()
    machine.exec(now, machine.process("tar", "-tf", "/srv/second.tgz", parent=machine.init))
    machine.tell(now + 1)
    expect(page.locator("#pill")).to_be_visible(timeout=5_000)
    assert page.locator(".evs .ev").first.get_attribute("data-id") == first
    page.keyboard.press("Escape")
    page.locator("#pill").click()
    expect(page.locator(".evs")).to_contain_text("second.tgz")


def test_an_alert_is_counted_on_the_overview_without_a_reload(open_page: Open, machine: Machine) -> None:
    page = open_page("/")
    page.wait_for_selector("html[data-stream=open]")
    rows = page.locator(".risk[data-id]").count()
    now = time.time_ns()
    machine.reverse_shell(now - 2 * S, address="203.0.113.9")
    machine.tell(now + 1)
    expect(page.locator("#pill")).to_be_visible(timeout=5_000)
    assert page.locator(".risk[data-id]").count() == rows
    page.locator("#pill").click()
    expect(page.locator("#pill")).to_be_hidden()


@pytest.mark.parametrize("path", ["/live", "/events?range=1h"])
def test_hostile_text_is_drawn_and_does_nothing(open_page: Open, path: str) -> None:
    page = open_page(path)
    row = page.locator(".ev", has_text="invoice").first
    expect(row.locator(".ctl", has_text="ESC").first).to_be_visible()
    expect(row.locator(".ctl", has_text="U+202E")).to_have_count(1)
    assert "\x1b" not in page.content()
    assert "\u202e" not in page.content()
    assert page.locator("img").count() == 0
    row.locator("a.what").click()
    drawer = page.locator("#drawer")
    expect(drawer.locator(".ctl", has_text="\\xff").first).to_be_visible()
    expect(drawer).to_contain_text('<img src=x onerror="alert(1)">')
    assert HOSTILE not in page.content()


def test_a_wrong_condition_is_underlined_and_explained(open_page: Open) -> None:
    page = open_page("/events?where=proc.nam%20%3D%20curl")
    expect(page.locator("#qerr")).to_contain_text("proc.name")
    expect(page.locator(".query .under s")).to_have_text("proc.nam")


def test_completion_offers_fields_and_operators(open_page: Open) -> None:
    page = open_page("/events")
    bar = page.locator(".query textarea")
    bar.click()
    bar.press_sequentially("proc.cmdl")
    expect(page.locator("#choices li").first).to_contain_text("proc.cmdline")
    bar.press("ArrowDown")
    bar.press("Enter")
    expect(page.locator("#choices li").first).to_be_visible()
    bar.press_sequentially("contains invoice")
    bar.press("Escape")
    bar.press("Enter")
    page.wait_for_url("**where=proc.cmdline**")
    expect(page.locator(".evs .ev").first).to_contain_text("invoice")
