"""A working day on a machine raises nothing at warning or above: packages, builds, git, ssh, an editor, containers, a web server under load.

Everything is done for real, in a scratch directory. What this process did not start is not judged: others may work on the machine.
"""

from __future__ import annotations

# ruff: noqa: E501, ISC004 — shell commands as a person types them
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from harness import Watch, watching

from phalanx.model.detection import Detection
from phalanx.sensors.kernel import doctor

QUIET = {"NOTICE", "INFORMATIONAL", "INFO", "DEBUG"}
PYTHON = sys.executable
WORK: dict[str, tuple[tuple[str, ...], str]] = {
    "packages": (
        ("apt-get",),
        "apt-get update -qq && apt-get install -y -qq --reinstall --no-install-recommends hostname && dpkg -l > packages.txt && apt-cache search zlib > found.txt",
    ),
    "python": (
        (),
        f"{PYTHON} -m venv env && env/bin/pip install -q six && env/bin/python -c 'import six, json, sqlite3; print(six.__version__)' && env/bin/python -m compileall -q env/lib",
    ),
    "node": (
        ("npm", "node"),
        "npm init -y > /dev/null && npm install --no-audit --no-fund is-number > /dev/null && node -e 'require(\"is-number\")(5)'",
    ),
    "git": (
        ("git",),
        "git init -q repo && cd repo && git config user.email a@b && git config user.name a && for i in 1 2 3; do echo $i >> f && git add f && git commit -qm c$i; done"
        " && git log -p > /dev/null && cd .. && git clone -q repo copy && cd copy && git checkout -qb x && git rebase -q HEAD~1 && git gc -q && git grep -n 1",
    ),
    "compiler": (
        ("gcc", "make"),
        "printf 'int main(void){return 0;}' > a.c && printf 'a: a.c\\n\\tgcc -o a a.c\\n' > Makefile && make -s && ./a && strip a && ./a",
    ),
    "ssh keys": (
        ("ssh-keygen",),
        "ssh-keygen -q -t ed25519 -N '' -f key && ssh-keygen -l -f key.pub && ssh-keygen -y -f key > again.pub",
    ),
    "editor": (
        ("vim", "vi"),
        "printf 'a\\nb\\n' > notes.txt && vi -es -u NONE -c '%s/a/c/' -c 'wq' notes.txt < /dev/null && grep -q c notes.txt",
    ),
    "text and files": (
        (),
        "find /etc -name '*.conf' 2> /dev/null | head -50 | xargs wc -l > lines.txt; grep -rn localhost /etc/hosts; tar czf etc.tgz -C /etc hosts passwd hostname && tar tzf etc.tgz"
        " && sort lines.txt | uniq -c | awk '{print $1}' | sed 's/1/2/' > out.txt; du -sh . ; df -h; cp -r /usr/share/doc/bash docs 2> /dev/null; rm -rf docs",
    ),
    "a look around": (
        (),
        "ps aux > p.txt; uptime; free; id; who; env | sort > e.txt; ls -la / /tmp /root > l.txt; cat /etc/os-release /proc/cpuinfo /proc/meminfo > i.txt; ss -lnt > s.txt; mount > m.txt; dmesg > d.txt 2>&1; true",
    ),
    "house keeping": (
        ("logrotate",),
        "printf 'x' > a.log && printf '%s/a.log {\\n rotate 2\\n size 0\\n}\\n' $PWD > r.conf && chmod 644 r.conf && logrotate -s state r.conf; run-parts --test /etc/cron.daily; true",
    ),
    "container build": (
        ("buildah",),
        "export STORAGE_DRIVER=vfs; c=$(buildah --root $PWD/s --runroot $PWD/r from scratch) && cp /bin/true tool && buildah --root $PWD/s --runroot $PWD/r copy -q $c tool /tool"
        " && buildah --root $PWD/s --runroot $PWD/r config --entrypoint '[\"/tool\"]' $c && buildah --root $PWD/s --runroot $PWD/r commit -q $c work:1 && buildah --root $PWD/s --runroot $PWD/r rm $c",
    ),
    "web server": (
        ("curl",),
        f"echo hello > index.html; {PYTHON} -m http.server --bind 127.0.0.1 47811 > web.log 2>&1 & server=$!; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; curl -s http://127.0.0.1:47811/ > /dev/null && break; done;"
        " for i in $(seq 60); do curl -s http://127.0.0.1:47811/ > /dev/null; done; kill $server",
    ),
}
pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_kernel,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(check.required and not check.ok for check in doctor.checks()), reason="the kernel sensor cannot run here"
    ),
]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with watching() as watch:
        yield watch


def loud(detections: list[Detection], root: int) -> list[str]:
    """Detections at warning or above by ``root`` or what it started."""
    return [
        f"{hit.rule}: {hit.output}"
        for hit in detections
        if hit.priority.upper() not in QUIET and root in {process.pid for process in hit.lineage}
    ]


def work(watch: Watch, tmp_path: Path, name: str) -> list[str]:
    tools, commands = WORK[name]
    missing = [tool for tool in tools if which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    watch.settle()
    before = len(watch.detections)
    process = subprocess.Popen(
        ["bash", "-c", commands],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err.decode(errors="replace")[-1500:]
    time.sleep(0.05)
    watch.settle()
    return loud(watch.detections[before:], process.pid)


@pytest.mark.parametrize("name", WORK)
def test_ordinary_work_raises_nothing_at_warning_or_above(watch: Watch, tmp_path: Path, name: str) -> None:
    assert work(watch, tmp_path, name) == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_fifteen_minutes_of_it_raise_nothing(watch: Watch, tmp_path: Path) -> None:
    raised: list[str] = []
    end = time.monotonic() + 15 * 60
    turn = 0
    while time.monotonic() < end:
        for name, (tools, _) in WORK.items():
            if any(which(tool) is None for tool in tools):
                continue
            place = tmp_path / f"{turn}-{name.replace(' ', '-')}"
            place.mkdir()
            raised += work(watch, place, name)
        turn += 1
    assert raised == []
