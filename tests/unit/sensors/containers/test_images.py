"""References of images as people write them."""

from __future__ import annotations

import pytest

from phalanx.sensors.containers.images import split

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("nginx", ("nginx", None, None)),
        ("nginx:1.25", ("nginx", "1.25", None)),
        ("localhost:5000/team/app", ("localhost:5000/team/app", None, None)),
        ("localhost:5000/team/app:v1", ("localhost:5000/team/app", "v1", None)),
        (f"ghcr.io/a/b:v1@{DIGEST}", ("ghcr.io/a/b", "v1", DIGEST)),
        (f"ghcr.io/a/b@{DIGEST}", ("ghcr.io/a/b", None, DIGEST)),
        (DIGEST, (None, None, DIGEST)),
        ("", (None, None, None)),
        ("a@not-a-digest", ("a", None, None)),
    ],
)
def test_a_reference_is_split(reference: str, parts: tuple[str | None, str | None, str | None]) -> None:
    assert split(reference) == parts
