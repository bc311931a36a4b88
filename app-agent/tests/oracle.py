"""Random programs of text operations, and a naive model of them that carries a tag for each character.

A program is a list of statements, each assigning a new name. It is run as it is, and rewritten with tainted inputs; the model is run beside it. The model
knows nothing of the agent: it places characters by the definition of each operation, or by running the operation itself on text of the same shape.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable
from typing import Any

Tag = int | None
HOLE = "\ue000"


class Chars:
    """Text (or bytes) with a tag for each character."""

    def __init__(self, text: Any, tags: list[Tag]) -> None:
        assert len(text) == len(tags), (text, tags)
        self.text, self.tags = text, tags

    def __len__(self) -> int:
        return len(self.text)

    def cut(self, start: int, end: int) -> Chars:
        return Chars(self.text[start:end], self.tags[start:end])

    def ranges(self) -> tuple[tuple[int, int, int, int], ...] | None:
        """The tags as the agent's normal form."""
        out: list[tuple[int, int, int, int]] = []
        for at, tag in enumerate(self.tags):
            if tag is None:
                continue
            if out and out[-1][1] == at and out[-1][2] == tag:
                out[-1] = (out[-1][0], at + 1, tag, 0)
            else:
                out.append((at, at + 1, tag, 0))
        return tuple(out) or None


def glue(parts: list[Chars], empty: Any = "") -> Chars:
    text, tags = empty, []
    for one in parts:
        text = text + one.text
        tags += one.tags
    return Chars(text, tags)


def bare(text: Any) -> Chars:
    return Chars(text, [None] * len(text))


def expand(value: Chars, shown: list[str]) -> Chars:
    """Each character became `shown[i]`, which inherits its tag."""
    return Chars("".join(shown), [tag for tag, text in zip(value.tags, shown, strict=True) for _ in text])


def by_shape(value: Chars, run: Callable[[str], str]) -> Chars:
    """Run an operation that does not look at the characters on a text of holes, and put the characters back."""
    text = run(HOLE * len(value))
    out: list[Tag] = []
    made = ""
    at = 0
    for one in text:
        if one == HOLE:
            made += value.text[at]
            out.append(value.tags[at])
            at += 1
        else:
            made += one
            out.append(None)
    return Chars(made, out)


def shown_repr(value: Chars) -> Chars:
    quote = '"' if "'" in value.text and '"' not in value.text else "'"
    pieces = ["\\" + one if one in ("\\", quote) else one if one in "'\"" else repr(one)[1:-1] for one in value.text]
    inner = expand(value, pieces)
    return glue([bare(quote), inner, bare(quote)])


ALPHABET = [
    "a",
    "b",
    "B",
    "x",
    " ",
    "\t",
    "\n",
    ",",
    "'",
    "\\",
    "%",
    "{",
    "é",
    "ß",
    "日",
    "-",
    "+",
    "0",
    "7",
    ".",
    "/",
    "İ",
    "ǆ",
    "😀",
]


class Program:
    """One random program."""

    def __init__(self, seed: int, size: int) -> None:
        self.rng = random.Random(seed)
        self.lines: list[str] = []
        self.model: dict[str, Any] = {}
        self.inputs: dict[str, tuple[Any, bool]] = {}
        for number in range(5):
            name = f"s{number}"
            text = self.text(0 if number == 4 else 1)
            tainted = number < 3
            self.inputs[name] = (text, tainted)
            self.model[name] = Chars(text, [number if tainted else None] * len(text))
        data = self.text(1).encode()
        self.inputs["b0"] = (data, True)
        self.model["b0"] = Chars(data, [9] * len(data))
        self.operations = 0
        for number in range(size):
            self.statement(f"v{number}")

    def text(self, least: int = 0) -> str:
        return "".join(self.rng.choice(ALPHABET) for _ in range(self.rng.randint(least, 7)))

    def pick(self, kind: type = str) -> tuple[str, Chars]:
        names = [
            name
            for name, value in self.model.items()
            if isinstance(value, Chars) and type(value.text) is kind and len(value) < 400
        ]
        # Recent values are taken more often, so that programs build on themselves.
        name = self.rng.choice(names[-8:] if self.rng.random() < 0.6 else names)
        return self.form(name), self.model[name]

    def form(self, name: str) -> str:
        """A name, or the same value by an expression that is not one."""
        return self.rng.choice(
            [
                name,
                name,
                f"same({name})",
                f"box({name}).value",
                f"[{name}][0]",
                f"(lambda q: q)({name})",
                f"{{'k': {name}}}['k']",
            ]
        )

    def literal(self, text: str) -> str:
        return repr(text)

    def statement(self, target: str) -> None:
        made = self.rng.choice(OPERATIONS)(self)
        if made is None:
            return
        source, value = made
        if isinstance(value, Chars) and len(value) > 3000:
            return
        self.operations += 1
        shape = self.rng.randint(0, 9)
        if shape == 0:
            self.lines.append(f"{target} = [{source} for _ in one][0]")
        elif shape == 1:
            self.lines.append(f"{target} = next(({source}) for _ in one)")
        elif shape == 2:
            self.lines.append(
                f"class C: kept = {source}\n{target} = C.kept" if "\n" not in source else f"{target} = {source}"
            )
        elif shape == 3:
            self.lines.append(f"{target} = (lambda: {source})()")
        elif shape == 4:
            self.lines.append(f"def f():\n    got = {source}\n    return got\n{target} = f()")
        else:
            self.lines.append(f"{target} = {source}")
        self.model[target] = value

    def source(self) -> str:
        """The program as one function, so that names are locals and every form of rewriting is used; and once more as a module."""
        body = "\n".join(self.lines)
        return (
            "def program(same, box, one, re, "
            + ", ".join(self.inputs)
            + "):\n"
            + indent(body)
            + "\n    return dict(locals())\n"
        )


def indent(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


# --- operations: each gives the source of an expression and its model ---------------------------------------------------------------------

Made = tuple[str, Any] | None


def op_add(p: Program) -> Made:
    (one, a), (two, b) = p.pick(), p.pick()
    return f"{one} + {two}", glue([a, b])


def op_add_three(p: Program) -> Made:
    (one, a), (two, b), (three, c) = p.pick(), p.pick(), p.pick()
    return f"{one} + ({two} + {three})", glue([a, b, c])


def op_add_literal(p: Program) -> Made:
    one, a = p.pick()
    text = p.text()
    return f"{one} + {text!r}", glue([a, bare(text)])


def op_mul(p: Program) -> Made:
    one, a = p.pick()
    times = p.rng.randint(0, 3)
    return (f"{one} * {times}" if p.rng.random() < 0.5 else f"{times} * {one}"), glue([a] * times)


def op_slice(p: Program) -> Made:
    one, a = p.pick()
    low, high = (p.rng.choice([None, *range(-8, 9)]) for _ in range(2))
    return f"{one}[{'' if low is None else low}:{'' if high is None else high}]", Chars(
        a.text[low:high], a.tags[low:high]
    )


def op_stride(p: Program) -> Made:
    one, a = p.pick()
    step = p.rng.choice([-2, -1, 2, 3])
    return f"{one}[::{step}]", Chars(a.text[::step], a.tags[::step])


def op_index(p: Program) -> Made:
    one, a = p.pick()
    if not len(a):
        return None
    at = p.rng.randint(-len(a), len(a) - 1)
    return f"{one}[{at}]", Chars(a.text[at], [a.tags[at]])


def op_join(p: Program) -> Made:
    sep, s = p.pick()
    members = [p.pick() for _ in range(p.rng.randint(0, 4))]
    parts: list[Chars] = []
    for number, (_, one) in enumerate(members):
        if number:
            parts.append(s)
        parts.append(one)
    listed = "[" + ", ".join(name for name, _ in members) + "]"
    form = p.rng.choice([listed, f"tuple({listed})", f"iter({listed})", f"(m for m in {listed})"])
    return f"{sep}.join({form})", glue(parts)


def op_replace(p: Program) -> Made:
    (one, a), (new, n) = p.pick(), p.pick()
    if p.rng.random() < 0.2:
        old = ""
    elif p.rng.random() < 0.7 and len(a):
        at = p.rng.randrange(len(a))
        old = a.text[at : at + p.rng.randint(1, 2)]
    else:
        old = p.text()
    count = p.rng.choice([-1, -1, 0, 1, 2])
    if old in ("'", "<", "\n", "\r\n", "\r", "/") and count < 0:
        return None  # these give marks, which have tests of their own
    parts: list[Chars] = []
    left = count if count >= 0 else 10**9
    at = 0
    if old == "":
        for index in range(len(a) + 1):
            if left:
                parts.append(n)
                left -= 1
            if index < len(a):
                parts.append(a.cut(index, index + 1))
    else:
        while at < len(a):
            if left and a.text.startswith(old, at):
                parts.append(n)
                at += len(old)
                left -= 1
            else:
                parts.append(a.cut(at, at + 1))
                at += 1
    tail = "" if count == -1 else f", {count}"
    return f"{one}.replace({old!r}, {new}{tail})", glue(parts)


def op_strip(p: Program) -> Made:
    one, a = p.pick()
    name = p.rng.choice(["strip", "lstrip", "rstrip"])
    chars = p.rng.choice([None, "ab ", "'\\x", " \t\n"])
    drop = (lambda c: c.isspace()) if chars is None else (lambda c: c in chars)
    low, high = 0, len(a)
    if name != "rstrip":
        while low < high and drop(a.text[low]):
            low += 1
    if name != "lstrip":
        while high > low and drop(a.text[high - 1]):
            high -= 1
    return f"{one}.{name}({'' if chars is None else repr(chars)})", a.cut(low, high)


def op_case(p: Program) -> Made:
    one, a = p.pick()
    name = p.rng.choice(["upper", "lower", "swapcase", "casefold", "title", "capitalize"])
    native = getattr(a.text, name)()
    if len(native) == len(a):
        return f"{one}.{name}()", Chars(native, list(a.tags))
    if name in ("title", "capitalize", "lower", "swapcase"):
        return None  # context-dependent lengths; a result of the same length is covered above
    return f"{one}.{name}()", expand(a, [getattr(c, name)() for c in a.text])


def op_pad(p: Program) -> Made:
    one, a = p.pick()
    name = p.rng.choice(["ljust", "rjust", "center"])
    width = p.rng.randint(0, 14)
    fill = p.rng.choice([" ", "*"])
    return f"{one}.{name}({width}, {fill!r})", by_shape(a, lambda t: getattr(t, name)(width, fill))


def op_zfill(p: Program) -> Made:
    one, a = p.pick()
    width = p.rng.randint(0, 12)
    sign = a.text[:1] in ("+", "-")
    pad = max(0, width - len(a))
    zeros = bare("0" * pad)
    return f"{one}.zfill({width})", glue([a.cut(0, 1), zeros, a.cut(1, len(a))]) if sign else glue([zeros, a])


def op_tabs(p: Program) -> Made:
    one, a = p.pick()
    size = p.rng.choice([0, 1, 4, 8])
    column, shown = 0, []
    for c in a.text:
        if c == "\t":
            width = size - column % size if size else 0
            shown.append(" " * width)
            column += width
        else:
            shown.append(c)
            column = 0 if c in "\r\n" else column + 1
    return f"{one}.expandtabs({size})", expand(a, shown)


def pieces_in_order(a: Chars, native: list[str]) -> list[Chars]:
    out, at = [], 0
    for one in native:
        at = a.text.index(one, at) if one else at
        out.append(a.cut(at, at + len(one)))
        at += len(one)
    return out


def op_split(p: Program) -> Made:
    one, a = p.pick()
    name = p.rng.choice(["split", "rsplit"])
    limit = p.rng.choice([-1, 1, 2])
    sep = p.rng.choice([None, ",", "a", " ", "ab"])
    native = getattr(a.text, name)(sep, limit)
    if sep is None:
        parts = pieces_in_order(a, native)
    else:
        parts, at = [], 0
        for piece in native:
            parts.append(a.cut(at, at + len(piece)))
            at += len(piece) + len(sep)
    form = f"{one}.{name}({sep!r}, {limit})" if p.rng.random() < 0.7 else f"{one}.{name}(sep={sep!r}, maxsplit={limit})"
    return form, parts


def op_splitlines(p: Program) -> Made:
    one, a = p.pick()
    keep = p.rng.random() < 0.5
    parts, at = [], 0
    for full, piece in zip(a.text.splitlines(True), a.text.splitlines(keep), strict=True):
        parts.append(a.cut(at, at + len(piece)))
        at += len(full)
    return f"{one}.splitlines({keep})", parts


def op_partition(p: Program) -> Made:
    one, a = p.pick()
    name = p.rng.choice(["partition", "rpartition"])
    sep = p.rng.choice([",", "a", " ", "b"])
    out, at = [], 0
    for piece in getattr(a.text, name)(sep):
        out.append(a.cut(at, at + len(piece)))
        at += len(piece)
    return f"{one}.{name}({sep!r})", out


def op_affix(p: Program) -> Made:
    one, a = p.pick()
    if p.rng.random() < 0.5:
        cut = a.text[: p.rng.randint(0, 2)] if p.rng.random() < 0.7 else "zz"
        return f"{one}.removeprefix({cut!r})", a.cut(len(cut) if a.text.startswith(cut) else 0, len(a))
    cut = a.text[len(a) - p.rng.randint(0, 2) :] if p.rng.random() < 0.7 else "zz"
    return f"{one}.removesuffix({cut!r})", a.cut(0, len(a) - len(cut) if cut and a.text.endswith(cut) else len(a))


def op_translate(p: Program) -> Made:
    one, a = p.pick()
    table = {ord("a"): "AA", ord("b"): None, ord("x"): ord("y"), ord("é"): "e"}
    shown = []
    for c in a.text:
        made = table.get(ord(c), c)
        shown.append("" if made is None else chr(made) if isinstance(made, int) else made)
    return f"{one}.translate({table!r})", expand(a, shown)


def op_fstring(p: Program) -> Made:
    source, parts = "", []
    for _ in range(p.rng.randint(1, 4)):
        kind = p.rng.randint(0, 6)
        if kind == 0:
            text = "".join(c for c in p.text() if c not in "\\\n\t'{}")
            source += text
            parts.append(bare(text))
            continue
        if kind == 1:
            number = p.rng.randint(-5, 500)
            source += f"{{{number}}}"
            parts.append(bare(str(number)))
            continue
        names = [
            name
            for name, value in p.model.items()
            if isinstance(value, Chars) and type(value.text) is str and len(value) < 400
        ]
        name = p.rng.choice(names)
        value = p.model[name]
        form = p.rng.choice([name, f"same({name})", f"[{name}][0]"])
        if kind == 2:
            source += f"{{{form}!r}}"
            parts.append(shown_repr(value))
        elif kind == 3:
            spec = p.rng.choice([">12", "<9", "^11", "*^7", ".3", ">8.2", "10", "-<6s"])
            source += f"{{{form}:{spec}}}"
            parts.append(by_shape(value, lambda t, spec=spec: format(t, spec)))  # type: ignore[misc]
        elif kind == 4:
            source += f"{{{form}!s}}"
            parts.append(value)
        else:
            source += f"{{{form}}}"
            parts.append(value)
    return f'f"""{source}"""', glue(parts)


def op_percent(p: Program) -> Made:
    kind = p.rng.randint(0, 3)
    (one, a), (two, b) = p.pick(), p.pick()
    if kind == 0:
        return f"'<%s>' % {one}" if "(" not in one[:1] else f"'<%s>' % ({one},)", glue([bare("<"), a, bare(">")])
    if kind == 1:
        spec = p.rng.choice(["%s", "%9s", "%-9s", "%.2s", "%6.3s"])
        shaped = by_shape(a, lambda t: spec % (t,))
        return f"'{spec}|%s|%%|%d' % ({one}, {two}, 7)", glue([shaped, bare("|"), b, bare("|%|7")])
    if kind == 2:
        return f"'%(x)s and %(y)r' % {{'x': {one}, 'y': {two}}}", glue([a, bare(" and "), shown_repr(b)])
    return f"'%r%s' % ({one}, 5)", glue([shown_repr(a), bare("5")])


def op_format(p: Program) -> Made:
    kind = p.rng.randint(0, 5)
    (one, a), (two, b) = p.pick(), p.pick()
    if kind == 0:
        return f"'{{}}-{{}}'.format({one}, {two})", glue([a, bare("-"), b])
    if kind == 1:
        return f"'{{1}}{{{{{{0}}}}}}'.format({one}, {two})", glue([b, bare("{"), a, bare("}")])
    if kind == 2:
        spec = p.rng.choice([">9", "^10", ".2", "<5"])
        return f"'{{k:{spec}}}|{{n}}'.format(k={one}, n=3)", glue([by_shape(a, lambda t: format(t, spec)), bare("|3")])
    if kind == 3:
        return f"'{{a}}{{b}}'.format_map({{'a': {one}, 'b': {two}}})", glue([a, b])
    if kind == 4:
        return f"'{{!r}};{{:>{{}}}}'.format({one}, {two}, 6)", glue(
            [shown_repr(a), bare(";"), by_shape(b, lambda t: format(t, ">6"))]
        )
    return f"'{{0[0]}}{{d[k]}}'.format([{one}], d={{'k': {two}}})", glue([a, b])


def op_builtin(p: Program) -> Made:
    one, a = p.pick()
    kind = p.rng.randint(0, 3)
    if kind == 0:
        return f"str({one})", a
    if kind == 1:
        return f"repr({one})", shown_repr(a)
    if kind == 2:
        return f"format({one}, '>10')", by_shape(a, lambda t: format(t, ">10"))
    return f"''.join(list({one}))", a


def op_loop(p: Program) -> Made:
    one, a = p.pick()
    if p.rng.random() < 0.5:
        return f"''.join(c for c in {one})", a
    return f"''.join([c + '.' for c in {one}])", glue(
        [part for at in range(len(a)) for part in (a.cut(at, at + 1), bare("."))]
    )


def op_encode(p: Program) -> Made:
    one, a = p.pick()
    data, tags = b"", []
    for c, tag in zip(a.text, a.tags, strict=True):
        made = c.encode()
        data += made
        tags += [tag] * len(made)
    return (f"{one}.encode()" if p.rng.random() < 0.5 else f"bytes({one}, 'utf-8')"), Chars(data, tags)


def op_decode(p: Program) -> Made:
    names = [name for name, value in p.model.items() if isinstance(value, Chars) and type(value.text) is bytes]
    name = p.rng.choice(names)
    value = p.model[name]
    try:
        text = value.text.decode()
    except UnicodeDecodeError:
        return None
    tags, at = [], 0
    for c in text:
        size = len(c.encode())
        if len(set(value.tags[at : at + size])) != 1:
            return None  # a character put together from bytes of different taint has no one answer
        tags.append(value.tags[at])
        at += size
    return f"{p.form(name)}.decode()", Chars(text, tags)


def op_bytes(p: Program) -> Made:
    (one, a), (two, b) = p.pick(bytes), p.pick(bytes)
    kind = p.rng.randint(0, 4)
    if kind == 0:
        return f"{one} + {two}", glue([a, b], b"")
    if kind == 1:
        return f"{one}[1:4]", Chars(a.text[1:4], a.tags[1:4])
    if kind == 2:
        return f"b'-'.join([{one}, {two}])", glue([a, Chars(b"-", [None]), b], b"")
    if kind == 3:
        return f"b'%s=%b' % ({one}, {two})", glue([a, Chars(b"=", [None]), b], b"")
    return f"{one} * 2", glue([a, a], b"")


def op_regex(p: Program) -> Made:
    one, a = p.pick()
    kind = p.rng.randint(0, 3)
    if kind == 0:
        new = p.text().replace("\\", "")
        parts, at = [], 0
        for match in re.finditer("[ab]+", a.text):
            parts += [a.cut(at, match.start()), bare(new)]
            at = match.end()
        parts.append(a.cut(at, len(a)))
        return f"re.sub('[ab]+', {new!r}, {one})", glue(parts)
    if kind == 1:
        return f"re.findall('[a-zé]+', {one})", [a.cut(*match.span()) for match in re.finditer("[a-zé]+", a.text)]
    match = re.search("(a)?(.+)", a.text, re.S)
    if match is None:
        return None
    if kind == 2:
        return f"re.search('(a)?(.+)', {one}, re.S).group(2)", a.cut(*match.span(2))
    return f"re.compile('(a)?(.+)', re.S).search({one})[0]", a.cut(*match.span())


def op_augmented(p: Program) -> Made:
    (one, a), (two, b) = p.pick(), p.pick()
    return f"(lambda q: [q := q + {two}, q][1])({one})", glue([a, b])


OPERATIONS: list[Callable[[Program], Made]] = [
    op_add,
    op_add_three,
    op_add_literal,
    op_mul,
    op_slice,
    op_slice,
    op_stride,
    op_index,
    op_join,
    op_join,
    op_replace,
    op_replace,
    op_strip,
    op_case,
    op_pad,
    op_zfill,
    op_tabs,
    op_split,
    op_splitlines,
    op_partition,
    op_affix,
    op_translate,
    op_fstring,
    op_fstring,
    op_fstring,
    op_percent,
    op_format,
    op_format,
    op_builtin,
    op_loop,
    op_encode,
    op_decode,
    op_bytes,
    op_regex,
    op_augmented,
]


class Box:
    """Holds a value behind an attribute."""

    def __init__(self, value: Any) -> None:
        self.value = value


def compiled(source: str, rewrite: Callable[[ast.Module], bool] | None) -> Any:
    tree = ast.parse(source)
    if rewrite is not None:
        rewrite(tree)
    namespace: dict[str, Any] = {}
    exec(compile(tree, "<program>", "exec"), namespace)
    return namespace["program"]


def difference(
    program: Program, core: Any, current: Any, rewrite: Callable[[ast.Module], bool], prefix: str
) -> str | None:
    """Run the program plain and rewritten; None, or what differs."""
    source = program.source()
    values = {name: text for name, (text, _) in program.inputs.items()}
    plain = compiled(source, None)(lambda v: v, Box, (0,), re, **values)
    table = core.Table(None, max_ranges=10_000)
    token = current.set(table)
    try:
        number = {"s0": 0, "s1": 1, "s2": 2, "b0": 9}
        tainted = {
            name: table.source(text, number[name], "source") if flag and text else text
            for name, (text, flag) in program.inputs.items()
        }
        got = compiled(source, rewrite)(lambda v: v, Box, (0,), re, **tainted)
        for name, wanted in program.model.items():
            if name not in plain:
                continue
            pairs = list(zip(got[name], wanted, strict=True)) if isinstance(wanted, list) else [(got[name], wanted)]
            if got[name] != plain[name] or type(got[name]) is not type(plain[name]):
                return f"{name}: {got[name]!r} is not {plain[name]!r}\n{source}\n{values}"
            for value, model in pairs:
                if value != model.text:
                    return f"the model is wrong for {name}: {model.text!r} is not {value!r}\n{source}\n{values}"
                if table.ranges(value) != model.ranges():
                    return f"{name}: {value!r} has {table.ranges(value)}, not {model.ranges()}\n{source}\n{values}"
        extra = [one for one in got if one.startswith(prefix)]
        if extra or set(got) != set(plain):
            return f"names leaked: {extra or set(got) ^ set(plain)}"
    finally:
        current.reset(token)
        table.clear()
    return None
