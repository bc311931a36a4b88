"""Start and end of the agent's process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from phalanx.app.privileges import AGENT_CAPABILITIES, keep_only
from phalanx.errors import SensorError
from phalanx.text.hostile import show

__all__ = ["run_agent"]


def run_agent(*, state: Path, socket: Path) -> int:
    """Run the agent until TERM or INT; returns its exit code.

    Where the kernel sensor cannot run it says why and goes on with what /proc shows.
    """
    from phalanx.app.agent.identity import identify
    from phalanx.app.agent.inventory import InventoryRuntime
    from phalanx.app.agent.runtime import AgentRuntime
    from phalanx.sensors.kernel import doctor

    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        keep_only(AGENT_CAPABILITIES)
    runtime_type: type[AgentRuntime] | type[InventoryRuntime] = AgentRuntime
    try:
        doctor.require()
    except SensorError as error:
        _say(f"{error.message}; going on with what /proc shows" + (f" ({error.hint})" if error.hint else ""))
        runtime_type = InventoryRuntime
    runtime = runtime_type(state=state, socket=socket, identity=identify(state), say=_say)

    def stop(number: int, frame: FrameType | None) -> None:
        runtime.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    runtime.run()
    return 0


def _say(text: str) -> None:
    stamp = time.strftime("%H:%M:%S")
    print(f"{stamp} agent: {show(text, 2000)}", file=sys.stderr, flush=True)
