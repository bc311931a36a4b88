"""Observed text in a page: escaped, bounded, isolated, byte for byte; never markup.

Every string that came from a monitored system goes through :func:`hostile` (text of an element) or :func:`plain` (an attribute).
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup, escape

from phalanx.text.hostile import show, tags

__all__ = ["LINE_LIMIT", "SHOW_ALL_LIMIT", "command", "controls", "hostile", "lines", "middle", "plain", "slots"]

LINE_LIMIT: Final = 2_048
"""Characters of an observed string in a list."""
SHOW_ALL_LIMIT: Final = 65_536
"""Characters of an observed string where one asked for all of it."""


def hostile(text: object, limit: int = LINE_LIMIT) -> Markup:
    """``text`` as isolated, left-to-right markup; unsafe characters are drawn as tags; what is over ``limit`` is counted, not shown."""
    whole = str(text)
    parts = [Markup('<bdi dir="ltr">')]
    for piece, is_tag in tags(whole[:limit]):
        parts.append(Markup('<span class="ctl">{}</span>').format(piece) if is_tag else escape(piece))
    if len(whole) > limit:
        parts.append(Markup('<span class="q">… (+{})</span>').format(len(whole) - limit))
    parts.append(Markup("</bdi>"))
    return Markup("").join(parts)


def command(text: object, limit: int = LINE_LIMIT) -> Markup:
    """A command line with its first word in bold."""
    whole = str(text)
    head, space, rest = whole.partition(" ")
    if not space:
        return Markup("<b>{}</b>").format(hostile(whole, limit))
    return Markup("<b>{}</b> {}").format(hostile(head, limit), hostile(rest, limit))


def plain(text: object, limit: int = 512) -> str:
    """``text`` for an attribute or a title: unsafe characters as ``<ESC>``; the template escapes it."""
    return show(str(text), limit)


def lines(text: object, limit: int = LINE_LIMIT) -> Markup:
    """Text of several lines, each as :func:`hostile` draws it; only the line feeds between them are obeyed."""
    whole = str(text)
    shown = Markup("\n").join(hostile(line, limit) for line in whole[:limit].split("\n"))
    return shown if len(whole) <= limit else shown + Markup('<span class="q">… (+{})</span>').format(len(whole) - limit)


def middle(text: object, limit: int = 48) -> str:
    """A path or an id cut in its middle, so that head and tail stay."""
    whole = str(text)
    if len(whole) <= limit:
        return whole
    head = (limit - 1) * 2 // 5
    return f"{whole[:head]}…{whole[len(whole) - (limit - 1 - head) :]}"


def controls(text: str) -> int:
    """How many characters of ``text`` are drawn as tags."""
    return sum(1 for _, is_tag in tags(text) if is_tag)


def slots(text: str, limit: int = LINE_LIMIT) -> list[str | list[str]]:
    """``text`` for an island: plain pieces as strings, tags as one-element lists; the island builds text nodes from them."""
    cut = text[:limit]
    pieces: list[str | list[str]] = [[piece] if is_tag else piece for piece, is_tag in tags(cut)]
    if len(text) > limit:
        pieces.append(f"… (+{len(text) - limit})")
    return pieces
