"""Starting the agent in a process."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from . import catalogue, hooks, runtime, taint
from .config import Config, from_environment
from .inventory import Inventory
from .report import Reporter
from .rewrite import importer as importing
from .rewrite.scope import Scope
from .sinks import engine
from .sources import frameworks, special
from .taint import validators

_lock = threading.Lock()


def start(config: Config | None = None) -> runtime.Runtime:
    """Start the agent; a second call returns the one that runs.

    Modules imported before stay as they were, so start it before the application's own modules are imported.

    Raises:
        ConfigError: when a setting cannot be used.
    """
    with _lock:
        if runtime.RUNTIME is not None:
            return runtime.RUNTIME
        config = config if config is not None else from_environment()
        agent = runtime.Runtime(config, Scope(config.root), catalogue.load())
        runtime.RUNTIME = agent
        taint.wire(taint.core, runtime.failed)
        validators.load(agent.catalogue["validators"])
        hooks.install()
        importer = importing.Importer(agent.scope, config.cache, runtime.failed)
        agent.importer = importer
        agent.inventory = Inventory()
        agent.reporter = Reporter(agent)
        engine.watch_all(agent)
        for table in (frameworks.WATCH, special.WATCH):
            for name, function in table.items():
                importer.watched.setdefault(name, []).append(function)
        importer.finder = importing.install(importer)
        os.register_at_fork(after_in_child=agent.reporter.after_fork)
        atexit.register(agent.reporter.close)
        agent.reporter.health()
        return agent


def quietly() -> None:
    """Start from an interpreter's start-up: a failure is told on the error stream and the application runs without the agent."""
    try:
        start()
    except Exception as error:  # noqa: BLE001
        hint = getattr(error, "hint", "")
        print(f"phalanx-app: not started: {error}{'; ' + hint if hint else ''}", file=sys.stderr)
