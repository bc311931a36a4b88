"""The catalogue: compiled from its source, complete, and pointing at places that exist."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from phalanx_app import catalogue, marks, structure
from phalanx_app.errors import CatalogueError
from phalanx_app.sinks import checks
from phalanx_app.sinks.transfers import TRANSFERS


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed here")
    source = yaml.safe_load((Path(catalogue.HERE) / "catalogue.yaml").read_text())
    assert catalogue.compiled(source) == json.loads((Path(catalogue.HERE) / "catalogue.json").read_text()), (
        "run: python -m phalanx_app.catalogue compile"
    )


def test_every_entry_can_be_used() -> None:
    loaded = catalogue.load()
    for entry in loaded["sinks"]:
        assert entry["rule"] in loaded["rules"]
        if "check" in entry:
            assert callable(getattr(checks, entry["check"]))
    for entry in loaded["sanitizers"]:
        assert marks.of(entry["marks"])
    for entry in [*loaded["sanitizers"], *loaded["propagators"]]:
        assert entry.get("transfer", "whole") in TRANSFERS
    assert set(structure.READERS) == set(marks.TAINT_RULES)
    for rule in marks.TAINT_RULES:
        assert structure.payloads(rule, "pxmarker", "v", "host:80")


def test_places_in_the_standard_library_exist() -> None:
    loaded = catalogue.load()
    # Gone from newer versions, or there under another name.
    renamed = {"commands", "pipes", "_hashlib", "tomllib"}
    missing = []
    for entry in [*loaded["sinks"], *loaded["sanitizers"], *loaded["propagators"]]:
        top = entry["module"].partition(".")[0]
        if top not in sys.stdlib_module_names or top in renamed:
            continue
        target: object = importlib.import_module(entry["module"])
        for part in entry["name"].split("."):
            target = getattr(target, part, None)
        if target is None:
            missing.append(f"{entry['module']}:{entry['name']}")
    assert missing == []


@pytest.mark.parametrize("text", ["os.system", "os:system#x", "os:", ":x", "os:system#0=a b", ""])
def test_what_is_not_a_place_is_refused(text: str) -> None:
    with pytest.raises(CatalogueError):
        catalogue.place(text)


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("sql-injection", "SELECT 'a' pxmark ''", True),
        ("sql-injection", "SELECT 'a'' pxmark '' '", False),
        ("sql-injection", "SELECT 1 pxmark", True),
        ("sql-injection", "SELECT 'x \\' pxmark'", False),
        ("command-injection", "echo a; : pxmark ", True),
        ("command-injection", "echo 'a; : pxmark '", False),
        ("command-injection", "echo pxmark", False),
        ("command-injection", "echo a\\; : pxmark", False),
        ("xpath-injection", "//p[@n='a' or pxmark or '']", True),
        ("xpath-injection", "//p[@n=\"a' or pxmark or '\"]", False),
        ("ldap-injection", "(uid=a)(pxmark=*)", True),
        ("ldap-injection", "(uid=a\\29\\28pxmark=*)", False),
        ("cross-site-scripting", "<p><pxmark></p>", True),
        ("cross-site-scripting", "<p>&lt;pxmark&gt;</p>", False),
        ("code-injection", "1 + pxmark", True),
        ("code-injection", "'pxmark'", False),
        ("open-redirect", "https://pxmark.invalid/", True),
        ("open-redirect", "/pages/pxmark.invalid", False),
        ("open-redirect", "\\\\pxmark.invalid", True),
        ("log-injection", "user\npxmark", True),
        ("log-injection", "user pxmark", False),
    ],
)
def test_what_counts_as_a_change_of_structure(rule: str, text: str, expected: bool) -> None:
    # The input is everything but the first word.
    start = text.find(" ") + 1 if rule == "command-injection" else 1
    assert bool(structure.changed(rule, text, [(start, len(text), 0, 0)], "pxmark")) is expected
