"""Settings, all from environment variables named `PHALANX_APP_*`, so that any way of starting an application can carry them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from .errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the agent was told."""

    root: tuple[str, ...] = ()
    """Directories with first-party code (`PHALANX_APP_ROOT`, separated by `:`; the working directory by default)."""
    project: str = ""
    """Name of the project (`PHALANX_APP_PROJECT`); the name of the first root by default."""
    version: str = ""
    """Version of the application under test (`PHALANX_APP_VERSION`)."""
    environment: str = "test"
    """`test`, `staging` or `production` (`PHALANX_APP_ENVIRONMENT`). Requests that verify are answered in `test` only."""
    hub: str = ""
    """URL of the hub (`PHALANX_APP_HUB`); empty: only the local report."""
    token: str = field(default="", repr=False)
    """Bearer token for the hub (`PHALANX_APP_TOKEN`)."""
    verify_key: str = field(default="", repr=False)
    """Key that signs requests which verify (`PHALANX_APP_VERIFY_KEY`); empty: such requests are not honoured."""
    report: str = ""
    """File that receives each message as a line of JSON (`PHALANX_APP_REPORT`)."""
    state: str = ""
    """Directory for spool and control file (`PHALANX_APP_STATE`)."""
    spool_bytes: int = 8 * 1024 * 1024
    """Bound of the disk spool for each process (`PHALANX_APP_SPOOL_BYTES`)."""
    queue_messages: int = 1000
    """Bound of the messages waiting in memory (`PHALANX_APP_QUEUE_MESSAGES`)."""
    mode: str = "on"
    """`on` or `off` at the start (`PHALANX_APP_MODE`)."""
    overhead_limit: float = 4.0
    """The agent suspends itself when its own time passes this multiple of the application's (`PHALANX_APP_OVERHEAD_LIMIT`); 0: never."""
    max_entries: int = 50_000
    """Tainted values kept for one request (`PHALANX_APP_MAX_ENTRIES`)."""
    max_body: int = 1024 * 1024
    """Bytes of a request body that are tainted and kept for the report (`PHALANX_APP_MAX_BODY`)."""
    cache: bool = True
    """Whether rewritten modules are kept beside their bytecode (`PHALANX_APP_CACHE`)."""
    disabled_rules: frozenset[str] = frozenset()
    """Rules that are not reported (`PHALANX_APP_DISABLED_RULES`, separated by commas)."""


def _number(name: str, text: str, kind: type[int] | type[float]) -> int | float:
    try:
        value = kind(text)
    except ValueError as cause:
        raise ConfigError(f"PHALANX_APP_{name} is not a number: {text[:40]!r}", "use digits") from cause
    if value < 0:
        raise ConfigError(f"PHALANX_APP_{name} is negative: {text[:40]!r}", "use 0 or more")
    return value


def from_environment(environ: dict[str, str] | None = None) -> Config:
    """Read the settings.

    Raises:
        ConfigError: for a value that cannot be used.
    """
    env = dict(os.environ) if environ is None else environ

    def get(name: str, default: str = "") -> str:
        return env.get(f"PHALANX_APP_{name}", default)

    roots = tuple(os.path.realpath(one) for one in get("ROOT", os.getcwd()).split(os.pathsep) if one)
    environment = get("ENVIRONMENT", "test")
    if environment not in ("test", "staging", "production"):
        raise ConfigError(f"PHALANX_APP_ENVIRONMENT is {environment[:40]!r}", "use test, staging or production")
    mode = get("MODE", "on")
    if mode not in ("on", "off"):
        raise ConfigError(f"PHALANX_APP_MODE is {mode[:40]!r}", "use on or off")
    return Config(
        root=roots,
        project=get("PROJECT") or (os.path.basename(roots[0]) if roots else "application"),
        version=get("VERSION"),
        environment=environment,
        hub=get("HUB").rstrip("/"),
        token=get("TOKEN"),
        verify_key=get("VERIFY_KEY"),
        report=get("REPORT"),
        state=get("STATE") or os.path.join(env.get("TMPDIR") or "/tmp", f"phalanx-app-{os.getuid()}"),  # noqa: S108 - its owner and mode are checked before use
        spool_bytes=int(_number("SPOOL_BYTES", get("SPOOL_BYTES", str(8 * 1024 * 1024)), int)),
        queue_messages=max(1, int(_number("QUEUE_MESSAGES", get("QUEUE_MESSAGES", "1000"), int))),
        mode=mode,
        overhead_limit=float(_number("OVERHEAD_LIMIT", get("OVERHEAD_LIMIT", "4.0"), float)),
        max_entries=int(_number("MAX_ENTRIES", get("MAX_ENTRIES", "50000"), int)),
        max_body=int(_number("MAX_BODY", get("MAX_BODY", str(1024 * 1024)), int)),
        cache=get("CACHE", "1") != "0",
        disabled_rules=frozenset(one for one in get("DISABLED_RULES").split(",") if one),
    )
