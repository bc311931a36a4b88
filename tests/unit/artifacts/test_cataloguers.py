"""Every format of the table: a small file as its tool writes it, and what it tells."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.artifacts.cataloguers.binaries import binary
from phalanx.artifacts.cataloguers.registry import find_cataloguer
from phalanx.artifacts.cataloguers.rpmdb import rpm_database
from phalanx.artifacts.facts import Collector
from phalanx.artifacts.sources.entry import Entry

SAMPLES: dict[str, tuple[str, str]] = {
    # path: (content, "type:name@version …" in order of name)
    "lib/apk/db/installed": ("C:Q1\nP:busybox\nV:1.36.1-r5\nA:x86_64\no:busybox\nL:GPL-2.0-only\n\nP:ssl_client\nV:1.36.1-r5\no:busybox\n\n", "apk:busybox@1.36.1-r5 apk:ssl_client@1.36.1-r5"),  # noqa: E501
    "var/lib/pacman/local/curl-8.0-1/desc": ("%NAME%\ncurl\n\n%VERSION%\n8.0-1\n\n%ARCH%\nx86_64\n", "alpm:curl@8.0-1"),
    "usr/lib/opkg/status": ("Package: busybox\nVersion: 1.35-1\nArchitecture: mips\n\n", "opkg:busybox@1.35-1"),
    "var/lib/dpkg/status.d/tzdata": ("Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n", "deb:tzdata@2024a-0+deb12u1"),
    "x/Jinja2-2.10.dist-info/METADATA": ("Name: Jinja2\nVersion: 2.10\n\nName: not this\n", "pypi:Jinja2@2.10"),
    "x/foo-1.0.egg-info/PKG-INFO": ("Name: foo\nVersion: 1.0\n", "pypi:foo@1.0"),
    "requirements-dev.txt": ("a==1.0 ; python_version<'4'\nb[c]==2.0 \\\n    --hash=sha256:x\n-r other.txt\nd>=3\ne==4.*\n", "pypi:a@1.0 pypi:b@2.0"),
    "Pipfile.lock": ('{"default":{"a":{"version":"==1.0"}},"develop":{"b":{"version":"==2.0"}}}', "pypi:a@1.0 pypi:b@2.0"),
    "poetry.lock": ('[[package]]\nname = "a"\nversion = "1.0"\n', "pypi:a@1.0"),
    "pdm.lock": ('[[package]]\nname = "a"\nversion = "1.0"\n', "pypi:a@1.0"),
    "uv.lock": ('[[package]]\nname = "me"\nversion = "0.1"\nsource = { virtual = "." }\n[[package]]\nname = "a"\nversion = "1.0"\n', "pypi:a@1.0"),
    "pylock.toml": ('lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1.0"\n', "pypi:a@1.0"),
    "setup.py": ("import os; os.system('touch /tmp/owned')\nsetup(install_requires=['a==1.0', 'b>2'])\n", "pypi:a@1.0"),
    "env/conda-meta/a-1.0-0.json": ('{"name":"a","version":"1.0","build":"0"}', "conda:a@1.0"),
    "node_modules/@s/a/package.json": ('{"name":"@s/a","version":"1.0.0","license":"MIT"}', "npm:@s/a@1.0.0"),
    "package-lock.json": ('{"lockfileVersion":3,"packages":{"":{"name":"me"},"node_modules/a":{"version":"1.0.0"},"node_modules/a/node_modules/@s/b":{"version":"2.0.0"},"l":{"link":true}}}', "npm:@s/b@2.0.0 npm:a@1.0.0"),  # noqa: E501
    "npm-shrinkwrap.json": ('{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0"}}}}}', "npm:a@1.0.0 npm:b@2.0.0"),  # noqa: E501
    "yarn.lock": ('# yarn\n"@s/a@^1.0.0", "@s/a@^1.1.0":\n  version "1.1.0"\n\nb@npm:^2.0.0:\n  version: 2.0.0\n  resolution: "b@npm:2.0.0"\n\n"me@workspace:.":\n  version: 0.0.0\n', "npm:@s/a@1.1.0 npm:b@2.0.0"),  # noqa: E501
    "pnpm-lock.yaml": ("lockfileVersion: '9.0'\npackages:\n  '@s/a@1.0.0':\n    resolution: {}\n  b@2.0.0(c@3.0.0):\n    dev: true\n  /d/4.0.0_e@1:\n    x: 1\n", "npm:@s/a@1.0.0 npm:b@2.0.0 npm:d@4.0.0"),  # noqa: E501
    "bun.lock": ('{"lockfileVersion":1,"packages":{"a":["a@1.0.0","",{},"sha"],},}', "npm:a@1.0.0"),
    "gradle.lockfile": ("# comment\norg.a:b:1.0=compileClasspath\nempty=\n", "maven:org.a:b@1.0"),
    "go.mod": ("module m\n\ngo 1.21\n\nrequire github.com/a/b v1.0.0\nrequire (\n\tgithub.com/c/d/v2 v2.0.0 // indirect\n\tgithub.com/e/f v1.0.0\n)\nreplace github.com/e/f => github.com/g/h v3.0.0\n", "golang:github.com/a/b@v1.0.0 golang:github.com/c/d/v2@v2.0.0 golang:github.com/g/h@v3.0.0"),  # noqa: E501
    "Cargo.lock": ('version = 3\n[[package]]\nname = "me"\nversion = "0.1.0"\n[[package]]\nname = "a"\nversion = "1.0.0"\nsource = "registry+https://x"\n', "cargo:a@1.0.0 cargo:me@0.1.0"),  # noqa: E501
    "Gemfile.lock": ("GEM\n  remote: https://x\n  specs:\n    nokogiri (1.10.0-x86_64-linux)\n      racc (~> 1.4)\n    rack (2.0.1)\n\nPLATFORMS\n  ruby\n", "gem:nokogiri@1.10.0 gem:rack@2.0.1"),  # noqa: E501
    "gems/specifications/rack-2.0.1.gemspec": ('Gem::Specification.new do |s|\n  s.name = "rack".freeze\n  s.version = "2.0.1"\n  s.licenses = ["MIT".freeze]\nend\n', "gem:rack@2.0.1"),  # noqa: E501
    "composer.lock": ('{"packages":[{"name":"v/a","version":"v1.0.0"}],"packages-dev":[{"name":"v/b","version":"2.0.0"}]}', "composer:v/a@1.0.0 composer:v/b@2.0.0"),  # noqa: E501
    "vendor/composer/installed.json": ('{"packages":[{"name":"v/a","version":"1.0.0","license":["MIT"]}]}', "composer:v/a@1.0.0"),
    "packages.lock.json": ('{"dependencies":{"net6.0":{"A":{"type":"Direct","resolved":"1.0.0"},"p":{"type":"Project"}}}}', "nuget:A@1.0.0"),
    "packages.config": ('<packages><package id="A" version="1.0.0" targetFramework="net45" /></packages>', "nuget:A@1.0.0"),
    "app.deps.json": ('{"libraries":{"A/1.0.0":{"type":"package"},"me/1.0.0":{"type":"project"}}}', "nuget:A@1.0.0"),
    "Directory.Packages.props": ('<Project><PackageVersion Include="A" Version="1.0.0" /><PackageVersion Include="B" Version="$(V)" /></Project>', "nuget:A@1.0.0"),  # noqa: E501
    "conan.lock": ('{"version":"0.5","requires":["zlib/1.2.11#abc%1"]}', "conan:zlib@1.2.11"),
    "conanfile.txt": ("[requires]\nzlib/1.2.11\n[options]\nx/1.0\n", "conan:zlib@1.2.11"),
    "vcpkg.json": ('{"overrides":[{"name":"zlib","version":"1.2.11"}]}', "generic:zlib@1.2.11"),
    "mix.lock": ('%{\n  "plug": {:hex, :plug, "1.7.1", "hash", [:mix], [], "hexpm"},\n}\n', "hex:plug@1.7.1"),
    "rebar.lock": ('[{<<"cowboy">>,{pkg,<<"cowboy">>,<<"2.6.0">>},0}].\n', "hex:cowboy@2.6.0"),
    "pubspec.lock": ('packages:\n  http:\n    dependency: "direct main"\n    source: hosted\n    version: "0.13.0"\n', "pub:http@0.13.0"),
    "Package.resolved": ('{"pins":[{"location":"https://github.com/apple/swift-nio.git","state":{"version":"2.0.0"}}],"version":2}', "swift:github.com/apple/swift-nio@2.0.0"),  # noqa: E501
    "Podfile.lock": ("PODS:\n  - AFNetworking/Core (3.0.0):\n    - X\n  - AFNetworking/UI (3.0.0)\n  - B (1.0)\n", "cocoapods:AFNetworking@3.0.0 cocoapods:B@1.0"),  # noqa: E501
    "stack.yaml.lock": ("packages:\n- completed:\n    hackage: aeson-1.5.0.0@sha256:x,1\n", "hackage:aeson@1.5.0.0"),
    "cabal.project.freeze": ("constraints: any.aeson ==1.5.0.0,\n             any.base ==4.14\n", "hackage:aeson@1.5.0.0 hackage:base@4.14"),
    "renv.lock": ('{"Packages":{"jsonlite":{"Package":"jsonlite","Version":"1.7.0"}}}', "cran:jsonlite@1.7.0"),
    "R/library/jsonlite/DESCRIPTION": ("Package: jsonlite\nVersion: 1.7.0\nLicense: MIT\nBuilt: R 4.0\n", "cran:jsonlite@1.7.0"),
    "lib/luarocks/rocks-5.3/lpeg/1.0-1/lpeg-1.0-1.rockspec": ('package = "lpeg"\nversion = "1.0-1"\n', "luarocks:lpeg@1.0-1"),
    "home/.opam/4.14/.opam-switch/packages/dune.3.0.0/opam": ("opam-version: '2.0'\n", "opam:dune@3.0.0"),
    "Manifest.toml": ('manifest_format = "2.0"\n[[deps.HTTP]]\nversion = "1.0.0"\n', "julia:HTTP@1.0.0"),
    ".terraform.lock.hcl": ('provider "registry.terraform.io/hashicorp/aws" {\n  version = "5.0.0"\n}\n', "terraform:registry.terraform.io/hashicorp/aws@5.0.0"),  # noqa: E501
}  # fmt: skip


def catalogue(path: str, data: bytes, *, executable: bool = False) -> Collector:
    collector = Collector(declared=True)
    collector.add(Entry(path, len(data), 0o755 if executable else 0o644, lambda limit: data[:limit]))
    return collector


def told(collector: Collector) -> str:
    found = [one for components in collector.facts.found.values() for one in components]
    return " ".join(sorted(f"{one.type}:{one.full_name}@{one.version}" for one in found))


@pytest.mark.parametrize("path", sorted(SAMPLES))
def test_the_format_is_read(path: str) -> None:
    content, expected = SAMPLES[path]
    collector = catalogue(path, content.encode())
    assert collector.facts.skipped == []
    assert told(collector) == expected


def test_no_project_code_is_run() -> None:
    assert not Path("/tmp/owned").exists()


@pytest.mark.parametrize("path", sorted(SAMPLES))
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 64,
        b"{",
        b"[[[[",
        b"\xff\xfe\xfa",
        b"{" * 100_000,
        b"a: &a [*a, *a]",
        b"null",
        b"[1]",
        b'{"packages": 1}',
    ],
)
def test_nonsense_is_told_or_is_nothing_and_never_raises(path: str, data: bytes) -> None:
    collector = catalogue(path, data)
    assert len(collector.facts.skipped) <= 1
    assert collector.facts.files == 1


def header(name: str, version: str, release: str, epoch: int | None = None, source: str = "") -> bytes:
    """An RPM header blob: index entries of tag, type, offset, count, then the store."""
    store, entries = b"", []
    for tag, value in ((1000, name), (1001, version), (1002, release), (1022, "x86_64"), (1044, source)):
        if value:
            entries.append(struct.pack(">IIiI", tag, 6, len(store), 1))
            store += value.encode() + b"\0"
    if epoch is not None:
        store += b"\0" * (-len(store) % 4)
        entries.append(struct.pack(">IIiI", 1003, 4, len(store), 1))
        store += struct.pack(">I", epoch)
    return struct.pack(">II", len(entries), len(store)) + b"".join(entries) + store


BASH = header("bash", "5.1.8", "6.el9", 2, "bash-5.1.8-6.el9.src.rpm")
LIBS = header("openssl-libs", "3.0.7", "25.el9", None, "openssl-3.0.7-25.el9.src.rpm")


def sqlite_database(tmp_path: Path) -> bytes:
    connection = sqlite3.connect(tmp_path / "r.db")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
    connection.executemany(
        "INSERT INTO Packages(blob) VALUES (?)", [(BASH,), (LIBS,), (header("gpg-pubkey", "1", "1"),), (b"\0",)]
    )
    connection.commit()
    connection.close()
    return (tmp_path / "r.db").read_bytes()


def ndb_database() -> bytes:
    page, blobs, block = bytearray(4096), b"", 4096 // 16
    page[:16] = struct.pack("<4sIII", b"RpmP", 0, 1, 1)
    at = 32
    for number, blob in enumerate((BASH, LIBS), 1):
        body = struct.pack("<4sIII", b"BlbS", number, 0, len(blob)) + blob
        body += b"\0" * (-len(body) % 16)
        page[at : at + 16] = struct.pack("<4sIII", b"Slot", number, block + len(blobs) // 16, len(body) // 16)
        blobs += body
        at += 16
    return bytes(page) + blobs


def berkeley_database() -> bytes:
    size = 4096
    meta = bytearray(size)
    meta[12:16] = struct.pack("<I", 0x061561)
    meta[20:24] = struct.pack("<I", size)
    hash_page, pages = bytearray(size), []
    hash_page[25] = 13
    at, offsets = size, []
    for number, blob in enumerate((BASH, LIBS)):
        at -= 5
        hash_page[at : at + 5] = b"\x01" + struct.pack("<I", number)
        offsets.append(at)
        at -= 12
        hash_page[at : at + 12] = struct.pack("<B3xII", 3, 2 + number, len(blob))
        offsets.append(at)
        overflow = bytearray(size)
        overflow[25] = 7
        overflow[22:24] = struct.pack("<H", len(blob))
        overflow[26 : 26 + len(blob)] = blob
        pages.append(bytes(overflow))
    hash_page[20:22] = struct.pack("<H", len(offsets))
    for place, offset in enumerate(offsets):
        hash_page[26 + place * 2 : 28 + place * 2] = struct.pack("<H", offset)
    return bytes(meta) + bytes(hash_page) + b"".join(pages)


@pytest.mark.parametrize("kind", ["sqlite", "ndb", "berkeley"])
def test_rpm_databases_of_all_three_formats_tell_the_same(kind: str, tmp_path: Path) -> None:
    data = {"sqlite": lambda: sqlite_database(tmp_path), "ndb": ndb_database, "berkeley": berkeley_database}[kind]()
    found = {one.name: (one.version, one.source_name) for one in rpm_database("", data)}
    assert found == {"bash": ("2:5.1.8-6.el9", ""), "openssl-libs": ("3.0.7-25.el9", "openssl")}


def elf(sections: dict[str, bytes]) -> bytes:
    """A 64-bit ELF file that has these sections."""
    names, body, rows = b"\0.shstrtab\0", b"", []
    for name, content in sections.items():
        rows.append((len(names), 64 + len(body), len(content)))
        names += name.encode() + b"\0"
        body += content
    rows.append((1, 64 + len(body), len(names)))
    body += names
    table = b"\0" * 64 + b"".join(
        struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, offset, size, 0, 0, 1, 0) for name, offset, size in rows
    )
    head = (
        b"\x7fELF\x02\x01\x01"
        + b"\0" * 9
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows) + 1, len(rows))
    )
    return head + body + table


def go_info(version: str, lines: str) -> bytes:
    def text(value: bytes) -> bytes:
        length, made = len(value), b""
        while length >= 0x80:
            made += bytes((length & 0x7F | 0x80,))
            length >>= 7
        return made + bytes((length,)) + value

    return (
        b"\xff Go buildinf:"
        b"\x08\x02" + b"\0" * 16 + text(version.encode()) + text(b"0" * 16 + lines.encode() + b"\n" + b"1" * 16)
    )


def test_a_go_program_tells_its_modules_replacements_and_library() -> None:
    lines = "path\tm\nmod\tm\t(devel)\t\ndep\tgithub.com/a/b\tv1.0.0\th1:x\ndep\tgithub.com/c/d\tv1.0.0\n=>\tgithub.com/e/f\tv2.0.0\th1:y\ndep\tlocal.org/x\tv1.0.0\n=>\t./x\t(devel)\t\nbuild\t-compiler=gc"  # noqa: E501
    collector = catalogue(
        "bin/x", elf({".text": b"x" * 100, ".go.buildinfo": go_info("go1.22.1", lines)}), executable=True
    )
    assert (
        told(collector)
        == "golang:github.com/a/b@v1.0.0 golang:github.com/e/f@v2.0.0 golang:local.org/x@ golang:m@ golang:stdlib@1.22.1"
    )


def test_a_stripped_rust_program_tells_the_crates_that_its_messages_name() -> None:
    rodata = b"\0/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/regex-1.5.4/src/exec.rs\0x/registry/src/i/regex-1.5.4/src/b.rs\0"
    (one,) = catalogue("bin/x", elf({".rodata": rodata + b"\0" * 200}), executable=True).facts.found["bin/x"]
    assert (one.name, one.version, one.confidence) == ("regex", "1.5.4", 0.9)


def test_audit_data_and_package_notes_are_read() -> None:
    audit = zlib.compress(
        json.dumps(
            {"packages": [{"name": "a", "version": "1.0.0"}, {"name": "b", "version": "2.0.0", "kind": "build"}]}
        ).encode()
    )
    note = (
        b"\x04\0\0\0\x60\0\0\0\x7e\x1a\xfe\xcaFDO\0" + b'{"type":"rpm","name":"hello","version":"1-1","os":"fedora"}\0'
    )
    collector = catalogue("bin/x", elf({".dep-v0": audit, ".note.package": note, ".pad": b"\0" * 300}), executable=True)
    assert told(collector) == "cargo:a@1.0.0 cargo:b@2.0.0 rpm:hello@1-1"


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_programs_and_databases_never_raise_but_value_errors(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            [
                elf({".go.buildinfo": go_info("go1.22", "dep\ta/b\tv1\n"), ".dep-v0": zlib.compress(b"{}")}),
                ndb_database(),
                berkeley_database(),
            ]
        )
    )
    mutated = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 12))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    path = "var/lib/rpm/Packages.db" if whole[:4] != b"\x7fELF" else "bin/x"
    collector = catalogue(path, bytes(mutated[:cut]), executable=path == "bin/x")
    assert collector.facts.files == 1


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(sorted(SAMPLES)), data=st.data())
def test_mutated_lock_files_never_raise(path: str, data: st.DataObject) -> None:
    text = SAMPLES[path][0]
    at, end = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
    mutated = text[:at] + data.draw(st.text(max_size=20)) + text[end:]
    collector = catalogue(path, mutated.encode("utf-8", "surrogatepass"))
    assert collector.facts.files == 1


def test_every_sample_has_a_cataloguer_and_other_files_have_none() -> None:
    assert all(find_cataloguer(path, declared=True) for path in SAMPLES)
    for path in ("README.md", "usr/share/doc/x/status", "METADATA", "home/x/installed", "a.json", "etc/passwd"):
        assert find_cataloguer(path, declared=True) is None, path


def test_binary_is_silent_about_what_is_no_program() -> None:
    for data in (b"", b"\x7fELF", b"MZ" + b"\0" * 100, b"#!/bin/sh\n" * 50):
        assert list(binary("x", data)) == []
