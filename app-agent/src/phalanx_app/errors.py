"""The agent's errors.

``AgentError`` → ``ConfigError`` (a setting cannot be used), ``CatalogueError`` (the catalogue of sources and sinks is not well formed). They reach a
person at the command line only: inside an application the agent reports failures and never raises them.
"""

from __future__ import annotations


class AgentError(Exception):
    """Root of the agent's errors: a short message, and a `hint` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(AgentError):
    """A setting has a value that cannot be used."""


class CatalogueError(AgentError):
    """The catalogue is not well formed."""
