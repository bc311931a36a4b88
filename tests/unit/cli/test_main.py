"""The command line as a whole: names, help, exit codes, errors."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from phalanx.cli import main as cli
from phalanx.errors import PhalanxError, RuleError, UsageError


def test_the_table_tells_the_same_short_help_as_each_command() -> None:
    group = cli.cli
    context = click.Context(group)
    for name, (_, short) in cli.COMMANDS.items():
        command = group.get_command(context, name)
        assert command is not None, name
        assert command.get_short_help_str(limit=200).rstrip(".") == short.rstrip("."), name


def test_help_and_version_import_no_command_module() -> None:
    code = "import sys; from phalanx.cli.main import main\nmain(['--help'])\nprint([m for m in sys.modules if m.startswith('phalanx.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['phalanx.version', 'phalanx.cli', 'phalanx.errors', 'phalanx.cli.main']"


def test_every_option_of_every_command_has_a_help_text() -> None:
    def walk(command: click.Command, path: str) -> None:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.name}"
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                child = command.get_command(click.Context(command), name)
                assert child is not None
                walk(child, f"{path} {name}")

    walk(cli.cli, "phalanx")


def test_an_unknown_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["frobnicate"]) == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(UsageError("no"), 2), (PhalanxError("broken"), 3)])
def test_errors_have_their_exit_codes(error: PhalanxError, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.main([]) == code


def test_an_error_in_a_rule_shows_place_and_caret_and_no_raw_controls() -> None:
    error = RuleError(
        "unknown field \x1b[2J", hint="did you mean fd.name?", file="r.yaml", line=3, column=5, source="a or fd.nam = x"
    )
    lines = cli.explain(error).splitlines()
    assert lines[0] == "phalanx: r.yaml:3:5: unknown field <ESC>[2J"
    assert lines[2].index("^") - 2 == 4
    assert lines[3] == "  → did you mean fd.name?"
