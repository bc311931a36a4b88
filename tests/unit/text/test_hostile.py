"""Bytes of a monitored system lose nothing inside and do no harm when shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from phalanx.text.hostile import decode, encode, show, tags


@given(st.binary(max_size=64))
def test_any_bytes_come_back_as_they_were(raw: bytes) -> None:
    text = decode(raw)
    text.encode("utf-8")  # always valid Unicode: databases and Arrow take it
    assert encode(text) == raw


@given(st.lists(st.sampled_from(["\uf77f", "\uf780", "\uf7ff", "\uf800", "a"]), max_size=8))
def test_real_private_use_characters_are_not_mistaken_for_bytes(chars: list[str]) -> None:
    raw = "".join(chars).encode()
    assert encode(decode(raw)) == raw


def test_two_different_byte_strings_never_become_the_same_text() -> None:
    assert decode(b"\xff") != decode("\uf7ff".encode())


def test_terminal_and_bidirectional_controls_are_visible() -> None:
    assert show(decode(b"a\x1b[2J\xe2\x80\xaefdp.sh\xff\n")) == "a<ESC>[2J<U+202E>fdp.sh<\\xff><LF>"


@given(st.text(max_size=200))
def test_shown_text_holds_no_control_character(text: str) -> None:
    shown = show(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E for c in shown)


def test_a_cut_says_how_much_is_missing() -> None:
    assert show("x" * 100, 10) == "x" * 10 + "… (+90)"


def test_tags_keep_order_and_say_what_stands_for_what() -> None:
    assert tags("a\x00b\u200bc") == [("a", False), ("NUL", True), ("b", False), ("U+200B", True), ("c", False)]
