"""Write docs/reference/rules.md from the rules themselves; a test holds the page equal to what this prints."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from phalanx.content import rule_files

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "rules.md"
HEAD = """# Rules

phalanx's own rules, generated from `src/phalanx/content/rules` by `scripts/docs_rules.py`. Each is performed for real in the tests:
its attack must fire it, its benign twin must not, and with the term deleted in which the two differ the twin fires.
Run one: `sudo phalanx simulate run {example}`; its twin: `--twin`.

They are written in the language of Falco's rule files; see [the condition language](condition-language.md), [fields](fields.md),
[how to write a rule](../how-to/write-a-rule.md). To switch one off, or to narrow it, use the console's Rules page, or a local
file with `override` or `exceptions`.

"""


def page() -> str:
    """The whole page."""
    families: dict[str, list[dict[str, object]]] = {}
    for name, text in rule_files():
        families.setdefault(name, []).extend(item for item in yaml.safe_load(text) if "rule" in item)
    families = {name: rules for name, rules in families.items() if rules}
    first = str(next(iter(families.values()))[0]["phalanx"]["id"])  # type: ignore[index]
    parts = [HEAD.format(example=first)]
    count = sum(len(rules) for rules in families.values())
    parts.append(f"{count} rules.\n\n| id | rule | priority | techniques |\n|---|---|---|---|\n")
    for rules in families.values():
        for rule in rules:
            own, tags = rule["phalanx"], rule["tags"]
            techniques = ", ".join(t for t in tags if t[0] == "T" and t[1:2].isdigit())  # type: ignore[union-attr, attr-defined]
            parts.append(
                f"| [{own['id']}](#{own['id'].lower()}) | {rule['rule']} | {rule['priority']} | {techniques} |\n"
            )  # type: ignore[index]
    for name, rules in families.items():
        parts.append(f"\n## {name.removesuffix('.yaml')}\n")
        parts.extend(section(rule) for rule in rules)
    return "".join(parts)


def section(rule: dict[str, object]) -> str:
    """One rule."""
    own: dict[str, object] = rule["phalanx"]  # type: ignore[assignment]
    advice: dict[str, str] = own["advice"]  # type: ignore[assignment]
    twin: dict[str, str] = own["twin"]  # type: ignore[assignment]
    title: dict[str, str] = own["title"]  # type: ignore[assignment]
    references: list[str] = own["references"]  # type: ignore[assignment]
    condition = str(rule["condition"]).strip()
    return (
        f"\n### {own['id']}\n\n**{title['en']}** · {title['zh']} · {rule['priority']}\n\n{' '.join(str(rule['desc']).split())}\n\n"
        f"```\n{condition}\n```\n\n"
        f"- Attack that the tests perform: {own['attack']}.\n- Benign twin: {twin['differs']}.\n"
        f"- Do: {advice['en']}\n- 处置：{advice['zh']}\n- See: {' · '.join(f'<{url}>' for url in references)}\n"
    )


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
    sys.exit(0)
