"""Real rule files, broken at random: they load into rules or problems, never into anything else, and what loads can be compiled and asked."""

from __future__ import annotations

import random

import pytest
from tests.conformance.condition_samples import Sampler

from phalanx.content import rule_files
from phalanx.errors import UsageError
from phalanx.language import RuleSource, load_rules
from phalanx.language.matcher import Matcher
from phalanx.store.events.lowering import lower_condition

FILES = [text for _, text in rule_files()]
PIECES = (
    "(",
    ")",
    '"',
    "'",
    "\\",
    "\n",
    "  ",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "not ",
    " and ",
    " or ",
    "in ",
    "!=",
    "\0",
    "\u202e",
    "val(",
    "9" * 40,
    "|",
    ">",
)


def mutated(chooser: random.Random) -> str:
    text = chooser.choice(FILES)
    start = chooser.randrange(len(text))
    text = text[start : start + chooser.randrange(200, 6000)] if chooser.random() < 0.7 else text
    for _ in range(chooser.randrange(1, 8)):
        at = chooser.randrange(len(text) + 1)
        action = chooser.randrange(4)
        if action == 0:
            text = text[:at] + text[at + chooser.randrange(1, 30) :]
        elif action == 1:
            text = text[:at] + chooser.choice(PIECES) + text[at:]
        elif action == 2:
            text = text[:at] + chr(chooser.choice((0, 9, 27, 0x85, 0x2028, 0xE9, 0xF7FF, 0x1F600))) + text[at + 1 :]
        else:
            other = chooser.randrange(len(text) + 1)
            text = text[:at] + text[other : other + 300] + text[at:]
    return text


def survive(seed: int) -> None:
    chooser = random.Random(seed)
    ruleset = load_rules([RuleSource("words", FILES[0]), RuleSource("mutated", mutated(chooser))])
    for problem in ruleset.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem)
    matcher = Matcher(ruleset)
    for event in Sampler(seed).events(3):
        hits, undecided = matcher.match(event)
        for index, rule in enumerate(matcher.rules):
            assert rule.condition.holds(event) is (True if index in hits else None if index in undecided else False), (
                rule.name
            )
    for rule in ruleset.active:
        try:
            lower_condition(rule.condition)
        except UsageError as error:
            assert error.hint, rule.name  # noqa: PT017 - a refusal is allowed, and says what to do
    ruleset.kernel_filter()


@pytest.mark.parametrize("seed", range(40))
def test_a_mutated_rule_file_is_survived(seed: int) -> None:
    survive(seed)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_thousands_of_mutated_rule_files_are_survived() -> None:
    for seed in range(1000, 5000):
        survive(seed)
