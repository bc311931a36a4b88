"""HTTP for people and programs: thin routes over the services, problem+json, cursors, server-sent events.

What every route handler (here and in the console) can rely on:

- ``opt=requires(Permission.X)`` or ``opt=open_to_all("why")`` on each handler: a handler without either does not start
  (:mod:`phalanx.api.access`).
- dependencies by parameter name: ``services: Services`` and, where a permission is required, ``actor: Actor``;
  ``session: PageSession`` for pages (CSRF token, CSP nonce).
- a changing request in a cookie session carries the CSRF token as header ``X-CSRF-Token`` or as form field ``csrf``.
- errors are raised as :class:`~phalanx.errors.PhalanxError`; they become problem+json, or a page where the client asks for HTML
  (:mod:`phalanx.api.problems`).
"""

from __future__ import annotations

from typing import Any, Final

from phalanx.api.accounts import ACCOUNT_ROUTES
from phalanx.api.agent import AGENT_ROUTES
from phalanx.api.estate import ESTATE_ROUTES
from phalanx.api.events import EVENT_ROUTES
from phalanx.api.findings import FINDING_ROUTES
from phalanx.api.rules import RULE_ROUTES
from phalanx.api.system import SYSTEM_ROUTES

__all__ = ["ROUTES"]

ROUTES: Final[tuple[Any, ...]] = (
    *AGENT_ROUTES,
    *FINDING_ROUTES,
    *EVENT_ROUTES,
    *RULE_ROUTES,
    *ESTATE_ROUTES,
    *ACCOUNT_ROUTES,
    *SYSTEM_ROUTES,
)
"""Every route of the API; the application mounts them beside the console's."""
