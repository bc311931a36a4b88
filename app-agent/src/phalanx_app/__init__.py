"""phalanx-app: finds security flaws from inside a running Python application, and proves them.

One line before the application's own imports starts it: ``import phalanx_app.auto``; or run the program with ``phalanx-app run -- python app.py``.
"""

from __future__ import annotations

from .version import VERSION

__version__ = VERSION
__all__ = ["VERSION", "__version__"]
