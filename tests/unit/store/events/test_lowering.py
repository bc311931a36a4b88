"""Conditions as SQL: values are parameters, what is not kept is refused. What the SQL means is in tests/conformance/test_three_values.py."""

from __future__ import annotations

import pytest

from phalanx.errors import RuleError, UsageError
from phalanx.language import parse_condition
from phalanx.store.events.lowering import NotStoredError, lower_condition, lower_field, not_stored
from phalanx.store.events.schema import COLUMNS


def test_no_text_of_a_condition_is_in_the_sql() -> None:
    hostile = "x'); DROP TABLE events; --"
    operators = ("= ", "!= ", "contains ", "icontains ", "startswith ", "endswith ", "glob ", "pmatch (", "in (")
    for operator in operators:
        text = f'fd.name {operator}"{hostile}"' + (")" if operator.endswith("(") else "")
        lowered = lower_condition(parse_condition(text))
        assert "DROP" not in lowered.sql
        assert lowered.sql.count("?") == len(lowered.parameters)
        assert lowered.columns == {"fd_name"}


def test_labels_and_environment_names_are_parameters_too() -> None:
    for text in ('k8s.pod.label["a\'b"] = x', 'proc.env["a\'b"] = x', 'container.mount.dest["/a\'b"] = x'):
        assert "'b" not in lower_condition(parse_condition(text)).sql


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("proc.sname = x", ("proc.sname",)),
        ("proc.name = x and fd.sip.name = y and proc.aenv contains z", ("fd.sip.name", "proc.aenv")),
        ("container.mount.dest[/proc*] = x", ("container.mount.dest[/proc*]",)),
        ("proc.duration < 5", ("proc.duration",)),
    ],
)
def test_a_field_that_is_not_kept_is_refused_by_name(text: str, names: tuple[str, ...]) -> None:
    condition = parse_condition(text)
    assert not_stored(condition) == names
    with pytest.raises(NotStoredError) as caught:
        lower_condition(condition)
    assert caught.value.fields == names


@pytest.mark.parametrize(
    "text",
    ["fd.net = fe80::/10", "proc.exe bcontains 00", "b64(proc.cwd) = x", 'getopt(proc.args, "a") intersects (a)'],
)
def test_what_the_engine_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        lower_condition(parse_condition(text))


def test_kinds_are_those_that_can_satisfy_the_condition() -> None:
    assert lower_condition(parse_condition("evt.type in (openat, execve) and not evt.type = execve")).kinds == {"open"}
    assert lower_condition(parse_condition("evt.category = net and evt.arg.addr exists")).kinds is None
    assert lower_condition(parse_condition("proc.name = x")).kinds is None
    assert lower_condition(parse_condition("evt.type = read")).kinds == frozenset()


def test_fields_of_rows_and_groups() -> None:
    for name in (
        "proc.name",
        "fd.ip",
        "proc.aname",
        "proc.aname[2]",
        "user.name",
        "evt.arg.flags",
        "container.name",
        "k8s.pod.label[app]",
    ):
        assert lower_field(name).columns <= set(COLUMNS)
    with pytest.raises(RuleError, match="no field"):
        lower_field("proc.nmae")
    with pytest.raises(NotStoredError):
        lower_field("proc.sname")
