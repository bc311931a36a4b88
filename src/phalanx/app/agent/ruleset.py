"""The rule set in force at an agent: the hub's, else the last good one kept on disk, else phalanx's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from phalanx.errors import PhalanxError
from phalanx.model.report import RuleBundle

__all__ = ["RuleKeeper"]

_KEPT: Final = "rules.json"


class RuleKeeper:
    """Keeps the last bundle that was good, so that an agent without a hub goes on with it."""

    def __init__(self, state: Path) -> None:
        self._path = state / _KEPT

    def last_good(self) -> RuleBundle:
        """The bundle to start with; phalanx's own rules when none was kept or it cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=RuleBundle)
        except (OSError, msgspec.DecodeError):
            from phalanx.content import rule_files

            return RuleBundle(version="built-in", files=tuple(rule_files()))

    def keep(self, bundle: RuleBundle) -> None:
        """Write ``bundle`` so that a torn write leaves the former one.

        Raises:
            PhalanxError: the disk refused; the bundle is in force all the same, but only until the agent ends.
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
