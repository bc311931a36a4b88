"""Containers: what the runtimes say of them.

A container is known by its cgroup before any runtime has answered; its image, mounts and pod come from the files that each runtime keeps
(:mod:`.files`) or from its socket (:mod:`.sockets`), and until then they are UNKNOWN, never guessed.
"""

from __future__ import annotations

from phalanx.sensors.containers.directory import ContainerDirectory, DirectoryStatistics

__all__ = ["ContainerDirectory", "DirectoryStatistics"]
