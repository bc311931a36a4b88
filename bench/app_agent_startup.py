"""Start of an application of 1,250 first-party modules: without the agent and under it, with and without a bytecode cache.

Prints the median of several starts, taken in turns, as CPU seconds of the process (a busy machine distorts it less than the clock), and the ratios.
Run: ``python bench/app_agent_startup.py`` with phalanx-app installed.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODULES = 1250
ROUNDS = 3

BODY = '''
"""Module {number} of a generated application."""

import os
import re
from collections import OrderedDict

NAMES = ["a", "b", "c{number}"]
PATTERN = re.compile(r"[a-z]+{number}")


class Order{number}:
    """An order."""

    fields = ("id", "name", "total")

    def __init__(self, name, total=0, items=None):
        self.name = name.strip()
        self.total = total
        self.items = list(items or [])

    def title(self):
        if self.name.startswith("x") or "y" in self.name:
            return f"{{self.name!r}}: {{self.total:.2f}}"
        return "Order " + self.name + " of " + str(self.total)

    def rows(self, sep=","):
        out = []
        for item in self.items:
            key, _, value = item.partition("=")
            out.append(sep.join([key.lower(), value[1:], "%s-%d" % (value, len(value))]))
        return "\\n".join(out)

    @property
    def path(self):
        return os.path.join("orders", self.name[:2], self.name.replace(" ", "_") + ".txt")


def handle_{number}(request, store):
    name = request.get("name", "")
    order = store.get(name)
    if order is None:
        order = store[name] = Order{number}(name)
    try:
        total = int(request["total"])
    except (KeyError, ValueError) as error:
        return {{"error": "bad total: {{}}".format(error)}}
    order.total += total * 2
    result = OrderedDict((key, value.upper()) for key, value in request.items() if key != "total" and isinstance(value, str))
    result["title"] = order.title()
    result["text"] = order.rows(";")[0:100]
    return result
'''


def generate(root: Path) -> None:
    package = root / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    order = list(range(MODULES))
    random.Random(5).shuffle(order)
    for number in range(MODULES):
        (package / f"m{number}.py").write_text(BODY.format(number=number))
    (root / "start.py").write_text(
        "import importlib\n" + "".join(f"importlib.import_module('shop.m{number}')\n" for number in order)
    )


def start(root: Path, agent: bool, cached: bool) -> float:
    if not cached:
        for one in root.rglob("__pycache__"):
            shutil.rmtree(one)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PHALANX_", "PYTHONDONT"))}
    env["PHALANX_APP_STATE"] = str(root / "state")
    if not cached:
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "start.py"]
    if agent:
        command = [sys.executable, "-m", "phalanx_app", "run", "--", *command]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=root, env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        generate(root)
        times: dict[tuple[bool, bool], list[float]] = {
            (agent, cached): [] for agent in (False, True) for cached in (False, True)
        }
        for _ in range(ROUNDS):
            for agent in (False, True):
                times[agent, False].append(start(root, agent, False))
            for agent in (False, True):
                start(root, agent, True)
                times[agent, True].append(start(root, agent, True))
        for cached in (False, True):
            bare, under = statistics.median(times[False, cached]), statistics.median(times[True, cached])
            print(
                f"{'cached' if cached else 'cold':7} bare {bare:.2f} s  under the agent {under:.2f} s  x{under / bare:.2f}"
            )


if __name__ == "__main__":
    main()
