"""Build the Cython extensions in place and install the command ``phalanx`` into the environment; nothing when up to date.

Up to date means: each ``.pyx`` (and ``.pxd``, ``.h`` beside it) is older than its extension for this interpreter.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def stale(source: Path) -> bool:
    """True when the extension of ``source`` is missing or older than what it is made of."""
    built = source.with_suffix(SUFFIX)
    if not built.exists():
        return True
    newest = max(path.stat().st_mtime for path in source.parent.rglob("*") if path.suffix in {".pyx", ".pxd", ".h"})
    return newest > built.stat().st_mtime


def installed() -> bool:
    """True when this tree is what ``import phalanx`` finds in the environment, with its command."""
    try:
        distribution = importlib.metadata.distribution("phalanx")
    except importlib.metadata.PackageNotFoundError:
        return False
    url = distribution.read_text("direct_url.json") or ""
    return f'"file://{ROOT}"' in url.replace(" ", "") and (Path(sys.prefix) / "bin/phalanx").exists()


def main() -> int:
    """Build what is stale; returns an exit code."""
    sources = sorted((ROOT / "src").rglob("*.pyx"))
    if any(map(stale, sources)):
        print("building the native extensions", file=sys.stderr)
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=ROOT, check=True)
    if not installed():
        uv = next((p for p in (Path(sys.prefix) / "bin/uv",) if p.exists()), "uv")
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", sys.executable, "--no-deps", "--no-build-isolation", "-e", "."],
            cwd=ROOT,
            check=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
