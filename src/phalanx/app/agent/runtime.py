"""The node agent at work: read the sensor, ask the rules, keep what was seen until the hub has it.

Three threads of one task group beside the loop: *sense* reads the kernel and evaluates rules; two *deliver* threads send what the spools
hold, so that a detection never waits behind a batch; *follow* waits for rule sets. The loop itself reports how the agent is. Nothing
is thrown away before the hub acknowledged it; what the spool's bound forces out is counted there.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread
import msgspec

from phalanx.app.agent.identity import Identity
from phalanx.app.agent.link import HubLink
from phalanx.app.agent.ruleset import RuleKeeper
from phalanx.bus.spool import Spool
from phalanx.detect import Engine
from phalanx.errors import CorruptError, LimitError, UnavailableError
from phalanx.model.container import Container
from phalanx.model.detection import Detection
from phalanx.model.event import Event, Loss
from phalanx.model.process import Process
from phalanx.model.report import AgentStatus, Feature, LossCount, Report
from phalanx.sensors.kernel import Harvest, KernelSensor
from phalanx.version import VERSION

__all__ = ["AgentRuntime", "Sensor"]

_POLL_S: Final = 0.01
_STATUS_S: Final = 5.0
_PROCESSES_S: Final = 30.0
_RETRY_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_BATCHES: Final = "/agent/v1/batches"
_REPORTS: Final = "/agent/v1/reports"
_BINARY: Final = "application/octet-stream"
_JSON: Final = "application/json"
