"""The visual system, recomputed from the style sheet: a changed token cannot break contrast or distinction silently."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from itertools import combinations
from pathlib import Path

import pytest

import phalanx.console
from phalanx.console.icons import ICONS, KIND_ICONS
from phalanx.model.event import OCSF_CLASS

FOLDER = Path(phalanx.console.__file__).parent
CSS = (FOLDER / "static/css/console.css").read_text(encoding="utf-8")


def tokens(block: str) -> dict[str, str]:
    return {name: value.lower() for name, value in re.findall(r"--([\w-]+):(#[0-9a-fA-F]{6})\b", block)}


LIGHT = tokens(CSS[CSS.index(":root{") : CSS.index(":root[data-theme=dark]{")])
DARK = tokens(CSS[CSS.index(":root[data-theme=dark]{") : CSS.index("@media (prefers-color-scheme:dark)")])
SYSTEM = tokens(CSS[CSS.index("@media (prefers-color-scheme:dark)") : CSS.index(":root[data-density=comfortable]")])
THEMES = {"light": LIGHT, "dark": DARK}


def channels(colour: str) -> tuple[float, float, float]:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    return linear(int(colour[1:3], 16)), linear(int(colour[3:5], 16)), linear(int(colour[5:7], 16))


def luminance(colour: str) -> float:
    red, green, blue = channels(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, success criterion 1.4.3."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


MACHADO = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""Machado, Oliveira, Fernandes 2009, full severity, on linear RGB."""


def lab(colour: str, vision: str) -> tuple[float, float, float]:
    rgb = channels(colour)
    red, green, blue = (min(max(sum(m * c for m, c in zip(row, rgb, strict=True)), 0), 1) for row in MACHADO[vision])
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883

    def f(t: float) -> float:
        return t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116

    return 116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))


def ciede2000(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Sharma, Wu, Dalal 2005."""
    l1, a1, b1 = one
    l2, a2, b2 = other
    mean_c = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean_c**7 / (mean_c**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    delta_h = 0.0 if not c1 * c2 else (h2 - h1 + 180) % 360 - 180
    big_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(delta_h / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    mean_h = (h1 + h2) / 2 if abs(h1 - h2) <= 180 else ((h1 + h2 + 360) / 2) % 360
    if not c1 * c2:
        mean_h = h1 + h2
    t = (
        1
        - 0.17 * math.cos(math.radians(mean_h - 30))
        + 0.24 * math.cos(math.radians(2 * mean_h))
        + 0.32 * math.cos(math.radians(3 * mean_h + 6))
        - 0.20 * math.cos(math.radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / math.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    r_t = (
        -2
        * math.sqrt(mean_c**7 / (mean_c**7 + 25**7))
        * math.sin(math.radians(60 * math.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    dl, dc, dh = (l2 - l1) / s_l, (c2 - c1) / s_c, big_h / s_h
    return math.sqrt(dl**2 + dc**2 + dh**2 + r_t * dc * dh)


def test_the_distance_formula_gives_published_figures() -> None:
    # pairs 1 and 25 of the supplementary data of Sharma, Wu, Dalal 2005
    assert ciede2000((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert ciede2000((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387)) == pytest.approx(1.2644, abs=1e-4)


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_contrast_on_every_ground(theme: str) -> None:
    colours = THEMES[theme]
    weak = [
        (text, ground, round(contrast(colours[text], colours[ground]), 2))
        for text in ("ink", "ink2", "ink3", "accent", "ok", "warn", "bad")
        for ground in ("canvas", "surface", "sunken")
        if contrast(colours[text], colours[ground]) < 4.5
    ]
    weak += [
        (text, ground, round(contrast(colours[text], colours[ground]), 2))
        for text, ground in (
            ("on-accent", "accent"),
            ("ok", "ok-bg"),
            ("warn", "warn-bg"),
            ("bad", "bad-bg"),
            ("ink3", "accent-bg"),
            ("accent", "accent-bg"),
        )
        if contrast(colours[text], colours[ground]) < 4.5
    ]
    assert weak == []


@pytest.mark.parametrize("theme", THEMES)
def test_marks_and_borders_can_be_seen(theme: str) -> None:
    colours = THEMES[theme]
    weak = [
        (mark, ground, round(contrast(colours[mark], colours[ground]), 2))
        for mark in ("edge", "critical", "high", "medium", "low", "info")
        for ground in ("canvas", "surface", "sunken")
        if round(contrast(colours[mark], colours[ground]), 1) < 3.0
    ]
    assert weak == []


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("vision", MACHADO)
def test_neighbours_are_told_apart_in_every_vision(theme: str, vision: str) -> None:
    # "rest" (c6) is grey and always the last of a stack: it is told by its place
    colours = THEMES[theme]
    for names, least in (
        (("critical", "high", "medium", "low", "info"), 12.0),
        (("c1", "c2", "c3", "c4", "c5"), 13.5),
    ):
        nearest = min(
            (ciede2000(lab(colours[a], vision), lab(colours[b], vision)), a, b) for a, b in combinations(names, 2)
        )
        assert nearest[0] >= least, nearest


def test_dark_by_choice_and_dark_by_system_are_the_same() -> None:
    assert SYSTEM == DARK
    assert set(DARK) == set(LIGHT)


def test_every_colour_is_a_token() -> None:
    rules = CSS[CSS.index("*{box-sizing") :]
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", rules)) <= {"#0c0e1280", "#fff"}  # a dialog's backdrop; paper


def test_evidence_has_no_ligatures_after_the_shorthands() -> None:
    # `font:` resets them: the rule must come after every one that the same elements have
    rule = CSS.index("font-variant-ligatures:none")
    assert (
        max(
            match.start()
            for match in re.finditer(r"\.(?:query|editor|tree|rule|area|ctl|cmd|probs)[^{}]*\{[^}]*\bfont:", CSS)
        )
        < rule
    )


def test_budgets_of_what_every_page_loads() -> None:
    assert len(gzip.compress(CSS.encode())) <= 14 * 1024
    scripts = b"".join(path.read_bytes() for path in sorted((FOLDER / "static/js").glob("*.js")))
    assert len(gzip.compress(scripts)) <= 45 * 1024


def test_templates_hold_no_inline_script_or_style() -> None:
    for path in (FOLDER / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle\s*=", text), f"{path.name}: a style attribute"
        assert not re.search(r"\son\w+\s*=\s*[\"']", text), f"{path.name}: an event handler"
        assert not re.search(r"<style|javascript:", text), path.name
        assert "|safe" not in text, f"{path.name}: escaping is switched off"
        for tag in re.findall(r"<script[^>]*>", text):
            assert "src=" in tag or 'type="application/json"' in tag, f"{path.name}: {tag}"


def test_islands_never_take_markup_from_data() -> None:
    for path in (FOLDER / "static/js").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path.name
        )
        if path.name != "dom.js":
            assert "DOMParser" not in text, path.name
            assert "createPolicy" not in text, path.name


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    used: set[str] = set(KIND_ICONS.values())
    for path in (FOLDER / "templates").glob("*.html"):
        used |= set(re.findall(r"icon\(\s*[\"']([a-z0-9-]+)[\"']", path.read_text(encoding="utf-8")))
    assert used <= set(ICONS)
    assert set(OCSF_CLASS) <= set(KIND_ICONS)


def test_vendored_files_are_what_the_manifest_says() -> None:
    manifest = FOLDER / "static/vendor/manifest.json"
    if not manifest.is_file():
        pytest.skip("the assets are not built (make console)")
    for name, about in json.loads(manifest.read_text(encoding="utf-8"))["files"].items():
        assert hashlib.sha256((FOLDER / "static/vendor" / name).read_bytes()).hexdigest() == about["sha256"], name
        assert about["licence"] in ("OFL-1.1", "ISC", "MIT", "Apache-2.0")
