"""What a rewritten text operation costs while nothing is tainted, and while a request holds taint (other values).

Prints, for each operation, nanoseconds of the plain and the rewritten function and their ratio: the best of many short rounds, taken in turns, so
that a busy machine disturbs both alike. Run: ``python bench/app_agent_operations.py`` with phalanx-app installed.
"""

from __future__ import annotations

import ast
import statistics
import textwrap
import time

from phalanx_app import hooks, taint
from phalanx_app.rewrite.transform import rewrite

TEXT = {
    "a + b": "r = a + b",
    "a + b + c": "r = a + b + c",
    "f-string": "r = f'{a}-{b}'",
    "percent": "r = '%s-%s' % (a, b)",
    "format": "r = '{}-{}'.format(a, b)",
    "join": "r = ','.join([a, b, c])",
    "replace": "r = a.replace('x', 'y')",
    "strip().lower()": "r = a.strip().lower()",
    "split": "r = a.split(' ')",
    "startswith": "r = a.startswith(b)",
    "in": "r = b in a",
    "==": "r = a == b",
    "self.a + self.b": "r = o.a + o.b",
    "encode": "r = a.encode()",
}
SUBSCRIPTS = {
    "d[k]": "r = d[b]",
    "l[i]": "r = l[i]",
    "a[1:]": "r = a[1:]",
    "a[i]": "r = a[i]",
    "o.m[i]": "r = o.m[i]",
    "d['k'][i]": "r = d['k'][i]",
}
ROUNDS, LOOPS = 60, 4000


class Thing:
    """Holds values behind attributes."""

    a, b, m = "some value", "other", ["x", "y", "z"]


def built(line: str, rewritten: bool):
    source = textwrap.dedent(
        f"""
        def work(n, a, b, c, d, l, i, o):
            for _ in n:
                {line}
                {line}
                {line}
                {line}
        """
    )
    tree = ast.parse(source)
    if rewritten:
        rewrite(tree)
    space: dict = {}
    exec(compile(tree, "<bench>", "exec"), space)
    return space["work"]


def measured(line: str) -> tuple[float, float]:
    plain, made = built(line, False), built(line, True)
    args = ("some value", "other", "third", {"other": 1, "k": ["p", "q"]}, ["x", "y", "z"], 1, Thing())
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for at, function in enumerate((plain, made)):
            n = range(LOOPS // 4)
            start = time.perf_counter_ns()
            function(n, *args)
            best[at] = min(best[at], (time.perf_counter_ns() - start) / LOOPS)
    return best[0], best[1]


def main() -> None:
    taint.wire(taint.core, lambda where: None)
    hooks.install()
    print(f"extension: {taint.NATIVE}")
    for title, on in (("nothing tainted", False), ("a request holds taint", True)):
        token = None
        if on:
            table = taint.Table(None)
            token = taint.CURRENT.set(table)
            table.source("tainted text", 0, "source")
        for group, lines in (("text", TEXT), ("subscripts", SUBSCRIPTS)):
            ratios = []
            print(f"\n{title}: {group}")
            for name, line in lines.items():
                plain, made = measured(line)
                ratios.append(made / plain)
                print(f"  {name:18} {plain:7.1f} ns  {made:7.1f} ns  x{made / plain:.2f}")
            print(f"  geometric mean x{statistics.geometric_mean(ratios):.2f}, worst x{max(ratios):.2f}")
        if token is not None:
            taint.CURRENT.reset(token)


if __name__ == "__main__":
    main()
