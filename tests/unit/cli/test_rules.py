"""``phalanx rules`` on files: check, run, explain; what needs a hub is tested with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phalanx.cli.main import main
from phalanx.model.event import Exec, encode_event
from phalanx.model.process import Process

GOOD = """
- list: shells
  items: [bash, sh]
- macro: started
  condition: evt.type in (execve, execveat)
- rule: Shell
  desc: d
  condition: started and proc.name in (shells)
  output: "%proc.name as %user.name"
  priority: WARNING
- rule: Reader
  desc: d
  condition: evt.type = read and fd.name = /etc/shadow
  output: o
  priority: WARNING
"""
BAD = "- rule: R\n  desc: d\n  condition: evt.type = execve and proc.nmae = a\n  output: o\n  priority: INFO\n"


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.yaml").write_text(GOOD)
    return str(tmp_path / "good.yaml")


def test_check_ends_with_the_counts_and_names_why_a_rule_is_dormant(
    good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rules", "check", good]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "rules=2 macros=1 lists=1 fields=4 errors=0 warnings=0 live=1 dormant=1"
    assert "dormant: Reader: no sensor gives the event type read" in lines


def test_check_of_phalanxs_own_rules_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert " errors=0 warnings=0 " in last
    assert last.endswith(" dormant=0")


def test_check_shows_file_line_column_caret_and_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    assert main(["rules", "check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}:3:36: error: there is no field 'proc.nmae'")
    assert lines[1][lines[2].index("^")] == "p"
    assert lines[3] == "    → did you mean proc.name?"
    assert lines[-1].startswith("rules=1 macros=0 lists=0 fields=0 errors=1")


def test_check_as_json_and_of_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yml").write_text(BAD)
    (tmp_path / "notes.txt").write_text("no rules")
    assert main(["rules", "check", "--json", str(tmp_path)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["rules"], answer["errors"], answer["problems"][0]["line"]) == (3, 1, 3)
    assert [state["state"] for state in answer["states"]] == ["live", "dormant"]


def test_hostile_rule_text_is_shown_and_does_not_act(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.yaml").write_text(
        '- rule: "a\\e[2Jb"\n  desc: d\n  condition: proc.nmae = "\\u202e"\n  output: o\n  priority: INFO\n'
    )
    main(["rules", "check", "-v", str(tmp_path)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "<ESC>" in out


@pytest.fixture
def events(tmp_path: Path) -> str:
    names = ("bash", "vim", "sh")
    made = [
        Exec(
            ts_ns=seq,
            agent="a",
            seq=seq,
            type="execve",
            container=None,
            process=Process(id=f"b:{seq}:1", pid=seq, start_ns=1, name=name, parent=None),
        )
        for seq, name in enumerate(names, 1)
    ]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(map(encode_event, made)) + b"\n\n")
    return str(path)


def test_run_asks_recorded_events_and_says_why(good: str, events: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "run", "--events", events, good]) == 1
    said = capsys.readouterr()
    assert "Shell  bash as <NA>" in said.out.replace("<U+003C>", "<")
    assert "proc.name in (bash, sh)  ←  bash" in said.out
    assert said.err.splitlines()[-1] == "events=3 detections=2 undecided=0 rules=1"


def test_run_as_json_gives_detections(good: str, events: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "run", "--json", "--events", events, "--rule", "Shell", good]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["rule"] for each in found] == ["Shell", "Shell"]


def test_run_names_the_line_that_is_no_event(good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e").write_text('{"kind":"exec"}\n')
    assert main(["rules", "run", "--events", str(tmp_path / "e"), good]) == 3
    assert "line 1 is no event" in capsys.readouterr().err


def test_explain_shows_tree_matcher_query_and_kernel_filter(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "explain", "Shell", good]) == 0
    out = capsys.readouterr().out
    for part in ("all of", "def match(e)", '"sql"', "proc_names bash"):
        assert part in out


def test_explain_of_a_rule_that_does_not_exist_names_the_nearest(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "explain", "Shel", good]) == 2
    assert "'Shell'" in capsys.readouterr().err


def test_test_without_a_hub_says_how_to_start_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["rules", "test", "Shell", "--socket", str(tmp_path / "none")]) == 3
    assert "phalanx up" in capsys.readouterr().err
