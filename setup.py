"""Build the native extensions; everything declarative is in pyproject.toml.

Each ``*.pyx`` below ``src/phalanx`` is one extension. A ``.pyx`` names the C libraries it needs in a
``# distutils:`` comment at its top, so this file has no list to keep in step.
"""

from __future__ import annotations

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(str(path) for path in Path("src/phalanx").rglob("*.pyx"))


def extension(source: str) -> Extension:
    """The extension module of one Cython source."""
    name = source.removeprefix("src/").removesuffix(".pyx").replace("/", ".")
    beside = Path(source).parent
    depends = sorted(str(path) for pattern in ("*.pxd", "**/*.h") for path in beside.glob(pattern))
    return Extension(
        name,
        [source],
        depends=depends,
        extra_compile_args=["-O2", "-g0", "-Wno-sign-compare", "-Wno-discarded-qualifiers"],
    )


setup(
    ext_modules=cythonize(
        [extension(source) for source in SOURCES],
        compiler_directives={"language_level": "3", "boundscheck": False, "wraparound": False},
    )
    if SOURCES
    else [],
)
