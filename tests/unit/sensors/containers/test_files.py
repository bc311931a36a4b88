"""What runtimes keep on disk, in the places where each of them keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.model.container import Mount
from phalanx.sensors.containers import files

ID = "0123456789ab" + "c" * 52


def put(root: Path, path: str, content: Any) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content if isinstance(content, str) else json.dumps(content))


CONFIG: dict[str, Any] = {
    "process": {"capabilities": {"bounding": ["CAP_CHOWN"]}},
    "linux": {"maskedPaths": ["/proc/kcore"], "resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "rprivate", "ro"]},
    ],
}


def test_containerd_tells_image_and_pod_by_the_annotations_of_cri(tmp_path: Path) -> None:
    notes = {
        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.25",
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.sandbox-name": "web-7d4",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": "11-22",
    }
    bundle = f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}"
    put(tmp_path, f"{bundle}/config.json", {**CONFIG, "annotations": notes})
    put(tmp_path, f"{bundle}/init.pid", "4711")
    found = files.find(ID[:12], 5, str(tmp_path))
    assert found is not None
    assert (found.id, found.full_id, found.name, found.runtime) == (ID[:12], ID, "web", "containerd")
    assert (found.image_repository, found.image_tag) == ("docker.io/library/nginx", "1.25")
    assert found.pod is not None
    assert (found.pod.name, found.pod.namespace, found.pod.uid) == ("web-7d4", "shop", "11-22")
    assert found.mounts == (
        Mount(
            source="/srv/data", destination="/data", mode="rbind,rprivate,ro", writable=False, propagation="rprivate"
        ),
    )
    assert (found.root_pid, found.privileged, found.since_ns) == (4711, False, 5)


def test_docker_tells_name_image_and_privileged(tmp_path: Path) -> None:
    put(
        tmp_path,
        f"var/lib/docker/containers/{ID}/config.v2.json",
        {
            "ID": ID,
            "Name": "/shop",
            "Config": {
                "Image": "redis:7@sha256:" + "d" * 64,
                "Labels": {"io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n"},
            },
            "State": {"Pid": 99, "StartedAt": "2026-01-02T03:04:05.123456789Z"},
            "MountPoints": {"/x": {"Source": "/host/x", "Destination": "/x", "RW": True, "Propagation": "rslave"}},
        },
    )
    put(tmp_path, f"var/lib/docker/containers/{ID}/hostconfig.json", {"Privileged": True})
    found = files.find(ID[:12], 0, str(tmp_path))
    assert found is not None
    assert (found.name, found.runtime, found.privileged, found.root_pid) == ("shop", "docker", True, 99)
    assert (found.image_repository, found.image_tag, found.image_digest) == ("redis", "7", "sha256:" + "d" * 64)
    assert found.start_ns == 1767323045123456000
    assert found.mounts == (Mount(source="/host/x", destination="/x", writable=True, propagation="rslave"),)
    assert found.pod is not None


def test_crio_and_podman_bundles_are_told_apart(tmp_path: Path) -> None:
    crio = {
        "io.kubernetes.cri-o.ImageName": "quay.io/a/b:2",
        "io.kubernetes.pod.name": "pod",
        "io.kubernetes.cri-o.Labels": '{"app":"x"}',
    }
    put(
        tmp_path,
        f"run/containers/storage/overlay-containers/{ID}/userdata/config.json",
        {**CONFIG, "annotations": crio},
    )
    found = files.find(ID[:12], 0, str(tmp_path))
    assert found is not None
    assert found.runtime == "cri-o"
    assert found.pod is not None
    assert found.pod.labels == {"app": "x"}
    other = "f" * 64
    put(tmp_path, f"run/containers/storage/overlay-containers/{other}/userdata/config.json", CONFIG)
    assert files.find(other[:12], 0, str(tmp_path)).runtime == "podman"  # type: ignore[union-attr]


def test_runc_alone_tells_its_bundle(tmp_path: Path) -> None:
    put(
        tmp_path,
        "bundle/config.json",
        {**CONFIG, "process": {"capabilities": {"bounding": [f"CAP_{i}" for i in range(41)]}}},
    )
    put(
        tmp_path,
        "run/runc/my-box/state.json",
        {
            "id": "my-box",
            "init_process_pid": 7,
            "created": "2026-01-02T03:04:05Z",
            "config": {"labels": ["bundle=/bundle"]},
        },
    )
    found = files.find("my-box", 0, str(tmp_path))
    assert found is not None
    assert (found.id, found.name, found.runtime, found.root_pid) == ("my-box", "my-box", "runc", 7)
    assert found.mounts[0].source == "/srv/data"
    assert found.privileged is False, "all capabilities, but paths are masked: not what --privileged makes"


def test_privileged_needs_all_three(tmp_path: Path) -> None:
    config = {
        "process": {"capabilities": {"bounding": [f"CAP_{i}" for i in range(41)]}},
        "linux": {"resources": {"devices": [{"allow": True, "access": "rwm"}]}},
    }
    put(tmp_path, f"run/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json", config)
    assert files.find(ID[:12], 0, str(tmp_path)).privileged is True  # type: ignore[union-attr]


@pytest.mark.parametrize("id", ["../../etc", "a/b", "", "x\0y", "host;rm"])
def test_an_id_that_is_none_is_never_a_path(id: str, tmp_path: Path) -> None:
    assert files.find(id, 0, str(tmp_path)) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    [
        "annotations",
        "mounts",
        "process",
        "linux",
        "Config",
        "State",
        "HostConfig",
        "Mounts",
        "Name",
        "Labels",
        "Image",
        "Id",
        "MountPoints",
    ]
)


@settings(max_examples=40, deadline=None)
@given(config=st.dictionaries(_KEYS, _JSON, max_size=8), raw=st.binary(max_size=40))
def test_whatever_stands_in_the_files_no_error_escapes(
    config: dict[str, Any], raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("root")
    put(root, f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json", config)
    put(root, f"var/lib/docker/containers/{'e' * 64}/config.v2.json", config)
    (root / "run/runc/torn").mkdir(parents=True)
    (root / "run/runc/torn/state.json").write_bytes(raw)
    assert files.find(ID[:12], 0, str(root)) is not None
    files.find("e" * 12, 0, str(root))
    files.find("torn", 0, str(root))
