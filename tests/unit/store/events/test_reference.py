"""The reference page names every bound and every part of an answer's completeness."""

from __future__ import annotations

from pathlib import Path

from phalanx.store.events.interface import Completeness
from phalanx.store.events.options import LogOptions

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "event-store.md").read_text()


def test_every_option_is_on_the_reference_page() -> None:
    assert [name for name in LogOptions.__struct_fields__ if f"`{name}`" not in PAGE] == []


def test_every_word_of_completeness_is_on_the_reference_page() -> None:
    assert [name for name in Completeness.__struct_fields__ if f"`{name}`" not in PAGE] == []
