"""Observed text in pages: visible, bounded, and never anything but text."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from phalanx.console.hostile import command, controls, hostile, lines, middle, plain, slots
from phalanx.console.routes.live import shell
from phalanx.text.hostile import tags


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


ANY = st.text(
    alphabet=st.one_of(st.characters(exclude_categories=()), st.sampled_from("<>\"'&\x1b\u202e\uf7ff\n\t/")),
    max_size=200,
)


@given(ANY)
def test_no_text_becomes_markup_and_none_is_lost(text: str) -> None:
    seen = Seen()
    seen.feed(str(hostile(text, 10_000)))
    assert set(seen.elements) <= {"bdi", "span"}
    assert seen.text == "".join(piece for piece, _ in tags(text))


@given(ANY)
def test_no_unsafe_character_reaches_the_page(text: str) -> None:
    for shown in (str(hostile(text)), str(command(text)), plain(text), str(lines(text)).replace("\n", "")):
        assert not any(is_tag for _, is_tag in tags(unescape(shown)) if not re.fullmatch(r"[\ufe00-\ufe0f]", _))


@given(ANY)
def test_islands_get_tags_apart_from_text(text: str) -> None:
    for piece in slots(text):
        if isinstance(piece, str):
            assert controls(piece) == 0
        else:
            assert len(piece) == 1


def test_tags_are_drawn_for_escape_direction_and_bad_bytes() -> None:
    shown = str(hostile("a\x1b[2J\u202eb\uf7ff"))
    for tag in ("ESC", "U+202E", "\\xff"):
        assert f'<span class="ctl">{tag}</span>' in shown
    assert controls("a\x1b[2J\u202eb\uf7ff") == 3


def test_long_text_says_how_much_is_left_out() -> None:
    assert "(+952)" in str(hostile("x" * 3000))
    assert middle("/a/very/long/path/to/some/file.txt", 20) == "/a/very…ome/file.txt"
    assert len(middle("y" * 500, 30)) == 30


def test_lines_obey_line_feeds_and_nothing_else() -> None:
    assert str(lines("a\nb\r")).count("\n") == 1
    assert "CR" in str(lines("a\nb\r"))


@given(ANY.filter(lambda text: "\0" not in text and not re.search("[\ud800-\udfff]", text)))
def test_a_copied_command_is_one_word_of_a_shell(text: str) -> None:
    quoted = shell(text)
    assert not any(ord(char) < 32 or ord(char) == 127 for char in quoted)
    assert quoted[0] in "'$" or re.fullmatch(r"[A-Za-z0-9_./:@%+=,-]+", quoted)
