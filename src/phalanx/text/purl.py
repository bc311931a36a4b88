"""Package URLs (purl-spec 1.0): made and read, with the type rules that change a name."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

__all__ = ["Purl", "format_purl", "parse_purl"]

_LOWER_NAME: Final = frozenset({"pypi", "github", "bitbucket", "composer", "hex", "deb", "apk", "alpm", "gitlab"})
_LOWER_NAMESPACE: Final = frozenset(
    {"pypi", "github", "bitbucket", "composer", "hex", "deb", "apk", "rpm", "alpm", "gitlab"}
)


class Purl(Struct, frozen=True, kw_only=True):
    """The parts of a package URL, decoded."""

    type: str
    namespace: str = ""
    name: str
    version: str = ""
    qualifiers: dict[str, str] = {}
    subpath: str = ""


def _quote(text: str) -> str:
    return quote(text, safe=".-_~:")


def format_purl(
    type_: str,
    namespace: str,
    name: str,
    version: str = "",
    qualifiers: dict[str, str] | None = None,
    subpath: str = "",
) -> str:
    """The canonical text of a package URL; empty qualifiers are left out, the others sorted."""
    if type_ in _LOWER_NAMESPACE:
        namespace = namespace.lower()
    if type_ in _LOWER_NAME:
        name = name.lower()
    if type_ == "pypi":
        name = name.replace("_", "-")
    made = [f"pkg:{type_}/"]
    if namespace:
        made.append("/".join(_quote(part) for part in namespace.split("/") if part) + "/")
    made.append(_quote(name))
    if version:
        made.append("@" + _quote(version))
    if qualifiers:
        pairs = [f"{key}={_quote_value(value)}" for key, value in sorted(qualifiers.items()) if value]
        if pairs:
            made.append("?" + "&".join(pairs))
    if subpath:
        made.append("#" + "/".join(_quote(part) for part in subpath.split("/") if part not in ("", ".", "..")))
    return "".join(made)


def _quote_value(text: str) -> str:
    return quote(text, safe=".-_~:/,")


def parse_purl(text: str) -> Purl | None:
    """The parts of ``text``; None when it is not a package URL."""
    if text[:4].lower() != "pkg:" or len(text) > 8192:
        return None
    rest, _, subpath = text[4:].lstrip("/").partition("#")
    rest, _, query = rest.partition("?")
    type_, slash, path = rest.partition("/")
    if not slash or not type_:
        return None
    type_ = type_.lower()
    at = path.rfind("@")
    version = ""
    if at > 0 and "/" not in path[at:]:
        path, version = path[:at], unquote(path[at + 1 :])
    parts = [unquote(part) for part in path.split("/") if part]
    if not parts:
        return None
    qualifiers: dict[str, str] = {}
    for pair in query.split("&"):
        key, equals, value = pair.partition("=")
        if equals and value:
            qualifiers[key.lower()] = unquote(value)
    namespace, name = "/".join(parts[:-1]), parts[-1]
    if type_ in _LOWER_NAMESPACE:
        namespace = namespace.lower()
    if type_ in _LOWER_NAME:
        name = name.lower()
    if type_ == "pypi":
        name = name.replace("_", "-")
    return Purl(
        type=type_,
        namespace=namespace,
        name=name,
        version=version,
        qualifiers=qualifiers,
        subpath="/".join(part for part in unquote(subpath).split("/") if part not in ("", ".", "..")),
    )
