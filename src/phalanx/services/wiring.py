"""Puts the services together over their stores, and runs what the hub does on its own: expiries, retention, notifications."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from phalanx.errors import PhalanxError
from phalanx.model.container import Container
from phalanx.services.accounts import Accounts
from phalanx.services.audit import Audit
from phalanx.services.base import Clock, State
from phalanx.services.estate import Estate
from phalanx.services.events import Events
from phalanx.services.findings import Findings
from phalanx.services.health import Health
from phalanx.services.hub import Services
from phalanx.services.ingest import Ingest
from phalanx.services.overview import Overview
from phalanx.services.presence import Presence
from phalanx.services.rules import Rules
from phalanx.services.settings import Settings
from phalanx.services.simulate import Simulate
from phalanx.store.events.log import LogEventStore
from phalanx.store.events.options import LogOptions
from phalanx.store.state import StateStore
from phalanx.store.state import estate as estate_store

__all__ = ["ServiceOptions", "open_services"]

_ENGINE_BYTES: Final = 192 << 20
"""What questions to the history may hold in memory together; the rest spills to the disk."""


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """What the services need of the configuration; seconds and bytes."""

    session_idle_s: int = 12 * 3600
    session_lifetime_s: int = 7 * 86400
    login_attempts: int = 10
    events_keep_s: int = 30 * 86400
    events_max_bytes: int = 20 << 30
    sightings: int = 8
    silent_after_s: int = 60
    rules_dir: str = ""
    base_url: str = ""


def open_services(directory: Path, options: ServiceOptions, *, clock: Clock = time.time_ns) -> Services:
    """Open both stores in ``directory`` and make the services.

    Raises:
        UnavailableError, CorruptError: a store cannot be opened.
        UsageError: ``rules_dir`` cannot be read.
    """
    store = StateStore(directory / "state.db")
    state = State(store, clock=clock)

    def facts(since_ns: int, until_ns: int) -> list[tuple[str, Container]]:
        with store.read() as connection:
            return list(estate_store.facts_between(connection, since_ns, until_ns))

    try:
        events_store = LogEventStore(
            directory / "events",
            options=LogOptions(
                retention_s=float(options.events_keep_s), max_bytes=options.events_max_bytes, memory_bytes=_ENGINE_BYTES
            ),
            facts=facts,
            clock=clock,
        )
    except PhalanxError:
        store.close()
        raise
    presence = Presence()
    with store.read() as connection:
        presence.load(connection)
    events = Events(events_store, state)
    rules = Rules(state, events, rules_dir=options.rules_dir)
    findings = Findings(state, rule_text=rules.text_of, sightings=options.sightings)
    health = Health(
        state,
        events_store,
        presence,
        rules_version=lambda: rules.version,
        dropped=lambda: {"findings' live streams": findings.updates.dropped},
        directory=directory,
        silent_after_s=options.silent_after_s,
    )
    return Services(
        accounts=Accounts(
            state, idle_s=options.session_idle_s, lifetime_s=options.session_lifetime_s, attempts=options.login_attempts
        ),
        audit=Audit(state),
        estate=Estate(state, presence),
        events=events,
        findings=findings,
        health=health,
        ingest=Ingest(state, events_store, events, findings, presence),
        overview=Overview(state, events, findings, health),
        rules=rules,
        settings=Settings(state, findings, base_url=options.base_url),
        simulate=Simulate(state, presence, index=lambda: rules.index),
        state=state,
        event_store=events_store,
        keep_s=options.events_keep_s,
        session_idle_s=options.session_idle_s,
    )
