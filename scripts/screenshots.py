"""`make screenshots`: pages of the console at 1440 and 400 pixels, light and dark, in both languages, of a running hub with a small estate.

Writes docs/images/<page>-<theme>-<language>-<width>.png; with ``--all DIRECTORY`` every page in every look into DIRECTORY, to be looked at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from console.conftest import CHROMIUM, PASSWORD, Hub  # type: ignore[import-not-found]  # noqa: E402
from console.sample_estate import Machine  # type: ignore[import-not-found]  # noqa: E402

PAGES = {
    "overview": "/",
    "live": "/live",
    "events": "/events?range=1h",
    "findings": "/findings",
    "finding": "/findings/F-3",
    "estate": "/estate?level=processes",
    "containers": "/estate?level=containers",
    "rules": "/rules",
    "rule-editor": "/rules/PHX-SHL-001/edit",
    "back-test": "/rules/PHX-SHL-001/backtest",
    "health": "/health",
    "settings": "/settings",
    "notifications": "/settings/notify",
    "simulations": "/simulations",
    "audit": "/audit",
}
DOCUMENTED = {
    "overview": (("light", "en", 1440), ("dark", "zh", 1440), ("light", "zh", 400)),
    "live": (("light", "en", 1440), ("dark", "zh", 1440), ("dark", "en", 400)),
    "finding": (("light", "en", 1440), ("dark", "zh", 1440), ("light", "en", 400)),
    "findings": (("light", "en", 1440),),
    "back-test": (("light", "en", 1440),),
    "health": (("dark", "en", 1440),),
}
LOOKS = tuple(
    (theme, language, width) for width in (1440, 400) for theme in ("light", "dark") for language in ("en", "zh")
)


def main() -> int:
    """Start a hub, tell it the estate, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, default=None, help="every page in every look, into this directory")
    chosen = parser.parse_args()
    target: Path = chosen.all or ROOT / "docs/images"
    target.mkdir(parents=True, exist_ok=True)
    wanted = dict.fromkeys(PAGES, LOOKS) if chosen.all else DOCUMENTED
    if CHROMIUM is None:
        print("chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        hub = Hub(Path(directory))
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.goto(hub.setup_link)
            page.screenshot(path=target / "setup.png")
            page.fill("[name=name]", "lin")
            page.fill("[name=password]", PASSWORD)
            page.click("button.p")
            page.wait_for_url(f"{hub.address}/")
            Machine(hub.socket).morning()
            for look in LOOKS:
                names = [name for name, looks in wanted.items() if look in looks]
                if not names:
                    continue
                theme, language, width = look
                csrf = page.evaluate("document.body.dataset.csrf")
                form = {"csrf": csrf, "theme": theme, "language": language, "back": "/settings"}
                context.request.post(f"{hub.address}/preferences", form=form, headers={"origin": hub.address})
                page.set_viewport_size({"width": width, "height": 900})
                for name in names:
                    page.goto(hub.address + PAGES[name])
                    page.wait_for_timeout(600)
                    page.screenshot(path=target / f"{name}-{theme}-{language}-{width}.png")
            browser.close()
        finally:
            hub.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
