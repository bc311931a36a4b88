"""Builds the one extension; where no compiler is there, the pure-Python twin serves (`optional`)."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "phalanx_app.taint._native",
            ["src/phalanx_app/taint/_native.c"],
            depends=["src/phalanx_app/taint/_table.h"],
            extra_compile_args=[
                "-O2",
                "-Wall",
                "-Wextra",
                "-Wno-unused-parameter",
                "-Wno-missing-field-initializers",
                "-Wno-cast-function-type",
            ],
            optional=True,
        )
    ]
)
