"""The one table of roles."""

from __future__ import annotations

import pytest

from phalanx.errors import PermissionError_
from phalanx.identity.actor import PLATFORM, Actor
from phalanx.identity.permissions import PERMISSIONS_OF, Permission, Role, permissions_of

SEE = {
    Permission.FINDINGS_READ,
    Permission.EVENTS_READ,
    Permission.RULES_READ,
    Permission.ESTATE_READ,
    Permission.HEALTH_READ,
    Permission.SELF_MANAGE,
}
# Written out a second time on purpose: a change of the table must be a change of this test, too.
EXPECTED = {
    Role.VIEWER: SEE,
    Role.ANALYST: SEE | {Permission.FINDINGS_TRIAGE},
    Role.RESPONDER: SEE | {Permission.FINDINGS_TRIAGE, Permission.SIMULATE_RUN},
    Role.POLICY_AUTHOR: SEE | {Permission.RULES_WRITE},
    Role.POLICY_APPROVER: SEE | {Permission.RULES_APPLY},
    Role.ADMIN: set(Permission),
    Role.AUDITOR: SEE | {Permission.AUDIT_READ, Permission.SETTINGS_READ},
}


def test_the_table_is_what_was_decided() -> None:
    assert {role: set(granted) for role, granted in PERMISSIONS_OF.items()} == EXPECTED


def test_who_writes_a_rule_cannot_put_it_into_force_alone() -> None:
    assert Permission.RULES_APPLY not in PERMISSIONS_OF[Role.POLICY_AUTHOR]
    assert Permission.RULES_WRITE not in PERMISSIONS_OF[Role.POLICY_APPROVER]


def test_only_auditor_and_admin_read_the_trail() -> None:
    readers = {role for role, granted in PERMISSIONS_OF.items() if Permission.AUDIT_READ in granted}
    assert readers == {Role.ADMIN, Role.AUDITOR}


def test_roles_add_up() -> None:
    both = permissions_of(frozenset({Role.POLICY_AUTHOR, Role.POLICY_APPROVER}))
    assert {Permission.RULES_WRITE, Permission.RULES_APPLY} <= both
    assert Permission.USERS_MANAGE not in both
    assert permissions_of(frozenset()) == frozenset()


def test_a_token_never_has_more_than_its_owner() -> None:
    token = Actor(name="ann", roles=frozenset({Role.VIEWER}), via="token", scopes=frozenset({Permission.USERS_MANAGE}))
    assert token.permissions == frozenset()
    with pytest.raises(PermissionError_):
        token.require(Permission.USERS_MANAGE)


def test_a_token_has_less_than_its_owner_when_its_scopes_say_so() -> None:
    token = Actor(name="ann", roles=frozenset({Role.ADMIN}), via="token", scopes=frozenset({Permission.FINDINGS_READ}))
    token.require(Permission.FINDINGS_READ)
    with pytest.raises(PermissionError_, match="scope events:read"):
        token.require(Permission.EVENTS_READ)


def test_the_platform_may_what_its_own_work_needs() -> None:
    assert all(PLATFORM.may(permission) for permission in Permission)
