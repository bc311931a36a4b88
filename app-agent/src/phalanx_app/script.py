"""``python -m phalanx_app.script app.py …``: run a script as `__main__`, rewritten. `phalanx-app run` uses it for `python app.py`."""

from __future__ import annotations

import os
import sys
from typing import Any


def main() -> None:
    """Run the script named by the first argument."""
    from . import agent, runtime

    if runtime.RUNTIME is None:
        agent.quietly()
    del sys.argv[0]
    path = sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    with open(path, "rb") as file:
        source = file.read()
    running = runtime.RUNTIME
    if running is not None and running.scope.has(os.path.abspath(path)):
        code = running.importer.compile(source, path)
    else:
        code = compile(source, path, "exec", dont_inherit=True)
    namespace: dict[str, Any] = sys.modules["__main__"].__dict__
    for name in [one for one in namespace if not one.startswith("__")]:
        del namespace[name]
    namespace.update(
        __name__="__main__",
        __file__=path,
        __doc__=None,
        __package__=None,
        __spec__=None,
        __cached__=None,
        __annotations__={},
    )
    exec(code, namespace)  # noqa: S102 - this is the application itself


if __name__ == "__main__":
    main()
