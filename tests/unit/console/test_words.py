"""Both languages are complete, fill in the same things, and keep to the glossary."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markupsafe import Markup

import phalanx.console
from phalanx.console.words import LANGUAGES, catalogue, words_of
from phalanx.identity.permissions import Role
from phalanx.model.finding import FindingKind, Proof, State, Stopped
from phalanx.model.severity import Severity
from phalanx.risk.rank import TERMS

FOLDER = Path(phalanx.console.__file__).parent
EN, ZH = catalogue("en"), catalogue("zh")

GLOSSARY = {
    "event": "事件",
    "finding": "发现",
    "evidence": "证据",
    "severity": "严重程度",
    "likelihood": "可能性",
    "impact": "影响",
    "rule": "规则",
    "condition": "条件",
    "asset": "资产",
    "container": "容器",
    "image": "镜像",
    "agent": "代理",
    "back-test": "回测",
    "false positive": "误报",
    "privileged": "特权",
    "process tree": "进程树",
    "undo": "撤销",
}
"""Words that have one translation, as they stand in messages that are nothing but the word."""


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_message_exists_in_both_languages() -> None:
    singular = {key for key in EN if key.endswith(".one")}
    assert set(EN) - singular == set(ZH)


def test_messages_fill_in_the_same_things() -> None:
    # a singular form may say "1" instead of {n}
    assert [key for key in ZH if placeholders(EN[key]) != placeholders(ZH[key])] == []
    assert [key for key in EN if key.endswith(".one") and not placeholders(EN[key]) <= placeholders(EN[key[:-4]])] == []


def test_chinese_uses_the_words_of_the_glossary() -> None:
    wrong = [
        (key, ZH[key])
        for key, text in EN.items()
        if text.lower() in GLOSSARY and ZH.get(key, "") != GLOSSARY[text.lower()]
    ]
    assert wrong == []


def test_chinese_is_written_as_chinese_is() -> None:
    for key, text in ZH.items():
        assert "您" not in text, key
        assert not re.search(r"[\u4e00-\u9fff][,;:!?](?!\d)", text), f"{key}: half-width punctuation after Chinese"
        assert (
            not re.search(
                r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", text.replace("{", "").replace("}", "")
            )
            or key.startswith(("keys.", "js.", "story."))
            or "{" in text
        ), f"{key}: no space between Chinese and Latin: {text}"


def test_voice_has_no_exclamation_and_no_please() -> None:
    for key, text in EN.items():
        assert "!" not in text.replace("!=", ""), key
        assert not re.search(r"\b(please|oops|successfully|sorry)\b", text, re.IGNORECASE), key


def used_keys() -> set[str]:
    """Keys that templates and handlers ask for by a literal."""
    found: set[str] = set()
    for path in (FOLDER / "templates").glob("*.html"):
        found |= set(re.findall(r"\bt\(\s*['\"]([\w.-]+)['\"]\s*[,)]", path.read_text(encoding="utf-8")))
    for path in FOLDER.rglob("*.py"):
        found |= set(re.findall(r"\bwords\(\s*\"([\w.-]+)\"\s*[,)]", path.read_text(encoding="utf-8")))
    return found


def island_keys() -> set[str]:
    """Keys that islands ask for by a literal."""
    found: set[str] = set()
    for path in (FOLDER / "static/js").glob("*.js"):
        found |= {f"js.{key}" for key in re.findall(r"\bt\(\s*\"([\w.-]+)\"", path.read_text(encoding="utf-8"))}
    return found


def test_every_key_that_is_asked_for_exists() -> None:
    asked = used_keys()
    assert len(asked) > 200
    assert sorted(asked - set(EN)) == []
    assert sorted(island_keys() - set(EN)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_model_is_translated(language: str) -> None:
    words = words_of(language)  # type: ignore[arg-type]
    for prefix, values in {
        "severity": Severity,
        "state": State,
        "proof": Proof,
        "stopped": Stopped,
        "kind": FindingKind,
        "role": Role,
    }.items():
        for value in values:
            assert words.has(f"{prefix}.{value.value}"), f"{prefix}.{value.value}"
    assert [term for term in TERMS if not words.has(f"term.{term}")] == []


def test_what_is_filled_in_is_escaped_and_counts_have_a_singular() -> None:
    words = words_of("en")
    assert words("event.finding", id="<b>") == Markup("Open finding &lt;b&gt;")
    assert words("findings.count", n=1) == "1 finding"
    assert words("findings.count", n=1204) == "1,204 findings"
    with pytest.raises(KeyError):
        words("no.such.key")


@pytest.mark.parametrize(
    ("value", "en", "zh"),
    [
        (None, "–", "–"),
        (0, "0", "0"),
        (1204, "1,204", "1,204"),
        (1_620_000, "1.62\u202fM", "162\u202f万"),
        (1_920_000_000, "1.92\u202fbn", "19.2\u202f亿"),
    ],
)
def test_numbers_are_written_as_each_language_writes_them(value: int | None, en: str, zh: str) -> None:
    assert words_of("en").num(value) == en
    assert words_of("zh").num(value) == zh


def test_durations_and_days() -> None:
    en, zh = words_of("en"), words_of("zh")
    assert en.span(139_000_000) == "139\u202fms"
    assert en.span(4 * 60 * 10**9) == "4\u202fmin"
    assert en.span(80 * 60 * 10**9) == "1\u202fh 20\u202fmin"
    assert zh.span(2 * 86400 * 10**9) == "2\u202f天"
    assert en.day(1_763_900_000 * 10**9) == "23 Nov"
    assert zh.day(1_763_900_000 * 10**9) == "11月23日"


def test_catalogues_are_sorted_so_that_changes_read_well() -> None:
    for language in LANGUAGES:
        text = (FOLDER / "translations" / f"{language}.json").read_text(encoding="utf-8")
        assert list(json.loads(text)) == sorted(json.loads(text))
