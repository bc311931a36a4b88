"""phalanx perceives, ranks, proves and stops threats over a cloud-native estate.

The packages follow the flow of the evidence; ``docs/architecture.md`` is the map. A package imports only from
those before it (``.importlinter``)::

    model → text → language → advisories → artifacts → detect → risk → border → store → bus
          → sensors → respond → identity → services → api → console → app → cli
"""

from __future__ import annotations

from phalanx.version import VERSION

__all__ = ["VERSION"]
