"""Fields of classes ``container`` and ``k8s``: what a runtime and Kubernetes tell of where a process runs.

On the host they are absent, except ``container.id`` and ``container.name``, which are ``host``; in a container they are UNKNOWN until a runtime has told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from phalanx.language.fields import Field, FieldType, Getter, Need, Ref, absent, container_of
from phalanx.language.patterns import glob_pattern, pattern_of
from phalanx.model.container import Container, Mount
from phalanx.model.event import Event
from phalanx.model.process import Process

__all__ = ["FIELDS", "mount_text"]

_CONTAINER: Final[frozenset[Need]] = frozenset({"process", "container"})
_PROCESS: Final[frozenset[Need]] = frozenset({"process"})


def _of(read: Callable[[Container], Any]) -> Getter:
    def value(event: Event) -> Any:
        container = container_of(event)
        return read(container) if isinstance(container, Container) else container

    return value


def _id(event: Event) -> Any:
    process = event.process
    return process.container_id if isinstance(process, Process) else process


def _name(event: Event) -> Any:
    process = event.process
    if isinstance(process, Process) and process.container_id == "host":
        return "host"
    container = container_of(event)
    return container.name or None if isinstance(container, Container) else container


def mount_text(mount: Mount) -> str:
    """``source:dest:mode:rdrw:propagation``, as Falco writes a mount."""
    return (
        f"{mount.source}:{mount.destination}:{mount.mode}:{'true' if mount.writable else 'false'}:{mount.propagation}"
    )


def _find(argument: str, key: Callable[[Mount], str]) -> Callable[[Container], Mount | None] | None:
    """How to find the mount that ``argument`` names: by number, or by a path or glob over ``key``."""
    if argument.isdigit() and len(argument) < 6:
        index = int(argument)
        return lambda container: container.mounts[index] if index < len(container.mounts) else None
    if not argument.startswith(("/", "*", "?", "[")):
        return None
    if not any(char in argument for char in "*?["):
        return lambda container: next((mount for mount in container.mounts if key(mount) == argument), None)
    try:
        matches = pattern_of(glob_pattern(argument)).fullmatch
    except ValueError:
        return None
    return lambda container: next((mount for mount in container.mounts if matches(key(mount)) is not None), None)


def _mount_field(
    name: str,
    doc: str,
    read: Callable[[Mount], str | None],
    *,
    by_destination: bool = False,
    missing: str | None = None,
) -> Field:
    """A field about one mount. Without such a mount it is absent (``missing`` None), so that neither ``=`` nor ``!=`` holds."""

    def key(mount: Mount) -> str:
        return mount.destination if by_destination else mount.source

    def bind(argument: str) -> Ref | None:
        find = _find(argument, key)
        if find is None:
            return None

        def value(container: Container) -> str | None:
            mount = find(container)
            return missing if mount is None else read(mount)

        return Ref(field, argument, get=_of(value), columns=() if any(c in argument for c in "*?[") else _MOUNT_COLUMNS)

    field = Field(name=name, type="text", doc=doc, argument="required", needs=_CONTAINER, bind=bind)
    return field


_MOUNT_COLUMNS: Final = (
    "container_mount_source",
    "container_mount_destination",
    "container_mount_mode",
    "container_mount_writable",
    "container_mount_propagation",
)


def _told(name: str, type_: FieldType, doc: str, read: Callable[[Container], Any], *columns: str) -> Field:
    return Field(name=name, type=type_, doc=doc, needs=_CONTAINER, get=_of(read), columns=columns)


def _label(argument: str) -> Ref | None:
    return Ref(
        _POD_LABEL,
        argument,
        get=_of(lambda c: c.pod.labels.get(argument) if c.pod is not None else None),
        columns=("k8s_label_keys", "k8s_label_values"),
    )


def _labels(container: Container) -> str | None:
    pod = container.pod
    return None if pod is None or not pod.labels else ",".join(f"{key}:{value}" for key, value in pod.labels.items())


def _unfilled(name: str, type_: FieldType, doc: str, **more: Any) -> Field:
    return Field(name=name, type=type_, doc=doc, kinds=(), **more)


def _unfilled_label(name: str, doc: str) -> Field:
    def bind(argument: str) -> Ref | None:
        return Ref(field, argument, get=absent, kinds=(), columns=())

    field = Field(name=name, type="text", doc=doc, kinds=(), argument="required", dotted=True, bind=bind)
    return field


_POD_LABEL = Field(
    name="k8s.pod.label",
    type="text",
    argument="required",
    dotted=True,
    needs=_CONTAINER,
    bind=_label,
    doc="One label of the pod: `k8s.pod.label[app.kubernetes.io/name]`.",
)
_IN_META: Final = "Kubernetes object above the pod; a matter of the cluster's inventory, which a later sensor gives."

FIELDS: Final[tuple[Field, ...]] = (
    Field(
        name="container.id",
        type="text",
        doc="First 12 characters of the container's id; `host` outside of containers.",
        needs=_PROCESS,
        access=("process", "container_id"),
        columns=("proc_container_id",),
        never_absent=True,
    ),
    _told("container.full_id", "text", "The whole id.", lambda c: c.full_id, "container_full_id"),
    Field(
        name="container.name",
        type="text",
        doc="Name of the container; `host` outside of containers.",
        needs=_CONTAINER,
        get=_name,
        columns=("proc_container_id", "container_name"),
    ),
    _told(
        "container.image",
        "text",
        "Reference of the image as the runtime gives it.",
        lambda c: c.image or None,
        "container_image",
    ),
    _told(
        "container.image.id",
        "text",
        "Digest of the image, as far as the runtime tells.",
        lambda c: c.image_digest,
        "container_image_digest",
    ),
    _told(
        "container.image.repository",
        "text",
        "Repository of the image.",
        lambda c: c.image_repository,
        "container_image_repository",
    ),
    _told("container.image.tag", "text", "Tag of the image.", lambda c: c.image_tag, "container_image_tag"),
    _told(
        "container.image.digest",
        "text",
        "Digest of the image's manifest.",
        lambda c: c.image_digest,
        "container_image_digest",
    ),
    _told(
        "container.type",
        "text",
        "`containerd`, `docker`, `podman`, `cri-o` …",
        lambda c: c.runtime or None,
        "container_runtime",
    ),
    _told(
        "container.privileged", "bool", "The container runs privileged.", lambda c: c.privileged, "container_privileged"
    ),
    Field(
        name="container.mounts",
        type="text",
        doc="All mounts, each `source:dest:mode:rdrw:propagation`, joined by blanks.",
        needs=_CONTAINER,
        get=_of(lambda c: " ".join(map(mount_text, c.mounts)) or None),
    ),
    _mount_field(
        "container.mount",
        "One mount by number or source; the text `none` when there is no such mount, as in Falco.",
        mount_text,
        missing="none",
    ),
    _mount_field(
        "container.mount.source",
        "Source of a mount, by number or destination.",
        lambda m: m.source,
        by_destination=True,
    ),
    _mount_field(
        "container.mount.dest",
        "Destination of a mount, by number or source. Absent without such a mount.",
        lambda m: m.destination,
    ),
    _mount_field("container.mount.mode", "Mode of a mount, by number or source.", lambda m: m.mode),
    _mount_field(
        "container.mount.rdwr",
        "`true` when the mount is writable, by number or source.",
        lambda m: "true" if m.writable else "false",
    ),
    _mount_field(
        "container.mount.propagation", "Propagation of a mount, by number or source.", lambda m: m.propagation
    ),
    _told(
        "container.start_ts",
        "int",
        "Start of the container, nanoseconds since 1970.",
        lambda c: c.start_ns,
        "container_start_ns",
    ),
    Field(
        name="container.duration",
        type="int",
        doc="Nanoseconds since then.",
        needs=_CONTAINER,
        get=lambda e: (
            (None if c.start_ns is None else max(0, e.ts_ns - c.start_ns))
            if isinstance(c := container_of(e), Container)
            else c
        ),
        columns=("ts_ns", "container_start_ns"),
    ),
    _unfilled("container.ip", "text", "Address of the container."),
    _unfilled("container.cni.json", "text", "Result of its network plugin."),
    _unfilled(
        "container.info", "text", "In an output: nothing of its own; container and pod stand beside every detection."
    ),
    *(
        _unfilled(f"container.{name}", "text", "Probe of the container; runtimes do not tell it reliably.")
        for name in ("healthcheck", "liveness_probe", "readiness_probe")
    ),
    *(
        _unfilled(f"container.host_{name}", "bool", f"The container shares the host's {name} namespace.")
        for name in ("pid", "network", "ipc")
    ),
    _unfilled_label("container.label", "One label of the container."),
    _unfilled("container.labels", "text", "All labels of the container."),
    *(
        _unfilled(f"proc.is_container_{name}", "bool", "The process is a probe of its container.")
        for name in ("healthcheck", "liveness_probe", "readiness_probe")
    ),
    _told(
        "k8s.pod.name", "text", "Name of the pod.", lambda c: c.pod.name if c.pod is not None else None, "k8s_pod_name"
    ),
    _told(
        "k8s.ns.name",
        "text",
        "Namespace of the pod.",
        lambda c: c.pod.namespace if c.pod is not None else None,
        "k8s_ns_name",
    ),
    _told(
        "k8s.pod.id",
        "text",
        "The same as `k8s.pod.uid`.",
        lambda c: (c.pod.uid or None) if c.pod is not None else None,
        "k8s_pod_uid",
    ),
    _told(
        "k8s.pod.uid",
        "text",
        "Uid of the pod.",
        lambda c: (c.pod.uid or None) if c.pod is not None else None,
        "k8s_pod_uid",
    ),
    _unfilled("k8s.pod.sandbox_id", "text", "Id of the pod's sandbox."),
    _unfilled("k8s.pod.full_sandbox_id", "text", "Whole id of the pod's sandbox."),
    _POD_LABEL,
    Field(
        name="k8s.pod.labels",
        type="text",
        doc="All labels of the pod, `key:value` joined by commas.",
        needs=_CONTAINER,
        get=_of(_labels),
    ),
    _unfilled("k8s.pod.ip", "text", "Address of the pod."),
    _unfilled("k8s.pod.cni.json", "text", "Result of the pod's network plugin."),
    *(
        field
        for kind in ("rc", "svc", "ns", "rs", "deployment")
        for field in (
            *((_unfilled(f"k8s.{kind}.name", "text", _IN_META),) if kind != "ns" else ()),
            _unfilled(f"k8s.{kind}.id", "text", _IN_META),
            _unfilled_label(f"k8s.{kind}.label", _IN_META),
            _unfilled(f"k8s.{kind}.labels", "text", _IN_META),
        )
    ),
    *(
        field
        for kind in ("pod", "ns", "deployment", "svc", "rs", "rc")
        for field in (
            *(_unfilled(f"k8smeta.{kind}.{part}", "text", _IN_META) for part in ("name", "uid", "labels")),
            _unfilled_label(f"k8smeta.{kind}.label", _IN_META),
        )
    ),
    *(_unfilled(f"k8smeta.pod.{part}", "text", _IN_META) for part in ("ip",)),
    *(
        _unfilled(f"mesos.{part}", "text", "Mesos; phalanx has no sensor for it.")
        for part in ("task.name", "task.id", "task.labels", "framework.name", "framework.id")
    ),
    *(
        _unfilled(f"marathon.{part}", "text", "Marathon; phalanx has no sensor for it.")
        for part in ("app.name", "app.id", "app.labels", "group.name", "group.id")
    ),
    *(_unfilled_label(f"mesos.{part}", "Mesos; phalanx has no sensor for it.") for part in ("task.label",)),
    *(_unfilled_label(f"marathon.{part}", "Marathon; phalanx has no sensor for it.") for part in ("app.label",)),
)
"""All of them."""
