"""Container facts as a table with disjoint time ranges, joined to the events when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

from phalanx.model.container import Container
from phalanx.store.events.arrow import TYPES
from phalanx.store.events.schema import CONTAINER_COLUMNS

__all__ = ["FACT_SCHEMA", "MAX_FACTS", "fact_table"]

MAX_FACTS: Final = 200_000
"""Facts in one join; the newest are taken."""

_FOREVER: Final = 2**63 - 1

FACT_SCHEMA: Final = pa.schema(
    [
        pa.field("fact_host", pa.string()),
        pa.field("fact_container", pa.string()),
        pa.field("fact_since_ns", pa.int64()),
        pa.field("fact_until_ns", pa.int64()),
        *(pa.field(column.name, TYPES[column.type]) for column in CONTAINER_COLUMNS),
    ],
)


def fact_table(facts: Iterable[tuple[str, Container]]) -> pa.Table:
    """``(host, container)`` pairs as a table in which no two ranges of one container overlap: a later fact ends the one before."""
    by_key: dict[tuple[str, str], list[Container]] = {}
    for host, container in facts:
        by_key.setdefault((host, container.id), []).append(container)
    rows: list[dict[str, Any]] = []
    for (host, identifier), told in by_key.items():
        told.sort(key=lambda container: container.since_ns)
        for container, after in zip(told, [*told[1:], None], strict=True):
            until = _FOREVER if container.until_ns is None else container.until_ns
            if after is not None:
                until = min(until, after.since_ns)
            if container.since_ns < until:
                rows.append(
                    {
                        "fact_host": host,
                        "fact_container": identifier,
                        "fact_since_ns": container.since_ns,
                        "fact_until_ns": until,
                        **_row(container),
                    },
                )
    rows.sort(key=lambda row: row["fact_since_ns"])
    return pa.Table.from_pylist(rows[-MAX_FACTS:], schema=FACT_SCHEMA)


def _row(container: Container) -> dict[str, Any]:
    pod = container.pod
    return {
        "container_full_id": container.full_id,
        "container_name": container.name,
        "container_runtime": container.runtime,
        "container_image": container.image,
        "container_image_repository": container.image_repository,
        "container_image_tag": container.image_tag,
        "container_image_digest": container.image_digest,
        "container_privileged": container.privileged,
        "container_start_ns": container.start_ns,
        "container_root_pid": container.root_pid,
        "container_mount_source": [mount.source for mount in container.mounts],
        "container_mount_destination": [mount.destination for mount in container.mounts],
        "container_mount_mode": [mount.mode for mount in container.mounts],
        "container_mount_writable": [mount.writable for mount in container.mounts],
        "container_mount_propagation": [mount.propagation for mount in container.mounts],
        "k8s_pod_name": None if pod is None else pod.name,
        "k8s_pod_uid": None if pod is None else pod.uid,
        "k8s_ns_name": None if pod is None else pod.namespace,
        "k8s_service_account": None if pod is None else pod.service_account,
        "k8s_label_keys": [] if pod is None else list(pod.labels),
        "k8s_label_values": [] if pod is None else list(pod.labels.values()),
    }
