"""What a runtime and Kubernetes say of a container: a fact that comes after the first events, kept with its time range."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Container", "Mount", "Pod"]


class Mount(Struct, frozen=True, kw_only=True):
    """One mount of a container."""

    source: str
    """Path on the host, or the name of a volume."""
    destination: str
    """Path in the container."""
    mode: str = ""
    """Options as the runtime gives them."""
    writable: bool = True
    """False for read-only."""
    propagation: str = ""
    """``rprivate``, ``rshared`` …; empty when not told."""


class Pod(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The Kubernetes pod of a container."""

    name: str
    namespace: str
    uid: str = ""
    labels: dict[str, str] = {}
    service_account: str = ""
    """Empty when not known."""


class Container(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Metadata of one container, valid for (host, ``id``) from ``since_ns`` to ``until_ns``."""

    id: str
    """First 12 characters of the full id, as events carry it."""
    full_id: str
    """The whole id."""
    since_ns: int
    """From when this holds, UTC ns."""
    until_ns: int | None = None
    """Until when it held; None while it holds."""
    name: str = ""
    runtime: str = ""
    """``containerd``, ``docker``, ``podman``, ``cri-o``, ``runc`` … ."""
    image: str = ""
    """Reference as the runtime gives it."""
    image_repository: str | None = None
    image_tag: str | None = None
    image_digest: str | None = None
    """``sha256:…`` of the image's manifest; None when the runtime does not tell."""
    privileged: bool | None = None
    """None when the runtime does not tell."""
    start_ns: int | None = None
    """Start of the container, UTC ns."""
    mounts: tuple[Mount, ...] = ()
    pod: Pod | None = None
    """None for a container without a pod."""
    root_pid: int | None = None
    """Pid of its first process on the host."""
