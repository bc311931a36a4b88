"""What rules say in the reader's language: titles and advice stand in the rules' own files, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from phalanx.console.words import Language

__all__ = ["advice_of", "titles"]

Index = Mapping[str, dict[str, Any]]
"""Rule, by id and by name → its mapping as written."""


def _said(item: Mapping[str, Any], name: str, language: Language) -> str:
    own = item.get("phalanx")
    texts = own.get(name) if isinstance(own, dict) else None
    text = texts.get(language) if isinstance(texts, dict) else None
    return text[:2_000] if isinstance(text, str) else ""


def titles(index: Index, language: Language) -> Callable[[str], str]:
    """A function from a title as it was stored, in English, to the title in ``language``; a text that no rule has stays as it is."""
    if language == "en":
        return str
    known = {_said(item, "title", "en"): _said(item, "title", language) for item in index.values()}

    def title(stored: str) -> str:
        return known.get(stored, "") or stored

    return title


def advice_of(index: Index, language: Language, rule: str, fallback: str) -> str:
    """The rule's advice in ``language``, else ``fallback``."""
    if language == "en":
        return fallback
    return _said(index.get(rule, {}), "advice", language) or fallback
