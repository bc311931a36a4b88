"""What people do in the console: judge, narrow, edit a rule, sign in and out, by keyboard too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import PASSWORD, Hub

pytestmark = [pytest.mark.needs_browser]

Open = Callable[..., Page]


def test_a_finding_shows_what_happened_and_why(open_page: Open) -> None:
    page = open_page("/findings?text=shell")
    page.locator(".fd a.lk", has_text="Reverse shell").first.click()
    expect(page.locator("h1")).to_contain_text("Reverse shell")
    tree = page.locator("[role=tree]")
    for name in ("systemd", "containerd-shim", "java", "sh", "bash"):
        expect(tree.locator("[role=treeitem] b", has_text=name).first).to_be_visible()
    expect(tree.locator(".edge")).to_have_count(1)
    expect(page.locator(".rule")).to_contain_text("fd.typechar")
    tree.locator("[role=treeitem]").first.focus()
    page.keyboard.press("ArrowDown")
    expect(tree.locator("[role=treeitem]").nth(1)).to_be_focused()


def test_judging_a_finding_is_kept_in_its_history(open_page: Open) -> None:
    page = open_page("/findings?text=hashes")
    page.locator(".fd a.lk").first.click()
    page.wait_for_url("**/findings/F-*")
    page.wait_for_selector("html[data-stream=open]")
    page.keyboard.press("s")
    page.locator("input[name=state][value=confirmed]").check()
    page.locator(".pop[open] button.p").click()
    expect(page.locator("[data-toast]")).to_be_visible()
    expect(page.locator(".fh .acts summary b")).to_have_text("Confirmed")
    page.locator("[data-tabs] a", has_text="History").click()
    page.wait_for_url("**/history")
    expect(page.locator(".rows")).to_contain_text("lin")


def test_several_findings_are_assigned_by_keyboard_and_undone(open_page: Open) -> None:
    page = open_page("/findings")
    page.wait_for_selector("html[data-stream=open]")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-selected]")).to_have_text("1 selected")
    page.keyboard.press("a")
    expect(page.locator("[data-toast]")).to_contain_text("1 finding changed")
    page.wait_for_selector("html[data-stream=open]")
    page.keyboard.press("z")
    expect(page.locator("[data-toast]")).to_contain_text("Undone")
    assert "undo=" not in page.url


def test_a_rule_is_written_tested_put_into_force_and_undone(open_page: Open) -> None:
    page = open_page("/rules/new")
    editor = page.locator("#text")
    editor.fill(
        "- rule: Tar unpacks\n  desc: x\n  condition: evt.type = execve and proc.nam = tar\n  output: x\n  priority: WARNING\n"
    )
    expect(page.locator("[data-problems]")).to_contain_text("proc.nam")
    editor.fill(
        "- rule: Somebody compiles\n  desc: A compiler started.\n  condition: evt.type = execve and proc.name = gcc\n"
        '  output: "compiler %proc.cmdline"\n  priority: NOTICE\n'
    )
    expect(page.locator("[data-problems]")).to_contain_text("No errors")
    page.locator("button[value=test]").click()
    page.wait_for_url("**/rules/drafts/**")
    expect(page.locator("section[aria-labelledby=bt-h]")).to_contain_text("fires")
    apply = page.locator("button[value=apply]")
    expect(apply).to_be_enabled()
    apply.click()
    expect(page.locator("h1")).to_contain_text("in force")
    page.locator("button[value=undo]").click()
    expect(page.locator("[data-toast]")).to_contain_text("Undone")


def test_a_brush_on_the_histogram_becomes_a_time_range(open_page: Open) -> None:
    page = open_page("/events?range=1h")
    box = page.locator(".chart svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=**")
    assert "to=" in page.url
    page.go_back()
    page.wait_for_url("**range=1h**")


def test_shortcuts_go_to_pages_and_help_opens(open_page: Open) -> None:
    page = open_page("/")
    page.wait_for_selector("html[data-stream=open]")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/findings")


def test_wrong_passwords_are_refused_and_pages_ask_to_sign_in(hub: Hub, browser: Browser, signed_in: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{hub.address}/findings?sort=title")
    assert "/login?next=" in page.url
    page.fill("[name=name]", "lin")
    page.fill("[name=password]", "not the password")
    page.click("button.p")
    expect(page.locator("[role=alert]")).to_be_visible()
    page.fill("[name=password]", PASSWORD)
    page.click("button.p")
    page.wait_for_url("**/findings?sort=title")
    page.goto(f"{hub.address}/setup?token=again")
    expect(page.locator("[name=password]")).to_have_count(0)
    context.close()


def test_a_token_is_shown_once(open_page: Open) -> None:
    page = open_page("/settings/tokens")
    page.locator("form.form [name=name]").fill("ci")
    page.locator("form.form button.p").click()
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("phx_")
    page.goto(page.url.split("/settings")[0] + "/settings/tokens")
    assert secret not in page.content()


def test_what_does_not_exist_says_so_in_a_page(hub: Hub, browser: Browser, signed_in: str) -> None:
    context = browser.new_context(storage_state=signed_in)
    page = context.new_page()
    answer = page.goto(f"{hub.address}/findings/F-999999")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("nav.side")).to_be_visible()
    context.close()
