"""Images from a real registry (Debian's docker-registry) on loopback, open and with a password."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from phalanx.artifacts.inventory import image_inventory
from phalanx.artifacts.sources.registry import open_registry_image, parse_reference
from phalanx.errors import AuthenticationError, NotFoundError, UnavailableError, UsageError

CONFIG = """version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: 127.0.0.1:{port}}}
log: {{level: error}}
"""
needs_registry = pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not here")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config.yml").write_text(CONFIG.format(root=tmp_path / "data", port=port))
    process = subprocess.Popen(
        ["docker-registry", "serve", str(tmp_path / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def push(host: str, repository: str, tag: str) -> str:
    """Push an image of one layer; returns its digest."""

    def blob(data: bytes) -> dict[str, object]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        start = urllib.request.Request(f"http://{host}/v2/{repository}/blobs/uploads/", method="POST")
        with urllib.request.urlopen(start) as response:
            place = response.headers["Location"]
        joined = f"{place}{'&' if '?' in place else '?'}digest={digest}"
        urllib.request.urlopen(
            urllib.request.Request(
                joined, data=data, method="PUT", headers={"Content-Type": "application/octet-stream"}
            )
        ).close()
        return {"digest": digest, "size": len(data)}

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w:gz") as archive:
        content = b"Name: Jinja2\nVersion: 2.10\n\n"
        info = tarfile.TarInfo("opt/Jinja2-2.10.dist-info/METADATA")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    config = {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}, "config": {"User": "1"}}
    media = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{media}.manifest.v1+json",
        "config": {"mediaType": f"{media}.config.v1+json", **blob(json.dumps(config).encode())},
        "layers": [{"mediaType": f"{media}.layer.v1.tar+gzip", **blob(layer.getvalue())}],
    }
    data = json.dumps(manifest).encode()
    request = urllib.request.Request(
        f"http://{host}/v2/{repository}/manifests/{tag}",
        data=data,
        method="PUT",
        headers={"Content-Type": manifest["mediaType"]},
    )
    urllib.request.urlopen(request).close()
    return "sha256:" + hashlib.sha256(data).hexdigest()


@needs_registry
def test_an_image_is_read_by_tag_and_by_digest(registry: str) -> None:
    digest = push(registry, "team/app", "1.0")
    for name in (f"{registry}/team/app:1.0", f"{registry}/team/app@{digest}"):
        image = open_registry_image(name, plain_http=True)
        assert image.digest == digest
        found = image_inventory(image, target=name)
        assert [one.purl for one in found.components] == ["pkg:pypi/jinja2@2.10"]
        assert found.skipped == ()
    with pytest.raises(NotFoundError, match=r"team/app:2\.0"):
        open_registry_image(f"{registry}/team/app:2.0", plain_http=True)


@needs_registry
def test_a_password_is_taken_from_what_docker_login_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crypt = pytest.importorskip("crypt", reason="no bcrypt in this Python's library")
    hashed = f"robot:{crypt.crypt('Kx9vQ2mPz7', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n"
    (tmp_path / "htpasswd").write_text(hashed)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    auth = f"auth: {{htpasswd: {{realm: x, path: {tmp_path / 'htpasswd'}}}}}\n"
    (tmp_path / "config.yml").write_text(CONFIG.format(root=tmp_path / "data", port=port) + auth)
    process = subprocess.Popen(
        ["docker-registry", "serve", str(tmp_path / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        host = f"127.0.0.1:{port}"
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        with pytest.raises(AuthenticationError):
            open_registry_image(f"{host}/team/app:1", plain_http=True)
        (tmp_path / "docker").mkdir()
        stored = base64.b64encode(b"robot:Kx9vQ2mPz7").decode()
        (tmp_path / "docker/config.json").write_text(json.dumps({"auths": {host: {"auth": stored}}}))
        with pytest.raises(NotFoundError):
            open_registry_image(f"{host}/team/app:1", plain_http=True)
    finally:
        process.terminate()
        process.wait()


def test_no_registry_is_said() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        open_registry_image("127.0.0.1:9/team/app:1", plain_http=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nginx",
        "library/nginx",
        "host.example/../x:1",
        "host.example/A:1",
        "host.example/a:b c",
        "host.example/a@sha256:12",
    ],
)
def test_what_names_no_image_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(name)


def test_names_are_read_as_docker_writes_them() -> None:
    one = parse_reference("localhost:5000/team/app@sha256:" + "a" * 64)
    assert (one.host, one.repository, one.tag) == ("localhost:5000", "team/app", "sha256:" + "a" * 64)
    assert parse_reference("r.example/app").tag == "latest"
