"""Version orders: the tables that their specifications print, equal spellings, and any text at all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.errors import UsageError
from phalanx.text.versions import SCHEMES, compare, key

ORDERS = {
    "deb": "1.0~~ 1.0~~a 1.0~ 1.0 1.0-1~bpo12+1 1.0-1 1.0-1+b1 1.0-1+deb12u1 1.0-1.1 1.0-2 1.0a 1.0+dfsg 1.0.1 1.9 1.10 1:0.5 2:0",
    "rpm": "0:1.0~rc1-1 0:1.0-1 0:1.0-2 0:1.0^git1-1 0:1.0a-1 0:1.0.1-1 0:1.9-1 0:1.10-1.el8 0:1.10-1.el8_2 0:1.10-1.el9 1:0.1-1",
    "apk": "1.0_alpha 1.0_alpha2 1.0_beta 1.0_pre 1.0_rc1 1.0 1.0-r1 1.0-r10 1.0_git20200101 1.0_p1 1.0a 1.0b 1.0.1 1.01 1.1 1.2 1.10",
    "pypi": "french-toast 1.0.dev0 1.0a1.dev1 1.0a1 1.0a2 1.0b1 1.0rc1 1.0 1.0+abc 1.0+abc.5 1.0+5 1.0.post1.dev1 1.0.post1 1.0.1 1.1 1.10 1!0.1",
    "maven": "1-alpha-1 1-alpha-2 1-beta1 1-m1 1-rc 1-SNAPSHOT 1 1-sp 1-jre 1-xyz 1-1 1.1-rc 1.1 1.2 1.10",
    "semver": "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.2.0 1.10.0 2.0.0",
    "golang": "v0.0.0-20190101000000-aaaaaaaaaaaa v0.0.0-20200101000000-000000000000 v0.0.0 v0.3.4-0.20200101000000-aaaaaaaaaaaa v0.3.4 "
    "go1.21rc2 go1.21 v1.21.1 go1.22 v2.0.0+incompatible",
    "pub": "1.0.0-a 1.0.0 1.0.0+1 1.0.0+2 1.0.1",
    "nuget": "1.0.0-Alpha 1.0.0-BETA 1.0.0 1.0.0.1 1.0.1",
    "gem": "1.0.a 1.0.b1 1.0.rc1 1.0 1.0.0.1 1.0.1.pre 1.0.1 1.9 1.10 2-x 2",
    "composer": "dev-main 1.0-dev 1.0.0-alpha 1.0.0-alpha2 1.0-beta1 1.0RC1 1.0.0 1.0.0-p1 1.0.0.1 1.1 1.10",
    "cran": "1.0 1.0-1 1.0-10 1.1 1.10",
    "conda": "0.4 0.4.1.rc 0.4.1 0.5a1 0.5b3 0.5 0.9.6 0.960923 1.0 1.1dev1 1.1_ 1.1a1 1.1.0dev1 1.1.a1 1.1.0rc1 1.1.0 1.1.0post1 "
    "1996.07.12 1!0.4.1 1!3.1.1.6 2!0.4.1",
    "pacman": "1.0a 1.0b 1.0beta 1.0p 1.0pre 1.0rc 1.0 1.0.a 1.0.b 1.0.1 1:0.1",
    "generic": "1.1.1-alpha 1.1.1-rc1 1.1.1 1.1.1a 1.1.1k 1.1.2 4.2.8p5 4.2.8p18 4.2.9",
}
SAME = {
    "deb": ["1.0 0:1.0", "1.0 1.0-0", "1.00 1.0", "1.0 01.0"],
    "rpm": ["1.0-1 0:1.0-1", "1.0-1 1_0-1", "1.01-1 1.1-1"],
    "apk": ["1.0 1.0-r0"],
    "pypi": ["3.2 3.2.0", "1.0c1 1.0rc1", "1.0-1 1.0.post1", "v1.0 1.0", "1.0+ABC 1.0+abc", "0!1 1", "1.0alpha1 1.0a1"],
    "maven": ["1 1.0.0", "1.0 1-ga", "1.Final 1", "1-a1 1-alpha-1", "1-cr2 1-rc2", "1.0.0.Alpha1 1-alpha-1"],
    "semver": ["1.0.0 1.0.0+build", "v1.2 1.2.0"],
    "golang": ["v2.0.0+incompatible v2.0.0", "go1.22.1 1.22.1"],
    "nuget": ["1.0 1.0.0.0", "1.0.0-Beta 1.0.0-BETA"],
    "gem": ["1 1.0.0", "1.0-1 1.0.pre.1"],
    "composer": ["1.0 v1.0.0.0", "1.0-stable 1.0", "1.0b1 1.0-beta1"],
    "conda": ["1.1 1.1.0", "0.4.1.rc 0.4.1.RC"],
    "generic": ["1.0 1.0.0", "v1.0 1.0"],
}


@pytest.mark.parametrize("scheme", sorted(ORDERS))
def test_the_published_order_holds_for_every_pair(scheme: str) -> None:
    for older, newer in itertools.combinations(ORDERS[scheme].split(), 2):
        assert compare(scheme, older, newer) == -1, (older, newer)


@pytest.mark.parametrize("scheme", sorted(SAME))
def test_two_spellings_of_one_release_have_one_key(scheme: str) -> None:
    for left, right in (pair.split() for pair in SAME[scheme]):
        assert key(scheme, left) == key(scheme, right), (left, right)


def test_every_scheme_is_held_to_a_table() -> None:
    assert set(ORDERS) == set(SCHEMES)


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(UsageError, match="cobol"):
        key("cobol", "1")


VERSION_LIKE = st.text(alphabet="0123456789.-_+~^:!abcprv ", max_size=40) | st.text(max_size=40)


@given(scheme=st.sampled_from(sorted(SCHEMES)), version=VERSION_LIKE)
def test_any_text_has_a_key(scheme: str, version: str) -> None:
    assert key(scheme, version) == key(scheme, version + "")
    assert isinstance(key(scheme, version), bytes)


@given(
    scheme=st.sampled_from(sorted(SCHEMES)),
    digits=st.integers(min_value=0, max_value=10**400),
    other=st.integers(min_value=0, max_value=10**400),
)
def test_numbers_order_by_value_at_any_size(scheme: str, digits: int, other: int) -> None:
    expected = (digits > other) - (digits < other)
    assert compare(scheme, f"1.{digits}", f"1.{other}") == expected
