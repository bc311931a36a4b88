"""Found first on `PYTHONPATH` by processes that `phalanx-app run` starts: starts the agent, then gives way to the environment's own `sitecustomize`."""

import os
import sys


def _next() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    import importlib.machinery
    import importlib.util

    others = [one for one in sys.path if os.path.abspath(one or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if os.environ.get("PHALANX_APP_RUN") == "1":
    _source = os.environ.get("PHALANX_APP_SOURCE", "")
    try:
        try:
            import phalanx_app.agent as _agent
        except ImportError:
            # Another environment than the one that holds the agent: it has no dependency, so its own directory serves.
            sys.path.append(_source)
            import phalanx_app.agent as _agent
        _agent.quietly()
    except Exception as _error:  # noqa: BLE001 - the application must start whatever is wrong with the agent
        print(f"phalanx-app: not started: {_error}", file=sys.stderr)
_next()
