"""``python -m phalanx_app.catalogue compile``: write catalogue.json from catalogue.yaml (needs PyYAML)."""

from __future__ import annotations

import json
import os
import sys

from . import HERE, compiled


def main() -> int:
    """Compile; 0, or 2 for wrong use."""
    if sys.argv[1:] != ["compile"]:
        print("usage: python -m phalanx_app.catalogue compile", file=sys.stderr)
        return 2
    import yaml

    with open(os.path.join(HERE, "catalogue.yaml"), encoding="utf-8") as file:
        out = compiled(yaml.safe_load(file))
    with open(os.path.join(HERE, "catalogue.json"), "w", encoding="utf-8") as file:
        json.dump(out, file, ensure_ascii=False, indent=None, separators=(",", ":"))
        file.write("\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
