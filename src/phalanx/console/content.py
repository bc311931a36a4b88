"""What rules say in the reader's language: titles and advice stand in the rules' own files, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from phalanx.console.words import Language

__all__ = ["advice_of", "titles"]

Index = Mapping[str, dict[str, Any]]
"""Rule, by id and by name → its mapping as written."""


def _said(index: Index, rule: str, name: str, language: Language) -> str:
    own = index.get(rule, {}).get("phalanx")
    texts = own.get(name) if isinstance(own, dict) else None
    text = texts.get(language) if isinstance(texts, dict) else None
    return text[:2_000] if isinstance(text, str) else ""


def titles(index: Index, language: Language) -> Callable[[str, str], str]:
    """A function ``(rule, title)``: the title in ``language`` when the rule that stated it has one, else ``title``."""

    def title(rule: str, fallback: str) -> str:
        if language == "en" or not rule or fallback != _said(index, rule, "title", "en"):
            return fallback  # English is what was stored; another text was written by a person or an older rule
        return _said(index, rule, "title", language) or fallback

    return title


def advice_of(index: Index, language: Language, rule: str, fallback: str) -> str:
    """The rule's advice in ``language``, else ``fallback``."""
    if language == "en":
        return fallback
    return _said(index, rule, "advice", language) or fallback
