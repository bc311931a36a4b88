"""Passwords of local users: argon2id, bounded, the same time for a wrong name as for a wrong password.

Parameters: argon2id with 19 MiB, two passes, one lane (the OWASP Password Storage Cheat Sheet's minimum; RFC 9106 explains the
trade). Memory counts in a hub that must stay small, so :data:`PARALLEL` bounds how many are computed at once (``services.accounts``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from phalanx.errors import UsageError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["MAX_LENGTH", "MIN_LENGTH", "PARALLEL", "check_password", "hash_password", "require_good_password"]

MIN_LENGTH: Final = 12
"""Shortest password, in characters."""
MAX_LENGTH: Final = 256
"""Longest one; argon2 is given no megabytes to chew."""
PARALLEL: Final = 2
"""How many passwords are hashed at the same time."""


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """A hash that no password fits: checked when the name is unknown, so that the answer takes as long."""
    import secrets

    return _hasher().hash(secrets.token_urlsafe(32))


def require_good_password(password: str, *, name: str) -> None:
    """UsageError when ``password`` is too short, too long, the user's name, or one character repeated."""
    if len(password) < MIN_LENGTH:
        raise UsageError(f"the password has {len(password)} characters", hint=f"at least {MIN_LENGTH} are needed")
    if len(password) > MAX_LENGTH:
        raise UsageError(f"the password has {len(password)} characters", hint=f"at most {MAX_LENGTH} are allowed")
    if len(set(password)) < 4 or (len(name) >= 3 and name.lower() in password.lower()):
        raise UsageError("the password is too easy to guess", hint="leave out your name; use several words")


def hash_password(password: str) -> str:
    """The encoded argon2id hash."""
    return _hasher().hash(password)


def check_password(stored: str | None, password: str) -> tuple[bool, bool]:
    """``(it fits, it should be hashed again)``; ``stored`` None for an unknown user takes as long and never fits."""
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = _hasher()
    if len(password) > MAX_LENGTH:
        password, stored = "", None
    try:
        hasher.verify(stored or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False, False
    return stored is not None, stored is not None and hasher.check_needs_rehash(stored)
