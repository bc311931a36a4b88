"""The condition language: Falco's rule files and conditions, for every source of events.

One typed tree (:mod:`phalanx.language.tree`) becomes a generated matcher (:mod:`phalanx.language.matcher`), a question to the event store
(:mod:`phalanx.language.query`) and a kernel filter (:mod:`phalanx.language.kernel_filter`); :mod:`phalanx.language.interpreter` is the naive
twin that all of them must agree with. Absent values make comparisons false, UNKNOWN ones are Kleene's.
"""

from __future__ import annotations

from phalanx.language.catalogue import CATALOGUE
from phalanx.language.condition import Condition, parse_condition
from phalanx.language.kernel_filter import KernelFilter, TypeFilter
from phalanx.language.problems import Problem
from phalanx.language.query import EventQuery
from phalanx.language.reader import load_rules
from phalanx.language.ruleset import Rule, RuleSet, RuleSource

__all__ = [
    "CATALOGUE",
    "Condition",
    "EventQuery",
    "KernelFilter",
    "Problem",
    "Rule",
    "RuleSet",
    "RuleSource",
    "TypeFilter",
    "load_rules",
    "parse_condition",
]
