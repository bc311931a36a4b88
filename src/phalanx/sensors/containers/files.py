"""What the runtimes keep on disk about a container: the fastest answer, and one that still stands when a daemon does not.

Places and formats: runc's and crun's ``state.json`` and the bundle's OCI ``config.json`` (runtime-spec 1.0); containerd's bundles
with the annotations of its CRI plugin; CRI-O's and Podman's ``userdata`` bundles; Docker's ``config.v2.json``. All of them
are root's own files, yet what stands in them comes from whoever started the container: lengths and counts are bounded.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from phalanx.model.container import Container, Mount, Pod
from phalanx.sensors.containers.images import split

__all__ = ["find"]

MAX_BYTES: Final = 4 << 20
"""A file is read no further; the largest OCI configurations are some 100 kB."""
MAX_MOUNTS: Final = 256
MAX_TEXT: Final = 1024
MAX_LABELS: Final = 64
_ALL_CAPABILITIES: Final = 37
"""A container that keeps this many capabilities has been given all that its runtime knows of."""
_ID: Final = re.compile(r"[A-Za-z0-9_.+-]{1,1024}\Z")

_BUNDLES: Final = (
    ("/run/containerd/io.containerd.runtime.v2.task/k8s.io", "containerd"),
    ("/run/containerd/io.containerd.runtime.v2.task/moby", "docker"),
    ("/run/containerd/io.containerd.runtime.v2.task/default", "containerd"),
    ("/run/containers/storage/overlay-containers", "cri-o"),
    ("/var/lib/containers/storage/overlay-containers", "podman"),
)
_STATES: Final = (
    ("/run/runc", "runc"),
    ("/run/crun", "crun"),
    ("/run/containerd/runc/k8s.io", "containerd"),
    ("/run/containerd/runc/default", "containerd"),
    ("/run/docker/runtime-runc/moby", "docker"),
)
_DOCKER: Final = "/var/lib/docker/containers"


def find(id: str, since_ns: int, root: str = "/") -> Container | None:
    """The container whose id begins with ``id`` (12 characters), from files below ``root``; None when no runtime left any."""
    if _ID.match(id) is None:
        return None
    return _docker(id, since_ns, root) or _bundle(id, since_ns, root) or _state(id, since_ns, root)


def _entries(directory: str, id: str) -> list[str]:
    """Names in ``directory`` that begin with ``id``."""
    if os.path.exists(os.path.join(directory, id)):
        return [id]
    try:
        return [name for name in os.listdir(directory) if name.startswith(id)][:4]
    except OSError:
        return []


def _json(path: str | Path) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        found = msgspec.json.decode(raw) if len(raw) <= MAX_BYTES else None
    except (OSError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None


def text(value: Any) -> str:
    """``value`` when it is text, cut at its bound; else empty."""
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def table(value: Any) -> dict[str, Any]:
    """``value`` when it is a JSON object; else empty."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[dict[str, Any]]:
    """The JSON objects in ``value`` when it is a list, at most :data:`MAX_MOUNTS`."""
    return [row for row in value[:MAX_MOUNTS] if isinstance(row, dict)] if isinstance(value, list) else []


def time_ns(value: Any) -> int | None:
    """UTC nanoseconds of an RFC 3339 time; None for the zero time or for none."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text(value)))
    except ValueError:
        return None
    return int(moment.timestamp() * 1_000_000) * 1000 if moment.year > 1970 else None


def _mounts(config: dict[str, Any]) -> tuple[Mount, ...]:
    found = []
    for row in rows(config.get("mounts")):
        if text(row.get("type")) not in ("bind", "none", ""):
            continue  # proc, sysfs, tmpfs …: not the host's
        given = row.get("options")
        options = [text(option) for option in given[:32]] if isinstance(given, list) else []
        found.append(
            Mount(
                source=text(row.get("source")),
                destination=text(row.get("destination")),
                mode=",".join(options),
                writable="ro" not in options,
                propagation=next((o for o in options if o.removeprefix("r") in ("private", "shared", "slave")), ""),
            )
        )
    return tuple(found)


def _privileged(config: dict[str, Any]) -> bool:
    """True for what ``--privileged`` makes: all capabilities, nothing masked, all devices."""
    process, linux = table(config.get("process")), table(config.get("linux"))
    bounding = table(process.get("capabilities")).get("bounding")
    devices = rows(table(linux.get("resources")).get("devices"))
    return (
        isinstance(bounding, list)
        and len(bounding) >= _ALL_CAPABILITIES
        and not linux.get("maskedPaths")
        and any(d.get("allow") is True and "w" in text(d.get("access")) and not d.get("major") for d in devices)
    )


def _from_config(
    config: dict[str, Any],
    id: str,
    full_id: str,
    since_ns: int,
    runtime: str,
    root_pid: int | None,
    start_ns: int | None,
) -> Container:
    """A container from its bundle's ``config.json`` and the annotations that CRI runtimes put there."""
    notes = {key: text(value) for key, value in table(config.get("annotations")).items()}

    def note(*names: str) -> str:
        return next((notes[name] for name in names if notes.get(name)), "")

    image = note("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "org.opencontainers.image.ref.name")
    repository, tag, digest = split(image) if image else (None, None, None)
    pod_name = note("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name")
    pod = None
    if pod_name:
        labels = _json_text(note("io.kubernetes.cri-o.Labels"))
        pod = Pod(
            name=pod_name,
            namespace=note("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
            uid=note("io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"),
            labels=dict(list(labels.items())[:MAX_LABELS]),
        )
    return Container(
        id=id,
        full_id=full_id,
        since_ns=since_ns,
        name=note("io.kubernetes.cri.container-name", "io.kubernetes.container.name", "io.container.manager.name")
        or (full_id if not re.fullmatch(r"[0-9a-f]{64}", full_id) else ""),
        runtime="cri-o" if note("io.kubernetes.cri-o.ImageName") else "podman" if runtime == "cri-o" else runtime,
        image=image,
        image_repository=repository,
        image_tag=tag,
        image_digest=digest,
        privileged=_privileged(config),
        start_ns=start_ns,
        mounts=_mounts(config),
        pod=pod,
        root_pid=root_pid,
    )


def _json_text(raw: str) -> dict[str, str]:
    try:
        found = msgspec.json.decode(raw or "{}")
    except msgspec.DecodeError:
        return {}
    return {text(k): text(v) for k, v in table(found).items()}


def _pid(path: Path) -> int | None:
    try:
        raw = path.read_bytes()[:16].strip()
    except OSError:
        return None
    return int(raw) if raw.isdigit() else None


def _bundle(id: str, since_ns: int, root: str) -> Container | None:
    for place, runtime in _BUNDLES:
        directory = root.rstrip("/") + place
        for name in _entries(directory, id):
            bundle = Path(directory, name)
            pid = _pid(bundle / "init.pid") or _pid(bundle / "userdata/pidfile")
            config = _json(bundle / "config.json")
            if config is None:
                config = _json(bundle / "userdata/config.json")
            if config is not None:
                return _from_config(config, name[:12], name, since_ns, runtime, pid, None)
    return None


def _state(id: str, since_ns: int, root: str) -> Container | None:
    for place, runtime in _STATES:
        directory = root.rstrip("/") + place
        for name in _entries(directory, id):
            state = _json(Path(directory, name, "state.json"))
            if state is None:
                state = _json(Path(directory, name, "status"))
            if state is None:
                continue
            labels = table(state.get("config")).get("labels")
            bundle = text(state.get("bundle"))
            for label in labels if isinstance(labels, list) else []:
                if text(label).startswith("bundle="):
                    bundle = text(label).removeprefix("bundle=")
            config = _json(Path(root.rstrip("/") + bundle, "config.json")) if bundle.startswith("/") else None
            pid = state.get("init_process_pid", state.get("pid"))
            start = time_ns(state.get("created"))
            return _from_config(
                config or {},
                name[:12],
                name,
                since_ns,
                runtime,
                pid if isinstance(pid, int) and pid > 0 else None,
                start,
            )
    return None


def _docker(id: str, since_ns: int, root: str) -> Container | None:
    directory = root.rstrip("/") + _DOCKER
    for name in _entries(directory, id):
        found = _json(Path(directory, name, "config.v2.json"))
        if found is None:
            continue
        host = _json(Path(directory, name, "hostconfig.json")) or {}
        return from_docker(
            {
                **found,
                "Id": name,
                "HostConfig": host,
                "Mounts": list(table(found.get("MountPoints")).values()),
            },
            since_ns,
            "docker",
        )
    return None


def from_docker(found: dict[str, Any], since_ns: int, runtime: str) -> Container | None:
    """A container from what Docker's and Podman's ``inspect`` say (Engine API 1.41); None when it names no container."""
    full_id = text(found.get("Id")) or text(found.get("ID"))
    config, state, host = (table(found.get(key)) for key in ("Config", "State", "HostConfig"))
    if not full_id:
        return None
    image = text(config.get("Image")) or text(found.get("ImageName"))
    repository, tag, digest = split(image) if image else (None, None, None)
    labels = {text(k): text(v) for k, v in list(table(config.get("Labels")).items())[:MAX_LABELS]}
    pod = None
    if labels.get("io.kubernetes.pod.name"):
        pod = Pod(
            name=labels["io.kubernetes.pod.name"],
            namespace=labels.get("io.kubernetes.pod.namespace", ""),
            uid=labels.get("io.kubernetes.pod.uid", ""),
        )
    mounts = tuple(
        Mount(
            source=text(row.get("Source")) or text(row.get("Name")),
            destination=text(row.get("Destination")),
            mode=text(row.get("Mode")),
            writable=row.get("RW") is not False,
            propagation=text(row.get("Propagation")),
        )
        for row in rows(found.get("Mounts"))
    )
    privileged, pid = host.get("Privileged"), state.get("Pid")
    return Container(
        id=full_id[:12],
        full_id=full_id,
        since_ns=since_ns,
        name=text(found.get("Name")).removeprefix("/"),
        runtime=runtime,
        image=image,
        image_repository=repository,
        image_tag=tag,
        image_digest=digest or (text(found.get("ImageDigest")) or None),
        privileged=privileged if isinstance(privileged, bool) else None,
        start_ns=time_ns(state.get("StartedAt")),
        mounts=mounts,
        pod=pod,
        root_pid=pid if isinstance(pid, int) and pid > 0 else None,
    )
