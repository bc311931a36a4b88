"""Template engines and servers that run any application."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import patch
from . import asgi, wsgi


def jinja_environment(module: ModuleType) -> None:
    """`jinja2.environment`: what templates yield is joined with its taint."""
    from .. import taint

    kind: Any = module.Environment
    plain = kind.concat

    def concat(parts: Any) -> Any:
        if not taint.ON:
            return plain(parts)
        members = taint.core.seq(parts)
        return taint.core.meth(plain(members), "join", "", members)

    patch.put(kind, "concat", staticmethod(concat))


def wsgiref_handlers(module: ModuleType) -> None:
    """`wsgiref.handlers`: any WSGI application under the standard library's server."""

    def run(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, application: Any) -> Any:
            return original(self, lambda e, s: wsgi.call(application, e, s))

        return wrapper

    patch.wrap(module, "BaseHandler.run", run)


def gunicorn_base(module: ModuleType) -> None:
    """`gunicorn.app.base`: the application that workers run."""

    def load(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            application = original(self)
            if getattr(application, "phalanx_app", False) or not callable(application):
                return application

            def entry(environ: Any, start_response: Any) -> Any:
                return wsgi.call(application, environ, start_response)

            entry.phalanx_app = True  # type: ignore[attr-defined]
            entry.__wrapped__ = application  # type: ignore[attr-defined]
            return entry

        return wrapper

    patch.wrap(module, "BaseApplication.wsgi", load)


def uvicorn_config(module: ModuleType) -> None:
    """`uvicorn.config`: any ASGI application."""

    def load(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            result = original(self)
            application = self.loaded_app

            async def entry(scope: Any, receive: Any, send: Any) -> Any:
                return await asgi.call(application, (), scope, receive, send)

            entry.__wrapped__ = application  # type: ignore[attr-defined]
            self.loaded_app = entry
            return result

        return wrapper

    patch.wrap(module, "Config.load", load)


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "jinja2.environment": jinja_environment,
    "wsgiref.handlers": wsgiref_handlers,
    "gunicorn.app.base": gunicorn_base,
    "uvicorn.config": uvicorn_config,
}
