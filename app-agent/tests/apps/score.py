"""Scores a report against the truth of an application: TPR, FPR and their difference for each category."""

from __future__ import annotations

import json
from typing import Any


def score(cases: list[dict[str, Any]], findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each category: true and false positives, and the cases that were judged wrongly."""
    seen = {(one["route"], one["rule"]) for one in findings}
    out: dict[str, dict[str, Any]] = {}
    for one in cases:
        row = out.setdefault(one["category"], {"flawed": 0, "safe": 0, "hit": 0, "false": 0, "wrong": []})
        reported = (one["route"], one["category"]) in seen
        row["flawed" if one["flawed"] else "safe"] += 1
        if one["flawed"] and reported:
            row["hit"] += 1
        elif reported:
            row["false"] += 1
        if reported != one["flawed"]:
            row["wrong"].append(one["route"])
    for row in out.values():
        row["tpr"] = row["hit"] / max(row["flawed"], 1)
        row["fpr"] = row["false"] / max(row["safe"], 1)
        row["j"] = row["tpr"] - row["fpr"]
    return out


def findings_of(path: str) -> list[dict[str, Any]]:
    """The findings in a report file."""
    with open(path, encoding="utf-8") as file:
        return [message for message in map(json.loads, file) if message["kind"] == "finding"]
