"""References of images: ``registry/repository:tag@digest``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["split"]

_DIGEST: Final = re.compile(r"^[A-Za-z0-9_+.-]+:[0-9a-fA-F]{32,}$")


def split(reference: str) -> tuple[str | None, str | None, str | None]:
    """``(repository, tag, digest)`` of an image reference; None for what it does not say.

    The repository keeps its registry, as in Falco's ``container.image.repository``. A bare digest or image id has no repository.
    """
    name, at, digest = reference.partition("@")
    found = digest if at and _DIGEST.match(digest) else None
    if not name or _DIGEST.match(name):
        return None, None, found or (name or None)
    head, slash, last = name.rpartition("/")
    # a colon before the last slash belongs to the registry's port
    last, colon, tag = last.partition(":")
    repository = head + slash + last
    return repository or None, tag if colon and tag else None, found
