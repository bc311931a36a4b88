"""The configuration of the hub: one typed value, from defaults, a file, the environment and flags, each over the one before.

The file is YAML with the names of :class:`HubConfig`'s fields; the environment has ``PHALANX_`` and the name in capitals. Durations are
``30s``, ``12h``, ``7d``; sizes ``512MiB``; both are plain numbers inside. A name that does not exist is an error, not a silence.
Each field's meaning is in :data:`DOCUMENTATION`, from which ``docs/reference/configuration.md`` is checked.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from phalanx.errors import UsageError

__all__ = ["DOCUMENTATION", "ENVIRONMENT_PREFIX", "HubConfig", "is_loopback", "load_config", "parse_address"]

ENVIRONMENT_PREFIX: Final = "PHALANX_"
_MAX_FILE_BYTES: Final = 1 << 20

DOCUMENTATION: Final[dict[str, tuple[str, str]]] = {
    "state_dir": ("path", "Where everything is kept; the hub's own part is `hub` in it."),
    "socket": ("path", "Unix socket for the agent and for root's commands; the kernel names who is at its other end."),
    "address": (
        "host:port",
        "Where console and API listen. Anything but a loopback address needs `tls_certificate` and `tls_key`.",
    ),
    "tls_certificate": ("path", "PEM file with the certificate and its chain."),
    "tls_key": ("path", "PEM file with its private key."),
    "allowed_hosts": (
        "list",
        "Names under which people reach the console, beside the address itself; other `Host` headers are refused (DNS rebinding).",
    ),
    "session_idle": ("duration", "A console session ends after this time without a request."),
    "session_lifetime": ("duration", "A console session ends after this time in any case."),
    "login_attempts": (
        "number",
        "Wrong passwords for one name, or from one address, within 15 minutes before waiting is asked for.",
    ),
    "events_keep": ("duration", "Events older than this are dropped."),
    "events_max_bytes": ("size", "The event store drops its oldest events beyond this size."),
    "findings_evidence": (
        "number",
        "Sightings of one finding whose evidence is kept: the first ones and the last ones.",
    ),
    "silent_after": ("duration", "An agent that was not heard for this time is called silent."),
    "shutdown_grace": ("duration", "Requests under way may take so long when the hub stops."),
    "rules_dir": ("path", "Directory with further rule files (`*.yaml`), loaded after phalanx's own."),
    "base_url": ("url", "Address that links in notifications start with; the console's own address by default."),
}
"""Field → (kind of value, meaning)."""


class HubConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a hub runs; :data:`DOCUMENTATION` says what each field means."""

    state_dir: str
    socket: str
    address: str = "127.0.0.1:7430"
    tls_certificate: str = ""
    tls_key: str = ""
    allowed_hosts: tuple[str, ...] = ()
    session_idle: int = 12 * 3600
    """Seconds."""
    session_lifetime: int = 7 * 86400
    """Seconds."""
    login_attempts: int = 10
    events_keep: int = 30 * 86400
    """Seconds."""
    events_max_bytes: int = 20 << 30
    """Bytes."""
    findings_evidence: int = 8
    silent_after: int = 60
    """Seconds."""
    shutdown_grace: int = 5
    """Seconds."""
    rules_dir: str = ""
    base_url: str = ""

    @property
    def hub_dir(self) -> Path:
        """Where the hub's own files lie."""
        return Path(self.state_dir) / "hub"

    @property
    def host(self) -> str:
        """Host part of ``address``."""
        return parse_address(self.address)[0]

    @property
    def port(self) -> int:
        """Port part of ``address``; 0 lets the system choose."""
        return parse_address(self.address)[1]

    @property
    def tls(self) -> bool:
        """Whether TCP speaks TLS."""
        return bool(self.tls_certificate)


_RANGES: Final[dict[str, tuple[int, int]]] = {
    "session_idle": (60, 30 * 86400),
    "session_lifetime": (60, 90 * 86400),
    "login_attempts": (3, 1000),
    "events_keep": (3600, 3650 * 86400),
    "events_max_bytes": (64 << 20, 1 << 50),
    "findings_evidence": (2, 64),
    "silent_after": (10, 86400),
    "shutdown_grace": (0, 300),
}
_DURATION: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZE: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
}


def load_config(
    *,
    file: Path | None = None,
    state_dir: Path,
    socket: Path,
    address: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> HubConfig:
    """The configuration from ``file``, the environment and the flags (``address`` None when the flag was not given).

    Raises:
        UsageError: the file cannot be read, a name is not known, a value is not of its kind, or the whole is not safe.
    """
    values: dict[str, Any] = {"state_dir": str(state_dir), "socket": str(socket)}
    if file is not None:
        values.update(_from_file(file))
    values.update(_from_environment(os.environ if environment is None else environment))
    if address is not None:
        values["address"] = address
    read = {name: _value(name, value) for name, value in values.items()}
    try:
        config = msgspec.convert(read, HubConfig)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the configuration is wrong: {error}", hint="docs/reference/configuration.md names every key"
        ) from error
    _check(config)
    return config


def _from_file(file: Path) -> dict[str, Any]:
    import yaml

    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the configuration file {file} cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_FILE_BYTES:
        raise UsageError(f"the configuration file {file} is larger than 1 MiB")
    try:
        content = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the configuration file {file} is not YAML: {str(error)[:300]}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"the configuration file {file} must hold names with values")
    unknown = sorted(set(content) - set(DOCUMENTATION))
    if unknown:
        raise UsageError(
            f"the configuration file {file} has a key that does not exist: {unknown[0]}",
            hint="docs/reference/configuration.md names every key",
        )
    return content


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    # state_dir and socket come through their flags, which read these variables themselves.
    found: dict[str, Any] = {}
    for name in DOCUMENTATION:
        value = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if value is not None and name not in ("state_dir", "socket"):
            found[name] = (
                [part.strip() for part in value.split(",") if part.strip()]
                if DOCUMENTATION[name][0] == "list"
                else value
            )
    return found


def _value(name: str, value: Any) -> Any:
    kind = DOCUMENTATION[name][0]
    if kind == "duration":
        return _quantity(name, value, _DURATION, "30s, 12h or 7d")
    if kind == "size":
        return _quantity(name, value, _SIZE, "512MiB or 20GiB")
    if kind == "number" and isinstance(value, str):
        return _quantity(name, value, {}, "a whole number")
    if kind in ("path", "host:port", "url") and not isinstance(value, str):
        raise UsageError(f"{name} must be text, not {type(value).__name__}")
    return value


def _quantity(name: str, value: Any, units: dict[str, int], example: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d{1,15})\s*([A-Za-z]*)", value.strip(), re.ASCII) if isinstance(value, str) else None
    if match is not None:
        unit = match[2]
        factor = 1 if not unit else units.get(unit, units.get(unit.upper(), 0))
        if factor:
            return int(match[1]) * factor
    raise UsageError(f"{name} is {str(value)[:80]!r}", hint=f"write {example}")


def parse_address(text: str) -> tuple[str, int]:
    """``(host, port)`` of ``host:port`` or ``[address]:port``; UsageError when it is none."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not bare
        or not port.isascii()
        or not port.isdigit()
        or int(port) > 65535
        or (":" in bare and host == bare)
    ):
        raise UsageError(f"the address is {text[:120]!r}", hint="write HOST:PORT, for IPv6 [ADDRESS]:PORT")
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address. A name counts only when it is ``localhost``: others may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(config: HubConfig) -> None:
    for name, (low, high) in _RANGES.items():
        number = getattr(config, name)
        if not low <= number <= high:
            raise UsageError(f"{name} is {number}; it must be between {low} and {high}")
    host, _ = parse_address(config.address)
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise UsageError("only one of tls_certificate and tls_key is given", hint="TLS needs both")
    if not is_loopback(host) and not config.tls:
        raise UsageError(
            f"the address {config.address} can be reached from other machines, and there is no TLS",
            hint="give tls_certificate and tls_key, or listen on 127.0.0.1 behind a proxy that ends TLS",
        )
    if config.base_url and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+(/[\w\-./]*)?", config.base_url, re.ASCII):
        raise UsageError(f"base_url is {config.base_url[:120]!r}", hint="write https://phalanx.example.org")
    if len(os.fsencode(config.socket)) > 107:
        raise UsageError(
            f"the path of the socket has {len(os.fsencode(config.socket))} bytes; Linux allows 107",
            hint="choose a shorter --socket",
        )
