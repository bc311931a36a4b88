"""Images in a registry, by the distribution API (OCI distribution 1.1): manifests and layers are streamed, nothing is stored.

Credentials come from Docker's ``config.json`` (``auths``) and are sent to the registry they stand for, and to the token service that this
registry names; a redirect to another host (as registries do for blobs) carries none.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec
from msgspec import Struct

from phalanx.artifacts.limits import MAX_TEXT_FILE
from phalanx.artifacts.sources.image import Image, ImageFiles, image_of_manifest
from phalanx.errors import AuthenticationError, CorruptError, NotFoundError, UnavailableError, UsageError

__all__ = ["Reference", "open_registry_image", "parse_reference"]

_ACCEPT: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_TIMEOUT_S: Final = 60
_NAME: Final = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64}")


class Reference(Struct, frozen=True, kw_only=True):
    """The parts of an image's name."""

    host: str
    repository: str
    tag: str
    """Tag, or ``sha256:…``."""


def parse_reference(text: str) -> Reference:
    """``[host[:port]/]repository[:tag][@sha256:…]``; UsageError when it is none. A name without a host has no meaning here: say which registry."""
    name, _, digest = text.partition("@")
    host, slash, rest = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        raise UsageError(f"{text!r} names no registry", hint="write HOST/REPOSITORY:TAG, or the path of an image")
    repository, colon, tag = rest.rpartition(":")
    if not colon:
        repository, tag = rest, "latest"
    tag = digest or tag
    if (
        not _NAME.fullmatch(repository)
        or not _TAG.fullmatch(tag)
        or not re.fullmatch(r"[A-Za-z0-9.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?", host)
    ):
        raise UsageError(f"{text!r} is not the name of an image", hint="HOST/REPOSITORY:TAG")
    return Reference(host=host, repository=repository, tag=tag)


class _NoCredentialsElsewhere(urllib.request.HTTPRedirectHandler):
    """Follows redirects without the Authorization header when the host changes."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and made.host != req.host:
            made.remove_header("Authorization")
        return made


class _Registry(ImageFiles):
    """The blobs of one repository, under the names they have in an OCI layout."""

    def __init__(self, reference: Reference, *, plain_http: bool) -> None:
        self.path = Path(f"{reference.host}/{reference.repository}")
        self._reference = reference
        self._base = f"{'http' if plain_http else 'https'}://{reference.host}/v2/{reference.repository}"
        self._opener = urllib.request.build_opener(_NoCredentialsElsewhere)
        self._authorization = ""

    def _get(self, path: str, accept: str = "*/*") -> Any:
        for attempt in range(2):
            request = urllib.request.Request(  # noqa: S310 — http(s) is made here
                f"{self._base}/{path}", headers={"Accept": accept, "User-Agent": "phalanx"}
            )
            if self._authorization:
                request.add_header("Authorization", self._authorization)
            try:
                return self._opener.open(request, timeout=_TIMEOUT_S)
            except urllib.error.HTTPError as error:
                if error.code == 401 and attempt == 0:
                    self._authenticate(error.headers.get("WWW-Authenticate", ""))
                    continue
                if error.code in (401, 403):
                    raise AuthenticationError(
                        f"{self._reference.host} does not let us read {self._reference.repository}", hint="docker login"
                    ) from error
                if error.code == 404:
                    raise NotFoundError(
                        f"no {self._reference.repository}:{self._reference.tag} at {self._reference.host}"
                    ) from error
                raise UnavailableError(f"{self._reference.host} answered {error.code}") from error
            except (OSError, http.client.HTTPException) as error:
                raise UnavailableError(
                    f"{self._reference.host} does not answer: {getattr(error, 'reason', error)}"
                ) from error
        raise AuthenticationError(f"{self._reference.host} does not accept the credentials")

    def _authenticate(self, challenge: str) -> None:
        """Answer a challenge: Basic with what ``docker login`` stored, Bearer with a token from the service that the registry names."""
        stored = _stored_credentials(self._reference.host)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and stored:
            self._authorization = f"Basic {stored}"
            return
        fields = dict(re.findall(r"(\w+)=\"([^\"]*)\"", rest))
        realm = fields.get("realm", "")
        local = self._base.startswith("http://")
        if kind.lower() != "bearer" or not realm.startswith(("https://", "http://") if local else "https://"):
            raise AuthenticationError(f"{self._reference.host} asks for credentials", hint="docker login")
        scope = fields.get("scope") or f"repository:{self._reference.repository}:pull"
        query = urllib.parse.urlencode({"service": fields.get("service", ""), "scope": scope})
        request = urllib.request.Request(f"{realm}?{query}", headers={"User-Agent": "phalanx"})  # noqa: S310 — the scheme is checked above
        if stored:
            request.add_header("Authorization", f"Basic {stored}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                made = msgspec.json.decode(response.read(1 << 20))
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise AuthenticationError(
                f"{self._reference.host}: no token: {error}"[:300], hint="docker login"
            ) from error
        token = made.get("token") or made.get("access_token") if isinstance(made, dict) else None
        if not isinstance(token, str):
            raise AuthenticationError(f"{self._reference.host}: the token service sent no token")
        self._authorization = f"Bearer {token}"

    def has(self, name: str) -> bool:
        """Whether it is a blob; a registry has nothing else."""
        return name.startswith("blobs/")

    def open(self, name: str) -> tuple[BinaryIO, int]:
        """A blob as a stream, and its size."""
        response = self._get(f"blobs/{name.removeprefix('blobs/').replace('/', ':')}")
        size = response.headers.get("Content-Length", "0")
        return cast(BinaryIO, response), int(size) if size.isdigit() else 0

    def json(self, name: str, digest: str = "") -> Any:
        """A blob as JSON, checked against ``digest``."""
        return super().json(name, digest)

    def manifest(self, reference: str) -> tuple[Any, str]:
        """The manifest under a tag or digest, and its digest; checked when it was asked for by digest."""
        with self._get(f"manifests/{reference}", _ACCEPT) as response:
            raw = response.read(MAX_TEXT_FILE + 1)
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        if reference.startswith("sha256:") and reference != digest:
            raise CorruptError(f"{self._reference.host} sent something else than {reference[:19]}")
        try:
            return msgspec.json.decode(raw), digest
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise CorruptError(f"{self._reference.host} sent a manifest that is not JSON") from error


def _stored_credentials(host: str) -> str:
    """What ``docker login`` stored for ``host``, in base64; empty when nothing is. Credential helpers are not run."""
    place = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")) / "config.json"
    try:
        auths = json.loads(place.read_text(encoding="utf-8")).get("auths", {})
        entry = auths.get(host) or auths.get(f"https://{host}") or {}
        stored = str(entry.get("auth", ""))
        base64.b64decode(stored, validate=True)
    except (OSError, ValueError, AttributeError):
        return ""
    return stored


def open_registry_image(text: str, *, plain_http: bool = False) -> Image:
    """The image that ``text`` names.

    Args:
        text: ``HOST/REPOSITORY:TAG`` or with ``@sha256:…``.
        plain_http: speak HTTP; for a registry on this machine or in tests.

    Raises:
        UsageError, NotFoundError, AuthenticationError, UnavailableError, CorruptError.
    """
    reference = parse_reference(text)
    registry = _Registry(reference, plain_http=plain_http)
    manifest, digest = registry.manifest(reference.tag)
    return image_of_manifest(registry, manifest, digest, (reference.tag,), lambda wanted: registry.manifest(wanted)[0])
