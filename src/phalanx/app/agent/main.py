"""Start and end of the agent's process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from phalanx.app.privileges import AGENT_CAPABILITIES, keep_only
from phalanx.text.hostile import show

__all__ = ["run_agent"]


def run_agent(*, state: Path, socket: Path) -> int:
    """Run the agent until TERM or INT; returns its exit code.

    Where the kernel sensor cannot run it says why and goes on with what /proc shows.
    """
    from phalanx.app.agent.identity import identify
    from phalanx.app.agent.runtime import AgentRuntime

    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        keep_only(AGENT_CAPABILITIES)
    identity = identify(state)
    runtime = AgentRuntime(state=state, socket=socket, identity=identity, say=_say)

    def stop(number: int, frame: FrameType | None) -> None:
        runtime.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    runtime.run()
    return 0


def _say(text: str) -> None:
    stamp = time.strftime("%H:%M:%S")
    print(f"{stamp} agent: {show(text, 2000)}", file=sys.stderr, flush=True)
