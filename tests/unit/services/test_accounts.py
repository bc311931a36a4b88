"""Who may come in, how long, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from phalanx.errors import AuthenticationError, ConflictError, NotFoundError, PermissionError_, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Permission, Role
from phalanx.services.accounts import SignedIn
from phalanx.services.hub import Services
from phalanx.services.limits import RateLimitError

T = TypeVar("T")
PASSWORD = "seven cranes fly at dawn"
HERE = {"source": "127.0.0.1", "agent": "a browser"}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def set_up(services: Services) -> SignedIn:
    token = await services.accounts.open_setup()
    assert token is not None
    return await services.accounts.setup(token, "ann", PASSWORD, **HERE)


def test_the_set_up_token_opens_once(services: Services) -> None:
    async def story() -> None:
        assert await services.accounts.needs_setup()
        token = await services.accounts.open_setup()
        with pytest.raises(AuthenticationError):
            await services.accounts.setup("wrong", "ann", PASSWORD, **HERE)
        signed = await services.accounts.setup(token or "", "ann", PASSWORD, **HERE)
        assert signed.user.roles == (Role.ADMIN,)
        with pytest.raises(AuthenticationError):
            await services.accounts.setup(token or "", "eve", PASSWORD, **HERE)
        assert await services.accounts.open_setup() is None

    run(story())


def test_a_new_set_up_token_ends_the_one_before(services: Services) -> None:
    async def story() -> None:
        old = await services.accounts.open_setup()
        await services.accounts.open_setup()
        with pytest.raises(AuthenticationError):
            await services.accounts.setup(old or "", "ann", PASSWORD, **HERE)

    run(story())


def test_guessing_the_set_up_token_is_slowed_down(services: Services) -> None:
    async def story() -> None:
        await services.accounts.open_setup()
        for _ in range(15):
            with pytest.raises(AuthenticationError):
                await services.accounts.setup("guess", "ann", PASSWORD, **HERE)
        with pytest.raises(RateLimitError):
            await services.accounts.setup("guess", "ann", PASSWORD, **HERE)

    run(story())


def test_a_session_ends_by_idleness_by_age_and_by_sign_out(services: Services, clock: Any) -> None:
    async def story() -> None:
        await set_up(services)
        signed = await services.accounts.login("ann", PASSWORD, **HERE)
        actor = await services.accounts.by_cookie(signed.cookie, source="x")
        assert actor is not None
        assert (actor.name, actor.via) == ("ann", "session")
        for _ in range(13):  # used every hour it lives on, up to its whole life
            clock.pass_(11 * 3600)
            assert await services.accounts.by_cookie(signed.cookie, source="x") is not None
        clock.pass_(30 * 3600)
        assert await services.accounts.by_cookie(signed.cookie, source="x") is None
        second = await services.accounts.login("ann", PASSWORD, **HERE)
        clock.pass_(12 * 3600 + 1)
        assert await services.accounts.by_cookie(second.cookie, source="x") is None
        third = await services.accounts.login("ann", PASSWORD, **HERE)
        mine = await services.accounts.by_cookie(third.cookie, source="x")
        assert mine is not None
        await services.accounts.logout(mine)
        assert await services.accounts.by_cookie(third.cookie, source="x") is None
        assert await services.accounts.by_cookie("nonsense", source="x") is None

    run(story())


def test_the_store_holds_no_cookie_token_or_password(services: Services, tmp_path: Any) -> None:
    async def story() -> list[str]:
        signed = await set_up(services)
        actor = await services.accounts.by_cookie(signed.cookie, source="x")
        assert actor is not None
        made = await services.accounts.create_token(actor, "ci", frozenset({Permission.FINDINGS_READ}))
        return [signed.cookie, made.token, made.token.rpartition("_")[2], PASSWORD]

    secrets = run(story())
    services.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))
    for secret in secrets:
        assert secret.encode() not in raw


def test_wrong_name_and_wrong_password_are_one_answer_and_end_in_a_pause(services: Services) -> None:
    async def story() -> None:
        await set_up(services)
        with pytest.raises(AuthenticationError) as wrong_name:
            await services.accounts.login("nobody-here", PASSWORD, **HERE)
        with pytest.raises(AuthenticationError) as wrong_password:
            await services.accounts.login("ann", "wrong", **HERE)
        assert str(wrong_name.value) == str(wrong_password.value)
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await services.accounts.login("ann", "wrong", **HERE)
        with pytest.raises(RateLimitError) as slow:
            await services.accounts.login("ann", PASSWORD, **HERE)
        assert slow.value.status == 429
        assert slow.value.retry_after_s > 0

    run(story())


def test_refused_sign_ins_are_in_the_trail(services: Services, admin: Actor) -> None:
    async def story() -> None:
        await set_up(services)
        with pytest.raises(AuthenticationError):
            await services.accounts.login("ann", "wrong", **HERE)
        page = await services.audit.list(admin)
        assert [(row.action, row.outcome) for row in page.rows] == [
            ("session.login", "refused"),
            ("session.login", "done"),
            ("user.setup", "done"),
        ]
        assert (await services.audit.verify(admin)).intact

    run(story())


def test_a_token_opens_what_its_scopes_say_until_it_ends(services: Services, clock: Any) -> None:
    async def story() -> None:
        signed = await set_up(services)
        ann = await services.accounts.by_cookie(signed.cookie, source="x")
        assert ann is not None
        made = await services.accounts.create_token(ann, "ci", frozenset({Permission.FINDINGS_READ}), days=1)
        actor = await services.accounts.by_token(made.token, source="10.0.0.1")
        assert actor.may(Permission.FINDINGS_READ)
        assert not actor.may(Permission.USERS_MANAGE)
        (view,) = await services.accounts.tokens(ann)
        assert view.used_ns == clock.now
        assert view.source == "10.0.0.1"
        clock.pass_(86_401)
        with pytest.raises(AuthenticationError):
            await services.accounts.by_token(made.token, source="x")
        forever = await services.accounts.create_token(ann, "ci", frozenset({Permission.FINDINGS_READ}), days=None)
        await services.accounts.revoke_token(ann, forever.view.id)
        with pytest.raises(AuthenticationError):
            await services.accounts.by_token(forever.token, source="x")

    run(story())


def test_a_token_cannot_have_what_its_owner_lacks_and_dies_with_the_owner(services: Services, admin: Actor) -> None:
    async def story() -> None:
        await set_up(services)
        await services.accounts.create_user(admin, "vic", PASSWORD, frozenset({Role.VIEWER}))
        vic = Actor(name="vic", roles=frozenset({Role.VIEWER}))
        with pytest.raises(PermissionError_):
            await services.accounts.create_token(vic, "x", frozenset({Permission.USERS_MANAGE}))
        made = await services.accounts.create_token(vic, "x", frozenset({Permission.FINDINGS_READ}))
        await services.accounts.update_user(admin, "vic", active=False)
        with pytest.raises(AuthenticationError):
            await services.accounts.by_token(made.token, source="x")

    run(story())


def test_one_cannot_touch_the_token_of_another(services: Services, admin: Actor) -> None:
    async def story() -> None:
        signed = await set_up(services)
        ann = await services.accounts.by_cookie(signed.cookie, source="x")
        assert ann is not None
        made = await services.accounts.create_token(ann, "x", frozenset({Permission.FINDINGS_READ}))
        await services.accounts.create_user(admin, "vic", PASSWORD, frozenset({Role.VIEWER}))
        vic = Actor(name="vic", roles=frozenset({Role.VIEWER}))
        assert await services.accounts.tokens(vic) == ()
        with pytest.raises(NotFoundError):
            await services.accounts.revoke_token(vic, made.view.id)
        with pytest.raises(NotFoundError):
            await services.accounts.end_session(vic, ann.credential)

    run(story())


def test_the_last_administrator_stays(services: Services, admin: Actor) -> None:
    async def story() -> None:
        await set_up(services)
        with pytest.raises(ConflictError):
            await services.accounts.update_user(admin, "ann", roles=frozenset({Role.VIEWER}))
        with pytest.raises(ConflictError):
            await services.accounts.update_user(admin, "ann", active=False)
        await services.accounts.create_user(admin, "bob", PASSWORD, frozenset({Role.ADMIN}))
        changed = await services.accounts.update_user(admin, "ann", roles=frozenset({Role.VIEWER}))
        assert changed.roles == (Role.VIEWER,)

    run(story())


def test_fewer_rights_end_the_sessions(services: Services, admin: Actor) -> None:
    async def story() -> None:
        await set_up(services)
        await services.accounts.create_user(admin, "bob", PASSWORD, frozenset({Role.ADMIN, Role.ANALYST}))
        signed = await services.accounts.login("bob", PASSWORD, **HERE)
        await services.accounts.update_user(admin, "bob", roles=frozenset({Role.ANALYST}))
        assert await services.accounts.by_cookie(signed.cookie, source="x") is None

    run(story())


def test_a_changed_password_ends_the_other_sessions(services: Services) -> None:
    async def story() -> None:
        first = await set_up(services)
        second = await services.accounts.login("ann", PASSWORD, **HERE)
        ann = await services.accounts.by_cookie(second.cookie, source="x")
        assert ann is not None
        with pytest.raises(PermissionError_):
            await services.accounts.change_password(ann, "wrong", "a new password of mine")
        await services.accounts.change_password(ann, PASSWORD, "a new password of mine")
        assert await services.accounts.by_cookie(first.cookie, source="x") is None
        assert await services.accounts.by_cookie(second.cookie, source="x") is not None
        with pytest.raises(AuthenticationError):
            await services.accounts.login("ann", PASSWORD, **HERE)

    run(story())


@pytest.mark.parametrize("name", ["", "Ann", "a b", "root", "phalanx", "../x", "a" * 65, "ann\n", "ånn", "<b>"])
def test_a_name_that_cannot_be_is_refused(services: Services, admin: Actor, name: str) -> None:
    with pytest.raises(UsageError):
        run(services.accounts.create_user(admin, name, PASSWORD, frozenset({Role.VIEWER})))


def test_a_trail_that_was_changed_in_the_database_shows(services: Services, admin: Actor) -> None:
    import sqlalchemy as sa

    from phalanx.store.state.tables import audit

    run(set_up(services))
    for statement in (sa.update(audit).values(actor="eve"), sa.delete(audit)):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), services.state.store.write() as connection:
            connection.execute(statement)
    with services.state.store.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.execute(sa.update(audit).where(audit.c.number == 1).values(actor="eve"))
    told = run(services.audit.verify(admin))
    assert not told.intact
    assert told.broken_at == 1


def test_a_cut_end_of_the_trail_shows_with_the_noted_head(services: Services, admin: Actor) -> None:
    run(set_up(services))
    noted = run(services.audit.verify(admin)).head
    assert run(services.audit.verify(admin, head=noted)).intact
    with services.state.store.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_delete")
        connection.exec_driver_sql("DELETE FROM audit WHERE number = 2")
    assert run(services.audit.verify(admin)).intact
    told = run(services.audit.verify(admin, head=noted))
    assert not told.intact
    assert "end was cut" in told.why
