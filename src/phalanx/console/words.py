"""The console's words in English and Chinese: one JSON catalogue each, numbers and times as each language writes them.

A message is text with ``{placeholders}``. A key with ``.one`` beside it has a singular form, taken when ``n`` is 1. What is filled in is
escaped unless it is markup already, so that a message can hold an observed string. A missing key is an error, never an empty place.
"""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final, Literal, cast

from markupsafe import Markup, escape

__all__ = ["LANGUAGES", "Language", "Words", "catalogue", "words_of"]

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

_FOLDER: Final = Path(__file__).parent / "translations"
_NBSP: Final = "\u202f"
"""Thin no-break space, before units."""

_SECOND: Final = 1_000_000_000
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@functools.cache
def catalogue(language: Language) -> dict[str, str]:
    """All messages of a language."""
    return cast("dict[str, str]", json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8")))


@functools.cache
def words_of(language: Language) -> Words:
    """The words of a language."""
    return Words(language)


class Words:
    """Messages, numbers and times of one language."""

    def __init__(self, language: Language) -> None:
        self.language: Final = language
        self._messages: Final = catalogue(language)

    def __call__(self, key: str, **values: object) -> Markup:
        """The message ``key`` with ``values`` filled in. KeyError when the catalogue does not hold it."""
        if values.get("n") == 1 and f"{key}.one" in self._messages:
            key = f"{key}.one"
        shown = {
            name: self.num(value) if name == "n" and isinstance(value, int) else value for name, value in values.items()
        }
        return escape(self._messages[key]).format(**shown)

    def has(self, key: str) -> bool:
        """Whether there is a message ``key``."""
        return key in self._messages

    def or_else(self, key: str, fallback: str) -> Markup:
        """The message ``key`` if there is one, else ``fallback``, escaped."""
        return self(key) if key in self._messages else escape(fallback)

    def subset(self, prefix: str) -> dict[str, str]:
        """The messages whose key starts with ``prefix``, without it: what islands get."""
        return {key.removeprefix(prefix): text for key, text in self._messages.items() if key.startswith(prefix)}

    def num(self, value: float | None) -> str:
        """A number: ``1,204``, ``1.62 M`` / ``162 万``; ``–`` for None, because 0 is written only when it was measured."""
        if value is None:
            return "–"
        if value != int(value) and abs(value) < 100:
            return f"{value:.1f}"
        if self.language == "zh":
            if abs(value) >= 100_000_000:
                return _three(value / 100_000_000) + _NBSP + "亿"
            if abs(value) >= 1_000_000:
                return _three(value / 10_000) + _NBSP + "万"
        else:
            if abs(value) >= 1_000_000_000:
                return _three(value / 1_000_000_000) + _NBSP + "bn"
            if abs(value) >= 1_000_000:
                return _three(value / 1_000_000) + _NBSP + "M"
        return f"{round(value):,}"

    def short(self, value: int) -> str:
        """A number in a narrow place: ``212 k`` / ``21.2 万``."""
        if self.language == "zh" and 10_000 <= value < 1_000_000:
            return _three(value / 10_000) + _NBSP + "万"
        if self.language == "en" and 10_000 <= value < 1_000_000:
            return _three(value / 1_000) + _NBSP + "k"
        return self.num(value)

    def size(self, value: int | None) -> str:
        """Bytes in binary units: ``14 MiB``."""
        if value is None:
            return "–"
        amount = float(value)
        for unit in ("B", "KiB", "MiB", "GiB"):
            if amount < 1024:
                return f"{amount:.0f}{_NBSP}{unit}" if unit == "B" else _three(amount) + _NBSP + unit
            amount /= 1024
        return _three(amount) + _NBSP + "TiB"

    def span(self, ns: int) -> str:
        """A duration: ``4 min``, ``2 d``, ``1 h 20 min``; below a second ``139 ms``."""
        unit = self._unit
        seconds = abs(ns) / _SECOND
        if seconds < 1:
            return unit(f"{round(abs(ns) / 1e6)}", "ms")
        if seconds < 10:
            return unit(f"{seconds:.1f}", "s")
        if seconds < 60:
            return unit(f"{round(seconds)}", "s")
        minutes = int(seconds // 60)
        if minutes < 60:
            return unit(str(minutes), "min")
        hours, minutes = divmod(minutes, 60)
        if hours < 24:
            return unit(str(hours), "h") + (
                f"{' ' if self.language == 'en' else ''}{unit(str(minutes), 'min')}" if minutes and hours < 10 else ""
            )
        return unit(str(hours // 24), "d")

    def _unit(self, number: str, unit: str) -> str:
        return f"{number}{_NBSP}{self._messages['unit.' + unit]}"

    def clock(self, ts_ns: int, zone: tzinfo = UTC, *, ms: bool = False) -> str:
        """``18:40:52`` or ``18:40:52.914``."""
        at = datetime.fromtimestamp(ts_ns // _SECOND, zone)
        return f"{at:%H:%M:%S}.{ts_ns // 1_000_000 % 1000:03d}" if ms else f"{at:%H:%M:%S}"

    def day(self, ts_ns: int, zone: tzinfo = UTC) -> str:
        """``23 Nov`` / ``11月23日``."""
        at = datetime.fromtimestamp(ts_ns // _SECOND, zone)
        return f"{at.month}月{at.day}日" if self.language == "zh" else f"{at.day} {_MONTHS[at.month - 1]}"

    def when(self, ts_ns: int, zone: tzinfo = UTC, *, now_ns: int) -> str:
        """The clock today, day and clock within the year, the date else."""
        at, now = datetime.fromtimestamp(ts_ns // _SECOND, zone), datetime.fromtimestamp(now_ns // _SECOND, zone)
        if at.date() == now.date():
            return f"{at:%H:%M:%S}"
        if at.year == now.year:
            return f"{self.day(ts_ns, zone)} {at:%H:%M}"
        return f"{at:%Y-%m-%d}"


def _three(value: float) -> str:
    """Three significant digits, without a trailing ``.0``."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")
