"""The hub: stores, services, API and console in one process without privileges.

It listens twice: by TCP for people and programs (loopback, or with TLS), and by a Unix socket for the agent and root's commands. Both speak to one
application; what only the socket may do is decided by what the kernel says of the peer (:mod:`phalanx.api.peer`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from phalanx.api import ROUTES
from phalanx.api.access import actor_of, check_routes, guard, open_to_all, page_session
from phalanx.api.findings import finding_filter
from phalanx.api.idempotency import IdempotencyLayer
from phalanx.api.peer import PeerProtocol
from phalanx.api.problems import respond
from phalanx.api.security import SecurityLayer
from phalanx.app.config import HubConfig, is_loopback, parse_address
from phalanx.errors import UnavailableError, UsageError
from phalanx.services.hub import Services
from phalanx.services.wiring import ServiceOptions, open_services
from phalanx.version import VERSION

__all__ = ["Application", "create_app", "run_hub"]

_LOG: Final = logging.getLogger("phalanx.hub")
_MAX_BODY: Final = 16 << 20
_MAX_CONNECTIONS: Final = 1_024


@dataclass(frozen=True, kw_only=True)
class Application:
    """The application as an ASGI callable, and its parts for who wires or tests it."""

    asgi: SecurityLayer
    litestar: Litestar
    services: Services
    config: HubConfig


def create_app(config: HubConfig) -> Application:
    """Open the stores and wire everything; closing happens in the application's lifespan.

    Raises:
        UnavailableError: a store cannot be opened, or another hub has it open.
        PhalanxError: a route does not say who may call it.
    """
    _make_private(config.hub_dir)
    services = open_services(config.hub_dir, _options(config))
    try:
        return _wired(config, services)
    except BaseException:
        services.close()
        raise


def _wired(config: HubConfig, services: Services) -> Application:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with services.running():
            yield

    async def provide_services() -> Services:
        return services

    litestar = Litestar(
        route_handlers=[*ROUTES, *_console_routes()],
        dependencies={
            "services": Provide(provide_services),
            "actor": Provide(actor_of, sync_to_thread=False),
            "session": Provide(page_session, sync_to_thread=False),
            "matching": Provide(finding_filter, sync_to_thread=False),
        },
        guards=[guard],
        exception_handlers={Exception: respond},
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig(
            title="phalanx",
            version=VERSION,
            openapi_router=Router("/api/schema", route_handlers=[], opt=open_to_all("the API is public knowledge")),
            render_plugins=[JsonRenderPlugin()],
        ),
        request_max_body_size=_MAX_BODY,
        logging_config=None,
        debug=False,
    )
    list(check_routes(litestar))
    hosts = {"localhost", "127.0.0.1", "::1", config.host.lower(), *(name.lower() for name in config.allowed_hosts)}
    inner = IdempotencyLayer(litestar, services.state)
    asgi = SecurityLayer(inner, services.accounts, hosts=frozenset(hosts), tls=config.tls)
    return Application(asgi=asgi, litestar=litestar, services=services, config=config)


def _options(config: HubConfig) -> ServiceOptions:
    return ServiceOptions(
        session_idle_s=config.session_idle,
        session_lifetime_s=config.session_lifetime,
        login_attempts=config.login_attempts,
        events_keep_s=config.events_keep,
        events_max_bytes=config.events_max_bytes,
        sightings=config.findings_evidence,
        silent_after_s=config.silent_after,
        rules_dir=config.rules_dir,
        base_url=config.base_url or _address_of(config),
    )


def _address_of(config: HubConfig) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{'https' if config.tls else 'http'}://{host}:{config.port}"


def _console_routes() -> Sequence[Any]:
    # not `phalanx.console.routes()`: the package of that name takes its place once it is imported
    from phalanx.console.routes import pages
    from phalanx.console.static_files import static_router

    return [pages(), static_router()]


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = stat.S_IMODE(directory.stat().st_mode)
        if mode & 0o077:
            directory.chmod(0o700)
    except OSError as error:
        raise UnavailableError(
            f"the directory {directory} cannot be used: {error.strerror}", hint="name another one by --state-dir"
        ) from error


class _Server(uvicorn.Server):
    """A server that ends live streams before it waits for requests to end, and leaves signals to who runs it."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services
        self.ready = asyncio.Event()
        """Set when it accepts connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are handled by :func:`_serve`, once for both servers."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, end streams, let requests end within the grace."""
        self._services.stop_streams()
        await super().shutdown(sockets)


def run_hub(config: HubConfig) -> None:
    """Run until TERM or INT. Returns after a clean stop.

    Raises:
        UsageError: the address can be reached from outside without TLS, or the certificate cannot be used.
        UnavailableError: the address or socket is taken, or a store cannot be opened.
    """
    if not is_loopback(config.host) and not config.tls:
        raise UsageError("the hub does not listen beyond loopback without TLS")
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(_listen_tcp(config))
        local = stack.enter_context(_listen_local(Path(config.socket)))
        stack.callback(_unlink, Path(config.socket), os.fstat(local.fileno()).st_ino)
        application = create_app(config)
        gc.collect()
        gc.freeze()  # what was imported lives until the end: no collection needs to look at it
        try:
            asyncio.run(_serve(application, tcp, local))
        finally:
            gc.unfreeze()


def _listen_tcp(config: HubConfig) -> socket.socket:
    host, port = parse_address(config.address)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"the address {config.address} cannot be used: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        if not is_loopback(str(listener.getsockname()[0])) and not config.tls:
            raise UsageError(f"{config.address} is not a loopback address, and there is no TLS")
        listener.listen(256)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"the hub cannot listen on {config.address}: {error.strerror}",
            hint="another program has this port; choose one with --address",
        ) from error
    except UsageError:
        listener.close()
        raise
    return listener


def _listen_local(path: Path) -> socket.socket:
    # Everybody may connect: an agent without dac_override must. Who may do what is decided by SO_PEERCRED, not by the file's mode.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_socket():
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe,
                contextlib.suppress(ConnectionRefusedError, FileNotFoundError),
            ):
                probe.connect(str(path))
                raise UnavailableError(f"another hub listens on {path}", hint="stop it, or choose another --socket")
            path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"the hub cannot listen on {path}: {error.strerror}", hint="choose another --socket"
        ) from error
    except UnavailableError:
        listener.close()
        raise
    return listener


def _unlink(path: Path, _inode: int) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _uvicorn(application: Application, *, tls: bool, first: bool) -> _Server:
    config = application.config
    try:
        settings = uvicorn.Config(
            application.asgi,
            http=PeerProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on" if first else "off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=config.shutdown_grace,
            ssl_certfile=config.tls_certificate if tls else None,
            ssl_keyfile=config.tls_key if tls else None,
            h11_max_incomplete_event_size=65_536,
        )
        settings.load()
    except (OSError, ValueError) as error:
        raise UsageError(f"the TLS certificate or its key cannot be used: {error}") from error
    return _Server(settings, application.services)


async def _serve(application: Application, tcp: socket.socket, local: socket.socket) -> None:
    config = application.config
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    people = _uvicorn(application, tls=config.tls, first=True)
    agents = _uvicorn(application, tls=False, first=False)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in (people, agents):
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        main = group.create_task(people.serve(sockets=[tcp]))
        ready = group.create_task(people.ready.wait())
        await asyncio.wait({main, ready}, return_when=asyncio.FIRST_COMPLETED)
        if main.done():
            ready.cancel()
            return
        port = tcp.getsockname()[1]
        await _greet(application, port)
        # The socket opens after the stores: an agent that connects earlier waits in the listen queue.
        second = group.create_task(agents.serve(sockets=[local]))
        await asyncio.wait({main, second}, return_when=asyncio.FIRST_COMPLETED)
        stop()


async def _greet(application: Application, port: int) -> None:
    config = application.config
    host = f"[{config.host}]" if ":" in config.host else config.host
    base = config.base_url or f"{'https' if config.tls else 'http'}://{host}:{port}"
    token = await application.services.accounts.open_setup()
    if token is None:
        print(f"phalanx {VERSION}: the console is at {base}", flush=True)
    else:
        print(f"phalanx {VERSION}: open this link once to make your account: {base}/setup?token={token}", flush=True)
