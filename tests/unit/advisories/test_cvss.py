"""CVSS scores against an independent calculator: every base vector of version 2, samples of 3 and 4."""

from __future__ import annotations

import itertools
import random

import cvss
import pytest

from phalanx.advisories.cvss import base_score, severity_of_score
from phalanx.model.severity import Severity

V3 = {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "NLH", "I": "NLH", "A": "NLH"}
V4 = {
    "AV": "NALP", "AC": "LH", "AT": "NP", "PR": "NLH", "UI": "NPA", "VC": "HLN", "VI": "HLN", "VA": "HLN", "SC": "HLN", "SI": "HLN", "SA": "HLN",
}  # fmt: skip
V4_MORE = {"E": "XAPU", "CR": "XHML", "IR": "XHML", "AR": "XHML", "MSI": "XSHLN", "MAV": "XNALP", "MVC": "XHLN"}


def test_every_version_2_vector_scores_as_the_calculator_says() -> None:
    for values in itertools.product("LAN", "HML", "MSN", "NPC", "NPC", "NPC"):
        vector = "/".join(
            f"{name}:{value}" for name, value in zip(("AV", "AC", "Au", "C", "I", "A"), values, strict=True)
        )
        assert base_score(vector) == float(cvss.CVSS2(vector).base_score), vector


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_every_version_3_vector_scores_as_the_calculator_says(version: str) -> None:
    for values in itertools.product(*V3.values()):
        vector = f"CVSS:{version}/" + "/".join(f"{name}:{value}" for name, value in zip(V3, values, strict=True))
        assert base_score(vector) == float(cvss.CVSS3(vector).base_score), vector


def test_version_4_vectors_score_as_the_calculator_says() -> None:
    chooser = random.Random(4)
    for _ in range(4000):
        parts = [f"{name}:{chooser.choice(values)}" for name, values in V4.items()]
        parts += [f"{name}:{chooser.choice(values)}" for name, values in V4_MORE.items() if chooser.random() < 0.5]
        vector = "CVSS:4.0/" + "/".join(parts)
        assert base_score(vector) == float(cvss.CVSS4(vector).base_score), vector


@pytest.mark.parametrize(
    "vector",
    ["", "nonsense", "CVSS:3.1/AV:N", "CVSS:4.0/AV:N", "CVSS:3.1/AV:Z/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "AV:N/AV:N"],
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert base_score(vector) is None


def test_bands_are_those_of_the_specification() -> None:
    words = [severity_of_score(score) for score in (0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10.0)]
    low, medium, high = Severity.LOW, Severity.MEDIUM, Severity.HIGH
    assert words == [Severity.INFO, low, low, medium, medium, high, high, Severity.CRITICAL, Severity.CRITICAL]
