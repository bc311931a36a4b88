"""Compile the kernel programs and link them into one CO-RE object; nothing when up to date.

Needs clang with its BPF target, the headers of libbpf (Debian: libbpf-dev) and of the kernel's interface (linux-libc-dev), and
libbpf itself, whose linker joins the files. The object needs no kernel headers and runs on every kernel with BTF from 5.17 on.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src/phalanx/sensors/kernel/bpf"
OBJECT = ROOT / "src/phalanx/sensors/kernel/phalanx.bpf.o"
MACHINE = {"x86_64": "x86"}


def missing() -> str | None:
    """What has to be installed first, as one line; None when everything is there."""
    lacks = []
    if shutil.which("clang") is None:
        lacks.append("clang")
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        lacks.append("libbpf-dev")
    if not Path("/usr/include/linux/bpf.h").exists():
        lacks.append("linux-libc-dev")
    if lacks:
        return f"to build the kernel programs, as root: apt-get install {' '.join(lacks)}"
    if os.uname().machine not in MACHINE:
        return f"the kernel programs are written for {', '.join(MACHINE)}; this machine is {os.uname().machine}"
    return None


def compile_one(source: Path, target: Path) -> None:
    """Compile one file; CalledProcessError carries clang's own words."""
    machine = os.uname().machine
    subprocess.run(
        [
            *("clang", "-g", "-O2", "-target", "bpf", "-mcpu=v3", f"-D__TARGET_ARCH_{MACHINE[machine]}"),
            *(f"-I/usr/include/{machine}-linux-gnu", "-Wall", "-Werror", "-Wno-unused-function"),
            *("-fdebug-prefix-map=" + str(ROOT) + "=.", "-c", str(source), "-o", str(target)),
        ],
        check=True,
    )


def link(objects: list[Path], target: Path) -> None:
    """Join ``objects`` by libbpf's static linker (``bpf_linker__*`` of bpf/libbpf.h); OSError when it refuses."""
    library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    library.bpf_linker__new.restype = ctypes.c_void_p
    library.bpf_linker__new.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.bpf_linker__add_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    library.bpf_linker__finalize.argtypes = [ctypes.c_void_p]
    library.bpf_linker__free.argtypes = [ctypes.c_void_p]
    linker = library.bpf_linker__new(str(target).encode(), None)
    if not linker:
        raise OSError(ctypes.get_errno(), "libbpf cannot write the object", str(target))
    try:
        for path in objects:
            if library.bpf_linker__add_file(linker, str(path).encode(), None):
                raise OSError(ctypes.get_errno(), "libbpf cannot link", path.name)
        if library.bpf_linker__finalize(linker):
            raise OSError(ctypes.get_errno(), "libbpf cannot finish the object", str(target))
    finally:
        library.bpf_linker__free(linker)


def main() -> int:
    """Build when stale; returns an exit code."""
    sources = sorted(SOURCES.glob("*.bpf.c"))
    newest = max(path.stat().st_mtime for path in [*SOURCES.iterdir(), Path(__file__)])
    if OBJECT.exists() and OBJECT.stat().st_mtime >= newest and "--force" not in sys.argv[1:]:
        return 0
    lack = missing()
    if lack is not None:
        print(lack, file=sys.stderr)
        return 2
    print("building the kernel programs", file=sys.stderr)
    with tempfile.TemporaryDirectory() as directory:
        objects = []
        for source in sources:
            target = Path(directory) / (source.name.removesuffix(".c") + ".o")
            try:
                compile_one(source, target)
            except subprocess.CalledProcessError:
                print(f"clang refuses {source.relative_to(ROOT)}", file=sys.stderr)
                return 1
            objects.append(target)
        linked = Path(directory) / "linked.o"
        link(objects, linked)
        part = OBJECT.with_suffix(".part")
        shutil.copyfile(linked, part)
        part.replace(OBJECT)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
