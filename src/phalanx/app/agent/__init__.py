"""The node agent: kernel sensor, rules at the edge, a durable way to the hub."""

from __future__ import annotations

from phalanx.app.agent.main import run_agent

__all__ = ["run_agent"]
