"""``python -m phalanx_app``."""

from .cli import main

raise SystemExit(main())
