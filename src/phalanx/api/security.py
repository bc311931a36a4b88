"""The layer around the whole application: who asks, may this request change anything, and what the browser may do with the answer.

It is plain ASGI and wraps the framework, so that answers to unknown paths have the headers too. In order:

1. the ``Host`` header names this hub (against DNS rebinding); requests at the Unix socket need none;
2. who asks: root or the hub's own user at the Unix socket, an API token, or a session's cookie; a wrong token is an error, a dead session is nobody;
3. a changing request that rests on a cookie comes from our own pages: ``Sec-Fetch-Site`` or ``Origin`` says so, and it carries the CSRF token;
4. the answer carries a strict policy with a fresh nonce, and nobody may frame, sniff, or keep it.

Refusals are left in the scope; :func:`phalanx.api.access.guard` raises them, so that they become problems like all others.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from phalanx.api.peer import PEER, Peer
from phalanx.errors import PermissionError_, PhalanxError, UsageError
from phalanx.identity.actor import Actor
from phalanx.identity.permissions import Role
from phalanx.identity.secrets import csrf_fits, csrf_token

__all__ = [
    "COOKIE",
    "COOKIE_TLS",
    "CSRF_FIELD",
    "CSRF_HEADER",
    "Authenticator",
    "SecurityLayer",
    "cookie_header",
    "content_policy",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

COOKIE: Final = "phalanx_session"
COOKIE_TLS: Final = "__Host-phalanx_session"
"""Name with TLS: the prefix binds it to this host, path / and TLS (RFC 6265bis, section 4.1.3)."""
CSRF_HEADER: Final = b"x-csrf-token"
CSRF_FIELD: Final = "csrf"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_FORM: Final = 1 << 20


class Authenticator(Protocol):
    """What the layer asks of the accounts."""

    async def by_cookie(self, cookie: str, *, source: str) -> Actor | None:
        """The person whose session this is; None when there is none (any more)."""

    async def by_token(self, token: str, *, source: str) -> Actor:
        """The program with this token. AuthenticationError when there is none (any more), LimitError when it asks too often."""


def content_policy(nonce: str) -> str:
    """The Content-Security-Policy of a page."""
    return (
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types phalanx"
    )


_POLICY_OF_DATA: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)


def cookie_header(value: str, *, tls: bool, max_age: int) -> str:
    """``Set-Cookie`` for a session; ``max_age`` 0 removes it."""
    name = COOKIE_TLS if tls else COOKIE
    secure = "; Secure" if tls else ""
    return f"{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}"


class SecurityLayer:
    """ASGI around ASGI."""

    def __init__(self, app: App, accounts: Authenticator, *, hosts: frozenset[str], tls: bool) -> None:
        """``hosts``: names (without port) that a ``Host`` header may carry; ``tls``: whether TCP speaks TLS."""
        self._app = app
        self._accounts = accounts
        self._hosts = hosts
        self._tls = tls
        self._cookie = COOKIE_TLS if tls else COOKIE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        state: dict[str, Any] = scope.setdefault("state", {})
        state.update(nonce=nonce, request_id=secrets.token_hex(8), csrf="", actor=None, refused=None)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            self._check_host(scope, headers)
            cookie = await self._identify(scope, state, headers)
            if scope["method"] not in _SAFE_METHODS and PEER not in (scope.get("extensions") or {}):
                receive = await self._check_origin(scope, headers, cookie, state, receive)
        except PhalanxError as error:
            state["refused"] = error
        await self._app(scope, receive, _with_headers(send, nonce, tls=self._tls))

    def _check_host(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if PEER in (scope.get("extensions") or {}):
            return
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = _host_name(host)
        if name is None or name not in self._hosts:
            raise UsageError(
                "this hub is not known under the name that the request was sent to",
                hint="add the name to allowed_hosts in the configuration",
            )

    async def _identify(self, scope: Scope, state: dict[str, Any], headers: dict[bytes, bytes]) -> str | None:
        peer: Peer | None = (scope.get("extensions") or {}).get(PEER)
        source = f"unix:{peer.pid}" if peer is not None else (scope.get("client") or ("?", 0))[0]
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        if authorization:
            kind, _, token = authorization.partition(" ")
            if kind.lower() != "bearer":
                raise UsageError(
                    "the Authorization header is not understood", hint="write `Authorization: Bearer phx_…`"
                )
            state["actor"] = await self._accounts.by_token(token.strip(), source=source)
            return None
        if peer is not None:
            if peer.trusted:
                name = "root" if peer.uid == 0 else f"uid {peer.uid}"
                state["actor"] = Actor(name=name, roles=frozenset({Role.ADMIN}), via="local", source=source)
            return None
        cookie = self._read_cookie(headers)
        if cookie is None:
            return None
        state["actor"] = await self._accounts.by_cookie(cookie, source=source)
        if state["actor"] is None:
            return None
        state["csrf"] = csrf_token(cookie)
        return cookie

    def _read_cookie(self, headers: dict[bytes, bytes]) -> str | None:
        raw = headers.get(b"cookie", b"").decode("latin-1")
        if self._cookie not in raw or len(raw) > 8192:
            return None
        try:
            morsel = SimpleCookie(raw).get(self._cookie)
        except CookieError:
            return None
        return morsel.value if morsel is not None and 20 <= len(morsel.value) <= 128 else None

    async def _check_origin(
        self, scope: Scope, headers: dict[bytes, bytes], cookie: str | None, state: dict[str, Any], receive: Receive
    ) -> Receive:
        if b"authorization" in headers:
            return receive  # a token is not sent by a browser on its own
        site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        own = f"{'https' if self._tls else 'http'}://{headers.get(b'host', b'').decode('latin-1')}"
        if (site and site not in ("same-origin", "none")) or (origin and origin.lower() != own.lower()):
            raise PermissionError_("this request was sent by a page of another site")
        if cookie is None:
            return receive  # sign-in and set-up: nobody's rights are used, and other sites were refused above
        given = headers.get(CSRF_HEADER, b"").decode("latin-1")
        if not given:
            given, receive = await _field(headers, receive)
        if not csrf_fits(cookie, given):
            raise PermissionError_("the request does not carry this session's CSRF token", hint="load the page again")
        return receive


def _host_name(host: str) -> str | None:
    """The name in a ``Host`` header, without its port; None when it is none."""
    if not _plausible(host):
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # a bracket that is never closed
        return None


def _plausible(host: str) -> bool:
    return 0 < len(host) <= 262 and not any(char in host for char in "/\\@?# \t")


async def _field(headers: dict[bytes, bytes], receive: Receive) -> tuple[str, Receive]:
    """The CSRF token of an URL-encoded form, and a ``receive`` that gives the body once more."""
    if not headers.get(b"content-type", b"").lower().startswith(b"application/x-www-form-urlencoded"):
        return "", receive
    body = bytearray()
    while True:
        part = await receive()
        if part["type"] != "http.request":
            break
        body += part.get("body", b"")
        if len(body) > _MAX_FORM:
            raise UsageError("the form is larger than 1 MiB")
        if not part.get("more_body", False):
            break
    replayed = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    try:
        values = parse_qs(body.decode("utf-8", "replace"), max_num_fields=200).get(CSRF_FIELD, [""])
    except ValueError:
        values = [""]
    return values[0], again


def _with_headers(send: Send, nonce: str, *, tls: bool) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            names = {name.lower(): value for name, value in headers}
            html = names.get(b"content-type", b"").startswith(b"text/html")
            policy = content_policy(nonce) if html else _POLICY_OF_DATA
            headers += [pair for pair in _HEADERS if pair[0] not in names]
            headers.append((b"content-security-policy", policy.encode()))
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            if tls:
                headers.append((b"strict-transport-security", b"max-age=31536000"))
            message["headers"] = headers
        await send(message)

    return wrapped
