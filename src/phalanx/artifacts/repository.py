"""Git repositories at any revision, read through ``git`` without a checkout; hooks, filters and configuration of the repository are not run."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from phalanx.artifacts.facts import Collector, Inspector
from phalanx.artifacts.inventory import GroupsOf, join_facts
from phalanx.artifacts.model import Inventory, Issue, Layer
from phalanx.artifacts.secrets import MAX_SECRET_FILE, find_secrets
from phalanx.artifacts.sources.entry import Entry
from phalanx.artifacts.sources.tar import TarReader
from phalanx.errors import NotFoundError, UnavailableError
from phalanx.text.hostile import decode

__all__ = ["repository_inventory"]

_MAX_COMMITS: Final = 20_000
"""Commits whose changes are searched for secrets."""
_MAX_HISTORY: Final = 1 << 30
"""Bytes of changes that are searched."""


def _git(repository: Path, *arguments: str) -> list[str]:
    """A git command that trusts nothing of the repository: no configuration of system or user, no hooks, no file system monitor, no pager."""
    return [
        "git", "-C", str(repository), "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "safe.directory=*",
        "-c", "core.attributesFile=/dev/null", "-c", "diff.external=", "-c", "protocol.allow=never", "--no-pager", *arguments,
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ATTR_NOSYSTEM": "1",
    }


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=_environment()
        )
    except FileNotFoundError as error:
        raise UnavailableError(
            "git is not installed", hint="install git, or use `phalanx scan fs` on a checkout"
        ) from error


def repository_inventory(
    repository: Path,
    revision: str,
    *,
    target: str,
    groups_of: GroupsOf = lambda _: (),
    inspectors: tuple[Inspector, ...] = (),
    history: bool = False,
) -> Inventory:
    """The inventory of ``repository`` at ``revision``.

    Raises:
        NotFoundError: no repository, or no such revision.
        UnavailableError: git is not here.
    """
    with _start(
        _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    ) as process:
        assert process.stdout is not None
        commit = process.stdout.read(100).decode("ascii", "replace").strip()
    if process.returncode or not commit:
        raise NotFoundError(f"no revision {revision} in {repository}", hint="or it is no git repository")
    collector = Collector(declared=True, inspectors=inspectors)
    with _start(_git(repository, "archive", "--format=tar", commit)) as process:
        reader = TarReader(cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, process.stdout), 1 << 20)))
        for member in reader:
            if member.kind == "0":
                collector.add(Entry(member.path, member.size, member.mode, reader.read))
    if process.returncode not in (0, -13):
        collector.skip("", f"git archive ended with {process.returncode}")
    if history:
        for issue in _history(repository, commit, collector):
            collector.facts.issues.setdefault(issue.path, []).append(issue)
    made = join_facts(
        [(Layer(digest=""), collector.facts)], target=target, kind="repo", digest=commit, groups_of=groups_of
    )
    return made


def _history(repository: Path, commit: str, collector: Collector) -> Iterator[Issue]:
    """Secrets in lines that any commit added; the place is ``path@commit``. What stands in the revision itself is told once more with its commit."""
    command = _git(
        repository, "log", "--no-color", "--no-ext-diff", "--no-textconv", "--unified=0", "--diff-filter=AM", "-p", "--format=commit %H",
        f"--max-count={_MAX_COMMITS}", commit,
    )  # fmt: skip
    seen: set[tuple[str, str]] = set()
    with _start(command) as process:
        stream = io.BufferedReader(cast(io.RawIOBase, process.stdout), 1 << 20)
        current, path, added, total = "", "", bytearray(), 0

        def flush() -> Iterator[Issue]:
            for issue in find_secrets(f"{path}@{current[:12]}", bytes(added)):
                if (issue.rule, issue.digest) not in seen:
                    seen.add((issue.rule, issue.digest))
                    yield issue
            added.clear()

        for line in stream:
            total += len(line)
            if total > _MAX_HISTORY:
                collector.skip("", "history over 1 GiB: older commits were not searched")
                process.kill()
                break
            if line.startswith(b"commit ") and len(line) == 48:
                yield from flush()
                current = line[7:47].decode("ascii", "replace")
            elif line.startswith(b"+++ "):
                yield from flush()
                path = decode(line[4:].strip()).removeprefix("b/")
            elif line.startswith(b"+") and len(added) + len(line) < MAX_SECRET_FILE:
                added += line[1:]
        yield from flush()
