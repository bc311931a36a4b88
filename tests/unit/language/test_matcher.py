"""The generated matcher: what it makes of rules, beyond that it says what the interpreter says (tests/conformance/test_three_values.py)."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st

from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.language.analysis import TypeSets, Universe
from phalanx.language.explain import why
from phalanx.language.functions import function_of, literals_of
from phalanx.language.generate import source_of
from phalanx.language.matcher import Matcher
from phalanx.language.normal import Normalizer
from phalanx.language.patterns import full_match
from phalanx.language.tree import Test
from phalanx.model.event import Exec, Open
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN


def load(*conditions: str) -> RuleSet:
    text = "".join(
        f"- rule: R{number}\n  desc: d\n  condition: |\n    {condition}\n  output: o\n  priority: INFO\n"
        for number, condition in enumerate(conditions)
    )
    ruleset = load_rules([RuleSource("r", text)])
    assert not ruleset.errors, ruleset.errors
    return ruleset


def process(**more: object) -> Process:
    return Process(**{"id": "b:9:1", "pid": 9, "start_ns": 1, "name": "bash", "parent": None, **more})  # type: ignore[arg-type]


def opened(path: str, /, **more: object) -> Open:
    return Open(
        ts_ns=1,
        agent="a",
        seq=1,
        type="openat",
        ret=3,
        process=process(**more),
        container=None,
        is_write=True,
        fd=Descriptor(num=3, type="f", name=path),
    )


def test_rules_are_asked_only_of_events_that_can_satisfy_them() -> None:
    matcher = Matcher(
        load(
            "evt.type = execve and proc.name = a",
            "evt.type in (openat, execve) and user.uid = 0",
            "evt.is_open_write = true",
            "proc.pid = 1",
        )
    )
    assert matcher.bucket("execve") == (0, 1, 2, 3)
    assert matcher.bucket("connect") == (2, 3)
    assert matcher.bucket("a type nobody knows") == (2, 3)


def test_many_rules_with_shared_parts_each_hit_on_their_own() -> None:
    matcher = Matcher(
        load(
            *(
                f"evt.type = openat and evt.is_open_write = true and fd.name startswith /etc/{number}/ and not proc.name = p{number}"
                for number in range(60)
            )
        )
    )
    for number in range(60):
        assert matcher.match(opened(f"/etc/{number}/x"))[0] == (number,)
        assert matcher.match(opened(f"/etc/{number}/x", name=f"p{number}"))[0] == ()


def test_an_unknown_ancestor_leaves_only_the_rules_undecided_that_need_it() -> None:
    matcher = Matcher(
        load(
            "evt.type = openat and proc.aname = sshd",
            "evt.type = openat and fd.name = /x",
            "evt.type = openat and proc.aname = sshd and fd.name = /y",
        )
    )
    assert matcher.match(opened("/x", parent=UNKNOWN)) == ((1,), (0,))


def test_the_code_holds_no_text_of_a_rule() -> None:
    hostile = "__import__('os').system('id')"
    node = (
        load(
            f'evt.type = openat and (fd.name = "{hostile}" or fd.name contains "{hostile}" or proc.env["{hostile}"] = x)'
        )
        .rules[0]
        .condition.node
    )
    code = source_of([(0, Normalizer("openat", TypeSets(Universe()), "known").form(node))]).split("\n# k0")[0]
    literals = [found.value for found in ast.walk(ast.parse(code)) if isinstance(found, ast.Constant)]
    assert {type(value) for value in literals} <= {int, bool, type(None)}
    assert "import" not in code


def test_deep_conditions_compile_and_agree() -> None:
    condition = "evt.type = openat"
    for level in range(60):
        condition = f"({condition} and proc.pid != {100 + level}) or (proc.vpid = {level} and fd.name = /never)"
    ruleset = load(condition)
    event = opened("/x", vpid=900)
    assert ruleset.rules[0].condition.holds(event) is True
    assert Matcher(ruleset).match(event)[0] == (0,)


def test_why_names_what_held_with_the_value_it_saw() -> None:
    node = (
        load(
            "evt.type = execve and (proc.name = zsh or proc.name in (sh, bash)) and not user.uid = 7 and proc.aname = sshd"
        )
        .rules[0]
        .condition.node
    )
    event = Exec(
        ts_ns=1,
        agent="a",
        seq=1,
        type="execve",
        process=process(parent=process(name="init", parent=process(name="sshd"))),
        container=None,
    )
    assert [(match.text, match.value) for match in why(node, event)] == [
        ("evt.type = execve", "execve"),
        ("proc.name in (sh, bash)", "bash"),
        ("proc.aname = sshd", "sshd"),
    ]


def test_a_long_value_is_cut_in_an_explanation() -> None:
    node = load("evt.type = execve and proc.cwd startswith /").rules[0].condition.node
    (_, match) = why(
        node, Exec(ts_ns=1, agent="a", seq=1, type="execve", process=process(cwd="/" * 5000), container=None)
    )
    assert len(match.value) < 600
    assert match.value.endswith("(+4488)")


_PIECES = st.sampled_from(
    [
        "a",
        "bc",
        "xyz",
        "foo",
        ".",
        ".*",
        "[a-c]",
        "[^x]+",
        "(foo|xyz)",
        "(a|bc)?",
        "(?:foo)+",
        "x{2}",
        "b*",
        "\\.",
        "\\d",
        "|",
        "foo|bar",
        "^",
        "$",
    ]
)


@given(st.lists(_PIECES, max_size=8).map("".join), st.text(alphabet="abcfoxyz.1", max_size=12))
def test_a_literal_that_is_said_to_be_necessary_is_in_everything_that_matches(pattern: str, text: str) -> None:
    try:
        matches = full_match(pattern)
    except ValueError:
        return
    literals = literals_of(pattern, "regex")
    if literals and matches(text):
        assert any(literal in text for literal in literals), (pattern, literals, text)


@given(st.text(alphabet="/ab*?[]!.", max_size=10), st.text(alphabet="/ab.]", max_size=12))
def test_a_prepared_glob_says_what_fnmatch_says(glob: str, text: str) -> None:
    from phalanx.language.condition import parse_condition

    node = parse_condition('fd.name glob "' + glob.replace("\\", "\\\\") + '"').node
    assert isinstance(node, Test)
    event = opened(text)
    assert function_of(node)(text) is parse_condition('fd.name glob "' + glob + '"').holds(event)
    if "[" not in glob:
        import fnmatch
        import re

        assert function_of(node)(text) is (re.fullmatch(fnmatch.translate(glob), text) is not None)
