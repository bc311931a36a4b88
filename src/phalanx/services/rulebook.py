"""The rule files in force, and what the hub knows of each rule: own files, brought files, local changes, what is switched off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from phalanx.errors import UsageError
from phalanx.model.report import RuleBundle
from phalanx.services.threats import RuleText
from phalanx.text.yaml import load_yaml

__all__ = ["MAX_RULE_BYTES", "bundle_of", "index_rules", "read_brought_files", "rule_text"]

MAX_RULE_BYTES: Final = 8 << 20
"""All rule files together are not larger."""


def bundle_of(files: Sequence[tuple[str, str]], disabled: Iterable[str]) -> RuleBundle:
    """The bundle with its version: a hash over names, texts and what is switched off."""
    hasher = hashlib.blake2b(digest_size=12)
    off = tuple(sorted(set(disabled)))
    for part in (*(text for pair in files for text in pair), "\0off", *off):
        raw = part.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "little") + raw)
    return RuleBundle(version=hasher.hexdigest(), files=tuple(files), disabled=off)


def read_brought_files(directory: str) -> tuple[tuple[str, str], ...]:
    """The ``*.yaml`` files of ``rules_dir`` in order of their names. UsageError when one cannot be read or they are too large together."""
    if not directory:
        return ()
    try:
        paths = sorted(
            path for path in Path(directory).iterdir() if path.suffix in (".yaml", ".yml") and path.is_file()
        )
        found = []
        total = 0
        for path in paths:
            total += path.stat().st_size
            if total > MAX_RULE_BYTES:
                raise UsageError(f"the rule files in {directory} are larger than 8 MiB together")
            found.append((path.name, path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the rule files in {directory} cannot be read: {error}", hint="rules_dir in the configuration names them"
        ) from error
    return tuple(found)


def index_rules(files: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Rule (by id and by name) → its mapping as written, with ``file`` added; what cannot be read is left to the language's own errors."""
    found: dict[str, dict[str, Any]] = {}
    for name, text in files:
        try:
            content = load_yaml(text)
        except ValueError:
            continue
        for item in content if isinstance(content, list) else ():
            if not isinstance(item, dict) or not isinstance(item.get("rule"), str):
                continue
            if item.get("append") or item.get("override"):
                continue
            rule = item | {"file": name}
            found[item["rule"]] = rule
            own = item.get("phalanx")
            if isinstance(own, dict) and isinstance(own.get("id"), str):
                found[own["id"]] = rule
    return found


def rule_text(index: Mapping[str, dict[str, Any]], rule: str) -> RuleText:
    """What findings say of a rule; empty for one that is not known."""
    item = index.get(rule)
    if item is None:
        return RuleText()
    own = item.get("phalanx")
    own = own if isinstance(own, dict) else {}
    references = own.get("references")
    return RuleText(
        title=_english(own.get("title")) or str(item.get("rule", "")),
        condition=str(item.get("condition", ""))[:8_192],
        advice=_english(own.get("advice")),
        refs=tuple(str(reference)[:512] for reference in references[:16]) if isinstance(references, list) else (),
    )


def _english(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("en", "")
    return value[:2_000] if isinstance(value, str) else ""
