"""Rule files: merging, references, exceptions, and errors at their exact place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.language.limits import MAX_WEIGHT


def rule(name: str = "R", condition: str = "evt.type = execve", **keys: str) -> str:
    extra = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    return f"- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n{extra}"


def load(*texts: str) -> RuleSet:
    return load_rules([RuleSource(f"{number}.yaml", text) for number, text in enumerate(texts)])


def good(*texts: str) -> RuleSet:
    ruleset = load(*texts)
    assert not ruleset.errors, ruleset.errors
    return ruleset


def condition_of(ruleset: RuleSet, name: str = "R") -> str:
    found = ruleset.rule(name)
    assert found is not None
    return repr(found.condition.node)


def test_lists_in_lists_and_quoted_values() -> None:
    ruleset = good(
        "- list: a\n  items: [x, '\"q w\"', two words]\n- list: b\n  items: [a, y]\n- macro: m\n  condition: proc.name in (b, z)\n"
        + rule(condition="evt.type=execve and m")
    )
    assert condition_of(ruleset).endswith('proc.name in (x, "q w", "two words", y, z)')


def test_a_quoted_value_is_not_a_list_and_an_empty_list_matches_nothing() -> None:
    ruleset = good(
        "- list: a\n  items: []\n"
        + rule(condition='evt.type=execve and proc.name in ("a", a) and not proc.pname in (a)')
    )
    assert condition_of(ruleset) == "evt.type = execve and proc.name in (a)"


def test_yaml_words_that_look_like_other_things_stay_text() -> None:
    ruleset = good("- list: a\n  items: [yes, true, 80, 0x10, 1e3, ~, null]\n")
    assert ruleset.lists["a"] == ("yes", "true", "80", "0x10", "1e3", "~", "null")


def test_a_later_definition_replaces_and_keeps_its_place() -> None:
    ruleset = good(rule("A") + rule("B"), rule("A", "evt.type = connect"))
    assert [each.name for each in ruleset.rules] == ["A", "B"]
    assert condition_of(ruleset, "A") == "evt.type = connect"
    assert ruleset.rules_read == 3


def test_a_macro_sees_what_was_defined_before_it_and_a_rule_sees_everything() -> None:
    early = load(
        "- macro: a\n  condition: b\n- macro: b\n  condition: proc.pid=1\n" + rule(condition="evt.type=execve and a")
    )
    assert [problem.code for problem in early.errors] == ["undefined_macro"]
    assert early.errors[0].line == 2
    good(rule(condition="evt.type=execve and b"), "- macro: b\n  condition: proc.pid=1\n")


def test_a_redefined_macro_may_use_what_came_in_between() -> None:
    ruleset = good(
        "- macro: hook\n  condition: (evt.num=0)\n- macro: later\n  condition: proc.pid=7\n"
        + rule(condition="evt.type=execve and hook"),
        "- macro: hook\n  condition: later\n",
    )
    assert condition_of(ruleset) == "evt.type = execve and proc.pid = 7"


def test_macros_in_a_circle_are_an_error() -> None:
    ruleset = load(
        "- macro: a\n  condition: proc.pid=1\n- macro: b\n  condition: a\n- macro: a\n  condition: b\n"
        + rule(condition="evt.type=execve and a")
    )
    assert any(problem.code == "macro_loop" for problem in ruleset.errors)


@pytest.mark.parametrize("form", ["append: true", "override: {condition: append}"])
def test_append_to_a_rule(form: str) -> None:
    ruleset = good(rule(), f"- rule: R\n  condition: and proc.pid=1\n  {form}\n")
    assert condition_of(ruleset) == "evt.type = execve and proc.pid = 1"


def test_override_replaces_and_appends_each_named_key() -> None:
    ruleset = good(
        rule(tags="[a]"),
        "- rule: R\n  condition: evt.type=connect\n  output: more\n  tags: [b]\n  enabled: false\n  priority: CRITICAL\n"
        "  override: {condition: replace, output: append, tags: append, enabled: replace, priority: replace}\n",
    )
    found = ruleset.rule("R")
    assert found is not None
    assert (condition_of(ruleset), found.output.text, found.tags, found.enabled, found.priority) == (
        "evt.type = connect",
        "o more",
        ("a", "b"),
        False,
        "CRITICAL",
    )


def test_lists_and_macros_are_appended_and_replaced() -> None:
    ruleset = good(
        "- list: l\n  items: [a]\n- macro: m\n  condition: proc.pid=1\n",
        "- list: l\n  items: [b]\n  append: true\n- macro: m\n  condition: or proc.pid=2\n  override: {condition: append}\n",
        "- list: l\n  items: [c]\n  override: {items: append}\n"
        + rule(condition="evt.type=execve and m and proc.name in (l)"),
    )
    assert condition_of(ruleset) == "evt.type = execve and (proc.pid = 1 or proc.pid = 2) and proc.name in (a, b, c)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- rule: R\n  condition: and proc.pid=1\n  append: true\n", "no rule of that name"),
        ("- list: l\n  items: [a]\n  override: {items: append}\n", "no list of that name"),
        ("- macro: m\n  condition: a\n  override: {items: append}\n", "cannot be overridden"),
        (rule() + "- rule: R\n  desc: x\n  override: {condition: append}\n", "does not have it"),
        (rule() + "- rule: R\n  desc: x\n  priority: INFO\n  override: {desc: append}\n", "not named in override"),
        (rule() + "- rule: R\n  desc: x\n  override: {desc: prepend}\n", "append or replace"),
        (rule() + "- rule: R\n  append: true\n", "appends nothing"),
        (
            rule() + "- rule: R\n  condition: and a\n  append: true\n  override: {condition: append}\n",
            "exclude each other",
        ),
        ("- rule: R\n  desc: d\n  condition: evt.type=execve\n  output: o\n", "has no priority"),
        ("- rule: R\n  enabled: false\n", "no rule of that name"),
        (rule(priority="LOUD"), "no priority"),
        ("- rule: R\n", "has no condition"),
        ("- macro: m\n", "needs a condition"),
        ("- list: l\n", "needs items"),
        ("- list: l\n  items: {a: b}\n", "is a list"),
        ("rule: R\n", "a list of rules"),
        ("- [a]\n", "is a mapping"),
        ("- required_engine_version: new\n", "a number or a version"),
        ("- required_plugin_versions: [{name: a}]\n", "a name and a version"),
        (rule(enabled="perhaps"), "true or false"),
        (rule(exceptions="[{name: e, comps: in}]"), "has no fields"),
        (rule(exceptions="[{name: e, fields: [proc.name, fd.name], comps: [in]}]"), "2 fields and 1 comps"),
        (rule(exceptions="[{name: e, fields: proc.name, comps: startswith, values: [a]}]"), "has one field"),
        (rule(exceptions="[{name: e, fields: [proc.name], values: [[a, b]]}]"), "a list of 1 entries"),
        (rule(exceptions="[{name: e, fields: [proc.name], values: [[{a: b}]]}]"), "a text or a list of texts"),
        (rule(exceptions="[{name: e, fields: [proc.nme], values: [[a]]}]"), "no field 'proc.nme'"),
        ("- rule: 'R\n", "not YAML"),
    ],
)
def test_what_is_wrong_with_an_item_is_said_and_the_rest_is_loaded(text: str, words: str) -> None:
    ruleset = load(text, rule("Other"))
    assert any(words in problem.message for problem in ruleset.errors), ruleset.problems
    assert ruleset.rule("Other") is not None


def test_exceptions_become_negations() -> None:
    ruleset = good(
        "- list: safe\n  items: [cron, atd]\n"
        + rule(
            exceptions="[{name: one, fields: proc.name, values: [a, safe, 'b c']}, {name: many, fields: [proc.pname, fd.name], comps: [in, startswith], "
            "values: [[safe, /tmp], [[x, y], /var]]}, {name: plain, fields: [proc.exe, proc.pid], values: [[/bin/a, 1]]}, "
            "{name: some, fields: fd.name, comps: endswith anyof, values: [.sh, .py]}, {name: empty, fields: [fd.num]}]"
        )
    )
    assert condition_of(ruleset) == (
        'evt.type = execve and not proc.name in (a, cron, atd, "b c") and not (proc.pname in (cron, atd) and fd.name startswith /tmp) '
        "and not (proc.pname in (x, y) and fd.name startswith /var) and not (proc.exe = /bin/a and proc.pid = 1)"
        " and not (fd.name endswith .sh or fd.name endswith .py)"
    )


def test_values_are_appended_to_an_exception_of_that_name() -> None:
    ruleset = good(
        rule(exceptions="[{name: e, fields: [proc.name], values: [[a]]}]"),
        "- rule: R\n  exceptions: [{name: e, fields: [proc.name], values: [[b]]}]\n  override: {exceptions: append}\n",
    )
    assert condition_of(ruleset) == "evt.type = execve and not proc.name = a and not proc.name = b"


def test_an_error_in_a_folded_condition_names_its_line_and_column() -> None:
    text = "- rule: R\n  desc: d\n  condition: >\n    evt.type = execve\n    and (proc.name = a\n         or proc.nmae = b)\n  output: o\n  priority: INFO\n"
    (problem,) = load(text).errors
    assert (problem.file, problem.line, problem.column) == ("0.yaml", 6, 13)
    assert problem.source == "         or proc.nmae = b)"


@pytest.mark.parametrize("style", ["|", "'", '"', ""])
def test_an_error_names_its_place_in_every_style_of_yaml(style: str) -> None:
    if style == "|":
        text = "- macro: m\n  condition: |\n    evt.type = execve\n    and proc.nmae = b\n"
    else:
        text = f"- macro: m\n  condition: {style}evt.type = execve\n    and proc.nmae = b{style}\n"
    (problem,) = load(text + rule(condition="m")).errors
    assert (problem.line, problem.column) == (4 if style == "|" else 3, 9)


def test_an_error_in_an_appended_part_names_the_file_it_came_from() -> None:
    (problem,) = load(rule(), "- rule: R\n  condition: and proc.nmae=1\n  append: true\n").errors
    assert (problem.file, problem.line, problem.column) == ("1.yaml", 2, 18)


def test_a_rule_of_a_source_without_sensor_is_dormant_and_no_error() -> None:
    ruleset = good(
        "- macro: kevt\n  condition: (jevt.value[/stage] in (a))\n"
        + rule(condition="kevt and ka.verb=create", source="k8s_audit")
    )
    found = ruleset.rule("R")
    assert found is not None
    assert found.state == "dormant"
    assert "k8s_audit" in found.dormant


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("evt.type = read and fd.name = /etc/shadow", "event type read"),
        ("evt.type in (write, pwrite)", "event type"),
        ("evt.type = connect and fd.sip.name = example.org", "fd.sip.name"),
        ("evt.type = execve and evt.arg.path = /x", "never comes together"),
        ("evt.type = execve and evt.dir = >", "no event type"),
        ("evt.type = execve and evt.type = connect", "no event type"),
    ],
)
def test_a_rule_that_no_sensor_can_satisfy_is_dormant_and_says_why(condition: str, why: str) -> None:
    found = good(rule(condition=condition)).rule("R")
    assert found is not None
    assert why in found.dormant


def test_a_rule_is_live_when_what_nobody_fills_is_only_an_exception() -> None:
    found = good(rule(condition="evt.type = connect and not fd.sip.name in (a)")).rule("R")
    assert found is not None
    assert found.state == "live"
    assert found.unfilled == ("fd.sip.name",)


def test_skip_if_unknown_filter_makes_a_rule_dormant_instead_of_wrong() -> None:
    ruleset = good(rule(condition="evt.type=execve and new.field=1", **{"skip-if-unknown-filter": "true"}))
    found = ruleset.rule("R")
    assert found is not None
    assert "new.field" in found.dormant
    assert len(ruleset.warnings) == 1


def test_a_rule_without_event_type_warns_unless_told_not_to() -> None:
    assert [problem.code for problem in good(rule(condition="proc.name=a")).warnings] == ["no_evttype"]
    assert not good(rule(condition="proc.name=a", warn_evttypes="false")).warnings


def test_an_output_with_an_unknown_field_is_an_error_at_its_place() -> None:
    (problem,) = load(
        "- rule: R\n  desc: d\n  condition: evt.type=execve\n  output: a %proc.name b %proc.nmae\n  priority: INFO\n"
    ).errors
    assert (problem.line, problem.column) == (4, 27)


def test_techniques_come_from_tags() -> None:
    found = good(rule(tags="[mitre_execution, T1059.004, T1611, maturity_stable]")).rule("R")
    assert found is not None
    assert found.techniques == ("T1059.004", "T1611")


def test_disabled_rules_are_off_whatever_the_files_say() -> None:
    ruleset = load_rules([RuleSource("a", rule("A") + rule("B"))], disabled={"A"})
    assert [each.state for each in ruleset.rules] == ["off", "live"]
    assert ruleset.version != good(rule("A") + rule("B")).version


def test_laughing_aliases_are_refused() -> None:
    lines = ["- list: a0", "  items: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        lines += [f"- list: a{level}", f"  items: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]"]
    (problem,) = load("\n".join(lines)).errors
    assert problem.code == "yaml"
    assert "values" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "- " * 5000,
        "{a: " * 5000,
        "- &a [*a]",
        "- *b",
        "\0",
        "- a: \ud800".encode("utf-8", "replace").decode(),
        "!!python/object/apply:os.system [id]",
    ],
)
def test_hostile_yaml_ends_in_errors(text: str) -> None:
    assert load(text).problems


def test_macros_that_double_each_other_end_in_an_error() -> None:
    parts = ["- macro: m0\n  condition: (proc.pid=1 or proc.pid=2)\n"]
    for level in range(1, 40):
        parts.append(  # noqa: PERF401
            f"- macro: m{level}\n  condition: ((m{level - 1} and proc.vpid={level}) or (m{level - 1} and proc.ppid={level}))\n"
        )
    (problem,) = load("".join(parts) + rule(condition="evt.type=execve and m39")).errors
    assert str(MAX_WEIGHT) in problem.message


def test_a_wrong_macro_is_told_once_however_many_rules_use_it_and_not_at_all_when_none_does() -> None:
    used = "- macro: m\n  condition: proc.nmae=1\n- macro: n\n  condition: m or proc.pid=1\n"
    ruleset = load(used + rule("A", "evt.type=execve and m") + rule("B", "evt.type=execve and n"))
    assert [problem.code for problem in ruleset.errors] == ["unknown_field"]
    assert not ruleset.rules
    assert not load(used + rule("A")).problems


def test_a_chain_of_a_thousand_macros_is_no_deep_recursion() -> None:
    chain = "".join(f"- macro: m{level}\n  condition: m{level - 1}\n" for level in range(1, 1000))
    assert condition_of(
        good("- macro: m0\n  condition: proc.pid=1\n" + chain + rule(condition="evt.type=execve and m999"))
    ).endswith("proc.pid = 1")


def test_lists_that_repeat_each_other_are_quick_and_bounded() -> None:
    chain = "".join(
        f"- list: l{level}\n  items: [{', '.join([f'l{level - 1}'] * 10)}, x{level}]\n" for level in range(1, 40)
    )
    assert len(good("- list: l0\n  items: [a]\n" + chain).lists["l39"]) == 40


def test_ten_thousand_wrong_items_end_in_a_bounded_answer() -> None:
    ruleset = load("- rule: R\n" * 10_000)
    assert len(ruleset.problems) < 2_100
    assert "not read" in ruleset.problems[-1].message


def test_unknown_keys_are_warned_about_and_passed_over() -> None:
    ruleset = good(rule(colour="red"), "- colour: red\n")
    assert sorted(problem.code for problem in ruleset.warnings) == ["unknown_item", "unknown_key"]


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_any_text_loads_into_rules_or_problems(text: str) -> None:
    load(text)


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [
                "- rule: R\n",
                "- macro: m\n",
                "- list: l\n",
                "  condition: m\n",
                "  items: [l, m]\n",
                "  append: true\n",
                "  override: {items: append}\n",
                "  exceptions: [{name: e}]\n",
                rule(),
                "  values: [[a]]\n",
                "- m\n",
                "  - x\n",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_pieces_of_rule_files_load_into_rules_or_problems(text: str) -> None:
    load(text)
