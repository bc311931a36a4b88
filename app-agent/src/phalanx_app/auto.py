"""Importing this module starts the agent with the settings of the environment."""

from __future__ import annotations

from .agent import quietly

quietly()
