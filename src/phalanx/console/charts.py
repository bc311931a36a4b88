"""Charts as server-drawn SVG: pure geometry, no script needed; a table twin and one sentence go with each."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from msgspec import Struct

from phalanx.console.words import Words
from phalanx.services.events import Histogram

__all__ = ["HEIGHT", "WIDTH", "Bar", "Chart", "chart"]

WIDTH: Final = 1000
"""Units of the drawing's width; the SVG stretches to its place."""
HEIGHT: Final = 100

_SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
_SECOND: Final = 1_000_000_000


class Bar(Struct, frozen=True, kw_only=True):
    """One rectangle."""

    x: float
    y: float
    width: float
    height: float
    css: str
    """``critical`` … for severities, ``k1`` … ``k6`` for other series, ``hatch`` for what was not seen."""


class Chart(Struct, frozen=True, kw_only=True):
    """What the macro ``histogram`` draws."""

    bars: tuple[Bar, ...]
    gaps: tuple[Bar, ...]
    legend: tuple[tuple[str, str], ...]
    """``(css class, name of the series)``."""
    peak: int
    """Largest bar: the top of the scale."""
    total: int
    ticks: tuple[str, ...]
    since_ns: int
    until_ns: int
    width_ns: int
    table: tuple[tuple[str, int, int, bool], ...]
    """``(time, count, lost, covered)`` of each bucket that is not empty."""


def chart(histogram: Histogram, words: Words, zone: tzinfo) -> Chart:
    """Geometry of a histogram: stacked bars from zero; stretches without knowledge are hatched."""
    buckets = histogram.buckets
    severity = bool(histogram.series) and set(histogram.series) <= {*_SEVERITIES, "rest"}
    series = [s for s in _SEVERITIES if s in histogram.series] if severity else list(histogram.series)[:6]
    css = {name: name if severity else f"k{6 if name == 'rest' else i + 1}" for i, name in enumerate(series)}
    peak = max((bucket.count for bucket in buckets), default=0)
    step = WIDTH / len(buckets) if buckets else WIDTH
    gap = min(step * 0.14, 2.0)
    bars: list[Bar] = []
    gaps: list[Bar] = []
    for i, bucket in enumerate(buckets):
        x = i * step
        if not bucket.covered or bucket.lost:
            gaps.append(Bar(x=round(x, 2), y=0, width=round(step, 2), height=HEIGHT, css="hatch"))
        if not bucket.count:
            continue
        parts = [(css[name], bucket.by.get(name, 0)) for name in series] if series else [("k6", bucket.count)]
        named = sum(count for _, count in parts)
        if named < bucket.count:
            parts.append(("k6", bucket.count - named))
        top = float(HEIGHT)
        for name, count in parts:
            height = count / peak * (HEIGHT - 4)
            if height <= 0:
                continue
            height = max(height, 0.8)
            top -= height
            bars.append(
                Bar(
                    x=round(x + gap, 2),
                    y=round(max(top, 0), 2),
                    width=round(step - 2 * gap, 2),
                    height=round(height, 2),
                    css=name,
                )
            )
    since, until = histogram.since_ns, histogram.until_ns
    long = until - since > 26 * 3600 * _SECOND
    marks = tuple(since + (until - since) * k // 4 for k in range(5))
    ticks = tuple(
        words.day(t, zone) if long else words.clock(t, zone)[: 5 if until - since > 600 * _SECOND else 8] for t in marks
    )
    return Chart(
        bars=tuple(bars),
        gaps=tuple(gaps),
        legend=tuple((css[name], name) for name in reversed(series))
        if severity
        else tuple((css[n], n) for n in series),
        peak=peak,
        total=sum(bucket.count for bucket in buckets),
        ticks=ticks,
        since_ns=since,
        until_ns=until,
        width_ns=histogram.width_ns,
        table=tuple(
            (words.when(b.since_ns, zone, now_ns=until), b.count, b.lost, b.covered)
            for b in buckets
            if b.count or b.lost or not b.covered
        ),
    )
