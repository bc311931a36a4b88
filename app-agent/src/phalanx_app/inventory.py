"""What runs: distributions and modules that are loaded, routes and which of them were exercised, who calls by traceparent, functions that were called."""

from __future__ import annotations

import sys
from typing import Any

from .request import Request

MAX_ROUTES = 5_000
MAX_PARAMETERS = 100
_PARAMETERS = frozenset({"query", "form", "json", "path", "cookie", "header"})
_WHOLE = frozenset({"QUERY_STRING", "PATH_INFO", "RAW_URI", "REQUEST_URI", "query_string", "path"})
"""Sources that are no parameters but the text that holds them."""


class Inventory:
    """Bounded; `version` grows with every change worth telling."""

    def __init__(self) -> None:
        self.version = 0
        self.routes: dict[tuple[str, str], dict[str, Any]] = {}
        self.callers: dict[str, int] = {}
        self.lost = 0
        """Routes not recorded because the bound was reached."""
        self._apps: set[int] = set()
        self._modules = 0

    def _route(self, method: str, template: str, handler: str = "") -> dict[str, Any]:
        key = (method, template)
        found = self.routes.get(key)
        if found is None:
            if len(self.routes) >= MAX_ROUTES:
                self.lost += 1
                return {"parameters": {}, "hits": 0, "statuses": {}, "authenticated": False, "anonymous": False}
            found = self.routes[key] = {
                "method": method,
                "route": template,
                "handler": handler,
                "hits": 0,
                "statuses": {},
                "parameters": {},
                "authenticated": False,
                "anonymous": False,
            }
            self.version += 1
        return found

    def exercised(self, request: Request) -> None:
        """One request ended."""
        template = request.route or ("" if request.status == 404 else request.path)
        if not template:
            return
        found = self._route(request.method, template, request.handler)
        if not found["hits"]:
            self.version += 1
            found["handler"] = found["handler"] or request.handler
        found["hits"] += 1
        status = str(request.status)
        found["statuses"][status] = found["statuses"].get(status, 0) + 1
        found["authenticated" if request.authenticated else "anonymous"] = True
        parameters = found["parameters"]
        for kind, name, _ in request.sources:
            if kind not in _PARAMETERS or name in _WHOLE or not name.isprintable() or len(parameters) >= MAX_PARAMETERS:
                continue
            shown = f"{kind}:{name[:100]}"
            if shown not in parameters:
                parameters[shown] = True
                self.version += 1
        parts = request.traceparent.split("-")
        if len(parts) == 4 and len(parts[2]) == 16 and (parts[2] in self.callers or len(self.callers) < 1000):
            self.callers[parts[2]] = self.callers.get(parts[2], 0) + 1

    # --- route tables ---------------------------------------------------------------------------------------------------------------------

    def flask(self, app: Any) -> None:
        """The routes of a Flask application, again when some were added."""
        key = hash((id(app), len(app.url_map._rules)))
        if key in self._apps:
            return
        self._apps.add(key)
        for rule in app.url_map.iter_rules():
            for method in sorted((rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
                self._route(method, rule.rule, str(rule.endpoint))

    def starlette(self, app: Any) -> None:
        """The routes of a Starlette or FastAPI application."""
        key = hash((id(app), len(app.routes)))
        if key in self._apps:
            return
        self._apps.add(key)
        for route in app.routes:
            for method in sorted((getattr(route, "methods", None) or {"GET"}) - {"HEAD", "OPTIONS"}):
                self._route(
                    method,
                    str(getattr(route, "path_format", getattr(route, "path", ""))),
                    str(getattr(route, "name", "")),
                )

    def django(self) -> None:
        """The routes of the Django project."""
        if -1 in self._apps:
            return
        self._apps.add(-1)
        from django.urls import get_resolver

        def walk(patterns: Any, prefix: str, depth: int) -> None:
            for one in patterns[:2000]:
                template = prefix + str(one.pattern).lstrip("^").rstrip("$")
                if hasattr(one, "url_patterns") and depth < 8:
                    walk(one.url_patterns, template, depth + 1)
                else:
                    self._route("ANY", "/" + template, getattr(one.callback, "__name__", ""))

        walk(get_resolver().url_patterns, "", 0)

    # --- telling ----------------------------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The inventory as a message."""
        return {
            "routes": [{**one, "parameters": sorted(one["parameters"])} for one in self.routes.values()],
            "routes_lost": self.lost,
            "callers": dict(list(self.callers.items())[:200]),
            "components": components(),
        }


def components() -> list[dict[str, Any]]:
    """Installed distributions with the modules of each that are really loaded."""
    from importlib.metadata import distributions

    loaded: dict[str, list[str]] = {}
    for name in list(sys.modules):
        loaded.setdefault(name.partition(".")[0], []).append(name)
    out = []
    seen: set[str] = set()
    for one in distributions():
        try:
            name = str(one.metadata["Name"])
            tops = _tops(one)
        except Exception:  # noqa: BLE001, S112 - metadata of any shape lies on disks
            continue
        if name in seen or name == "None":
            continue
        seen.add(name)
        modules = [module for top in tops for module in loaded.get(top, ())]
        out.append(
            {
                "name": name,
                "version": str(one.version),
                "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{one.version}",
                "loaded": bool(modules),
                "modules": len(modules),
            }
        )
    return out


def _tops(distribution: Any) -> set[str]:
    text = distribution.read_text("top_level.txt")
    if text:
        return set(text.split())
    tops = set()
    for one in (distribution.files or ())[:5000]:
        first = one.parts[0]
        if first.endswith(".dist-info") or first.startswith(".."):
            continue
        tops.add(first.partition(".")[0])
    return tops
