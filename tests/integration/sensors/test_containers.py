"""A real container by runc: its processes carry its id, its metadata comes from what the runtime keeps."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phalanx.model.container import Container
from phalanx.model.event import Event, Exec
from phalanx.model.ids import AgentId
from phalanx.model.values import UNKNOWN
from phalanx.sensors.containers import ContainerDirectory
from phalanx.sensors.kernel import KernelSensor

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_kernel, pytest.mark.needs_container]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """An OCI bundle whose root file system is busybox on an overlay."""
    if shutil.which("runc") is None or not Path("/bin/busybox").exists():
        pytest.skip("needs runc and a static busybox: apt-get install runc busybox-static")
    lower, upper, work, root = (tmp_path / name for name in ("lower", "upper", "work", "rootfs"))
    for directory in (lower / "bin", lower / "etc", lower / "proc", lower / "tmp", upper, work, root):
        directory.mkdir(parents=True)
    shutil.copy("/bin/busybox", lower / "bin/busybox")
    for name in ("sh", "cp", "id", "mkdir", "sleep"):
        (lower / "bin" / name).symlink_to("busybox")
    (lower / "etc/passwd").write_text("app:x:1234:1234:App:/home/app:/bin/sh\n")
    (lower / "etc/group").write_text("apps:x:1234:\n")
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", str(root)],
        check=True,
    )
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["user"] = {"uid": 1234, "gid": 1234}
    config["root"] = {"path": "rootfs", "readonly": False}
    config["annotations"] = {
        "io.kubernetes.cri.image-name": "example.org/team/app:7",
        "io.kubernetes.cri.sandbox-name": "pod-1",
    }
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.fixture(autouse=True)
def _unmount(tmp_path: Path) -> Iterator[None]:
    yield
    subprocess.run(["umount", "-q", str(tmp_path / "rootfs")], check=False)


def run(bundle: Path, id: str, *argv: str, user: int = 1234) -> subprocess.Popen[bytes]:
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"] = list(argv)
    config["process"]["user"] = {"uid": user, "gid": user}
    (bundle / "config.json").write_text(json.dumps(config))
    return subprocess.Popen(["runc", "run", id], cwd=bundle, stdout=subprocess.DEVNULL)


def collect(sensor: KernelSensor, done, seconds: float = 20.0) -> list[Event]:
    seen: list[Event] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen += sensor.poll(0.02).candidates
        if done(seen):
            return seen
    raise AssertionError(
        f"not seen: {[(e.type, e.process and (e.process.cmdline, e.process.container_id)) for e in seen]}"
    )


@pytest.mark.parametrize("form", ["hexadecimal", "by hand"])
def test_processes_carry_the_container_its_users_and_whether_the_program_is_in_the_image(
    bundle: Path, form: str
) -> None:
    id = secrets.token_hex(32) if form == "hexadecimal" else f"box-{secrets.token_hex(4)}"
    directory = ContainerDirectory()
    directory.start()
    try:
        with KernelSensor(agent=AgentId("00112233445566aa"), host="test", container=directory.lookup) as sensor:
            running = run(
                bundle, id, "/bin/sh", "-c", "mkdir /x; cp /bin/busybox /x/sleep; /x/sleep 1.5; /bin/id", user=0
            )
            seen = collect(
                sensor,
                lambda all: any(isinstance(e, Exec) and e.process.name == "id" for e in all),
            )
            running.wait()
            inside = [e for e in seen if isinstance(e, Exec) and e.process.container_id == id[:12]]
            first = next(e for e in inside if e.process.name == "sh")
            dropped = next(e for e in inside if e.process.exepath == "/x/sleep")
            last = next(e for e in inside if e.process.name == "id")
            assert first.process.exe_upper is False
            assert dropped.process.exe_upper is True, "what was copied into the container is not in its image"
            assert first.process.vpid == 1
            assert first.process.pid != 1
            assert first.process.cgroup.rpartition("/")[2] == id
            assert first.process.user == "<NA>", "uid 0 has no line in this container's passwd"
            assert first.container is UNKNOWN or isinstance(first.container, Container)
            assert isinstance(last.container, Container), "the runtime has told by now"
            assert last.container.full_id == id
            assert last.container.runtime == "runc"
            assert last.container.image_repository == "example.org/team/app"
            assert last.container.image_tag == "7"
            assert last.container.pod is not None
            assert last.container.since_ns <= first.ts_ns, "what the runtime tells holds for its first events, too"
            outside = [e for e in seen if e.process and e.process.name == "runc" and e.process.vpid == e.process.pid]
            assert outside
            assert {e.process.container_id for e in outside if e.process.cgroup == "/"} <= {"host"}
    finally:
        directory.close()


def test_names_come_from_the_containers_own_passwd(bundle: Path) -> None:
    id = secrets.token_hex(32)
    with KernelSensor(agent=AgentId("00112233445566aa"), host="test") as sensor:
        running = run(bundle, id, "/bin/sh", "-c", "/bin/sleep 2")
        seen = collect(
            sensor,
            lambda all: any(
                isinstance(e, Exec) and e.process.name == "sleep" and e.process.container_id == id[:12] for e in all
            ),
        )
        running.wait()
        process = next(e.process for e in seen if isinstance(e, Exec) and e.process.name == "sleep")
        assert (process.uid, process.user, process.group, process.homedir, process.shell) == (
            1234,
            "app",
            "apps",
            "/home/app",
            "/bin/sh",
        )
