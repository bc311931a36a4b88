"""Rewriting changes nothing that an application can see: results, tracebacks, inspection, names, coverage; and it never refuses a module by its name."""

from __future__ import annotations

import ast
import dis
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from phalanx_app import hooks, runtime, taint
from phalanx_app.rewrite import importer as importing
from phalanx_app.rewrite.scope import Scope
from phalanx_app.rewrite.transform import rewrite

ERRORS: list[str] = []


@pytest.fixture(autouse=True)
def wired():
    taint.wire(taint.core, ERRORS.append)
    hooks.install()
    ERRORS.clear()
    yield
    assert ERRORS == []


@pytest.fixture
def tainting():
    """A request's table with one tainted text in it, so that every hook runs."""
    table = taint.Table(None)
    token = taint.CURRENT.set(table)
    value = table.source("tainted", 0, "source")
    yield table, value
    taint.CURRENT.reset(token)
    table.clear()


def run(source: str, filename: str = "<case>", **names):
    tree = ast.parse(textwrap.dedent(source))
    rewrite(tree)
    namespace = {"__name__": "case", **names}
    exec(compile(tree, filename, "exec"), namespace)
    return namespace


def test_order_of_evaluation_is_the_languages(tainting) -> None:
    source = """
    log = []
    def note(name, value):
        log.append(name)
        return value
    def work():
        a = note("a", "x") + note("b", "y") + note("c", "z")
        b = f"{note('d', 'p')!r:>{note('e', 5)}}{note('f', a)}"
        c = note("g", "abcdef")[note("h", 1):note("i", 3)]
        d = note("j", ",").join(note("k", m) for m in note("l", ["q", "r"]))
        e = note("m", "{} {k}").format(*note("n", ["s"]), **note("o", {"k": "t"}))
        return a, b, c, d, e
    result = work()
    """
    plain: dict = {}
    exec(textwrap.dedent(source), plain)
    made = run(source)
    assert made["log"] == plain["log"]
    assert made["result"] == plain["result"]


def test_a_value_is_formatted_before_the_next_one_changes_it(tainting) -> None:
    source = """
    def work():
        items = []
        return f"{items} {items.append(1)} {items}"
    result = work()
    """
    assert run(source)["result"] == "[] None [1]"


def test_formatting_runs_the_applications_code_once(tainting) -> None:
    _, value = tainting
    source = """
    calls = []
    class Money:
        def __format__(self, spec):
            calls.append(("format", spec))
            return "5 EUR"
        def __str__(self):
            calls.append("str")
            return "5"
        def __repr__(self):
            calls.append("repr")
            return "Money(5)"
    m = Money()
    def work(t):
        return [f"{t}{m:x}", "%s%s" % (t, m), "{}{:y}".format(t, m), f"{t}{m!r}", f"{t}{m!s:>3}", t + str(m), "{0!r}{1}".format(m, t)]
    result = work(value)
    """
    plain: dict = {"value": "tainted"}
    exec(textwrap.dedent(source), plain)
    made = run(source, value=value)
    assert made["result"] == plain["result"]
    assert made["calls"] == plain["calls"]


def test_iterators_given_to_join_are_consumed_once(tainting) -> None:
    source = """
    def parts():
        yield "a"
        yield "b"
    def work():
        source = parts()
        return ",".join(source), list(source)
    result = work()
    """
    assert run(source)["result"] == ("a,b", [])


@pytest.mark.parametrize(
    "expression",
    [
        "'a' + 1",
        "[] + 'a'",
        "'%d' % 'x'",
        "'abc'[5]",
        "'{}'.format()",
        "','.join([1])",
        "','.join(5)",
        "f'{1:q}'",
        "''.nope()",
        "None[0]",
        "'a'.encode('nope')",
        "b'\\xff'.decode()",
        "{}['k']",
        "'x' in 5",
        "str(b'a', 'nope')",
        "'{0[x]}'.format('a')",
        "'%(k)s' % {}",
        "int('x')",
    ],
)
def test_errors_are_the_interpreters_own(expression: str, tainting) -> None:
    def failure(code):
        try:
            code()
        except Exception as error:
            return type(error), str(error)
        return None

    def plain():
        exec(f"def work(same):\n    return {expression}\nwork(0)", {})

    def rewritten():
        run(f"def work(same):\n    return {expression}\nwork(0)")

    def bound():
        # The same with operands that are no literals.
        tree = ast.parse(expression, mode="eval")
        for node in ast.walk(tree):
            for field in ("left", "value", "right"):
                inner = getattr(node, field, None)
                if isinstance(inner, ast.Constant) and not isinstance(
                    node, (ast.FormattedValue, ast.keyword, ast.JoinedStr)
                ):
                    setattr(node, field, ast.Call(func=ast.Name(id="same", ctx=ast.Load()), args=[inner], keywords=[]))
        run(f"def work(same):\n    return {ast.unparse(tree)}\nwork(lambda v: v)")

    assert failure(plain) is not None
    assert failure(rewritten) == failure(plain)
    assert failure(bound) == failure(plain)


def test_a_traceback_shows_the_applications_lines_only(tmp_path: Path, tainting) -> None:
    file = tmp_path / "case.py"
    file.write_text("def work(a):\n    b = a + 'x'\n    return (b +\n            len(b))\n")
    made = run(file.read_text(), str(file))
    with pytest.raises(TypeError) as caught:
        made["work"]("q")
    frames = inspect.getinnerframes(caught.tb)
    assert [(frame.filename, frame.lineno) for frame in frames[1:]] == [(str(file), 3)]


def test_line_numbers_are_those_of_the_source() -> None:
    source = (
        "def work(a, b):\n    c = a + b\n    c += a\n    d = f'''{c}{\n        b}'''\n"
        "    for e in d:\n        c = c[1:]\n    return c.join([\n        a, b])\n"
    )
    tree = ast.parse(source)
    rewrite(tree)
    code = compile(tree, "<case>", "exec")
    plain = compile(source, "<case>", "exec")

    def lines(one):
        inner = next(const for const in one.co_consts if hasattr(const, "co_code"))
        return {line for _, line in dis.findlinestarts(inner) if line}

    assert lines(code) == lines(plain)


def test_no_name_is_left_behind(tainting) -> None:
    source = """
    import enum
    class Colour(enum.Enum):
        RED = "r" + str(1)
        BLUE = "b".join(["x", "y"])
    def work(a):
        b = (a + str(1))[0:].upper()
        self.x += b
        self.d["k"] += b
        return locals(), sorted(dir()), vars()
    class Self:
        x = ""
    self = Self()
    self.d = {"k": ""}
    result = work("q")
    """
    made = run(source)
    assert set(made["result"][0]) == {"a", "b"}
    assert [one for one in made["result"][1] if one.startswith("__px")] == []
    assert list(made["Colour"].__members__) == ["RED", "BLUE"]
    assert [one for one in made if one.startswith("__px")] == []
    assert (made["self"].x, made["self"].d) == ("Q1", {"k": "Q1"})


def test_private_names_are_mangled_as_always(tainting) -> None:
    source = """
    class Holder:
        def __init__(self, v):
            self.__v = v
        def get(self, more):
            return self.__v + (more or "none")
    result = Holder("a").get("b") + Holder("a").get(None)
    """
    assert run(source)["result"] == "abanone"


def test_annotations_and_patterns_stay(tainting) -> None:
    source = """
    from __future__ import annotations
    from typing import Generic, TypeVar
    T = TypeVar("T")
    class Box(Generic[T]):
        item: dict[str, list[int]] = {}
    def work(a: dict[str, "x" + "y"]) -> list[int]:
        match a:
            case {"k": ("a" | "b") as found}:
                return found + "!"
            case [first, *rest] if first + "" == "q":
                return first + "".join(rest)
        return "none"
    result = work({"k": "a"}), work(["q", "r"]), work(5)
    """
    made = run(source)
    assert made["result"] == ("a!", "qr", "none")
    assert made["work"].__annotations__ == {"a": "dict[str, 'x' + 'y']", "return": "list[int]"}


def test_super_closures_generators_and_coroutines(tainting) -> None:
    source = """
    import asyncio
    class A:
        def name(self, x):
            return "A" + x
    class B(A):
        def name(self, x):
            return super().name(x + "").join(["(", ")"]) + __class__.__name__
    def counter():
        total = ""
        def add(x):
            nonlocal total
            total += x.strip()
            return total
        return add
    def lines(xs):
        for x in xs:
            got = yield x + "!"
            if got:
                yield got + "?"
    async def later(x):
        await asyncio.sleep(0)
        return [y async for y in agen(x)] + [await one(x) + "z"]
    async def one(x):
        return x + "1"
    async def agen(x):
        for c in x:
            yield c + "."
    c = counter()
    g = lines(["a", "b"])
    result = (B().name("x"), c(" p "), c("q"), next(g), g.send("s"), next(g), asyncio.run(later("mn")))
    """
    plain: dict = {}
    exec(textwrap.dedent(source), plain)
    assert run(source)["result"] == plain["result"]


def test_interleaved_generators_of_one_place_do_not_mix(tainting) -> None:
    source = """
    def same(x):
        return x
    def work():
        made = [(same(a) + same(next(other)) for a in ["x", "y"]) for other in [iter(["1", "2"]), iter(["3", "4"])]]
        chain = iter(["0", "0"])
        out = []
        for _ in range(2):
            chain = (same(v) + same("n") for v in chain)
        return list(made[1]), list(chain)
    result = work()
    """
    plain: dict = {}
    exec(textwrap.dedent(source), plain)
    assert run(source)["result"] == plain["result"]


def test_string_building_in_a_loop_stays_linear() -> None:
    made = run(
        """
        def work(n):
            s = ""
            for _ in range(n):
                s += "x"
            return len(s)
        """
    )
    code = made["work"].__code__
    # The in-place growth of the interpreter needs the addition to be followed by the store of the same name.
    names = [
        (one.opname, one.argval) for one in dis.get_instructions(code) if not one.opname.startswith(("CACHE", "COPY"))
    ]
    pairs = [(names[at][0], names[at + 1]) for at in range(len(names) - 1)]
    assert any(first in ("BINARY_OP", "INPLACE_ADD") and second == ("STORE_FAST", "s") for first, second in pairs)


class Odd(str):
    def __add__(self, other):
        return 7

    def __eq__(self, other):
        raise ValueError("never compared")

    __hash__ = None


def test_exotic_subclasses_are_left_in_peace(tainting) -> None:
    _, value = tainting
    made = run("def work(o, t):\n    return o + t, [t + ''.join([o]), '%s' % (o,), f'{o}{t}', o[0:1] + t, o.upper()]\n")
    assert made["work"](Odd("abc"), value) == (7, ["taintedabc", "abc", "abctainted", "atainted", "ABC"])


def test_first_party_is_a_place_not_a_name(tmp_path: Path) -> None:
    root = tmp_path / "root"
    names = ["testcode/a.py", "osprey/b.py", "jsonish.py", "lib/site-packages/x.py", "venv/lib/y.py", "sub/deep/z.py"]
    for one in names:
        (root / one).parent.mkdir(parents=True, exist_ok=True)
        (root / one).write_text("")
    (root / "venv" / "pyvenv.cfg").write_text("")
    scope = Scope((str(root),))
    first = [one for one in names if scope.has(str(root / one))]
    assert first == ["testcode/a.py", "osprey/b.py", "jsonish.py", "sub/deep/z.py"]
    assert not scope.has(os.__file__)
    assert not scope.has("<string>")
    assert not scope.has(str(Path(importing.__file__)))


def loaded(tmp_path: Path, *lines: str) -> subprocess.CompletedProcess:
    """A process that installs the hook for `tmp_path` and runs the lines."""
    code = "\n".join(
        [
            "import sys",
            f"sys.path.insert(0, {str(tmp_path)!r})",
            "from phalanx_app import agent",
            "a = agent.start()",
            "counts = a.importer.counts",
            *lines,
        ]
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PHALANX", "PYTHONDONT"))}
    env |= {"PHALANX_APP_ROOT": str(tmp_path), "PHALANX_APP_STATE": str(tmp_path / "state")}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )


def test_rewritten_code_is_cached_beside_the_bytecode_and_renewed(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("def f(a, b):\n    return a + b\n")
    ask = (
        "import mine, inspect",
        "print(counts.rewritten, counts.cached, mine.f('a', 'b'), inspect.getsource(mine.f).count('px'), mine.__loader__.get_source('mine')[:5])",
    )
    assert loaded(tmp_path, *ask).stdout == "1 0 ab 0 def f\n"
    assert loaded(tmp_path, *ask).stdout == "0 1 ab 0 def f\n"
    module.write_text("def f(a, b):\n    return b + a + '!'\n")
    assert loaded(tmp_path, *ask).stdout == "1 0 ba! 0 def f\n"
    (cached,) = (tmp_path / "__pycache__").glob("mine.*px*.pyc")
    cached.write_bytes(cached.read_bytes()[:30])
    assert loaded(tmp_path, *ask).stdout == "1 0 ba! 0 def f\n"
    cached.write_bytes(os.urandom(5000))
    assert loaded(tmp_path, *ask).stdout == "1 0 ba! 0 def f\n"


def test_a_module_that_does_not_parse_fails_as_always(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(:\n")
    (tmp_path / "deep.py").write_text("x2 = 'b'\ny = 'a'" + " + x2" * 900 + "\n")
    (tmp_path / "binary.py").write_bytes(b"x = '\xff'\n")
    done = loaded(
        tmp_path,
        "for name in ('bad', 'binary'):",
        "    try: __import__(name)",
        "    except SyntaxError as error: print(type(error).__name__, error.filename.endswith(name + '.py'))",
        "import deep; print(len(deep.y))",
    )
    assert done.stdout == "SyntaxError True\nSyntaxError True\n901\n", done.stderr


def test_a_read_only_place_only_costs_the_cache(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 'a'.join(['b'])\n")
    (tmp_path / "__pycache__").write_text("a file where the directory should be")
    assert loaded(tmp_path, "import mine", "print(mine.x, counts.cache_errors)").stdout == "b 1\n"


def test_every_interpreter_here(interpreters: list[str], tmp_path: Path) -> None:
    """The rewritten standard constructs run on each CPython that is there, with the pure twin (the extension is built for one)."""
    source = (Path(__file__).parent / "oracle.py").parent
    code = (
        f"import sys; sys.path[:0] = [{str(source)!r}, {str(source.parent / 'src')!r}]\n"
        "import os; os.environ['PHALANX_APP_PURE'] = '1'\n"
        "from phalanx_app import taint, hooks\n"
        "from phalanx_app.rewrite.transform import TEMPORARY, rewrite\n"
        "from oracle import Program, difference\n"
        "failed = []\n"
        "import traceback\n"
        "taint.wire(taint.core, lambda where: failed.append(where + traceback.format_exc())); hooks.install()\n"
        "for seed in range(25):\n"
        "    found = difference(Program(seed, 40), taint.core, taint.CURRENT, rewrite, TEMPORARY)\n"
        "    assert found is None, found\n"
        "assert not failed, failed[0]\n"
        "print('equal', sys.version_info[:2])\n"
    )
    for one in interpreters:
        done = subprocess.run([one, "-c", code], capture_output=True, text=True, timeout=100)
        assert done.stdout.startswith("equal"), f"{one}: {done.stderr[-3000:]}"
        print(done.stdout.strip())
    have = {
        subprocess.run(
            [one, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True
        ).stdout.strip()
        for one in interpreters
    }
    print(
        "not here, so not tested:",
        ", ".join(f"3.{minor}" for minor in range(10, 15) if str(minor) not in have) or "none",
    )


def test_runtime_is_not_started_by_importing() -> None:
    assert runtime.RUNTIME is None
