"""Fingerprints: the recipes by which a finding that is seen again is known to be the same.

A recipe names the parts that *are* the statement and leaves out what is volatile: pids, times, container and pod ids, line numbers, versions in
paths. It has a version; the version is kept with the fingerprint and a fingerprint is never computed again for a stored finding, so a better
recipe later splits or joins nothing retroactively.

=====================  =====================================================================================
threat/1               rule, workload or host, program that acted
vulnerability/1        advisory, component without its version, asset
misconfiguration/1     check, resource, place in it
weakness/1             rule, file, code around it without spacing
secret/1               detector, digest of the secret, asset (wherever it was copied to in it)
malware/1              signature, digest of the file, asset
anomaly/1              detector, workload, feature
exposure/1             asset, protocol, port, from where
=====================  =====================================================================================
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from phalanx.model.container import Container
from phalanx.model.finding import AssetRef
from phalanx.model.ids import digest
from phalanx.model.process import Process

__all__ = [
    "RECIPES",
    "Fingerprint",
    "anomaly",
    "exposure",
    "malware",
    "misconfiguration",
    "program_of",
    "secret",
    "stable_path",
    "threat",
    "vulnerability",
    "weakness",
    "workload_of",
]


class Fingerprint(NamedTuple):
    """Identity of a finding and the recipe that made it."""

    value: str
    recipe: str


RECIPES: Final = {
    "threat": "threat/1",
    "vulnerability": "vulnerability/1",
    "misconfiguration": "misconfiguration/1",
    "weakness": "weakness/1",
    "secret": "secret/1",
    "malware": "malware/1",
    "anomaly": "anomaly/1",
    "exposure": "exposure/1",
}
"""The recipe in use for each kind of finding."""

_PLACES_OF_CHANCE: Final = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/shm/")  # noqa: S108 — names, not files we write
_NUMBER: Final = re.compile(r"\d+(?:[._-]\d+)*")
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?=[0-9a-f]*\d)[0-9a-f]{8,}(?![0-9A-Za-z])")
_INTERPRETER: Final = re.compile(r"(?:python|perl|ruby|node|nodejs|php|lua|tclsh|(?:ba|da|z|k|tc|c|fi|a)?sh)#?")
# Kubernetes' generated names: ReplicaSet hash (8-10 of its safe alphabet) and pod suffix (5 of it); StatefulSet ordinals; Job suffixes.
_SAFE: Final = "[bcdfghjklmnpqrstvwxz2456789]"
_POD_OF_DEPLOYMENT: Final = re.compile(rf"^(?P<name>.+)-{_SAFE}{{6,10}}-{_SAFE}{{5}}$")
_POD_OF_CONTROLLER: Final = re.compile(rf"^(?P<name>.+)-{_SAFE}{{5}}$")
_POD_OF_SET: Final = re.compile(r"^(?P<name>.+)-\d{1,4}$")
_DISTRIBUTED: Final = re.compile(r"-\d{8,}$")


def stable_path(path: str) -> str:
    """``path`` without what changes from run to run: numbers and hexadecimal ids are ``#``, random names in places like ``/tmp`` are ``*``."""
    if path.startswith(("memfd:", "/memfd:", "/proc/self/fd/")):
        return "memfd"
    path = path.removesuffix(" (deleted)")
    for place in _PLACES_OF_CHANCE:
        if path.startswith(place):
            return f"{place}*"
    return _NUMBER.sub("#", _HEX.sub("#", path))


def program_of(process: Process | None) -> str:
    """Who acted: the executed file, for an interpreter with its script; ``?`` when not known."""
    if process is None:
        return "?"
    if process.exe_memfd:
        return "memfd"
    path = process.exepath or process.name
    if not path:
        return "?"
    program = stable_path(path)
    if _INTERPRETER.fullmatch(program.rpartition("/")[2]):
        script = _script(process.argv)
        if script:
            return f"{program} {stable_path(script)}"
    return program


def _script(argv: tuple[str, ...]) -> str:
    for argument in argv[:8]:
        if argument in ("-c", "-e", "-m", "-") or (
            argument.startswith("-") and argument.endswith("c") and argument[1:2] != "-"
        ):
            return ""
        if not argument.startswith("-"):
            return argument
    return ""


def workload_of(host: str, container_id: str, container: Container | None) -> AssetRef:
    """What a process belongs to: the workload of a pod, the image of a container, or the host.

    A container of which no runtime has told anything is known by its id only.
    """
    if container_id in ("", "host"):
        return AssetRef(kind="host", key=host, name=host)
    if container is not None and container.pod is not None:
        name = pod_owner(container.pod.name)
        return AssetRef(
            kind="workload", key=f"{container.pod.namespace}/{name}", name=f"{container.pod.namespace}/{name}"
        )
    if container is not None and (container.image_repository or container.image):
        image = container.image_repository or _repository(container.image)
        return AssetRef(kind="container", key=f"{host}/{image}", name=container.name or image)
    if container is not None and container.name:
        return AssetRef(kind="container", key=f"{host}/{stable_path(container.name)}", name=container.name)
    return AssetRef(kind="container", key=f"{host}/{container_id}", name=container_id)


def pod_owner(pod: str) -> str:
    """The name that a pod's generated name was made from."""
    for pattern in (_POD_OF_DEPLOYMENT, _POD_OF_CONTROLLER, _POD_OF_SET):
        match = pattern.match(pod)
        if match is not None:
            return _DISTRIBUTED.sub("", match["name"])
    return pod


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def _make(kind: str, *parts: str) -> Fingerprint:
    recipe = RECIPES[kind]
    return Fingerprint(digest(recipe, *parts), recipe)


def threat(rule: str, workload: AssetRef, program: str) -> Fingerprint:
    """A rule fired for what ``program`` did in ``workload``."""
    return _make("threat", rule, workload.kind, workload.key, program)


def vulnerability(advisory: str, purl: str, asset: AssetRef) -> Fingerprint:
    """``asset`` holds a component with a known flaw; the same flaw in another version of it is the same statement."""
    return _make("vulnerability", advisory, re.split(r"[@?#]", purl, maxsplit=1)[0], asset.kind, asset.key)


def misconfiguration(check: str, resource: AssetRef, pointer: str) -> Fingerprint:
    """``resource`` does not pass ``check`` at ``pointer``; places in lists are counted as one, because lists are reordered."""
    return _make("misconfiguration", check, resource.kind, resource.key, re.sub(r"(?<=/)\d+(?=/|$)", "#", pointer))


def weakness(rule: str, path: str, code: str) -> Fingerprint:
    """``code`` in ``path`` is flawed; line numbers and spacing do not count."""
    return _make("weakness", rule, path, "".join(code.split()))


def secret(detector: str, secret_digest: str, asset: AssetRef) -> Fingerprint:
    """``asset`` holds a secret; the digest stands for it, the secret itself never comes here."""
    return _make("secret", detector, secret_digest, asset.kind, asset.key)


def malware(signature: str, sha256: str, asset: AssetRef) -> Fingerprint:
    """``asset`` holds a harmful file, wherever it was moved to."""
    return _make("malware", signature, sha256, asset.kind, asset.key)


def anomaly(detector: str, workload: AssetRef, feature: str) -> Fingerprint:
    """``workload`` departs from its normal in ``feature``."""
    return _make("anomaly", detector, workload.kind, workload.key, feature)


def exposure(asset: AssetRef, protocol: str, port: int, reach: str) -> Fingerprint:
    """``asset`` can be reached at ``port`` from ``reach`` (``internet``, ``cluster`` …)."""
    return _make("exposure", asset.kind, asset.key, protocol, str(port), reach)
