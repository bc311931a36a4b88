"""Images, archives and inventories made in memory, as other tools write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from phalanx.artifacts.inventory import directory_inventory
from phalanx.artifacts.model import Inventory

Files = Mapping[str, bytes | str | tuple[str, str]]


def tar_of(files: Files, *, modes: Mapping[str, int] | None = None) -> bytes:
    """A tar; a value ``("link"|"hard", target)`` is a symbolic or hard link."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = (modes or {}).get(name, 0o644)
            if isinstance(content, tuple):
                info.type = tarfile.SYMTYPE if content[0] == "link" else tarfile.LNKTYPE
                info.linkname = content[1]
                archive.addfile(info)
            else:
                data = content.encode() if isinstance(content, str) else content
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def zip_of(files: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def oci_layout(place: Path, layers: list[bytes], config: dict[str, object] | None = None) -> Path:
    """An OCI layout of ``layers`` (tars, lowest first), compressed with gzip."""
    blobs = place / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    history = [{"created_by": f"step {number}"} for number in range(len(layers))]
    body = {"rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history, **(config or {})}
    config_blob = put(json.dumps(body).encode())
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config_blob},
        "layers": [put(gzip.compress(layer, 1, mtime=0)) for layer in layers],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [
            {**put(json.dumps(manifest).encode()), "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        ],
    }
    (place / "index.json").write_text(json.dumps(index))
    (place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return place


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Inventory]:
    """Writes files into a directory and takes its inventory."""

    def made(
        files: Mapping[str, bytes | str], *, executable: frozenset[str] = frozenset(), **options: object
    ) -> Inventory:
        for name, content in files.items():
            path = tmp_path / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            if name in executable:
                path.chmod(0o755)
        return directory_inventory(tmp_path / "tree", target="tree", **options)  # type: ignore[arg-type]

    return made


@pytest.fixture
def make() -> SimpleNamespace:
    """``make.tar``, ``make.zip`` and ``make.oci``: the functions above."""
    return SimpleNamespace(tar=tar_of, zip=zip_of, oci=oci_layout)
