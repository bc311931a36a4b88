"""Secrets, passwords and what is kept of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.errors import UsageError
from phalanx.identity.passwords import MAX_LENGTH, check_password, hash_password, require_good_password
from phalanx.identity.secrets import csrf_fits, csrf_token, digest, new_api_token, new_secret, parse_api_token

GOOD = "seven cranes fly at dawn"


def test_a_token_is_recognised_and_its_digest_is_all_that_is_kept() -> None:
    identifier, token = new_api_token()
    assert parse_api_token(token) == identifier
    assert token.startswith(f"phx_{identifier}_")
    assert token not in digest(token)
    assert len({new_api_token()[1] for _ in range(100)}) == 100


@given(st.integers(0, 67), st.characters(codec="ascii"))
def test_a_token_with_one_wrong_character_is_no_token(place: int, char: str) -> None:
    _, token = new_api_token()
    wrong = token[:place] + char + token[place + 1 :]
    assert wrong == token or parse_api_token(wrong) is None


@given(st.text(max_size=100))
def test_text_is_no_token(text: str) -> None:
    assert parse_api_token(text) is None


def test_a_csrf_token_belongs_to_one_session() -> None:
    one, other = new_secret(), new_secret()
    assert csrf_fits(one, csrf_token(one))
    assert not csrf_fits(one, csrf_token(other))
    assert not csrf_fits(one, "")
    assert not csrf_fits(one, "ünïcödé")
    assert one not in csrf_token(one)


def test_a_password_fits_itself_only_and_hashes_differ() -> None:
    stored = hash_password(GOOD)
    assert stored.startswith("$argon2id$")
    assert stored != hash_password(GOOD)
    assert check_password(stored, GOOD) == (True, False)
    assert check_password(stored, GOOD + " ")[0] is False
    assert check_password(stored, "")[0] is False


def test_nobody_has_no_password_that_fits() -> None:
    assert check_password(None, GOOD) == (False, False)
    assert check_password("not a hash", GOOD) == (False, False)


def test_an_endless_password_is_not_hashed() -> None:
    stored = hash_password("")
    assert check_password(stored, "x" * (MAX_LENGTH + 1)) == (False, False)


def test_a_hash_with_weaker_parameters_is_made_again() -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(GOOD)
    assert check_password(weak, GOOD) == (True, True)


@pytest.mark.parametrize(
    ("password", "why"),
    [("short", "characters"), ("x" * 300, "characters"), ("aaaaaaaaaaaaaaaa", "guess"), ("xx-annabel-2026", "guess")],
)
def test_a_bad_password_is_refused_with_a_reason(password: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        require_good_password(password, name="annabel")


def test_a_good_password_is_taken() -> None:
    require_good_password(GOOD, name="annabel")
