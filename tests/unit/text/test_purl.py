"""Package URLs against the reference implementation."""

from __future__ import annotations

import packageurl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.text.purl import format_purl, parse_purl

NAMES = st.text(alphabet="abcXYZ019._-@+ %/é", min_size=1, max_size=12).filter(
    lambda text: text.strip("/ ") == text and "//" not in text
)
TYPES = st.sampled_from(["pypi", "npm", "maven", "golang", "deb", "rpm", "cargo", "gem", "composer", "generic", "apk"])


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("pkg:npm/%40angular/animation@12.3.1", "animation", "12.3.1"),
        ("pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie", "curl", "7.50.3-1"),
        ("pkg:golang/google.golang.org/genproto#googleapis/api/annotations", "genproto", ""),
        ("PKG:maven/org.apache/x@1.0", "x", "1.0"),
        ("pkg:pypi/Django_Filter@1", "django-filter", "1"),
    ],
)
def test_examples_of_the_specification(text: str, name: str, version: str) -> None:
    purl = parse_purl(text)
    assert purl is not None
    assert (purl.name, purl.version) == (name, version)


@pytest.mark.parametrize(
    "text", ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/a", "http://x/y", "pkg:/x", "pkg:npm/a" * 5000]
)
def test_what_is_no_package_url(text: str) -> None:
    assert parse_purl(text) is None


@given(
    type_=TYPES,
    namespace=st.just("") | NAMES,
    name=NAMES.filter(lambda text: "/" not in text),
    version=st.just("") | NAMES,
)
def test_what_is_written_is_read_back_and_as_the_reference_reads_it(
    type_: str, namespace: str, name: str, version: str
) -> None:
    text = format_purl(type_, namespace, name, version, {"arch": "amd64", "empty": ""})
    mine, reference = parse_purl(text), packageurl.PackageURL.from_string(text)
    assert mine is not None
    if (
        type_ == "npm"
    ):  # the reference folds case, but packages of the first years (JSONStream) keep theirs in registry and advisories
        assert mine.name.lower() == reference.name
    else:
        assert (mine.namespace, mine.name) == (reference.namespace or "", reference.name)
    assert mine.version == (reference.version or "")
    assert mine.qualifiers == {"arch": "amd64"}
    assert format_purl(mine.type, mine.namespace, mine.name, mine.version, mine.qualifiers) == text


@given(st.text(max_size=60))
def test_any_text_is_read_or_is_none(text: str) -> None:
    parse_purl("pkg:" + text)
