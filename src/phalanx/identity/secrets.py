"""Secrets that open doors: session cookies, CSRF tokens, API tokens, the set-up token. Made here, kept as digests only.

All have at least 256 bits of randomness, so a plain SHA-256 is a sufficient digest (no dictionary can be tried against it) and a
look-up by digest needs no comparison in constant time. An API token ends with a checksum, so that scanners for leaked secrets can tell it
from other text: ``phx_<id>_<secret><checksum>``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final

__all__ = [
    "TOKEN_PATTERN",
    "csrf_fits",
    "csrf_token",
    "digest",
    "new_api_token",
    "new_secret",
    "parse_api_token",
]

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
TOKEN_PATTERN: Final = re.compile(r"phx_([0-9a-f]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
"""An API token: public id, secret (256 bits), checksum."""


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What the store keeps of a secret: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_token(cookie: str) -> str:
    """The CSRF token of the session with this cookie: derived, so it needs no storage and dies with the session."""
    return hmac.new(cookie.encode("utf-8", "surrogatepass"), b"phalanx csrf 1", hashlib.sha256).hexdigest()


def csrf_fits(cookie: str, given: str) -> bool:
    """Whether ``given`` is the session's CSRF token, compared in constant time."""
    return hmac.compare_digest(csrf_token(cookie).encode(), given.encode("utf-8", "surrogatepass"))


def new_api_token() -> tuple[str, str]:
    """``(id, token)`` of a new API token."""
    token_id = secrets.token_hex(6)
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return token_id, f"phx_{token_id}_{body}{_checksum(token_id, body)}"


def parse_api_token(text: str) -> str | None:
    """The id in ``text`` when it is a token with a right checksum; None else (nothing is looked up then)."""
    match = TOKEN_PATTERN.fullmatch(text)
    if match is None or _checksum(match[1], match[2]) != match[3]:
        return None
    return match[1]


def _checksum(token_id: str, body: str) -> str:
    number = zlib.crc32(f"{token_id}_{body}".encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
