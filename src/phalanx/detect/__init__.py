"""Detectors over streams of events."""

from __future__ import annotations

from phalanx.detect.engine import Engine
from phalanx.detect.statistics import EngineStatistics, RuleStatistics, UndecidedRecord

__all__ = ["Engine", "EngineStatistics", "RuleStatistics", "UndecidedRecord"]
