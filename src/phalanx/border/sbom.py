"""What all SBOM readers share: a component from its package URL, with the source package that other tools write in their own ways."""

from __future__ import annotations

from typing import Final

from phalanx.advisories.ecosystems import PURL_TYPES
from phalanx.artifacts.inventory import distro_ecosystem
from phalanx.artifacts.model import Component, OsRelease
from phalanx.text.purl import parse_purl

__all__ = ["component_of_purl"]

_CODENAMES: Final = {"trixie": "13", "bookworm": "12", "bullseye": "11", "buster": "10", "stretch": "9"}


def component_of_purl(
    text: str, *, ecosystem: str = "", source_name: str = "", source_version: str = ""
) -> Component | None:
    """The component that a package URL names; None when ``text`` is none.

    Args:
        text: the package URL. Its qualifiers ``distro`` and ``upstream`` (Syft: ``upstream=name@version``) tell release and source package.
        ecosystem: when the document says it; else it is concluded.
        source_name: source package when the document says it elsewhere.
        source_version: its version.
    """
    purl = parse_purl(text)
    if purl is None:
        return None
    upstream, _, upstream_version = purl.qualifiers.get("upstream", "").partition("@")
    if purl.type == "rpm":
        upstream, upstream_version = "", ""  # there it is the file name of the source RPM
    if not ecosystem:
        ecosystem = PURL_TYPES.get(purl.type, "")
        if purl.type in ("deb", "apk", "rpm", "alpm"):
            ecosystem = _distribution(purl.namespace, purl.qualifiers.get("distro", ""))
    version = purl.version
    epoch = purl.qualifiers.get("epoch", "")
    if purl.type == "rpm" and epoch and epoch != "0" and ":" not in version:
        version = f"{epoch}:{version}"
    name = source_name or upstream
    return Component(
        type=purl.type,
        namespace=purl.namespace,
        name=purl.name,
        version=version,
        ecosystem=ecosystem,
        qualifiers=purl.qualifiers,
        source_name=name if name != purl.name else "",
        source_version=source_version or upstream_version,
        method="SBOM",
    )


def _distribution(namespace: str, distro: str) -> str:
    """``debian`` with ``debian-12``, ``bookworm`` or ``12`` → ``Debian:12``."""
    release = distro.rpartition("-")[2] if distro.startswith(namespace + "-") else distro
    release = _CODENAMES.get(release, release)
    if release and not release[0].isdigit():
        release = release.rpartition("-")[2]
    return (
        distro_ecosystem(
            OsRelease(id={"redhat": "rhel", "amazon": "amzn"}.get(namespace, namespace), version_id=release)
        )
        if release or namespace == "wolfi"
        else ""
    )
