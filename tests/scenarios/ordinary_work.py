"""Ordinary work of a machine, done for real: packages, Python, node, git, a container build, SSH, editors, a web server under load.

``python ordinary_work.py SCRATCH [online] [STEP…]`` does the steps (all when none is named) and prints one line for each: its name and ``done``,
or why it was left out. What it changes lies in overlays whose upper layers are in SCRATCH; the machine stays as it is. ``online`` adds what
needs package registries.
"""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from phalanx.respond.simulate import linux

__all__ = ["STEPS"]


class LeftOut(Exception):
    """A step needs what this machine lacks."""


def run(
    *command: str,
    cwd: Path | None = None,
    text: str = "",
    environment: dict[str, str] | None = None,
    seconds: float = 300,
) -> str:
    """Run a program to its end; its output. RuntimeError with what it said when it failed."""
    if shutil.which(command[0]) is None:
        raise LeftOut(f"{command[0]} is not installed")
    done = subprocess.run(
        command,
        cwd=cwd,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:120]}: exit {done.returncode}: {done.stdout[-600:]}")
    return done.stdout


def package(work: Path, _: bool) -> None:
    """A Debian package as vendors build them: an account, a cron file, a unit, a program, a start-up file, from maintainer scripts."""
    tree = work / "vendor"
    for name, content in {
        "DEBIAN/control": "Package: vendor-agent\nVersion: 1.0\nArchitecture: all\nMaintainer: Vendor <v@vendor.example>\nDescription: agent\n",
        "DEBIAN/postinst": "#!/bin/sh\nset -e\nuseradd --system --no-create-home vendor-agent || true\n"
        "cp /usr/share/vendor/agent.cron /etc/cron.d/vendor-agent-extra\nchmod 4755 /usr/bin/vendor-helper\nsed -i s/a/a/ /etc/profile.d/vendor.sh\n",
        "DEBIAN/postrm": "#!/bin/sh\nrm -f /etc/cron.d/vendor-agent-extra\nuserdel vendor-agent || true\n",
        "etc/cron.d/vendor-agent": "# nothing\n",
        "etc/profile.d/vendor.sh": "VENDOR=a\n",
        "etc/sudoers.d/vendor": "# nothing\n",
        "etc/logrotate.d/vendor": "/var/log/vendor.log { missingok }\n",
        "usr/lib/systemd/system/vendor-agent.service": "[Service]\nExecStart=/usr/bin/vendor-agent\n",
        "usr/share/vendor/agent.cron": "# nothing\n",
        "usr/bin/vendor-agent": "#!/bin/sh\nexit 0\n",
        "usr/bin/vendor-helper": "#!/bin/sh\nexit 0\n",
    }.items():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(0o755 if target.parent.name in ("DEBIAN", "bin") and target.name != "control" else 0o644)
    run("dpkg-deb", "--root-owner-group", "--build", str(tree), str(work / "vendor.deb"))
    wait = ("-o", "DPkg::Lock::Timeout=120", "-o", "APT::Sandbox::User=root")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "install", "-y", *wait, str(work / "vendor.deb"), environment=quiet)
    run("vendor-agent")
    run("apt-get", "purge", "-y", *wait, "vendor-agent", environment=quiet)


def apt_online(_: Path, online: bool) -> None:
    """Install and remove a package of the distribution."""
    if not online:
        raise LeftOut("needs a package registry")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=120")
    run("apt-get", "update", *wait)
    for name in ("hello", "nginx-light", "openssh-server", "cron"):
        run("apt-get", "install", "-y", "--no-install-recommends", *wait, name, environment=quiet)
    run("apt-get", "purge", "-y", *wait, "hello", environment=quiet)


def python_work(work: Path, online: bool) -> None:
    """A virtual environment, a project built and installed into it, its tests run."""
    environment = work / "venv"
    run(sys.executable, "-m", "venv", str(environment))
    project = work / "project"
    (project / "thing").mkdir(parents=True, exist_ok=True)
    (project / "thing" / "__init__.py").write_text("def main() -> None:\n    print('done')\n")
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'thing'\nversion = '1'\n[project.scripts]\nthing = 'thing:main'\n[tool.setuptools]\npackages = ['thing']\n"
    )
    python = str(environment / "bin" / "python")
    if online:
        run(python, "-m", "pip", "install", "-q", "requests", "flask", "cython")
        run(python, "-m", "pip", "install", "-q", "--no-binary", "markupsafe", "--force-reinstall", "markupsafe")
    else:
        run(python, "-c", "import json, ssl, sqlite3; print(json.dumps({'a': 1}))")
        shutil.copy(project / "thing" / "__init__.py", environment / "thing.py")
    run(python, "-m", "pip", "install", "-q", "--no-index", "--no-build-isolation", str(project)) if _has_setuptools(
        python
    ) else None
    run(python, "-m", "compileall", "-q", str(project))


def _has_setuptools(python: str) -> bool:
    return subprocess.run([python, "-c", "import setuptools, wheel"], capture_output=True, check=False).returncode == 0


def node_work(work: Path, online: bool) -> None:
    """A node project: a dependency packed and installed, a script run, a program installed globally."""
    library, project = work / "library", work / "app"
    library.mkdir(exist_ok=True)
    project.mkdir(exist_ok=True)
    (library / "package.json").write_text(
        '{"name": "library", "version": "1.0.0", "bin": {"library": "index.js"}, "scripts": {"postinstall": "node index.js"}}'
    )
    (library / "index.js").write_text(
        "#!/usr/bin/env node\nconsole.log(require('child_process').execSync('id -u').toString())\n"
    )
    (project / "package.json").write_text(
        '{"name": "app", "version": "1.0.0", "scripts": {"test": "node -e \\"require(\'library\')\\""}}'
    )
    run("npm", "pack", "--silent", cwd=library)
    run(
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--offline",
        str(library / "library-1.0.0.tgz"),
        cwd=project,
    )
    run("npm", "test", "--silent", cwd=project)
    run("npm", "install", "--silent", "--no-audit", "--offline", "-g", str(library / "library-1.0.0.tgz"))
    if online:
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "express", "esbuild", cwd=project)


def git_work(work: Path, _: bool) -> None:
    """A repository with hooks, branches, a clone over a local path, a rebase and collection."""
    origin, clone = work / "origin", work / "clone"
    identity = {
        "GIT_AUTHOR_NAME": "Dev",
        "GIT_AUTHOR_EMAIL": "dev@example.org",
        "GIT_COMMITTER_NAME": "Dev",
        "GIT_COMMITTER_EMAIL": "dev@example.org",
    }
    for path in (origin, clone):
        shutil.rmtree(path, ignore_errors=True)
    run("git", "init", "-q", "-b", "main", str(origin))
    hook = origin / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\ngrep -rq TODO . || true\n")
    hook.chmod(0o755)
    for number in range(5):
        (origin / f"file{number}").write_text("text\n" * number)
        run("git", "add", ".", cwd=origin)
        run("git", "commit", "-q", "-m", f"change {number}", cwd=origin, environment=identity)
    run("git", "clone", "-q", str(origin), str(clone))
    run("git", "checkout", "-q", "-b", "work", cwd=clone)
    run("git", "rebase", "-q", "main", cwd=clone, environment=identity)
    run("git", "gc", "-q", cwd=clone)
    run("git", "log", "--stat", "-p", cwd=clone, environment={"GIT_PAGER": "cat"})


def container_build(work: Path, _: bool) -> None:
    """An image from a file: a program copied, commands run in it, an account made, a program changed and executed."""
    busybox = shutil.which("busybox")
    if busybox is None or shutil.which("buildah") is None or shutil.which("runc") is None:
        raise LeftOut("needs buildah, runc and busybox-static")
    context = work / "image"
    context.mkdir(exist_ok=True)
    shutil.copy(busybox, context / "busybox")
    (context / "Containerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        "RUN mkdir -p /etc /usr/bin /tmp && echo root:x:0:0::/:/bin/sh > /etc/passwd && echo 'root:*:1::::::' > /etc/shadow\n"
        "RUN cp /bin/busybox /usr/bin/tool && chmod 4755 /usr/bin/tool && /usr/bin/busybox true || true\nRUN ls -la / && cat /etc/shadow\n"
    )
    storage = ["--root", str(work / "storage"), "--runroot", str(work / "storage-run")]
    run("buildah", *storage, "bud", "--isolation", "oci", "--network", "host", "-q", "-t", "ordinary", str(context))
    run("buildah", *storage, "rmi", "-a", "-f")


def ssh_work(work: Path, _: bool) -> None:
    """Keys made, listed, loaded into an agent; a log-in to this machine where it has a server."""
    keys = work / "keys"
    shutil.rmtree(keys, ignore_errors=True)
    (keys / ".ssh").mkdir(parents=True, mode=0o700)
    key = keys / ".ssh" / "id_ed25519"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    run("ssh-keygen", "-l", "-f", f"{key}.pub")
    run("ssh-agent", "sh", "-c", f"ssh-add -q {key} && ssh-add -l")
    server = shutil.which("sshd", path="/usr/sbin")
    if server is None:
        return
    (keys / "allowed").write_text(Path(f"{key}.pub").read_text())
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / "host"))
    os.makedirs("/run/sshd", exist_ok=True)
    daemon = subprocess.Popen(
        [
            *(
                server,
                "-D",
                "-e",
                "-f",
                "/dev/null",
                "-p",
                "2242",
                "-h",
                str(keys / "host"),
                "-o",
                "ListenAddress=127.0.0.1",
            ),
            *(
                "-o",
                f"AuthorizedKeysFile={keys / 'allowed'}",
                "-o",
                "StrictModes=no",
                "-o",
                "UsePAM=no",
                "-o",
                "Subsystem=sftp internal-sftp",
            ),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        options = [
            "-p",
            "2242",
            "-i",
            str(key),
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            f"UserKnownHostsFile={keys / 'known'}",
        ]
        deadline = time.monotonic() + 20
        while True:
            try:
                run(
                    "ssh",
                    *options,
                    "root@127.0.0.1",
                    "id; uname -a; ls /etc | head; (echo hi > /tmp/by-ssh); git --version",
                )
                break
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
        run("scp", "-q", "-P", *options[1:], str(keys / "allowed"), f"root@127.0.0.1:{keys / 'copied'}")
    finally:
        daemon.terminate()
        daemon.wait()


def editing(work: Path, _: bool) -> None:
    """Editors on own files, a user's and the system's start-up files, and what people look at."""
    text = work / "notes.txt"
    text.write_text("one\ntwo\n")
    for target in (text, Path("/root/.bashrc"), Path("/etc/hosts")):
        run("vim", "-n", "-es", "-u", "NONE", "-c", "normal Goline", "-c", "wq", str(target))
    run("sed", "-i", "s/one/1/", str(text))
    for look in (
        "ps aux",
        "ss -tlnp || true",
        "df -h",
        "du -sh /etc",
        "id root",
        "crontab -l || true",
        "ls -laR /etc | head -50",
        "grep -r root /etc/passwd",
        "top -b -n 1 | head",
        "find /etc -name '*.conf' | head",
    ):
        run("bash", "-c", look)


def web_server(work: Path, _: bool) -> None:
    """A web server that answers some thousand requests from eight clients at once."""
    root = work / "www"
    root.mkdir(exist_ok=True)
    (root / "index.html").write_text("<p>hello</p>" * 100)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(root), **kwargs)  # type: ignore[arg-type,misc]

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"

        def ask() -> None:
            for _ in range(250):
                urllib.request.urlopen(address, timeout=20).read()

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        run("curl", "-s", address)
        run("bash", "-c", f"(echo > /dev/tcp/127.0.0.1/{server.server_address[1]}) && echo up")
        server.shutdown()


def compiling(work: Path, _: bool) -> None:
    """A small C program, compiled, linked, run and traced by make."""
    source = work / "c"
    source.mkdir(exist_ok=True)
    (source / "main.c").write_text('#include <stdio.h>\nint main(void){puts("hi");return 0;}\n')
    (source / "Makefile").write_text("main: main.c\n\tcc -O2 -o main main.c\n\t./main\n")
    run("make", "-B", cwd=source)


STEPS: tuple[tuple[str, Callable[[Path, bool], None]], ...] = (
    ("package", package),
    ("apt", apt_online),
    ("pip", python_work),
    ("npm", node_work),
    ("git", git_work),
    ("container build", container_build),
    ("ssh", ssh_work),
    ("editor", editing),
    ("web server", web_server),
    ("compiler", compiling),
)
"""In this order."""


def main(scratch: Path, online: bool, wanted: set[str]) -> int:
    """The steps once; 1 when one failed."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for number, directory in enumerate(("/etc", "/var", "/usr", "/root", "/run")):
        if str(scratch).startswith(directory + "/"):
            raise SystemExit(f"the scratch directory must not lie below {directory}")
        upper, work = scratch / f"upper{number}", scratch / f"work{number}"
        upper.mkdir()
        work.mkdir()
        linux.mount("overlay", directory, "overlay", 0, f"lowerdir={directory},upperdir={upper},workdir={work}")
    place, failed = scratch / "work", 0
    place.mkdir()
    for name, step in STEPS:
        if wanted and name not in wanted:
            continue
        began = time.monotonic()
        try:
            step(place, online)
            said = "done"
        except LeftOut as reason:
            said = f"left out: {reason}"
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            said, failed = f"failed: {' '.join(str(error).split())}", failed + 1
        print(f"{name}: {said} ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "online" in sys.argv[2:], set(sys.argv[2:]) - {"online"}))
