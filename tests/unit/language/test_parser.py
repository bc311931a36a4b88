"""The grammar of conditions: what it means, and what it says about text that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.errors import PhalanxError, RuleError
from phalanx.language import parse_condition
from phalanx.language.limits import MAX_NESTING


def shown(text: str) -> str:
    return repr(parse_condition(text).node)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("proc.name=a or proc.name=b and proc.pid=1", "proc.name = a or (proc.name = b and proc.pid = 1)"),
        ("not proc.name=a and proc.pid=1", "not proc.name = a and proc.pid = 1"),
        ("not not not proc.name=a", "not proc.name = a"),
        ("not(proc.name=a or proc.pid=1)", "not (proc.name = a or proc.pid = 1)"),
        ("proc.name=a and(proc.pid=1)or(proc.pid=2)", "(proc.name = a and proc.pid = 1) or proc.pid = 2"),
        ("evt.dir=< and proc.name=a", "evt.dir = < and proc.name = a"),
        ("fd.num=-1", "fd.num = -1"),
        ("proc.pid >= 0x10", "proc.pid >= 16"),
        ("proc.name in (a,b , \"c d\",'e')", 'proc.name in (a, b, "c d", e)'),
        ("proc.name in ()", "never"),
        ('proc.cmdline contains "a \\"b\\" \\\\ c"', 'proc.cmdline contains "a \\"b\\" \\\\ c"'),
        ("proc.aname[2]=x", "proc.aname[2] = x"),
        ("proc.env['A B']=x", "proc.env[A B] = x"),
        ("evt.arg[flags] contains O_CREAT", "evt.arg.flags contains O_CREAT"),
        ("fd.typechar = 4", "fd.typechar = 4"),
        ("fd.net != 127.0.0.1/8", "fd.net != 127.0.0.0/8"),
        ("fd.name pmatch (/etc, /tmp)", "fd.name pmatch (/etc, /tmp)"),
        ("k8s.pod.name exists", "k8s.pod.name exists"),
        ("toupper(tolower( proc.name )) = A", "toupper(tolower(proc.name)) = A"),
        ("proc.name = val(proc.pname)", "proc.name = val(proc.pname)"),
        ("proc.name = tolower(proc.pname)", "proc.name = tolower(proc.pname)"),
        ('join(",", proc.args) = "a,b"', 'join(",", proc.args) = "a,b"'),
        ('getopt(proc.args, "e:")[e] = x', 'getopt(proc.args, "e:")[e] = x'),
        ("proc.name startswith anyof (a, b)", "proc.name startswith a or proc.name startswith b"),
        ("proc.name != allof (a, b)", "proc.name != a and proc.name != b"),
        ("proc.name startswith oneof (a, b)", "proc.name startswith a xor proc.name startswith b"),
        ("proc.name = anyof ()", "never"),
        ("proc.name\n=\n\ta\nand proc.pid=1", "proc.name = a and proc.pid = 1"),
    ],
)
def test_a_condition_means(text: str, tree: str) -> None:
    assert shown(text) == tree


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "empty"),
        ("proc.name", 10, "operator"),
        ("proc.name = ", 13, "value"),
        ("proc.name = a b", 15, "'and', 'or' or the end"),
        ("proc.name = a and", 15, "'and', 'or' or the end"),
        ("(proc.name = a", 1, "never closed"),
        ("proc.name = a)", 14, "closes nothing"),
        ('proc.name = "a', 13, "never closed"),
        ("proc.nam = a", 1, "no field 'proc.nam'"),
        ("proc.name in (a b)", 17, "',' or ')'"),
        ("proc.pid > a", 12, "number"),
        ("proc.pid = a", 12, "number"),
        ("proc.pid startswith 1", 1, "cannot be compared"),
        ("evt.is_open_read = maybe", 20, "true or false"),
        ("fd.sip = localhost", 10, "no address"),
        ("proc.aname[x] = a", 1, "takes a number"),
        ("evt.arg = a", 1, "needs an argument"),
        ("proc.name[1] = a", 1, "takes no argument"),
        ("user_macro and proc.pid=1", 1, "no macro 'user_macro'"),
        ("proc.name regex '(a'", 17, "pattern"),
        ("proc.name regex '(?=a)'", 17, "pattern"),
        ("evt.buffer bcontains XY", 22, "hexadecimal"),
        ("proc.name = a or val(proc.pname) = b", 18, "right side"),
        ("join(proc.name, proc.args) = a and tolower(proc.pid) = 1", 36, "needs text"),
        ("proc.name = proc.pname(", 23, "'and', 'or' or the end"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, column: int, words: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_condition(text, file="rule")
    assert (caught.value.line, caught.value.column) == (1, column), caught.value
    assert words in caught.value.message


def test_a_misspelt_field_is_answered_with_the_right_one() -> None:
    with pytest.raises(RuleError) as caught:
        parse_condition("proc.cmdlin contains x")
    assert caught.value.hint == "did you mean proc.cmdline?"


@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 1_000, 90_000])
def test_a_thousand_parentheses_end_in_an_error_not_in_a_crash(depth: int) -> None:
    with pytest.raises(RuleError, match="nested"):
        parse_condition("(" * depth + "proc.pid=1" + ")" * depth)


def test_as_many_parentheses_as_are_allowed_are_read_and_asked() -> None:
    text = "not (proc.pid=2 and " * (MAX_NESTING - 1) + "proc.pid=1" + ")" * (MAX_NESTING - 1)
    assert parse_condition(text).fields == ("proc.pid",)


def test_a_catastrophic_pattern_is_linear_here() -> None:
    condition = parse_condition("proc.cmdline regex '(a+)+(a|aa)*b'")
    from phalanx.language.patterns import full_match

    assert condition.fields == ("proc.cmdline",)
    assert not full_match("(a+)+(a|aa)*b")("a" * 20_000)


def test_a_pattern_that_would_take_too_much_memory_is_refused() -> None:
    with pytest.raises(RuleError, match="pattern"):
        parse_condition("proc.cmdline regex '((a{1,100}){1,100}){1,100}'")


def test_very_long_conditions_and_lists_are_refused() -> None:
    with pytest.raises(RuleError, match="characters"):
        parse_condition("proc.pid=1 or " * 20_000 + "proc.pid=1")


@given(st.text(max_size=200))
def test_any_text_is_a_condition_or_a_rule_error(text: str) -> None:
    try:
        parse_condition(text)
    except RuleError as error:
        assert error.line is not None, text  # noqa: PT017 - an error is not expected, only allowed
        assert error.column is not None, text  # noqa: PT017


_FRAGMENTS = st.sampled_from(
    [
        *(
            "proc.name",
            "fd.sip",
            "evt.arg.",
            "proc.aname[2]",
            "container.mount.dest[",
            "val(",
            "tolower(",
            "join(",
            "not ",
            " and ",
            " or ",
            "(",
            ")",
            "[",
        ),
        *(
            " = ",
            " in ",
            "pmatch",
            "exists",
            "anyof ",
            ",",
            '"',
            "'",
            "\\",
            "1",
            "-1",
            "0x",
            "/etc",
            "\n",
            "\0",
            "é",
            "\u202e",
            "]",
            "<",
            ">=",
            "!=",
            "regex ",
        ),
    ]
)


@given(st.lists(_FRAGMENTS, max_size=40).map("".join))
def test_any_pieces_of_the_language_are_a_condition_or_a_typed_error(text: str) -> None:
    try:
        parse_condition(text)
    except PhalanxError as error:
        assert error.message, text  # noqa: PT017 - an error is not expected, only allowed
