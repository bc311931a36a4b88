"""``phalanx up``, ``hub`` and ``agent``: start the parts."""

from __future__ import annotations

import os
from pathlib import Path

import click

__all__ = ["agent", "hub", "up"]


def _default_state() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/phalanx")
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "phalanx"


def _default_run(state: Path) -> Path:
    """Where the socket lies: /run for root with the usual state directory, else inside the state directory."""
    return Path("/run/phalanx") if state == Path("/var/lib/phalanx") else state / "run"


_STATE = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    envvar="PHALANX_STATE_DIR",
    help="Where everything is kept.  [default: /var/lib/phalanx for root, else ~/.local/state/phalanx]",
)
_SOCKET = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=None,
    envvar="PHALANX_SOCKET",
    help="Unix socket between agent and hub.  [default: /run/phalanx/hub.sock for root, else in the state directory]",
)
_ADDRESS = click.option(
    "--address",
    default=None,
    envvar="PHALANX_ADDRESS",
    help="Where the console listens, HOST:PORT; other than loopback only with TLS.  [default: 127.0.0.1:7430]",
)
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=None,
    envvar="PHALANX_CONFIG",
    help="Configuration file; every key is in docs/reference/configuration.md.",
)


@click.command()
@_STATE
@_ADDRESS
@_CONFIG
@click.option("--hub-user", default="phalanx", show_default=True, help="System user of the hub; made when missing.")
def up(state_dir: Path | None, address: str | None, config: Path | None, hub_user: str) -> int:
    """Start hub and agent on this machine and print the login link."""
    from phalanx.app.supervisor import Supervisor

    state = (state_dir or _default_state()).absolute()
    options: list[str] = []
    if address is not None:
        options += ["--address", address]
    if config is not None:
        options += ["--config", str(config.absolute())]
    return Supervisor(state=state, run=_default_run(state), options=tuple(options), hub_user=hub_user).run()


@click.command()
@_STATE
@_SOCKET
@_ADDRESS
@_CONFIG
def hub(state_dir: Path | None, socket: Path | None, address: str | None, config: Path | None) -> int:
    """Run the hub alone (API, console, stores), without privileges."""
    from phalanx.app.config import load_config
    from phalanx.app.hub import run_hub

    state = (state_dir or _default_state()).absolute()
    run_hub(
        load_config(
            file=config,
            state_dir=state,
            socket=socket or _default_run(state) / "hub.sock",
            address=address,
        )
    )
    return 0


@click.command()
@_STATE
@_SOCKET
def agent(state_dir: Path | None, socket: Path | None) -> int:
    """Run the node agent alone (kernel sensor, rules), as root."""
    from phalanx.app.agent import run_agent

    state = (state_dir or _default_state()).absolute()
    return run_agent(state=state / "agent", socket=socket or _default_run(state) / "hub.sock")
