"""What is generated is up to date; what is linked exists; what an example says is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from phalanx.language import RuleSource, load_rules

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_rules_page_is_what_the_rules_say() -> None:
    code = "import sys; sys.path.insert(0, 'scripts'); import docs_rules; sys.stdout.write(docs_rules.page())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs/reference/rules.md").read_text() == done.stdout, "run scripts/docs_rules.py"


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [target for target in targets if target and "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_the_rules_of_the_how_to_load() -> None:
    blocks = re.findall(
        r"^```yaml\n(- .*?)^```", (ROOT / "docs/how-to/write-a-rule.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 2
    ruleset = load_rules([RuleSource("one.yaml", blocks[0]), RuleSource("two.yaml", blocks[1])])
    assert not ruleset.errors, [str(error) for error in ruleset.errors]
    assert ruleset.live == 1
