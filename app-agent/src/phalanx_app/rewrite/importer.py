"""The import hook: first-party modules and a few glue libraries are rewritten, watched libraries get their patches after they ran.

Rewritten code is kept beside ordinary bytecode (`__pycache__/name.cpython-311.px7.pyc`) under its own tag, checked like it by size and time of the source,
so a process without the agent never sees it.
"""

from __future__ import annotations

import ast
import contextlib
import marshal
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from .scope import Scope
from .transform import FORMAT, rewrite

GLUE = frozenset(
    {
        "configparser",
        "jinja2.filters",
        "django.template.base",
        "django.template.defaultfilters",
        "django.utils.html",
        "django.utils.safestring",
        "django.utils.text",
    }
)
"""Pure-Python libraries that carry text from one place of an application to another and are rewritten like first-party code."""

MAX_SOURCE = 4 * 1024 * 1024
"""Bytes of source above which a module is left alone: such files are data."""


class Counts:
    """What the hook did in this process."""

    def __init__(self) -> None:
        self.rewritten = 0
        self.cached = 0
        self.failed = 0
        """Modules that could not be rewritten and run as they are."""
        self.cache_errors = 0
        """Times the cache could not be written (a read-only directory, a full disk)."""


class Importer:
    """What the finder and the loaders share."""

    def __init__(self, scope: Scope, cache: bool, on_error: Callable[[str], None]) -> None:
        self.scope = scope
        self.cache = cache
        self.on_error = on_error
        self.counts = Counts()
        self.finder: Any = None
        """The finder on `sys.meta_path`, to see whether it is still there."""
        self.watched: dict[str, list[Callable[[ModuleType], None]]] = {}

    def compile(self, source: bytes | str, path: str) -> CodeType:
        """Compile with rewriting; a module that cannot be rewritten is compiled as it is, one that does not parse raises as always."""
        tree = None
        if len(source) <= MAX_SOURCE:
            try:
                tree = ast.parse(source, path)
                rewrite(tree)
                code: CodeType = compile(tree, path, "exec", dont_inherit=True)
                self.counts.rewritten += 1
                return code
            except SyntaxError:
                if tree is not None:
                    self.counts.failed += 1
                    self.on_error("rewrite")
            except Exception:  # noqa: BLE001 - whatever goes wrong here, the application's module still runs
                self.counts.failed += 1
                self.on_error("rewrite")
        return compile(source, path, "exec", dont_inherit=True)


def cache_path(path: str) -> str:
    """Where the rewritten code of a source file is kept."""
    directory, name = os.path.split(path)
    prefix = sys.pycache_prefix
    if prefix:
        directory = os.path.join(prefix, directory.lstrip(os.sep))
    else:
        directory = os.path.join(directory, "__pycache__")
    return os.path.join(directory, f"{name.rpartition('.')[0]}.{sys.implementation.cache_tag}.px{FORMAT}.pyc")


class RewritingLoader(SourceFileLoader):
    """Loads a source file with rewriting; all else (`get_source`, `inspect`, resources) is the ordinary loader's."""

    def __init__(self, fullname: str, path: str, importer: Importer) -> None:
        super().__init__(fullname, path)
        self._importer = importer

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        importer = self._importer
        if not importer.cache:
            return importer.compile(self.get_data(path), path)
        try:
            stat = os.stat(path)
        except OSError:
            return importer.compile(self.get_data(path), path)
        stamp = (
            _magic()
            + int(stat.st_mtime_ns).to_bytes(8, "little", signed=True)
            + (stat.st_size & 0xFFFFFFFF).to_bytes(4, "little")
        )
        target = cache_path(path)
        try:
            with _open(target, "rb") as file:
                data = file.read()
            if data.startswith(stamp):
                code = marshal.loads(data[len(stamp) :])  # noqa: S302 - the same trust as the interpreter's own bytecode beside it
                if isinstance(code, CodeType) and code.co_filename == path:
                    importer.counts.cached += 1
                    return code
        except (OSError, ValueError, EOFError, TypeError):
            pass  # no usable cache: it is written anew below
        failed = importer.counts.failed
        code = importer.compile(self.get_data(path), path)
        if not sys.dont_write_bytecode and failed == importer.counts.failed:
            self._keep(target, stamp + marshal.dumps(code))
        return code

    def _keep(self, target: str, data: bytes) -> None:
        temporary = f"{target}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with _open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, target)
        except OSError:
            self._importer.counts.cache_errors += 1
            with contextlib.suppress(OSError):
                os.unlink(temporary)


_open = open
"""The interpreter's own `open`, taken before sinks are wrapped."""


def _magic() -> bytes:
    from importlib.util import MAGIC_NUMBER

    return MAGIC_NUMBER


class _After:
    """Stands in for the loader of a watched module, runs the patches after the module ran, and gives the place back."""

    def __init__(self, loader: Any, importer: Importer, name: str) -> None:
        self._loader = loader
        self._importer = importer
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        patched(self._importer, module, self._name)


def patched(importer: Importer, module: ModuleType, name: str) -> None:
    """Run what waits for the module imported as `name`, each on its own: one failure is reported and the others still run."""
    for one in importer.watched.get(name, ()):
        try:
            one(module)
        except Exception:  # noqa: BLE001 - a library of an unknown shape must still import
            importer.on_error(f"patch {name}")


class Finder:
    """Stands before the ordinary path finder and swaps the loader where the agent has something to do."""

    def __init__(self, importer: Importer) -> None:
        self._importer = importer
        self._busy = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        importer = self._importer
        spec = PathFinder.find_spec(name, path, target)
        if spec is None:
            spec = self._later(name, path, target)
            if spec is None:
                return None
        loader: Any = spec.loader
        if type(loader) is SourceFileLoader and (name in GLUE or importer.scope.has(loader.path)):
            loader = spec.loader = RewritingLoader(loader.name, loader.path, importer)
        if name in importer.watched and loader is not None and hasattr(loader, "exec_module"):
            spec.loader = _After(loader, importer, name)  # type: ignore[assignment]
        return spec

    def _later(self, name: str, path: Any, target: Any) -> ModuleSpec | None:
        """What finders behind the path finder know (editable installs)."""
        seen = False
        for finder in list(sys.meta_path):
            if finder is PathFinder:
                seen = True
            elif seen and finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


def install(importer: Importer) -> Finder:
    """Put the finder before the path finder, and patch watched modules that are loaded already."""
    finder = Finder(importer)
    at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
    sys.meta_path.insert(at, finder)
    for name in list(importer.watched):
        module = sys.modules.get(name)
        if module is not None:
            patched(importer, module, name)
    return finder
