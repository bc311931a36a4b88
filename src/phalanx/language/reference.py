"""The reference of fields as Markdown, made from the catalogue; a test holds ``docs/reference/fields.md`` to it."""

from __future__ import annotations

from typing import Final

from phalanx.language import fields_container, fields_event, fields_fd, fields_process, fields_user
from phalanx.language.event_types import TYPES_OF
from phalanx.language.fields import Field
from phalanx.language.fields_event import ARGUMENTS

__all__ = ["fields_markdown"]

_HEAD: Final = """# Fields

Generated from the field catalogue (`python -m phalanx.language.reference > docs/reference/fields.md`); do not edit.

Names and types are those of Falco's libraries. **Filled by** says which kinds of events give the field a value; *nobody* means that no sensor of phalanx
fills it: its comparisons are false, and a rule that can therefore never fire is *dormant*. **Past** says whether the history can be asked about it;
a back-test with a field that is not kept is refused, never answered 0. How values compare is in [the condition language](condition-language.md).
"""

_CLASSES: Final = (
    ("Events", fields_event),
    ("Processes and threads", fields_process),
    ("Users and groups", fields_user),
    ("Descriptors", fields_fd),
    ("Containers and Kubernetes", fields_container),
)


def _argument(field: Field) -> str:
    if field.argument == "none":
        return ""
    inner = "n" if field.index else "name"
    text = f"`[{inner}]`"
    return text if field.argument == "required" else f"{text}, optional"


def _filled(field: Field) -> str:
    if field.kinds is None:
        return "container facts" if "container" in field.needs else "all"
    return ", ".join(field.kinds) if field.kinds else "*nobody*"


def _row(field: Field) -> str:
    several = {"any": "any of several", "either": "either end", "list": "a set", "": ""}[field.multi]
    type_ = field.type + (f", {several}" if several else "")
    past = "yes" if field.columns else "no"
    cells = (f"`{field.name}`", type_, _argument(field), _filled(field), past, field.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def fields_markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, module in _CLASSES:
        parts.append(
            f"\n## {title}\n\n| field | type | argument | filled by | past | what it is |\n|---|---|---|---|---|---|"
        )
        parts += [_row(field) for field in module.FIELDS]
    parts.append(
        "\n## Arguments of events\n\n`evt.arg.NAME` by kind of event; another name is accepted and always absent.\n\n| argument | kinds |\n|---|---|"
    )
    parts += [f"| `evt.arg.{name}` | {', '.join(kinds)} |" for name, kinds in ARGUMENTS.items()]
    parts.append("| `evt.arg.res`, `evt.arg.ret`, `evt.arg.fd` | all |")
    parts.append(
        "\n## Event types\n\nWhat `evt.type` can be, by kind. A rule that wants another type is dormant.\n\n| kind | types |\n|---|---|"
    )
    parts += [f"| {kind} | {', '.join(f'`{name}`' for name in names)} |" for kind, names in TYPES_OF.items() if names]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(fields_markdown(), end="")
