"""Loads the kernel object with what this kernel can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from phalanx.errors import SensorError
from phalanx.sensors.kernel.calls import Handler
from phalanx.sensors.kernel.filters import calls32

if TYPE_CHECKING:
    from phalanx.sensors.kernel._object import KernelObject

__all__ = ["Capability", "load"]

HANDLERS: Final = {
    Handler.PLAIN: "call_plain",
    Handler.OPEN: "call_open",
    Handler.SOCKET: "call_socket",
    Handler.DUP: "call_dup",
    Handler.STATE: "call_state",
    Handler.MESSAGE: "call_message",
}
"""Programs that the dispatcher of system calls jumps to; they are not attached themselves."""

OPTIONAL: Final = ("cgroup_made", "cgroup_removed", "uring_complete", "uring_complete_old")
"""Programs whose hook some kernels lack, or have in another form; all others are required."""

ALTERNATIVES: Final = (frozenset({"uring_complete", "uring_complete_old"}),)
"""Forms of one hook: when one runs, the others are not missed."""


class Capability(Struct, frozen=True, kw_only=True):
    """One program and whether it runs."""

    program: str
    hook: str
    runs: bool
    reason: str | None = None
    """Why it does not run; None when it does."""


def load(image: bytes, ring_bytes: int) -> tuple[KernelObject, list[Capability]]:
    """The loaded object, attached; no system call is wanted yet.

    OSError when a required program is refused.
    """
    try:
        from phalanx.sensors.kernel._object import KernelObject
    except ImportError as error:
        raise SensorError(
            f"the native part of the sensor cannot be loaded: {error}", hint="apt-get install libbpf1"
        ) from error
    sections = KernelObject(image).programs()
    refused = _probe(image, sections)
    loaded = KernelObject(image)
    try:
        _load(loaded, [name for name in sections if name not in refused], ring_bytes)
        for number, target in calls32().items():
            loaded.update("calls32", number.to_bytes(4, "little"), target.to_bytes(4, "little"))
        for handler, name in HANDLERS.items():
            loaded.set_program("handlers", handler, name)
        for name, section in sections.items():
            if name not in refused and not section.startswith("iter") and name not in HANDLERS.values():
                loaded.attach(name)
        loaded.open_ring(ring_bytes)
    except BaseException:
        loaded.close()
        raise
    return loaded, [
        Capability(program=name, hook=section, runs=name not in refused, reason=refused.get(name))
        for name, section in sections.items()
        if name not in refused or not any(name in forms and forms - refused.keys() for forms in ALTERNATIVES)
    ]


def _load(loaded: KernelObject, names: list[str], ring_bytes: int) -> None:
    loaded.choose(names)
    loaded.resize("ring", ring_bytes)
    loaded.load()


def _probe(image: bytes, sections: dict[str, str]) -> dict[str, str]:
    """Why each optional program that cannot be loaded alone cannot."""
    from phalanx.sensors.kernel._object import KernelObject

    refused: dict[str, str] = {}
    for name in OPTIONAL:
        if name not in sections:
            continue
        probe = KernelObject(image)
        try:
            _load(probe, [name], 4096)
        except OSError as error:
            refused[name] = str(error.strerror or error).partition(" | ")[0]
        finally:
            probe.close()
    return refused
