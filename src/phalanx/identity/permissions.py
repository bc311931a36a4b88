"""The roles and the one table that says what each may do.

A permission is the unit that a route asks for and that an API token can be limited to; a role is a set of permissions that people
have. Nothing else grants anything: no route checks a role by its name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["PERMISSIONS_OF", "Permission", "Role", "permissions_of"]


class Permission(StrEnum):
    """What a route or an act needs."""

    FINDINGS_READ = "findings:read"
    FINDINGS_TRIAGE = "findings:triage"
    """Change state, owner and due date of findings."""
    EVENTS_READ = "events:read"
    RULES_READ = "rules:read"
    RULES_WRITE = "rules:write"
    """Draft rules and exceptions, back-test them."""
    RULES_APPLY = "rules:apply"
    """Put a draft into force at the agents, switch rules on and off."""
    ESTATE_READ = "estate:read"
    HEALTH_READ = "health:read"
    SIMULATE_RUN = "simulate:run"
    """Run the harmless attacks on a monitored machine."""
    USERS_MANAGE = "users:manage"
    TOKENS_MANAGE = "tokens:manage"
    """See and revoke the tokens of everybody; own tokens need only ``self:manage``."""
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    AUDIT_READ = "audit:read"
    SELF_MANAGE = "self:manage"
    """One's own password, preferences, sessions and tokens."""


class Role(StrEnum):
    """The seven roles; a person has one or more."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    RESPONDER = "responder"
    POLICY_AUTHOR = "policy_author"
    POLICY_APPROVER = "policy_approver"
    ADMIN = "admin"
    AUDITOR = "auditor"


_SEE: Final = frozenset(
    {
        Permission.FINDINGS_READ,
        Permission.EVENTS_READ,
        Permission.RULES_READ,
        Permission.ESTATE_READ,
        Permission.HEALTH_READ,
        Permission.SELF_MANAGE,
    }
)

PERMISSIONS_OF: Final[dict[Role, frozenset[Permission]]] = {
    Role.VIEWER: _SEE,
    Role.ANALYST: _SEE | {Permission.FINDINGS_TRIAGE},
    Role.RESPONDER: _SEE | {Permission.FINDINGS_TRIAGE, Permission.SIMULATE_RUN},
    Role.POLICY_AUTHOR: _SEE | {Permission.RULES_WRITE},
    Role.POLICY_APPROVER: _SEE | {Permission.RULES_APPLY},
    Role.ADMIN: frozenset(Permission),
    Role.AUDITOR: _SEE | {Permission.AUDIT_READ, Permission.SETTINGS_READ},
}
"""What each role may do; the table test walks every route against it."""


def permissions_of(roles: frozenset[Role]) -> frozenset[Permission]:
    """Everything that somebody with these roles may do."""
    granted: frozenset[Permission] = frozenset()
    for role in roles:
        granted |= PERMISSIONS_OF[role]
    return granted
