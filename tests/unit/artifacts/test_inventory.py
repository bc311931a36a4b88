"""Layers joined, owners found, jars named; what is hidden by an upper layer is not there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from phalanx.artifacts.inventory import LayerCache, image_inventory
from phalanx.artifacts.model import Inventory
from phalanx.artifacts.sources.image import open_image
from phalanx.errors import CorruptError, NotFoundError, UsageError

OS = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'
DPKG = "Package: libssl3\nStatus: install ok installed\nSource: openssl (3.0.11-1)\nVersion: 3.0.11-1+b1\nArchitecture: amd64\n\n"
METADATA = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\nLicense: BSD\n\nbody\n"


def purls(inventory: Inventory) -> list[str]:
    return [one.purl for one in inventory.components]


def scan(path: Path, **options: object) -> Inventory:
    return image_inventory(open_image(path), target="image", **options)  # type: ignore[arg-type]


def test_the_source_package_and_its_version_are_kept_apart_from_the_binary(tree: Callable[..., Inventory]) -> None:
    (one,) = tree({"var/lib/dpkg/status": DPKG, "etc/os-release": OS}).components
    assert (one.name, one.version, one.source_name, one.source_version, one.ecosystem) == (
        "libssl3",
        "3.0.11-1+b1",
        "openssl",
        "3.0.11-1",
        "Debian:12",
    )
    assert one.purl == "pkg:deb/debian/libssl3@3.0.11-1%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1"


def test_a_removed_package_with_configuration_left_is_not_installed(tree: Callable[..., Inventory]) -> None:
    assert (
        tree({"var/lib/dpkg/status": DPKG.replace("install ok installed", "deinstall ok config-files")}).components
        == ()
    )


def test_what_the_distribution_owns_is_marked_and_its_twin_from_pip_is_not(tree: Callable[..., Inventory]) -> None:
    found = tree(
        {
            "etc/os-release": OS,
            "var/lib/dpkg/status": DPKG.replace("libssl3", "python3-jinja2"),
            "var/lib/dpkg/info/python3-jinja2.list": "/.\n/usr/lib/python3/dist-packages/Jinja2-2.10.dist-info/METADATA\n",
            "usr/lib/python3/dist-packages/Jinja2-2.10.dist-info/METADATA": METADATA,
            "opt/app/Jinja2-2.10.dist-info/METADATA": METADATA,
        }
    )
    owners = {one.locations[0].path.split("/")[0]: one.owner for one in found.components if one.type == "pypi"}
    assert owners["usr"].startswith("pkg:deb/debian/python3-jinja2@")
    assert owners["opt"] == ""


def test_a_whiteout_removes_a_file_a_directory_and_an_opaque_directory(tmp_path: Path, make: SimpleNamespace) -> None:
    def package(name: str) -> str:
        return f"Name: {name}\nVersion: 1.0\n\n"

    lower = make.tar(
        {f"{place}/{place}.dist-info/METADATA": package(place) for place in ("kept", "file", "folder", "opaque")}
    )
    upper = make.tar(
        {
            "file/file.dist-info/.wh.METADATA": "",
            ".wh.folder": "",
            "opaque/.wh..wh..opq": "",
            "opaque/new.dist-info/METADATA": package("new"),
        }
    )
    assert [one.name for one in scan(make.oci(tmp_path, [lower, upper])).components] == ["kept", "new"]


def test_an_upgrade_in_an_upper_layer_replaces_the_database_and_the_rest_keeps_its_layer(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    other = DPKG.replace("libssl3", "zlib1g").replace("Source: openssl (3.0.11-1)\n", "")
    lower = make.tar({"var/lib/dpkg/status": DPKG + other, "etc/os-release": OS})
    upper = make.tar({"var/lib/dpkg/status": DPKG.replace("3.0.11-1+b1", "3.0.11-1+deb12u2") + other})
    found = scan(make.oci(tmp_path, [lower, upper]))
    layers = {
        one.name: [layer.digest for layer in found.layers].index(one.locations[0].layer) for one in found.components
    }
    assert layers == {"libssl3": 1, "zlib1g": 0}
    assert "3.0.11-1+deb12u2" in {one.version for one in found.components}


def test_a_hard_link_to_a_deleted_file_keeps_what_it_holds(tmp_path: Path, make: SimpleNamespace) -> None:
    lower = make.tar({"a.dist-info/METADATA": METADATA, "b.dist-info/METADATA": ("hard", "a.dist-info/METADATA")})
    upper = make.tar({"a.dist-info/.wh.METADATA": ""})
    (one,) = scan(make.oci(tmp_path, [lower, upper])).components
    assert one.locations[0].path == "b.dist-info/METADATA"


def test_a_layer_that_was_seen_is_not_read_again(tmp_path: Path, make: SimpleNamespace) -> None:
    base = make.tar({"a.dist-info/METADATA": METADATA})
    cache = LayerCache(tmp_path / "cache")
    first = scan(make.oci(tmp_path / "one", [base]), cache=cache)
    second = scan(
        make.oci(tmp_path / "two", [base, make.tar({"b.dist-info/METADATA": METADATA.replace("Jinja2", "Flask")})]),
        cache=cache,
    )
    assert [layer.cached for layer in first.layers + second.layers] == [False, True, False]
    assert [one.name for one in second.components] == ["Flask", "Jinja2"]
    other = scan(tmp_path / "one", cache=cache, variant="other inspectors")
    assert [layer.cached for layer in other.layers] == [False]


def test_a_damaged_cache_entry_is_read_anew(tmp_path: Path, make: SimpleNamespace) -> None:
    layout = make.oci(tmp_path / "one", [make.tar({"a.dist-info/METADATA": METADATA})])
    cache = LayerCache(tmp_path / "cache")
    scan(layout, cache=cache)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"\xff" * 10)
    assert [one.name for one in scan(layout, cache=cache).components] == ["Jinja2"]


def test_a_damaged_layer_is_told_and_the_others_are_read(tmp_path: Path, make: SimpleNamespace) -> None:
    layers = [
        make.tar({"a.dist-info/METADATA": METADATA}),
        make.tar({"b.dist-info/METADATA": METADATA.replace("Jinja2", "Flask") + "x" * 70_000}),
    ]
    layout = make.oci(tmp_path / "x", layers)
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"][7:]
    second = json.loads((layout / f"blobs/sha256/{manifest}").read_text())["layers"][1]["digest"][7:]
    blob = layout / f"blobs/sha256/{second}"
    blob.write_bytes(blob.read_bytes()[:-30])
    cache = LayerCache(tmp_path / "cache")
    found = scan(layout, cache=cache)
    assert "Jinja2" in {one.name for one in found.components}
    assert any("ends too early" in one.reason or "digest" in one.reason for one in found.skipped)
    assert [layer.cached for layer in scan(layout, cache=cache).layers] == [True, False]


def test_a_layer_that_is_not_what_its_digest_says_is_told(tmp_path: Path, make: SimpleNamespace) -> None:
    layout = make.oci(tmp_path, [make.tar({"a.dist-info/METADATA": METADATA})])
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"][7:]
    layer = json.loads((layout / f"blobs/sha256/{manifest}").read_text())["layers"][0]["digest"][7:]
    (layout / f"blobs/sha256/{layer}").write_bytes(gzip.compress(make.tar({"evil.dist-info/METADATA": METADATA})))
    assert any("not what its digest says" in one.reason for one in scan(layout).skipped)


def test_docker_archives_are_read_as_docker_writes_them(tmp_path: Path, make: SimpleNamespace) -> None:
    layer = make.tar({"a.dist-info/METADATA": METADATA})
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["x/layer.tar", "y/layer.tar"]}]
    archive = make.tar(
        {
            "manifest.json": json.dumps(manifest),
            "c.json": "{}",
            "x/layer.tar": layer,
            "y/layer.tar": ("link", "../x/layer.tar"),
        }
    )
    (tmp_path / "image.tar").write_bytes(archive)
    assert purls(scan(tmp_path / "image.tar")) == ["pkg:pypi/jinja2@2.10"]
    with pytest.raises(NotFoundError, match="app:2"):
        open_image(tmp_path / "image.tar", "app:2")


def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UsageError, match="neither an OCI layout"):
        open_image(tmp_path / "empty")
    with pytest.raises(CorruptError, match="not a tar archive"):
        open_image(tmp_path / "text")
    with pytest.raises(NotFoundError):
        open_image(tmp_path / "none")


def test_a_digest_cannot_climb_out_of_the_layout(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "image").mkdir()
    (tmp_path / "image/index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:../../../secret"}]}))
    with pytest.raises(CorruptError, match="malformed"):
        open_image(tmp_path / "image")


def test_one_component_has_all_its_places_and_3_2_is_3_2_0(tree: Callable[..., Inventory]) -> None:
    found = tree(
        {
            "requirements.txt": "Django==3.2.0\nrequests>=2\n",
            "lib/Django-3.2.dist-info/METADATA": "Name: Django\nVersion: 3.2\n\n",
        }
    )
    (one,) = found.components
    assert one.version == "3.2"
    assert not one.declared
    assert sorted(place.path for place in one.locations) == ["lib/Django-3.2.dist-info/METADATA", "requirements.txt"]


def test_lock_files_count_in_trees_and_not_in_installed_ones(tree: Callable[..., Inventory]) -> None:
    files = {
        "requirements.txt": "Django==3.2.0\n",
        "node_modules/x/package-lock.json": '{"dependencies":{"y":{"version":"1.0.0"}}}',
    }
    assert purls(tree(files)) == ["pkg:pypi/django@3.2.0"]
    assert purls(tree(files, declared=False)) == []
