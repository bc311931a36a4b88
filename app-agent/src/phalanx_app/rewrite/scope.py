"""Which files are first-party: by where they are, never by what they are called."""

from __future__ import annotations

import os
import sys
import sysconfig

_AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PACKAGE_DIRECTORIES = ("site-packages", "dist-packages")


class Scope:
    """First-party is what lies under a root, outside package directories, virtual environments, the standard library and the agent."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = tuple(os.path.realpath(one).rstrip(os.sep) + os.sep for one in roots)
        self._known: dict[str, bool] = {}
        self._files: dict[str, bool] = {}
        self._short: dict[str, str] = {}
        self._real: dict[str, str] = {}
        library = sysconfig.get_paths()
        self._library = tuple(
            {os.path.realpath(library[one]).rstrip(os.sep) + os.sep for one in ("stdlib", "platstdlib")}
        )

    def has(self, path: str) -> bool:
        """Whether this file is first-party."""
        known = self._files.get(path)
        if known is None:
            if len(self._files) > 20_000:
                self._files.clear()
            known = self._files[path] = self._file(path)
        return known

    def _file(self, path: str) -> bool:
        if not path or path[0] == "<":
            return False
        # A directory is resolved once; a file that is itself a link counts where the link lies.
        directory = os.path.dirname(path)
        real = self._real.get(directory)
        if real is None:
            real = self._real[directory] = os.path.realpath(directory or ".")
        return self._directory(real)

    def _directory(self, directory: str) -> bool:
        known = self._known.get(directory)
        if known is not None:
            return known
        inside = directory + os.sep
        answer = False
        for root in self.roots:
            if not inside.startswith(root):
                continue
            if inside.startswith(_AGENT) or (inside.startswith(self._library) and not root.startswith(self._library)):
                break
            answer = True
            at = directory
            # Between the root and the file: no package directory and no virtual environment.
            while at + os.sep != root and len(at) >= len(root):
                if os.path.basename(at) in _PACKAGE_DIRECTORIES or os.path.isfile(os.path.join(at, "pyvenv.cfg")):
                    answer = False
                    break
                at = os.path.dirname(at)
            break
        self._known[directory] = answer
        return answer

    def short(self, path: str) -> str:
        """A path relative to its root, for people; other paths as they are."""
        known = self._short.get(path)
        if known is None:
            if len(self._short) > 20_000:
                self._short.clear()
            known = self._short[path] = self._shortened(path)
        return known

    def _shortened(self, path: str) -> str:
        real = os.path.realpath(path) if path[:1] != "<" else path
        for root in self.roots:
            if real.startswith(root):
                return real[len(root) :]
        for base in sys.path:
            if base and real.startswith(base.rstrip(os.sep) + os.sep):
                return real[len(base.rstrip(os.sep)) + 1 :]
        return real
