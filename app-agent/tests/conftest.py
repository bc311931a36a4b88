"""Shared fixtures: which interpreters are there, and the two twins of the taint core."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src"
APPS = HERE / "apps"


def twins() -> list[str]:
    """`native` where the extension was built, and `pure`."""
    names = ["pure"]
    try:
        importlib.import_module("phalanx_app.taint._native")
        names.insert(0, "native")
    except ImportError:
        pass
    return names


@pytest.fixture(scope="session")
def interpreters() -> list[str]:
    """Every CPython from 3.10 to 3.14 that this machine has, this one first."""
    found = [sys.executable]
    versions = {sys.version_info[:2]}
    candidates = [shutil.which(f"python3.{minor}") for minor in range(10, 15)]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    if root.is_dir():
        candidates += [str(one / "bin" / "python") for one in sorted(root.iterdir())]
    for one in candidates:
        if not one or not Path(one).exists():
            continue
        answer = subprocess.run([one, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
        if answer.returncode:
            continue
        version = tuple(int(part) for part in answer.stdout.split())
        if version not in versions and (3, 10) <= version <= (3, 14):
            versions.add(version)
            found.append(one)
    return found
