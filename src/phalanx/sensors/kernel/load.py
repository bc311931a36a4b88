"""Loads the kernel object with what this kernel can run."""

from __future__ import annotations

from typing import Any, Final

from phalanx.errors import SensorError

__all__ = ["load"]

OPTIONAL: Final[tuple[str, ...]] = ()
"""Programs whose hook some kernels lack; all others are required."""


def load(image: bytes, ring_bytes: int) -> tuple[Any, list[Any]]:
    """The loaded object, attached, and what each program's capability is. OSError when a required one is refused."""
    try:
        from phalanx.sensors.kernel._object import KernelObject
    except ImportError as error:
        raise SensorError(
            f"the native part of the sensor cannot be loaded: {error}", hint="apt-get install libbpf1"
        ) from error
    from phalanx.sensors.kernel.sensor import Capability

    capabilities: list[Capability] = []
    refused: dict[str, str] = {}
    sections = KernelObject(image).programs()
    for name in OPTIONAL:
        probe = KernelObject(image)
        try:
            probe.choose([name])
            probe.load()
            probe.attach(name)
        except OSError as error:
            refused[name] = str(error.strerror or error)
        finally:
            probe.close()
    chosen = [name for name in sections if name not in refused]
    loaded = KernelObject(image)
    try:
        loaded.choose(chosen)
        loaded.resize("ring", ring_bytes)
        loaded.load()
        for name in chosen:
            if not sections[name].startswith("iter"):
                loaded.attach(name)
        loaded.open_ring(ring_bytes)
    except BaseException:
        loaded.close()
        raise
    for name, section in sections.items():
        capabilities.append(Capability(program=name, hook=section, runs=name not in refused, reason=refused.get(name)))
    return loaded, capabilities
