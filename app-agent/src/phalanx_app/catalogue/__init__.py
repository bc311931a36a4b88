"""The catalogue: what is a source, a sink, a sanitizer, a propagator, a validator.

`catalogue.yaml` is what people edit, `catalogue.json` what the agent loads.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from ..errors import CatalogueError
from ..marks import BIT

HERE = os.path.dirname(os.path.abspath(__file__))
_PLACE = re.compile(r"([\w.]+):([\w.]+)(?:#([\w=,*]+))?\Z")
_SEVERITIES = ("info", "low", "medium", "high", "critical")


def place(text: str) -> dict[str, Any]:
    """Read ``module:Class.attribute#argument``.

    Raises:
        CatalogueError: when it is not of that form.
    """
    match = _PLACE.match(text)
    if match is None:
        raise CatalogueError(f"not a place: {text[:100]!r}", "write module:Class.attribute#0=name")
    module, name, arguments = match.groups()
    wanted: list[Any] | str = []
    if arguments == "*":
        wanted = "*"
    elif arguments:
        wanted = []
        for one in arguments.split(","):
            index, _, keyword = one.partition("=")
            if not index.isdigit():
                raise CatalogueError(f"not an argument: {one!r} in {text[:100]!r}", "write 0 or 0=name")
            wanted.append([int(index), keyword])
    return {"module": module, "name": name, "arguments": wanted}


def compiled(source: dict[str, Any]) -> dict[str, Any]:
    """Check the edited form and turn it into what the agent loads.

    Raises:
        CatalogueError: for anything that is not as the agent needs it.
    """
    out: dict[str, Any] = {"version": source["version"], "rules": {}}
    for name, rule in source["rules"].items():
        if rule["severity"] not in _SEVERITIES or not isinstance(rule["cwe"], int):
            raise CatalogueError(f"rule {name} has no usable severity or CWE", "see the other rules")
        out["rules"][name] = rule
    missing = set(BIT) - set(out["rules"])
    if missing:
        raise CatalogueError(f"rules without an entry: {sorted(missing)}", "add them to rules")
    for kind in ("sinks", "sanitizers", "propagators"):
        entries = []
        for group in source[kind]:
            shared = {key: value for key, value in group.items() if key != "at"}
            if "rule" in shared and shared["rule"] not in out["rules"]:
                raise CatalogueError(f"{kind}: unknown rule {shared['rule']!r}", "name one of rules")
            entries += [{**shared, **place(one)} for one in group["at"]]
        out[kind] = entries
    out["cookies"] = [place(one) for one in source["cookies"]]
    out["validators"] = source["validators"]
    return out


def load() -> dict[str, Any]:
    """The compiled catalogue."""
    with open(os.path.join(HERE, "catalogue.json"), encoding="utf-8") as file:
        return json.load(file)  # type: ignore[no-any-return]
