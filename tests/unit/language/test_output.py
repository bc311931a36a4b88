"""Outputs: fields filled in, hostile values untouched, size bounded."""

from __future__ import annotations

from phalanx.language import RuleSource, load_rules
from phalanx.language.limits import MAX_OUTPUT_CHARS
from phalanx.model.event import Exec
from phalanx.model.process import Process


def render(output: str, **more: object) -> str:
    text = f"- rule: R\n  desc: d\n  condition: evt.type = execve\n  output: >-\n    {output}\n  priority: INFO\n"
    ruleset = load_rules([RuleSource("r", text)])
    assert not ruleset.errors, ruleset.errors
    process = Process(
        **{
            "id": "b:9:1",
            "pid": 9,
            "start_ns": 1,
            "name": "bash",
            "parent": Process(id="b:1:1", pid=1, start_ns=0, name="init", parent=None),
            **more,
        }
    )  # type: ignore[arg-type]
    return ruleset.rules[0].output.render(
        Exec(ts_ns=1_700_000_000_000_000_001, agent="a", seq=1, type="execve", ret=0, process=process)
    )


def test_fields_arguments_and_transformers_are_filled_in() -> None:
    assert (
        render("%proc.name(%proc.pid) %proc.aname[1] %evt.arg.res %toupper(proc.name) %evt.time.s.")
        == "bash(9) init SUCCESS BASH 22:13:20."
    )


def test_what_is_absent_or_unknown_is_said() -> None:
    assert render("%fd.name %*fd.num %container.image.repository|", container_id="abc") == "<NA> <NA> <unknown>|"


def test_percent_signs_and_container_info() -> None:
    assert (
        render("100%% done 5% %container.info end fd.l4proto=fd.l4proto") == "100% done 5%  end fd.l4proto=fd.l4proto"
    )


def test_hostile_values_stay_as_they_are_and_size_is_bounded() -> None:
    assert render("%proc.cwd", cwd="\x1b[2J<script>%proc.name") == "\x1b[2J<script>%proc.name"
    assert len(render("%proc.cwd %proc.cwd", cwd="x" * 100_000)) <= MAX_OUTPUT_CHARS + 1
