"""What a page knows of its request, and how a template becomes a response.

One Jinja environment for each language, so that macros need no context; what belongs to the request (:class:`View`) is in a context variable.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from litestar.response import Redirect
from markupsafe import Markup
from msgspec import Struct

from phalanx.api.access import PageSession
from phalanx.console import hostile as hostile_text
from phalanx.console.icons import kind_icon
from phalanx.console.static_files import static_version
from phalanx.console.times import rfc3339
from phalanx.console.words import LANGUAGES, Language, Words, words_of
from phalanx.errors import AuthenticationError
from phalanx.identity.actor import Actor
from phalanx.model.event import Event, encode_event
from phalanx.services.health import Freshness
from phalanx.services.hub import Services
from phalanx.version import VERSION

__all__ = [
    "PREFERENCES_COOKIE",
    "AnyRequest",
    "View",
    "current",
    "local_target",
    "make_view",
    "page",
    "render",
    "see_other",
    "url",
]

AnyRequest = Request[Any, Any, Any]
PREFERENCES_COOKIE: Final = "phalanx_view"
"""Look of the pages before one signs in: ``language.theme``; nothing personal."""

_THEMES: Final = ("system", "light", "dark")
_DENSITIES: Final = ("compact", "comfortable")
_TEMPLATES: Final = Path(__file__).parent / "templates"


class View(Struct, frozen=True, kw_only=True):
    """What every template sees as ``view``."""

    language: Language
    theme: str
    """``system``, ``light`` or ``dark``."""
    density: str
    zone: tzinfo
    zone_name: str
    keys: bool
    """Whether single letters are shortcuts."""
    path: str
    """Path below the root path, with its slash."""
    query: dict[str, str]
    root: str
    """Path under which the application is mounted; empty at the top."""
    csrf: str
    nonce: str
    actor: Actor | None
    now_ns: int
    freshness: Freshness | None
    """None where nobody is signed in."""

    @property
    def words(self) -> Words:
        """Messages of the view's language."""
        return words_of(self.language)

    def may(self, permission: str) -> bool:
        """Whether who asks has a permission, by its value."""
        return self.actor is not None and any(held.value == permission for held in self.actor.permissions)


_current: ContextVar[View] = ContextVar("phalanx_console_view")


def current() -> View:
    """The view of the page that is being made."""
    return _current.get()


def url(path: str, /, **query: object) -> str:
    """An address inside the console, under its root path; parameters that are None or empty are left out."""
    view = _current.get(None)
    root = view.root if view is not None else ""
    pairs = [(key.rstrip("_"), str(value)) for key, value in query.items() if value not in (None, "")]
    return root + path + (f"?{urlencode(pairs, quote_via=quote)}" if pairs else "")


def here(**changes: object) -> str:
    """The address of this page with some parameters changed; None or empty removes one."""
    view = _current.get()
    query: dict[str, object] = {key: value for key, value in view.query.items() if key not in _ONCE}
    query.update({key.rstrip("_"): value for key, value in changes.items()})
    return url(view.path, **query)


_ONCE: Final = frozenset({"said", "count", "undo"})
"""Parameters that speak of one answer only and are never kept."""


def _ago(ts_ns: int) -> Markup:
    view = _current.get()
    words = view.words
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        rfc3339(ts_ns), rfc3339(ts_ns), words.span(max(view.now_ns - ts_ns, 0))
    )


def _at(ts_ns: int, *, ms: bool = False, full: bool = False) -> Markup:
    view = _current.get()
    words = view.words
    if ms:
        shown = words.clock(ts_ns, view.zone, ms=True)
    elif full:
        shown = f"{words.day(ts_ns, view.zone)} {words.clock(ts_ns, view.zone)}"
    else:
        shown = words.when(ts_ns, view.zone, now_ns=view.now_ns)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(rfc3339(ts_ns), rfc3339(ts_ns), shown)


def _static(name: str) -> str:
    return url(f"/static/{static_version()}/{name}")


def _icon(name: str, css: str = "") -> Markup:
    return Markup('<svg class="i{}" aria-hidden="true"><use href="{}#{}"/></svg>').format(
        f" {css}" if css else "", _static("vendor/icons.svg"), name
    )


def _event_json(event: Event) -> str:
    return encode_event(event).decode("utf-8")


def _data(value: object) -> Markup:
    """JSON that is safe inside a ``<script type="application/json">``."""
    text = msgspec.json.encode(value).decode("utf-8")
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 — cannot close the element


@functools.cache
def environment(language: Language) -> Environment:
    """The templates in one language."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    words = words_of(language)
    made.globals.update(
        t=words,
        url=url,
        here=here,
        icon=_icon,
        static=_static,
        kind_icon=kind_icon,
        languages=LANGUAGES,
        VERSION=VERSION,
        rfc3339=rfc3339,
    )
    made.filters.update(
        hostile=hostile_text.hostile,
        command=hostile_text.command,
        lines=hostile_text.lines,
        eventjson=_event_json,
        plain=hostile_text.plain,
        middle=hostile_text.middle,
        controls=hostile_text.controls,
        num=words.num,
        short=words.short,
        size=words.size,
        span=words.span,
        ago=_ago,
        at=_at,
        data=_data,
    )
    return made


def _language(request: AnyRequest, preferred: str) -> Language:
    cookie = request.cookies.get(PREFERENCES_COOKIE, "").partition(".")[0]
    for wanted in (preferred, cookie):
        if wanted in LANGUAGES:
            return wanted
    accepted = request.headers.get("accept-language", "")[:200].lower()
    return "zh" if accepted.startswith("zh") else "en"


def _zone(name: str) -> tuple[tzinfo, str]:
    if name and name != "UTC":
        try:
            return ZoneInfo(name), name
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return UTC, "UTC"
    return UTC, "UTC"


def build_view(
    request: AnyRequest, session: PageSession, preferences: Mapping[str, str], freshness: Freshness | None
) -> View:
    """The view of ``request``; a preference that is none is as if it were not set."""
    cookie_theme = request.cookies.get(PREFERENCES_COOKIE, "").partition(".")[2]
    theme = preferences.get("theme", cookie_theme)
    density = preferences.get("density", "")
    zone, zone_name = _zone(preferences.get("zone", ""))
    root = str(request.scope.get("root_path", "") or "").rstrip("/")
    return View(
        language=_language(request, preferences.get("language", "")),
        theme=theme if theme in _THEMES else "system",
        density=density if density in _DENSITIES else "compact",
        zone=zone,
        zone_name=zone_name,
        keys=preferences.get("keys", "") != "off",
        path=request.url.path.removeprefix(root) or "/",
        query={key: value[:8192] for key, value in request.query_params.items()},
        root=root,
        csrf=session.csrf,
        nonce=session.nonce,
        actor=session.actor,
        now_ns=time.time_ns(),
        freshness=freshness,
    )


async def make_view(request: AnyRequest, services: Services, session: PageSession) -> View:
    """The view of a request, with the preferences of who asks and the freshness of what is known."""
    preferences: Mapping[str, str] = {}
    freshness = None
    if session.actor is not None:
        try:
            preferences = (await services.accounts.me(session.actor)).preferences
        except AuthenticationError:
            preferences = {}
        freshness = await services.health.freshness(session.actor)
    return build_view(request, session, preferences, freshness)


def render(view: View, template: str, /, **values: object) -> str:
    """The text of a page."""
    token = _current.set(view)
    try:
        return environment(view.language).get_template(template).render(view=view, **values)
    finally:
        _current.reset(token)


def page(view: View, template: str, /, *, status: int = 200, **values: object) -> Response[str]:
    """A page as a response. What it says of hosts and people is never kept by caches."""
    return Response(
        render(view, template, **values),
        media_type=MediaType.HTML,
        status_code=status,
        headers={"cache-control": "no-store"},
    )


def see_other(view: View, path: str, /, **query: object) -> Redirect:
    """Answer of a form that did its work: look there."""
    token = _current.set(view)
    try:
        return Redirect(url(path, **query), status_code=303)
    finally:
        _current.reset(token)


def local_target(text: str, fallback: str = "/") -> str:
    """``text`` when it is an address inside this console, else ``fallback``: a form never sends people elsewhere."""
    if not text.startswith("/") or text.startswith(("//", "/\\")) or any(ord(c) < 0x21 or c == "\\" for c in text):
        return fallback
    return text[:4096]


def look_cookie(view: View, language: str, theme: str) -> Cookie:
    """The cookie that keeps language and theme for the sign-in page."""
    return Cookie(
        key=PREFERENCES_COOKIE,
        value=f"{language}.{theme}",
        path=view.root or "/",
        max_age=365 * 86_400,
        httponly=True,
        samesite="lax",
    )


def form_text(data: Mapping[str, object], name: str, limit: int = 4096) -> str:
    """One text field of a form, bounded; empty when it is not there."""
    value = data.get(name, "")
    if isinstance(value, list):
        value = value[0] if value else ""
    return value[:limit] if isinstance(value, str) else ""


def form_list(data: Mapping[str, object], name: str, limit: int = 1000) -> tuple[str, ...]:
    """All values of a form field that may stand more than once."""
    value = data.get(name, [])
    values = value if isinstance(value, list) else [value]
    return tuple(str(v)[:512] for v in values[:limit] if v)
