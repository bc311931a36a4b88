"""What is wrong with how an image is made: its configuration and history, Dockerfiles, Compose files, file modes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from phalanx.artifacts.model import Issue, OsRelease
from phalanx.artifacts.secrets import find_secrets
from phalanx.artifacts.sources.entry import Entry
from phalanx.model.severity import Severity

__all__ = [
    "END_OF_LIFE",
    "check_compose",
    "check_dockerfile",
    "check_image_config",
    "check_os",
    "inspect_configuration",
]

_SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|_)(?:password|passwd|secret|token|api_?key|access_?key|private_?key|credentials?)$"
)
_SHELL_FETCH: Final = re.compile(r"(?:curl|wget)\s[^|;&]{0,300}\|\s*(?:sudo\s+)?(?:ba|da|z|a)?sh\b")
_SETUID_USUAL: Final = frozenset(
    {
        "chfn", "chsh", "gpasswd", "mount", "newgrp", "passwd", "su", "umount", "chage", "expiry", "wall", "unix_chkpwd", "ssh-agent", "crontab", "sudo",
        "pkexec", "fusermount", "fusermount3", "ssh-keysign", "dbus-daemon-launch-helper", "bbsuid", "newuidmap", "newgidmap", "write", "pam_timestamp_check",
    }
)  # fmt: skip

END_OF_LIFE: Final = {
    # (id, release) → end of the free security support, from the distributions' own release pages.
    ("debian", "8"): "2020-06-30", ("debian", "9"): "2022-06-30", ("debian", "10"): "2024-06-30", ("debian", "11"): "2026-08-31",
    ("debian", "12"): "2028-06-30", ("debian", "13"): "2030-06-30",
    ("ubuntu", "14.04"): "2019-04-30", ("ubuntu", "16.04"): "2021-04-30", ("ubuntu", "18.04"): "2023-05-31", ("ubuntu", "20.04"): "2025-05-31",
    ("ubuntu", "22.04"): "2027-04-30", ("ubuntu", "24.04"): "2029-04-30",
    ("alpine", "3.15"): "2023-11-01", ("alpine", "3.16"): "2024-05-23", ("alpine", "3.17"): "2024-11-22", ("alpine", "3.18"): "2025-05-09",
    ("alpine", "3.19"): "2025-11-01", ("alpine", "3.20"): "2026-04-01", ("alpine", "3.21"): "2026-11-01", ("alpine", "3.22"): "2027-05-01",
    ("centos", "6"): "2020-11-30", ("centos", "7"): "2024-06-30", ("centos", "8"): "2021-12-31", ("rhel", "6"): "2020-11-30", ("rhel", "7"): "2024-06-30",
    ("rhel", "8"): "2029-05-31", ("rhel", "9"): "2032-05-31", ("rocky", "8"): "2029-05-31", ("rocky", "9"): "2032-05-31",
    ("amzn", "1"): "2023-12-31", ("amzn", "2"): "2026-06-30", ("amzn", "2023"): "2029-06-30",
}  # fmt: skip


def _issue(
    rule: str, title: str, severity: Severity, path: str, text: str = "", *, line: int = 0, advice: str = ""
) -> Issue:
    return Issue(
        kind="misconfiguration",
        rule=rule,
        title=title,
        severity=severity,
        path=path,
        text=text[:300],
        line=line,
        advice=advice,
    )


def check_os(release: OsRelease | None, today: str) -> Iterator[Issue]:
    """A base whose security support is over: nothing in it will be fixed, and advisories stop speaking of it."""
    if release is None:
        return
    parts = release.version_id.split(".")
    version = (
        release.version_id if release.id == "ubuntu" else ".".join(parts[:2]) if release.id == "alpine" else parts[0]
    )
    end = END_OF_LIFE.get((release.id, version))
    if end is not None and end < today:
        yield _issue(
            "image-end-of-life", f"{release.name}: security support ended on {end}", Severity.HIGH, "etc/os-release", f"{release.id} {version}",
            advice="Move to a supported release; findings of this one are incomplete.",
        )  # fmt: skip


def check_image_config(config: dict[str, Any]) -> Iterator[Issue]:
    """The configuration and the history of an image. Values of variables are never shown, only their names."""
    inner = config.get("config")
    inner = inner if isinstance(inner, dict) else {}
    user = str(inner.get("User") or "")
    if user.partition(":")[0] in ("", "0", "root"):
        yield _issue(
            "image-root-user", "The image runs as root", Severity.MEDIUM, "(image config)", f"User: {user or 'not set'}",
            advice="End the build with USER and a numeric id over 0.",
        )  # fmt: skip
    for variable in inner.get("Env") or ():
        name, _, value = str(variable).partition("=")
        if value and _SECRET_NAME.search(name) and not value.startswith(("/", "$")):
            yield _issue(
                "image-secret-in-env", "A secret stands in the environment of the image", Severity.HIGH, "(image config)", f"Env: {name}",
                advice="Hand secrets over at run time; whoever pulls the image reads this.",
            )  # fmt: skip
        yield from find_secrets("(image config)", str(variable)[:8192].encode("utf-8", "replace"))
    ports = inner.get("ExposedPorts")
    if isinstance(ports, dict) and any(str(port).partition("/")[0] == "22" for port in ports):
        yield _issue(
            "image-ssh-port",
            "The image offers SSH",
            Severity.LOW,
            "(image config)",
            "ExposedPorts: 22",
            advice="Use the runtime's exec instead.",
        )
    if not inner.get("Healthcheck"):
        yield _issue(
            "image-no-healthcheck",
            "No health check",
            Severity.INFO,
            "(image config)",
            advice="HEALTHCHECK, or the orchestrator's probes.",
        )
    for place, step in enumerate(one for one in config.get("history") or () if isinstance(one, dict)):
        command = str(step.get("created_by") or "")[:20_000]
        where = f"(image history {place + 1})"
        if re.search(r"\bADD\s+(?:--\S+\s+)*https?://", command):
            yield _issue(
                "image-remote-add",
                "ADD of a remote file",
                Severity.MEDIUM,
                where,
                command[:200],
                advice="Fetch with a checksum, or ADD --checksum.",
            )
        if _SHELL_FETCH.search(command):
            yield _issue(
                "image-pipe-to-shell",
                "A download is piped into a shell",
                Severity.MEDIUM,
                where,
                command[:200],
                advice="Pin and check what is run.",
            )
        yield from find_secrets(where, command.encode("utf-8", "replace"))


def inspect_configuration(entry: Entry, content: Callable[[], bytes]) -> Iterator[Issue]:
    """File modes, Dockerfiles and Compose files."""
    path = entry.path
    name = path.rpartition("/")[2]
    if entry.setuid and entry.executable and name not in _SETUID_USUAL:
        yield _issue(
            "file-setuid",
            "Program runs with its owner's rights (setuid or setgid)",
            Severity.MEDIUM,
            path,
            advice="chmod a-s, if nothing needs it.",
        )
    if entry.world_writable and (entry.executable or path.startswith("etc/")):
        yield _issue(
            "file-world-writable",
            "Everybody may change this program or configuration",
            Severity.HIGH,
            path,
            advice="chmod o-w",
        )
    if entry.size > 1 << 20:
        return
    if name in ("Dockerfile", "Containerfile") or name.startswith("Dockerfile.") or name.endswith(".dockerfile"):
        yield from check_dockerfile(path, content().decode("utf-8", "replace"))
    elif re.fullmatch(r"(?:docker-)?compose(?:[.-][\w.-]*)?\.ya?ml", name):
        yield from check_compose(path, content())


def check_dockerfile(path: str, text: str) -> Iterator[Issue]:
    """A Dockerfile; the last stage decides which user runs."""
    user, from_line, stages = "", 0, set[str]()
    for line, instruction, rest in _instructions(text):
        if instruction == "FROM":
            user, from_line = "", line
            words = [word for word in rest.split() if not word.startswith("--")]
            image = words[0] if words else ""
            if image and image.lower() not in stages and image != "scratch" and "$" not in image and "@" not in image:
                tag = image.rpartition("/")[2].partition(":")[2]
                if tag in ("", "latest"):
                    yield _issue("dockerfile-latest", "The base is not pinned: it changes without notice", Severity.MEDIUM, path, image, line=line,
                                 advice="Name a version, best with its digest.")  # fmt: skip
            if len(words) >= 3 and words[1].upper() == "AS":
                stages.add(words[2].lower())
        elif instruction == "USER":
            user = rest.split(":")[0].strip()
        elif instruction == "ADD" and re.search(r"https?://", rest) and "--checksum" not in rest:
            yield _issue(
                "dockerfile-remote-add",
                "ADD of a remote file without a checksum",
                Severity.MEDIUM,
                path,
                rest,
                line=line,
                advice="ADD --checksum=sha256:…",
            )
        elif instruction in ("ENV", "ARG"):
            for name, value in re.findall(r"([A-Za-z_][A-Za-z0-9_]*)(?:=|\s+)(\"[^\"]*\"|\S+)", rest)[:50]:
                if _SECRET_NAME.search(name) and value.strip("\"'") and not value.startswith("$"):
                    yield _issue("dockerfile-secret", f"{instruction} holds a secret that stays in the image", Severity.HIGH, path, name, line=line,
                                 advice="RUN --mount=type=secret")  # fmt: skip
        elif instruction == "RUN":
            if _SHELL_FETCH.search(rest):
                yield _issue(
                    "dockerfile-pipe-to-shell",
                    "A download is piped into a shell",
                    Severity.MEDIUM,
                    path,
                    rest,
                    line=line,
                    advice="Pin and check what is run.",
                )
            if re.search(r"\bchmod\s+(?:-R\s+)?(?:0?777|a\+rwx)\b", rest):
                yield _issue(
                    "dockerfile-chmod-777",
                    "chmod 777: everybody may change these files",
                    Severity.MEDIUM,
                    path,
                    rest,
                    line=line,
                )
            if re.search(r"\bsudo\b", rest) and "install" not in rest:
                yield _issue(
                    "dockerfile-sudo", "sudo in a build step", Severity.LOW, path, rest, line=line, advice="Use USER."
                )
    if from_line and user in ("", "root", "0"):
        yield _issue(
            "dockerfile-root-user",
            "The image runs as root",
            Severity.MEDIUM,
            path,
            f"USER {user or 'not set'}",
            line=from_line,
            advice="End with USER and an id over 0.",
        )


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, instruction in capitals, arguments); continued lines are joined, comments dropped."""
    joined, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        first = first or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        word, _, rest = (joined + line).partition(" ")
        yield first, word.upper(), rest.strip()
        joined, first = "", 0
    if joined:
        word, _, rest = joined.partition(" ")
        yield first, word.upper(), rest.strip()


def check_compose(path: str, data: bytes) -> Iterator[Issue]:
    """A Compose file: what opens the host to a container."""
    from phalanx.text.yaml import load_yaml

    try:
        made = load_yaml(data)
    except ValueError:
        return
    services = made.get("services") if isinstance(made, dict) else None
    for name, service in services.items() if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        if service.get("privileged") is True:
            yield _issue(
                "compose-privileged",
                f"Service {name} is privileged: its root is the host's root",
                Severity.HIGH,
                path,
                "privileged: true",
            )
        for key, title in (("network_mode", "network"), ("pid", "processes"), ("ipc", "shared memory")):
            if service.get(key) == "host":
                yield _issue(
                    f"compose-host-{key.partition('_')[0]}",
                    f"Service {name} shares the host's {title}",
                    Severity.MEDIUM,
                    path,
                    f"{key}: host",
                )
        for volume in service.get("volumes") or ():
            source = str(volume.get("source", "")) if isinstance(volume, dict) else str(volume).partition(":")[0]
            if (
                source.rstrip("/")
                in (
                    "/var/run/docker.sock",
                    "/run/docker.sock",
                    "/run/containerd/containerd.sock",
                    "/etc",
                    "/root",
                    "/proc",
                    "/sys",
                )
                or source == "/"
            ):
                yield _issue(
                    "compose-host-path", f"Service {name} mounts {source} of the host", Severity.HIGH, path, source
                )
        environment = service.get("environment")
        pairs = (
            environment.items()
            if isinstance(environment, dict)
            else [str(one).partition("=")[::2] for one in environment or ()]
            if isinstance(environment, list)
            else []
        )
        for variable, value in pairs:
            if _SECRET_NAME.search(str(variable)) and isinstance(value, str) and value and not value.startswith("$"):
                yield _issue(
                    "compose-secret",
                    f"Service {name}: a secret stands in the file",
                    Severity.HIGH,
                    path,
                    str(variable),
                    advice="secrets:, or an env file that is not committed.",
                )
        for capability in service.get("cap_add") or ():
            if str(capability).upper().removeprefix("CAP_") in (
                "SYS_ADMIN",
                "ALL",
                "SYS_MODULE",
                "SYS_PTRACE",
                "DAC_READ_SEARCH",
                "BPF",
                "NET_ADMIN",
            ):
                yield _issue(
                    "compose-capability",
                    f"Service {name} adds {capability}",
                    Severity.HIGH,
                    path,
                    f"cap_add: {json.dumps(str(capability))}",
                )
