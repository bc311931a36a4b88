"""All services together, as the application wires them."""

from __future__ import annotations

from dataclasses import dataclass

from phalanx.services.accounts import Accounts
from phalanx.services.audit import Audit
from phalanx.services.estate import Estate
from phalanx.services.events import Events
from phalanx.services.findings import Findings
from phalanx.services.health import Health
from phalanx.services.overview import Overview
from phalanx.services.rules import Rules
from phalanx.services.settings import Settings
from phalanx.services.simulate import Simulate

__all__ = ["Services"]


@dataclass(frozen=True, kw_only=True)
class Services:
    """What API and console call; a route handler receives it as the dependency ``services``."""

    accounts: Accounts
    audit: Audit
    estate: Estate
    events: Events
    findings: Findings
    health: Health
    overview: Overview
    rules: Rules
    settings: Settings
    simulate: Simulate
