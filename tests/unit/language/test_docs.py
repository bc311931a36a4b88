"""The reference pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click

from phalanx.cli.rules import rules
from phalanx.language.parser import MODIFIERS, OPERATORS, TRANSFORMERS
from phalanx.language.reference import fields_markdown

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_the_page_of_fields_is_what_the_catalogue_gives() -> None:
    assert (REFERENCE / "fields.md").read_text("utf-8") == fields_markdown(), (
        "run python -m phalanx.language.reference > docs/reference/fields.md"
    )


def test_every_operator_modifier_and_transformer_is_described() -> None:
    text = (REFERENCE / "condition-language.md").read_text("utf-8")
    for word in (*OPERATORS, *MODIFIERS):
        assert f"`{word}`" in text, word
    for name in TRANSFORMERS:
        assert f"`{name}(" in text, name


def test_every_command_and_option_is_described() -> None:
    text = (REFERENCE / "rules-cli.md").read_text("utf-8")
    for name, command in rules.commands.items():
        assert re.search(rf"^## rules {name}\b", text, re.MULTILINE), name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert any(option in text for option in parameter.opts), (name, parameter.name)
