"""The rule set in force at an agent: the hub's, else the last good one kept on disk, else phalanx's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from phalanx.errors import PhalanxError, UsageError
from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.model.report import RuleBundle

__all__ = ["RuleKeeper", "compile_bundle"]

_KEPT: Final = "rules.json"


class RuleKeeper:
    """Keeps the last bundle that was good, so that an agent without a hub goes on with it."""

    def __init__(self, state: Path) -> None:
        self._path = state / _KEPT

    def last_good(self) -> tuple[RuleBundle, RuleSet]:
        """The bundle to start with, compiled; phalanx's own rules when none was kept or it cannot be used."""
        try:
            bundle = msgspec.json.decode(self._path.read_bytes(), type=RuleBundle)
            return bundle, compile_bundle(bundle)
        except (OSError, msgspec.DecodeError, PhalanxError):
            from phalanx.content import rule_files

            bundle = RuleBundle(version="built-in", files=tuple(rule_files()))
            return bundle, compile_bundle(bundle)

    def keep(self, bundle: RuleBundle) -> None:
        """Write ``bundle`` so that a torn write leaves the former one.

        Raises:
            PhalanxError: the disk refused.
        """
        new = self._path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(bundle))
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._path)
        except OSError as error:
            raise PhalanxError(f"the rule set could not be kept on disk: {error.strerror}") from error


def compile_bundle(bundle: RuleBundle) -> RuleSet:
    """The rule set of a bundle, without the rules that are switched off.

    Raises:
        UsageError: a file has an error; the whole bundle is refused, so that a bad file changes nothing.
    """
    ruleset = load_rules([RuleSource(name, text) for name, text in bundle.files]).without(bundle.disabled)
    if ruleset.errors:
        first = ruleset.errors[0]
        raise UsageError(f"{len(ruleset.errors)} errors in the rules, the first: {first}")
    return ruleset
