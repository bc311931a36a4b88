"""Container images as files: OCI layout (directory or tar) and docker-archive. Layers are opened as streams, digests are checked."""

from __future__ import annotations

import hashlib
import io
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from phalanx.artifacts.limits import MAX_TEXT_FILE
from phalanx.artifacts.sources.tar import normal_path
from phalanx.errors import CorruptError, NotFoundError, UsageError

__all__ = ["Blob", "Image", "ImageFiles", "image_of_manifest", "open_image"]

_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MACHINES: Final = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


class ImageFiles:
    """The files of an image, by name: a directory, or a tar that is indexed once and read in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: dict[str, tuple[int, int]] | None = None
        if not path.is_dir():
            import tarfile

            try:
                with tarfile.open(path, "r:") as archive:
                    self._index = {}
                    links: dict[str, str] = {}
                    for member in archive:
                        name = normal_path(member.name)
                        if name and member.isreg():
                            self._index[name] = (member.offset_data, member.size)
                        elif name and (member.islnk() or member.issym()):  # docker save links equal layers
                            target = (
                                member.linkname
                                if member.islnk()
                                else os.path.join(os.path.dirname(name), member.linkname)
                            )
                            links[name] = os.path.normpath(target)
                    for name, target in links.items():
                        if target in self._index:
                            self._index[name] = self._index[target]
            except (tarfile.TarError, OSError, ValueError) as error:
                raise CorruptError(
                    f"{path} is not a tar archive of an image: {error}", hint="OCI layout or docker-archive"
                ) from error

    def has(self, name: str) -> bool:
        """Whether there is a file ``name``."""
        return name in self._index if self._index is not None else (self.path / name).is_file()

    def open(self, name: str) -> tuple[BinaryIO, int]:
        """The file ``name`` and its size; CorruptError when it is not there."""
        if self._index is None:
            if normal_path(name) != name:
                raise CorruptError(f"image: a name climbs out: {name[:100]}")
            try:
                stream = (self.path / name).open("rb")
            except OSError as error:
                raise CorruptError(f"image: {name} is not there") from error
            return cast(BinaryIO, stream), os.fstat(stream.fileno()).st_size
        place = self._index.get(name)
        if place is None:
            raise CorruptError(f"image: {name} is not there")
        return cast(BinaryIO, io.BufferedReader(_Slice(self.path, *place), 256 << 10)), place[1]

    def json(self, name: str, digest: str = "") -> Any:
        """The JSON of file ``name``; checked against ``digest`` when one is given."""
        stream, size = self.open(name)
        with stream:
            if size > MAX_TEXT_FILE:
                raise CorruptError(f"image: {name} is larger than {MAX_TEXT_FILE >> 20} MiB")
            raw = stream.read()
        if digest and digest != "sha256:" + hashlib.sha256(raw).hexdigest():
            raise CorruptError(f"image: {name} is not what its digest says")
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise CorruptError(f"image: {name} is not JSON") from error


class _Slice(io.RawIOBase):
    """A part of a file."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(start)
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view) if len(view) else 0
        self._left -= count or 0
        return count or 0

    def close(self) -> None:
        self._file.close()
        super().close()


class _Checked(io.RawIOBase):
    """Reads through and hashes; at the end the digest must be the expected one."""

    def __init__(self, source: BinaryIO, digest: str) -> None:
        self._source = source
        self._digest = digest
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        if not data:
            if self._digest != "sha256:" + self._hash.hexdigest():
                raise CorruptError(f"layer {self._digest[:19]} is not what its digest says")
            return 0
        self._hash.update(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


class Blob:
    """One layer as it is stored."""

    def __init__(self, files: ImageFiles, name: str, digest: str, diff_id: str, *, checked: bool) -> None:
        self._files = files
        self._name = name
        self.digest = digest
        self.diff_id = diff_id
        """Digest of the unpacked layer; the key under which what it holds is kept."""
        self._checked = checked

    def open(self) -> tuple[BinaryIO, int]:
        """The stored bytes and how many they are; reading to the end checks the digest where one is known for these bytes."""
        stream, size = self._files.open(self._name)
        if not self._checked:
            return stream, size
        return cast(BinaryIO, io.BufferedReader(_Checked(stream, self.digest), 256 << 10)), size


class Image:
    """An image: its configuration and its layers, lowest first."""

    def __init__(self, *, digest: str, config: dict[str, Any], layers: list[Blob], names: tuple[str, ...]) -> None:
        self.digest = digest
        self.config = config
        self.layers = layers
        self.names = names


def open_image(path: Path, reference: str = "") -> Image:
    """The image in ``path``: an OCI layout (directory or tar) or what ``docker save`` writes.

    Args:
        path: the directory or file.
        reference: tag or digest when there are several; empty: the first that fits this machine.

    Raises:
        NotFoundError: there is no such path or reference.
        CorruptError: it is not an image, or its parts do not fit together.
    """
    if not path.exists():
        raise NotFoundError(f"no image at {path}")
    files = ImageFiles(path)
    if files.has("index.json"):
        return _oci(files, reference)
    if files.has("manifest.json"):
        return _docker(files, reference)
    raise UsageError(
        f"{path} is neither an OCI layout nor a docker-archive", hint="expected index.json or manifest.json in it"
    )


def _blob_name(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm not in ("sha256", "sha512") or not value.isalnum():
        raise CorruptError(f"image: a digest is malformed: {digest[:80]}")
    return f"blobs/{algorithm}/{value}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _oci(files: ImageFiles, reference: str) -> Image:
    index = files.json("index.json")
    manifests = _dicts(index.get("manifests")) if isinstance(index, dict) else []
    chosen: dict[str, Any] | None = None
    names: list[str] = []
    for item in manifests:
        tag = _text((item.get("annotations") or {}).get("org.opencontainers.image.ref.name"))
        if tag:
            names.append(tag)
        if chosen is None and reference in ("", tag, _text(item.get("digest"))):
            chosen = item
    if chosen is None:
        raise NotFoundError(
            f"no image {reference!r} in {files.path}", hint=f"there: {', '.join(names) or 'images without a name'}"
        )
    digest = _text(chosen.get("digest"))

    def read(wanted: str) -> Any:
        return files.json(_blob_name(wanted), wanted if wanted.startswith("sha256:") else "")

    return image_of_manifest(files, read(digest), digest, tuple(names), read)


def image_of_manifest(
    files: ImageFiles, manifest: Any, digest: str, names: tuple[str, ...], read: Callable[[str], Any]
) -> Image:
    """The image of a manifest, or of the one in an index that fits this machine.

    Args:
        files: where blobs are.
        manifest: as JSON.
        digest: of it.
        names: tags.
        read: gives the manifest of a digest.
    """
    for _ in range(4):  # an index may name indexes
        if not isinstance(manifest, dict) or not ("manifests" in manifest or manifest.get("mediaType") in _INDEXES):
            break
        digest = _text(_platform(_dicts(manifest.get("manifests"))).get("digest"))
        _blob_name(digest)
        manifest = read(digest)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
        raise CorruptError("image: the manifest names no configuration")
    config_digest = _text(manifest["config"].get("digest"))
    config = files.json(_blob_name(config_digest), config_digest if config_digest.startswith("sha256:") else "")
    config = config if isinstance(config, dict) else {}
    diff_ids = _diff_ids(config)
    layers = []
    for place, item in enumerate(_dicts(manifest.get("layers"))):
        layer = _text(item.get("digest"))
        diff_id = diff_ids[place] if place < len(diff_ids) else layer
        layers.append(Blob(files, _blob_name(layer), layer, diff_id, checked=layer.startswith("sha256:")))
    return Image(digest=digest, config=config, layers=layers, names=names)


def _platform(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    real = [one for one in manifests if _text((one.get("platform") or {}).get("os")) != "unknown"]
    for one in real:
        if _text((one.get("platform") or {}).get("architecture")) == machine:
            return one
    if not real:
        raise CorruptError("image: an index without images")
    return real[0]


def _diff_ids(config: dict[str, Any]) -> list[str]:
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _docker(files: ImageFiles, reference: str) -> Image:
    manifests = _dicts(files.json("manifest.json"))
    chosen = next((one for one in manifests if reference in ("", *(one.get("RepoTags") or ()))), None)
    if chosen is None:
        raise NotFoundError(f"no image {reference!r} in {files.path}")
    name = _text(chosen.get("Config"))
    config = files.json(name)
    config = config if isinstance(config, dict) else {}
    stream, _ = files.open(name)
    with stream:
        digest = "sha256:" + hashlib.sha256(stream.read()).hexdigest()
    diff_ids = _diff_ids(config)
    layers = []
    for place, layer in enumerate(one for one in chosen.get("Layers") or () if isinstance(one, str)):
        diff_id = diff_ids[place] if place < len(diff_ids) else f"sha256:{layer}"
        layers.append(Blob(files, layer, diff_id, diff_id, checked=False))
    return Image(digest=digest, config=config, layers=layers, names=tuple(chosen.get("RepoTags") or ()))
