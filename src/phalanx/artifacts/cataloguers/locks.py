"""Lock files and manifests of the other language ecosystems, each a few lines of JSON, TOML, YAML or a plain grammar."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from phalanx.artifacts.model import Component

__all__ = [
    "cabal_freeze", "cargo_lock", "composer_installed", "composer_lock", "conan_lock", "conanfile", "deps_json", "directory_packages",
    "gemfile_lock", "gemspec", "go_mod", "julia_manifest", "lua_rockspec", "mix_lock", "opam", "packages_config", "packages_lock", "podfile_lock",
    "pubspec_lock", "r_description", "rebar_lock", "renv_lock", "stack_lock", "swift_resolved", "terraform_lock", "vcpkg",
]  # fmt: skip


def _json(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=dict[str, Any])


def _yaml(data: bytes) -> dict[str, Any]:
    from phalanx.text.yaml import load_yaml

    made = load_yaml(data)
    if not isinstance(made, dict):
        raise ValueError("not a mapping")
    return made


def _one(type_: str, ecosystem: str, name: object, version: object, method: str, *, namespace: str = "", development: bool = False,
         declared: bool = True, licences: tuple[str, ...] = ()) -> Iterator[Component]:  # fmt: skip
    if (
        isinstance(name, str)
        and isinstance(version, str)
        and name
        and version
        and len(name) < 500
        and len(version) < 200
    ):
        yield Component(
            type=type_, namespace=namespace, name=name, version=version, ecosystem=ecosystem, method=method, declared=declared,
            development=development, licences=licences,
        )  # fmt: skip


def _items(value: object) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def cargo_lock(path: str, data: bytes) -> Iterator[Component]:
    """``Cargo.lock``: what has a source came from a registry; what has none is the workspace itself."""
    for item in _dicts(tomllib.loads(data.decode("utf-8")).get("package")):
        registry = str(item.get("source", "")).startswith("registry+")
        yield from _one("cargo", "crates.io" if registry else "", item.get("name"), item.get("version"), "Cargo.lock")


_REQUIRE: Final = re.compile(r"(?:require\s+)?\"?([^\s\"()]+)\"?\s+\"?(v[^\s\"]+)\"?(?:\s*//\s*(indirect).*|\s*//.*)?")


def go_mod(path: str, data: bytes) -> Iterator[Component]:
    """``go.mod``: required modules with their replacements; ``go`` itself is a lower bound and no component."""
    block = ""
    required: dict[str, str] = {}
    replaced: dict[str, tuple[str, str]] = {}
    excluded: set[str] = set()
    for raw in data.decode("utf-8", "replace").splitlines():
        line = raw.strip()
        if line.endswith("(") and not line.startswith("//"):
            block = line[:-1].strip()
        elif line == ")":
            block = ""
        elif block == "require" or line.startswith("require "):
            match = _REQUIRE.fullmatch(line)
            if match:
                required[match[1]] = match[2]
        elif block == "replace" or line.startswith("replace "):
            left, arrow, right = line.removeprefix("replace ").partition("=>")
            target = right.partition("//")[0].split()
            if arrow and left.split() and target:
                replaced[left.split()[0]] = (target[0], target[1] if len(target) > 1 else "")
        elif block == "exclude":
            excluded.add(line)
    for module, version in required.items():
        name, version = replaced.get(module, (module, version))
        if version:
            space, _, last = name.rpartition("/")
            yield from _one("golang", "Go", last, version, "go.mod", namespace=space)


def gemfile_lock(path: str, data: bytes) -> Iterator[Component]:
    """``Gemfile.lock``: entries indented by four under ``specs:`` of the ``GEM`` part; six are their needs."""
    part = ""
    for line in data.decode("utf-8", "replace").splitlines():
        if line and not line.startswith(" "):
            part = line.strip()
        match = re.fullmatch(r" {4}(\S+) \(([^)]+)\)", line)
        if match and part in ("GEM", "GIT", "PATH"):
            yield from _one(
                "gem", "RubyGems" if part == "GEM" else "", match[1], _gem_version(match[2]), "Gemfile.lock"
            )


def _gem_version(text: str) -> str:
    return re.sub(r"-(?:x86|x64|java|mswin|arm|aarch64|universal|mingw|ruby).*$", "", text)


def gemspec(path: str, data: bytes) -> Iterator[Component]:
    """An installed ``specifications/*.gemspec``: ``s.name = "…"`` and ``s.version = "…"``, never evaluated."""
    text = data[: 1 << 20].decode("utf-8", "replace")
    name = re.search(r"\.name\s*=\s*[\"']([^\"']+)", text)
    version = re.search(r"\.version\s*=\s*(?:Gem::Version\.new\s*\(?\s*)?[\"']([0-9][^\"']*)", text)
    licence = re.search(r"\.licenses?\s*=\s*\[?\s*[\"']([^\"']+)", text)
    if name and version:
        yield from _one(
            "gem", "RubyGems", name[1], version[1], "gemspec", declared=False, licences=(licence[1],) if licence else ()
        )


def composer_lock(path: str, data: bytes) -> Iterator[Component]:
    """``composer.lock``."""
    lock = _json(data)
    for section, development in (("packages", False), ("packages-dev", True)):
        yield from _composer(_dicts(lock.get(section)), "composer.lock", declared=True, development=development)


def composer_installed(path: str, data: bytes) -> Iterator[Component]:
    """``vendor/composer/installed.json`` of Composer 1 (a list) and 2 (an object)."""
    made = msgspec.json.decode(data)
    rows = _dicts(made) if isinstance(made, list) else _dicts(made.get("packages")) if isinstance(made, dict) else []
    yield from _composer(rows, "installed.json", declared=False, development=False)


def _composer(rows: list[dict[str, Any]], method: str, *, declared: bool, development: bool) -> Iterator[Component]:
    for item in rows:
        vendor, slash, name = str(item.get("name", "")).partition("/")
        licences = (
            tuple(one for one in item.get("license") or () if isinstance(one, str))[:5]
            if isinstance(item.get("license"), list)
            else ()
        )
        version = str(item.get("version", "")).removeprefix("v")
        if slash:
            yield from _one(
                "composer",
                "Packagist",
                name,
                version,
                method,
                namespace=vendor,
                declared=declared,
                development=development,
                licences=licences,
            )


def packages_lock(path: str, data: bytes) -> Iterator[Component]:
    """NuGet's ``packages.lock.json``."""
    for _, framework in _items(_json(data).get("dependencies")):
        for name, item in _items(framework):
            if isinstance(item, dict) and item.get("type") != "Project":
                yield from _one("nuget", "NuGet", name, item.get("resolved"), "packages.lock.json")


def packages_config(path: str, data: bytes) -> Iterator[Component]:
    """NuGet's ``packages.config``; its elements are plain, so it is read as text and no XML parser meets it."""
    for match in re.finditer(r"<package\s([^>]{1,1000})>", data.decode("utf-8", "replace")):
        fields = dict(re.findall(r"(\w+)\s*=\s*\"([^\"]*)\"", match[1]))
        yield from _one(
            "nuget",
            "NuGet",
            fields.get("id"),
            fields.get("version"),
            "packages.config",
            development=fields.get("developmentDependency") == "true",
        )


def directory_packages(path: str, data: bytes) -> Iterator[Component]:
    """``Directory.Packages.props`` and project files: ``PackageVersion``/``PackageReference`` with a written version."""
    for match in re.finditer(r"<Package(?:Version|Reference)\s([^>]{1,1000})>", data.decode("utf-8", "replace")):
        fields = dict(re.findall(r"(\w+)\s*=\s*\"([^\"]*)\"", match[1]))
        version = fields.get("Version", "").strip("[]")
        if re.fullmatch(r"[0-9][A-Za-z0-9.+-]*", version):
            yield from _one(
                "nuget", "NuGet", fields.get("Include") or fields.get("Update"), version, path.rpartition("/")[2]
            )


def deps_json(path: str, data: bytes) -> Iterator[Component]:
    """``*.deps.json`` beside a published .NET program: ``libraries`` of type package."""
    for key, item in _items(_json(data).get("libraries")):
        name, slash, version = key.partition("/")
        if slash and isinstance(item, dict) and item.get("type") == "package":
            yield from _one("nuget", "NuGet", name, version, "deps.json", declared=False)


_CONAN: Final = re.compile(r"([A-Za-z0-9_.+-]+)/([A-Za-z0-9_.+-]+)(?:@.*|#.*|%.*)?")


def conan_lock(path: str, data: bytes) -> Iterator[Component]:
    """``conan.lock`` of Conan 1 (a graph) and 2 (lists of references)."""
    lock = _json(data)
    references = [str(one) for key in ("requires", "build_requires", "python_requires") for one in lock.get(key) or ()]
    graph = lock.get("graph_lock")
    if isinstance(graph, dict):
        references += [str(node.get("ref", "")) for _, node in _items(graph.get("nodes")) if isinstance(node, dict)]
    for reference in references:
        match = _CONAN.fullmatch(reference)
        if match:
            yield from _one("conan", "Conan", match[1], match[2], "conan.lock")


def conanfile(path: str, data: bytes) -> Iterator[Component]:
    """``conanfile.txt``: the lines of ``[requires]``."""
    part = ""
    for line in data.decode("utf-8", "replace").splitlines():
        if line.startswith("["):
            part = line.strip("[] ")
        match = _CONAN.fullmatch(line.strip())
        if match and part in ("requires", "build_requires", "tool_requires"):
            yield from _one("conan", "Conan", match[1], match[2], "conanfile.txt", development=part != "requires")


def vcpkg(path: str, data: bytes) -> Iterator[Component]:
    """``vcpkg.json``: overrides and minimum versions that are written."""
    manifest = _json(data)
    for item in [*_dicts(manifest.get("overrides")), *_dicts(manifest.get("dependencies"))]:
        version = (
            item.get("version") or item.get("version>=") or item.get("version-semver") or item.get("version-string")
        )
        yield from _one("generic", "", item.get("name"), version, "vcpkg.json")


def mix_lock(path: str, data: bytes) -> Iterator[Component]:
    """Elixir's ``mix.lock``: ``"name": {:hex, :package, "1.0.0", …``."""
    for match in re.finditer(
        r"\"[^\"]+\":\s*\{:hex,\s*:\"?([^\",]+)\"?,\s*\"([^\"]+)\"", data.decode("utf-8", "replace")
    ):
        yield from _one("hex", "Hex", match[1], match[2], "mix.lock")


def rebar_lock(path: str, data: bytes) -> Iterator[Component]:
    """Erlang's ``rebar.lock``: ``{<<"name">>,{pkg,<<"package">>,<<"1.0.0">>``."""
    for match in re.finditer(r"\{pkg,\s*<<\"([^\"]+)\">>,\s*<<\"([^\"]+)\">>", data.decode("utf-8", "replace")):
        yield from _one("hex", "Hex", match[1], match[2], "rebar.lock")


def pubspec_lock(path: str, data: bytes) -> Iterator[Component]:
    """Dart's ``pubspec.lock``."""
    for name, item in _items(_yaml(data).get("packages")):
        if isinstance(item, dict) and item.get("source") in ("hosted", None):
            yield from _one(
                "pub",
                "Pub",
                name,
                item.get("version"),
                "pubspec.lock",
                development="dev" in str(item.get("dependency", "")),
            )


def swift_resolved(path: str, data: bytes) -> Iterator[Component]:
    """Swift's ``Package.resolved``, versions 1 to 3."""
    made = _json(data)
    pins = _dicts(made.get("pins")) or _dicts((made.get("object") or {}).get("pins"))
    for pin in pins:
        address = str(pin.get("location") or pin.get("repositoryURL") or "").removesuffix(".git")
        where = re.sub(r"^[a-z+]+://(?:[^/@]*@)?|^git@", "", address).replace(":", "/")
        space, _, name = where.rpartition("/")
        state = pin.get("state")
        yield from _one(
            "swift",
            "SwiftURL",
            name,
            state.get("version") if isinstance(state, dict) else None,
            "Package.resolved",
            namespace=space,
        )


def podfile_lock(path: str, data: bytes) -> Iterator[Component]:
    """CocoaPods' ``Podfile.lock``: ``PODS`` entries ``Name/Sub (1.0)``; a subspec is a part of its pod."""
    seen: set[tuple[str, str]] = set()
    for item in _yaml(data).get("PODS") or ():
        text = str(next(iter(item))) if isinstance(item, dict) and item else str(item)
        match = re.fullmatch(r"([^ /]+)(?:/\S+)? \(([^)]+)\)", text)
        if match and (match[1], match[2]) not in seen:
            seen.add((match[1], match[2]))
            yield from _one("cocoapods", "", match[1], match[2], "Podfile.lock")


def stack_lock(path: str, data: bytes) -> Iterator[Component]:
    """Haskell's ``stack.yaml.lock``: ``hackage: name-1.0@…``."""
    for match in re.finditer(r"hackage:\s*([A-Za-z0-9-]+?)-([0-9][0-9.]*)@", data.decode("utf-8", "replace")):
        yield from _one("hackage", "Hackage", match[1], match[2], "stack.yaml.lock")


def cabal_freeze(path: str, data: bytes) -> Iterator[Component]:
    """``cabal.project.freeze``: ``any.name ==1.0``."""
    for match in re.finditer(r"any\.([A-Za-z0-9-]+)\s*==\s*([0-9][0-9.]*)", data.decode("utf-8", "replace")):
        yield from _one("hackage", "Hackage", match[1], match[2], "cabal.project.freeze")


def renv_lock(path: str, data: bytes) -> Iterator[Component]:
    """R's ``renv.lock``."""
    for _, item in _items(_json(data).get("Packages")):
        if isinstance(item, dict):
            yield from _one("cran", "CRAN", item.get("Package"), item.get("Version"), "renv.lock")


def r_description(path: str, data: bytes) -> Iterator[Component]:
    """An installed R package's ``DESCRIPTION``: it has a ``Built`` line, which a source tree has not."""
    from phalanx.artifacts.cataloguers.distro import paragraphs

    for fields in paragraphs(data[: 1 << 20].decode("utf-8", "replace")):
        if "built" in fields:
            licence = fields.get("license", "")
            yield from _one(
                "cran",
                "CRAN",
                fields.get("package"),
                fields.get("version"),
                "DESCRIPTION",
                declared=False,
                licences=(licence[:100],) if licence else (),
            )
        return


def lua_rockspec(path: str, data: bytes) -> Iterator[Component]:
    """An installed ``*.rockspec``: Lua assignments, read by pattern."""
    text = data[: 1 << 20].decode("utf-8", "replace")
    name = re.search(r"^\s*package\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
    version = re.search(r"^\s*version\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
    if name and version:
        yield from _one("luarocks", "", name[1], version[1], "rockspec", declared=False)


def opam(path: str, data: bytes) -> Iterator[Component]:
    """OCaml's opam switch: the name and version are in the directory, ``.opam-switch/packages/name.1.0/opam``."""
    name, _, version = path.rsplit("/", 2)[-2].partition(".") if path.count("/") >= 2 else ("", "", "")
    yield from _one("opam", "", name, version, "opam", declared=False)


def julia_manifest(path: str, data: bytes) -> Iterator[Component]:
    """Julia's ``Manifest.toml``, formats 1 and 2."""
    made = tomllib.loads(data.decode("utf-8"))
    table = made.get("deps") if isinstance(made.get("deps"), dict) else made
    for name, rows in _items(table):
        for item in _dicts(rows):
            yield from _one("julia", "", name, item.get("version"), "Manifest.toml")


def terraform_lock(path: str, data: bytes) -> Iterator[Component]:
    """``.terraform.lock.hcl``: ``provider "registry/space/name" { version = "1.0.0" }``."""
    for match in re.finditer(
        r"provider\s+\"([^\"]+)\"\s*\{\s*version\s*=\s*\"([^\"]+)\"", data.decode("utf-8", "replace")
    ):
        space, _, name = match[1].rpartition("/")
        yield from _one("terraform", "", name, match[2], "terraform lock", namespace=space)
