"""The kernel sensor: what happens on this machine, as columns for the history and as events for the rules.

eBPF programs (``bpf/``, one file for each family of hooks) write records to one ring buffer; a native decoder keeps the process table, fills
the column batches and makes Python objects only for events that some loaded rule can match.
"""

from __future__ import annotations

from phalanx.sensors.kernel.load import Capability
from phalanx.sensors.kernel.sensor import Harvest, KernelSensor, Statistics

__all__ = ["Capability", "Harvest", "KernelSensor", "Statistics"]
