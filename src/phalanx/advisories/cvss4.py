"""CVSS 4.0 (FIRST, specification section 8): macro vectors, their published scores, and the interpolation between them."""

from __future__ import annotations

from itertools import product
from typing import Final

__all__ = ["score4"]

_LEVELS: Final = {
    "AV": {"N": 0, "A": 1, "L": 2, "P": 3},
    "PR": {"N": 0, "L": 1, "H": 2},
    "UI": {"N": 0, "P": 1, "A": 2},
    "AC": {"L": 0, "H": 1},
    "AT": {"N": 0, "P": 1},
    "VC": {"H": 0, "L": 1, "N": 2},
    "VI": {"H": 0, "L": 1, "N": 2},
    "VA": {"H": 0, "L": 1, "N": 2},
    "SC": {"H": 1, "L": 2, "N": 3},
    "SI": {"S": 0, "H": 1, "L": 2, "N": 3},
    "SA": {"S": 0, "H": 1, "L": 2, "N": 3},
    "CR": {"H": 0, "M": 1, "L": 2},
    "IR": {"H": 0, "M": 1, "L": 2},
    "AR": {"H": 0, "M": 1, "L": 2},
    "E": {"A": 0, "P": 1, "U": 2},
}
"""Metric → value → distance from its worst value, in steps."""

_DEFAULTS: Final = {"E": "A", "CR": "H", "IR": "H", "AR": "H"}
"""What "not defined" (X) counts as: the worst case."""

# Scores of all macro vectors in tenths, as FIRST publishes them: a row for each (EQ1, EQ2), in it EQ3 with EQ6 as in _PAIRS, then EQ4, then EQ5.
_PAIRS: Final = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1))
_TENTHS: Final = tuple(
    tuple(int(value) for value in row.split())
    for row in (
        "100 98 95 100 93 91 93 89 81 99 95 92 96 87 81 90 80 68 98 95 90 93 89 81 88 78 69 95 92 84 92 81 65 80 70 48 92 82 72 79 69 50 69 55 27",
        "99 95 92 95 90 84 92 82 72 97 92 85 91 83 71 81 71 53 95 92 85 92 80 70 84 71 50 93 85 73 82 72 59 70 52 30 86 75 52 71 52 29 63 29 17",
        "98 94 91 94 86 77 87 74 63 95 87 81 89 74 64 75 63 49 94 88 76 86 74 59 72 57 52 89 77 67 76 58 50 57 52 25 83 70 54 65 58 26 53 21 13",
        "95 88 76 90 75 61 77 68 52 90 76 70 77 62 53 66 59 30 89 76 62 74 57 47 61 57 24 78 67 58 59 57 23 52 29 16 71 59 30 58 26 15 23 13 6",
        "93 86 75 86 74 56 70 52 40 87 72 58 74 61 34 54 40 22 85 74 62 72 55 46 53 34 19 75 55 51 57 41 19 36 19 8 64 51 20 47 21 11 24 9 4",
        "88 73 60 73 59 41 54 45 20 75 53 50 55 40 20 43 22 11 75 58 40 61 48 20 46 17 8 55 45 21 51 18 9 18 7 2 53 24 14 24 12 5 10 3 1",
    )
)

# The worst vectors of each level of each equivalence class (specification, tables 24 to 29).
_WORST_1: Final = (
    ("AV:N/PR:N/UI:N",),
    ("AV:A/PR:N/UI:N", "AV:N/PR:L/UI:N", "AV:N/PR:N/UI:P"),
    ("AV:P/PR:N/UI:N", "AV:A/PR:L/UI:P"),
)
_WORST_2: Final = (("AC:L/AT:N",), ("AC:H/AT:N", "AC:L/AT:P"))
_WORST_36: Final = {
    (0, 0): ("VC:H/VI:H/VA:H/CR:H/IR:H/AR:H",),
    (0, 1): ("VC:H/VI:H/VA:L/CR:M/IR:M/AR:H", "VC:H/VI:H/VA:H/CR:M/IR:M/AR:M"),
    (1, 0): ("VC:L/VI:H/VA:H/CR:H/IR:H/AR:H", "VC:H/VI:L/VA:H/CR:H/IR:H/AR:H"),
    (1, 1): (
        "VC:L/VI:H/VA:L/CR:H/IR:M/AR:H",
        "VC:L/VI:H/VA:H/CR:H/IR:M/AR:M",
        "VC:H/VI:L/VA:H/CR:M/IR:H/AR:M",
        "VC:H/VI:L/VA:L/CR:M/IR:H/AR:H",
        "VC:L/VI:L/VA:H/CR:H/IR:H/AR:M",
    ),
    (2, 1): ("VC:L/VI:L/VA:L/CR:H/IR:H/AR:H",),
}
_WORST_4: Final = (("SC:H/SI:S/SA:S",), ("SC:H/SI:H/SA:H",), ("SC:L/SI:L/SA:L",))
_DEPTH_1, _DEPTH_2, _DEPTH_4 = (1, 4, 5), (1, 2), (6, 5, 4)
_DEPTH_36: Final = {(0, 0): 7, (0, 1): 6, (1, 0): 8, (1, 1): 8, (2, 1): 10}
"""How many steps each level spans (table 30)."""


def _published(eq1: int, eq2: int, eq36: tuple[int, int], eq4: int, eq5: int) -> float | None:
    """Score of a macro vector; None when there is no such one."""
    if eq1 > 2 or eq2 > 1 or eq36 not in _PAIRS or eq4 > 2 or eq5 > 2:
        return None
    return _TENTHS[eq1 * 2 + eq2][_PAIRS.index(eq36) * 9 + eq4 * 3 + eq5] / 10


def score4(fields: dict[str, str]) -> float:
    """The score of a CVSS 4.0 vector, threat and environmental metrics included when they are given.

    Raises:
        KeyError: a base metric is missing or has a value that does not exist.
    """

    def value(metric: str) -> str:
        modified = fields.get("M" + metric, "X")
        found = modified if modified != "X" else fields.get(metric, "X")
        found = _DEFAULTS.get(metric, found) if found == "X" else found
        if found not in _LEVELS[metric]:
            raise KeyError(metric)
        return found

    v = {metric: value(metric) for metric in _LEVELS}
    if all(v[metric] == "N" for metric in ("VC", "VI", "VA", "SC", "SI", "SA")):
        return 0.0
    network = (v["AV"] == "N", v["PR"] == "N", v["UI"] == "N")
    eq1 = 0 if all(network) else 1 if any(network) and v["AV"] != "P" else 2
    eq2 = 0 if v["AC"] == "L" and v["AT"] == "N" else 1
    eq3 = 0 if v["VC"] == "H" and v["VI"] == "H" else 1 if "H" in (v["VC"], v["VI"], v["VA"]) else 2
    eq4 = 0 if "S" in (v["SI"], v["SA"]) else 1 if "H" in (v["SC"], v["SI"], v["SA"]) else 2
    eq5 = _LEVELS["E"][v["E"]]
    eq6 = 0 if any(v[f"V{one}"] == "H" and v[f"{one}R"] == "H" for one in "CIA") else 1
    here = _published(eq1, eq2, (eq3, eq6), eq4, eq5)
    if here is None:
        raise KeyError("macro vector")
    lower36 = [_published(eq1, eq2, pair, eq4, eq5) for pair in _below((eq3, eq6))]
    lower = (
        _published(eq1 + 1, eq2, (eq3, eq6), eq4, eq5),
        _published(eq1, eq2 + 1, (eq3, eq6), eq4, eq5),
        max((one for one in lower36 if one is not None), default=None),
        _published(eq1, eq2, (eq3, eq6), eq4 + 1, eq5),
    )
    steps = _steps(v, _WORST_1[eq1], _WORST_2[eq2], _WORST_36[eq3, eq6], _WORST_4[eq4])
    depths = (_DEPTH_1[eq1], _DEPTH_2[eq2], _DEPTH_36[eq3, eq6], _DEPTH_4[eq4])
    shares = [
        (here - below) * step / depth
        for below, step, depth in zip(lower, steps, depths, strict=True)
        if below is not None
    ]
    existing = len(shares) + (eq5 < 2)  # EQ5 counts as a class whose distance is always 0
    made = here - (sum(shares) / existing if existing else 0.0)
    return max(0.0, min(10.0, int(made * 10 + 0.5 + 1e-6) / 10))


def _below(pair: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The next lower levels of EQ3 and EQ6 together."""
    return {(0, 0): ((0, 1), (1, 0)), (0, 1): ((1, 1),), (1, 0): ((1, 1),), (1, 1): ((2, 1),), (2, 1): ()}[pair]


def _steps(values: dict[str, str], *classes: tuple[str, ...]) -> tuple[int, ...]:
    """Steps from the worst vector of the macro vector that is nowhere better than ``values``, summed by class."""
    for choice in product(*classes):
        sums = []
        for part in choice:
            distances = [
                _LEVELS[metric][values[metric]] - _LEVELS[metric][worst]
                for metric, worst in (pair.split(":") for pair in part.split("/"))
            ]
            if min(distances) < 0:
                break
            sums.append(sum(distances))
        else:
            return tuple(sums)
    raise KeyError("no worst vector")
