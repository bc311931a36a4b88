"""Artifacts made to hurt: each is skipped with its reason, the rest is read, nothing is written outside, nothing hangs."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.artifacts.archives import archive_inventory
from phalanx.artifacts.facts import Collector
from phalanx.artifacts.inventory import collect_tar, directory_inventory
from phalanx.artifacts.sources.compression import open_stream
from phalanx.artifacts.sources.tar import TarReader, normal_path
from phalanx.errors import PhalanxError

METADATA = "Name: Jinja2\nVersion: 2.10\n\n"


def members(data: bytes) -> tuple[list[str], list[str]]:
    reader = TarReader(io.BytesIO(data))
    found = [member.path for member in reader]
    return found, reader.climbed


def test_paths_that_climb_are_told_and_not_read(make: SimpleNamespace) -> None:
    data = make.tar({"../../etc/passwd": "x", "/abs/file": "x", "a/../../b": "x", "./ok/./file": "x", "a//b": "x"})
    found, climbed = members(data)
    assert found == ["abs/file", "ok/file", "a/b"]
    assert climbed == ["../../etc/passwd", "a/../../b"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("./a", "a"),
        ("/a/", "a"),
        ("a/./b", "a/b"),
        ("..", None),
        ("a\0b", None),
        ("x" * 5000, None),
        ("./../a", None),
        ("./.hidden", ".hidden"),
    ],
)
def test_a_path_is_normal_or_refused(raw: str, expected: str | None) -> None:
    assert normal_path(raw) == expected


def test_names_of_any_bytes_long_names_and_pax_come_through() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name in ("caf\xe9/METADATA", "d/" * 120 + "METADATA"):
            archive.addfile(tarfile.TarInfo(name))
    found, _ = members(made.getvalue())
    assert found[0] == "caf\uf7e9/METADATA"
    assert found[1] == "d/" * 120 + "METADATA"


def test_special_files_links_and_sparse_files_hold_nothing(make: SimpleNamespace) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for kind in (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE):
            info = tarfile.TarInfo(f"x{kind.decode()}.dist-info/METADATA")
            info.type = kind
            archive.addfile(info)
        loop = tarfile.TarInfo("a.dist-info/METADATA")
        loop.type, loop.linkname = tarfile.LNKTYPE, "a.dist-info/METADATA"
        archive.addfile(loop)
        sparse = tarfile.TarInfo("s.dist-info/METADATA")
        sparse.type = tarfile.GNUTYPE_SPARSE
        archive.addfile(sparse)
        last = tarfile.TarInfo("ok.dist-info/METADATA")
        last.size = len(METADATA)
        archive.addfile(last, io.BytesIO(METADATA.encode()))
    collector = Collector(declared=False, keep_paths=True)
    collect_tar(io.BytesIO(made.getvalue()), collector)
    assert list(collector.facts.found) == ["ok.dist-info/METADATA"]
    assert [one.reason for one in collector.facts.skipped] == ["sparse file"]


def test_a_header_that_lies_about_its_size_ends_the_layer_and_keeps_what_came_before(make: SimpleNamespace) -> None:
    data = bytearray(make.tar({"a.dist-info/METADATA": METADATA, "b.dist-info/METADATA": METADATA}))
    place = data.find(b"b.dist-info")
    data[place + 124 : place + 136] = b"77777777777\0"
    data[place + 148 : place + 156] = b" " * 8
    data[place + 148 : place + 156] = b"%06o\0 " % sum(data[place : place + 512])
    collector = Collector(declared=False)
    with pytest.raises(PhalanxError, match="middle of an entry"):
        collect_tar(io.BytesIO(bytes(data)), collector)
    assert "a.dist-info/METADATA" in collector.facts.found


def test_a_gzip_bomb_is_walked_in_bounded_memory() -> None:
    info = tarfile.TarInfo("zeros")
    info.size = 60 << 20
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=1) as packed:
        packed.write(info.tobuf())
        for _ in range(60):
            packed.write(b"\0" * (1 << 20))
    reader = TarReader(open_stream(io.BytesIO(made.getvalue())))
    assert [member.size for member in reader] == [60 << 20]


def test_a_directory_of_traps_is_walked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "ok.dist-info").mkdir(parents=True)
    (root / "ok.dist-info/METADATA").write_text(METADATA)
    (tmp_path / "outside.dist-info").mkdir()
    (tmp_path / "outside.dist-info/METADATA").write_text(METADATA.replace("Jinja2", "outside"))
    (root / "link").symlink_to(tmp_path)
    (root / "loop").symlink_to(root)
    (root / "abs.dist-info").mkdir()
    (root / "abs.dist-info/METADATA").symlink_to("/etc/passwd")
    os.mkfifo(root / "Cargo.lock")
    (root / os.fsdecode(b"bad\xff\x1b[2J")).write_text("x")
    with (root / "huge.jar").open("wb") as stream:
        stream.truncate(10 << 30)
    with (root / "package-lock.json").open("wb") as stream:
        stream.truncate(10 << 30)
    deep = root
    for _ in range(300):
        deep = deep / "d"
        deep.mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    found = directory_inventory(root, target="x")
    assert [one.name for one in found.components] == ["Jinja2"]
    reasons = {one.path: one.reason for one in found.skipped}
    assert "larger than" in reasons["huge.jar"]
    assert "larger than" in reasons["package-lock.json"]
    assert any("nested too deep" in reason for reason in reasons.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def archive(tmp_path: Path, name: str, data: bytes) -> tuple[list[str], list[str]]:
    (tmp_path / name).write_bytes(data)
    found = archive_inventory(tmp_path / name, target=name)
    return [one.name for one in found.components], [one.reason for one in found.skipped]


def test_zips_in_zips_stop_at_a_depth(tmp_path: Path, make: SimpleNamespace) -> None:
    data = make.zip({"a.dist-info/METADATA": METADATA})
    for _ in range(50):
        data = make.zip({"inner.zip": data})
    names, reasons = archive(tmp_path, "deep.zip", data)
    assert names == []
    assert any("nested deeper" in reason for reason in reasons)


def test_a_bomb_an_encrypted_entry_and_a_climbing_one_do_not_hide_the_rest(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    data = bytearray(
        make.zip({"x/bomb.bin": b"\0" * (40 << 20), "../climb": "x", "locked": "x", "a.dist-info/METADATA": METADATA})
    )
    place = data.rfind(b"locked") - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    data[place + 8] |= 1
    names, reasons = archive(tmp_path, "mixed.zip", bytes(data))
    assert names == ["Jinja2"]
    assert sorted(reasons) == [
        "encrypted",
        "packed more than 200 times: a bomb",
        "path climbs out of the archive or is too long",
    ]


def test_a_deb_tells_its_package_and_its_content(tmp_path: Path, make: SimpleNamespace) -> None:
    def part(name: str, data: bytes) -> bytes:
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)

    control = gzip.compress(make.tar({"./control": "Package: app\nVersion: 1.0-1\nArchitecture: amd64\n"}))
    content = gzip.compress(make.tar({"./usr/lib/python3/dist-packages/Jinja2-2.10.dist-info/METADATA": METADATA}))
    names, reasons = archive(
        tmp_path,
        "app.deb",
        b"!<arch>\n" + part("debian-binary", b"2.0\n") + part("control.tar.gz", control) + part("data.tar.gz", content),
    )
    assert sorted(names) == ["Jinja2", "app"]
    assert reasons == []


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_layers_end_in_results_or_reasons(data: st.DataObject) -> None:
    made = io.BytesIO()
    with tarfile.open(
        fileobj=made, mode="w", format=data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    ) as tar:
        for name in ("a.dist-info/METADATA", "é" * 120, "x/.wh.y"):
            info = tarfile.TarInfo(name)
            info.size = len(METADATA)
            tar.addfile(info, io.BytesIO(METADATA.encode()))
    whole = bytearray(made.getvalue())
    for _ in range(data.draw(st.integers(0, 10))):
        whole[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    collector = Collector(declared=True, keep_paths=True)
    with contextlib.suppress(PhalanxError):
        collect_tar(io.BytesIO(bytes(whole[: data.draw(st.integers(0, len(whole)))])), collector)
    assert all(".." not in path.split("/") and not path.startswith("/") for path in collector.facts.paths)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["gz", "zst", "xz", "bz2"]),
    at=st.integers(0, 400),
    value=st.integers(0, 255),
    cut=st.integers(0, 400),
)
def test_damaged_streams_end_in_an_error_of_ours(kind: str, at: int, value: int, cut: int) -> None:
    import bz2
    import lzma

    import zstandard

    plain = random.Random(1).randbytes(200) * 2
    pack = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress, "xz": lzma.compress, "bz2": bz2.compress}[
        kind
    ]
    assert open_stream(io.BytesIO(pack(plain))).read() == plain
    packed = bytearray(pack(plain))
    packed[at % len(packed)] = value
    with contextlib.suppress(PhalanxError):
        open_stream(io.BytesIO(bytes(packed[: len(packed) - cut % len(packed)]))).read()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_mutated_archives(seed: int, make: SimpleNamespace) -> None:
    chooser = random.Random(seed)
    inner = make.zip(
        {"META-INF/maven/a/b/pom.properties": "groupId=a\nartifactId=b\nversion=1\n", "x/y/Z.class": b"1"},
        zipfile.ZIP_STORED,
    )
    seeds = [
        ("x.jar", make.zip({"lib/a.jar": inner, "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n\n"})),
        ("var/lib/dpkg/status", b"Package: a\nStatus: install ok installed\nVersion: 1\n\n" * 3),
        ("package-lock.json", b'{"packages":{"node_modules/a":{"version":"1.0.0"}}}'),
        ("pnpm-lock.yaml", b"packages:\n  a@1.0.0:\n    dev: true\n"),
        ("poetry.lock", b'[[package]]\nname = "a"\nversion = "1"\n'),
    ]
    from phalanx.artifacts.sources.entry import Entry

    for _ in range(10_000):
        path, whole = chooser.choice(seeds)
        data = bytearray(whole)
        for _ in range(chooser.randint(1, 8)):
            data[chooser.randrange(len(data))] = chooser.randrange(256)
        mutated = bytes(data[: chooser.randint(0, len(data))])
        collector = Collector(declared=True)
        collector.add(Entry(path, len(mutated), 0o644, lambda limit, raw=mutated: raw[:limit]))
        assert collector.facts.files == 1
