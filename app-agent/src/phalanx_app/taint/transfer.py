"""How taint goes through text operations: the transfer functions that run only when an operand is tainted.

Each is called as ``f(table, result, …operands)`` after the operation, and returns the result or its taint-carrying copy. `SLOW` maps
hook and method names (methods with a leading dot) to them; the twins `pure` and `_native` look them up by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..marks import NOSQL
from .formats import Piece, brace_pieces, percent_pieces, spec_piece
from .pure import any_tainted, copy
from .ranges import Range, clip, mapped, moved, normal, whole

TEXT = (str, bytes, bytearray)
SLOW: dict[str, Callable[..., Any]] = {}


def slow(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            SLOW[name] = function
        return function

    return register


# --- operators ---------------------------------------------------------------------------------------------------------------------


@slow("add")
def _add(table: Any, result: Any, left: Any, right: Any) -> Any:
    """A sum whose length is not the sum of the lengths: `Markup + str` escapes the other side."""
    one, two = table.ranges(left) or (), table.ranges(right) or ()
    if hasattr(result, "__html__"):
        return safe_markup(table, result, "+", (left, right))
    return table.put(result, whole([*one, *two], len(result)), "+", (left, right))


def safe_markup(table: Any, result: Any, op: str, operands: Iterable[Any]) -> Any:
    """A markup value whose library escaped what it took in: all of it tainted, marked as safe for HTML where it was escaped."""
    from ..marks import XSS

    pieces: list[Range] = []
    for one in operands:
        for start, end, source, marks in table.ranges(one) or ():
            pieces.append((start, end, source, marks if hasattr(one, "__html__") else marks | XSS))
    return table.put(result, whole(pieces, len(result)), op, tuple(operands)) if pieces else result


@slow("mul")
def _mul(table: Any, result: Any, left: Any, right: Any) -> Any:
    text = left if table.has(left) else right
    ranges, size = table.ranges(text), len(text)
    if not size:
        return result
    times = min(len(result) // size, 4096)
    pieces: list[Range] = []
    for number in range(times):
        pieces += moved(ranges, number * size)
    if times * size < len(result):
        pieces += whole(moved(ranges, times * size), len(result))
        pieces[-1] = (times * size, len(result), pieces[-1][2], pieces[-1][3])
    return table.put(result, pieces, "*", (text,))


@slow("stride")
def _stride(table: Any, result: Any, value: Any, start: int, stop: int, step: int) -> Any:
    ranges = table.ranges(value)
    pieces: list[Range] = []
    for position, index in enumerate(range(start, stop, step)):
        for low, high, source, marks in ranges:
            if low <= index < high:
                pieces.append((position, position + 1, source, marks))
                break
    return table.put(result, pieces, "[::]", (value,))


@slow("mod")
def _mod(table: Any, result: Any, left: Any, right: Any) -> Any:
    if hasattr(result, "__html__"):
        operands = right if type(right) is tuple else tuple(right.values()) if type(right) is dict else (right,)
        return safe_markup(table, result, "%", (left, *operands))
    pieces = percent_pieces(left, right, table.ranges(left) or ())
    return assemble(table, result, pieces, "%", left)


@slow("fstr")
def _fstr(table: Any, result: Any, *parts: Any) -> Any:
    return assemble(table, result, [spec_piece(one) for one in parts], "f''")


@slow("loop")
def _loop(table: Any, value: str) -> list[str]:
    ranges = table.ranges(value)
    out = list(value)
    for low, high, source, marks in ranges:
        for index in range(low, min(high, len(out))):
            out[index] = table.put(out[index], ((0, 1, source, marks),), "for", (value,))
    return out


# --- pieces ------------------------------------------------------------------------------------------------------------------------


def piece_ranges(table: Any, piece: Piece) -> tuple[list[Range], tuple[Any, ...]]:
    """The ranges inside one formatted piece, and the objects they came from."""
    if piece.ranges is not None:
        return list(piece.ranges), ()
    value = piece.value
    ranges = table.ranges(value)
    if ranges is not None:
        if piece.place is not None and isinstance(value, TEXT):
            return piece.place(value, ranges), (value,)
        return whole(ranges, piece.length or 0), (value,)
    if any_tainted(table, value):
        members = value.values() if type(value) is dict else value
        for one in members:
            ranges = table.ranges(one)
            if ranges is not None:
                return whole(ranges, piece.length or 0), (one,)
    return [], ()


def assemble(table: Any, result: Any, pieces: Sequence[Piece], op: str, *more: Any) -> Any:
    """Put the taint of `pieces`, in order, on `result`.

    The length of a piece whose text the agent must not ask for (it would run the application's `__format__` a second time)
    follows from the others; where several are open, the next known text is searched.
    """
    if not isinstance(result, TEXT):
        return result
    total = len(result)
    open_ones = [one for one in pieces if one.length is None]
    if len(open_ones) == 1:
        open_ones[0].length = max(0, total - sum(one.length or 0 for one in pieces))
    at = 0
    out: list[Range] = []
    parents: list[Any] = []
    for number, piece in enumerate(pieces):
        if piece.length is None:
            end = total
            for later in pieces[number + 1 :]:
                if later.text:
                    found = result.find(later.text, at)
                    end = found if found >= 0 else total
                    break
            piece.length = end - at
        ranges, origin = piece_ranges(table, piece)
        out += clip(ranges, 0, piece.length, at) if ranges else []
        parents += origin
        at += piece.length
    if not out:
        return result
    return table.put(result, out, op, (*parents, *more))


# --- methods that keep or move characters ---------------------------------------------------------------------------------------------


def _argument(args: tuple[Any, ...], keywords: dict[str, Any] | None, index: int, name: str, default: Any) -> Any:
    if len(args) > index:
        return args[index]
    return keywords.get(name, default) if keywords else default


def text_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """For methods of `str`, `bytes` and `bytearray` whose result is text; other receivers are let through untouched."""

    def checked(table: Any, result: Any, receiver: Any, args: tuple[Any, ...], keywords: dict[str, Any] | None) -> Any:
        if not isinstance(receiver, TEXT):
            return result
        return function(table, result, receiver, args, keywords)

    return checked


def _case_width(name: str) -> Callable[[str], int]:
    method = getattr(str, name)
    return lambda character: len(method(character))


_WIDTHS = {name: _case_width(name) for name in ("lower", "upper", "casefold", "swapcase", "title", "capitalize")}


def _case(name: str) -> Callable[..., Any]:
    @text_only
    def transfer(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
        ranges = table.ranges(receiver)
        if ranges is None:
            return result
        if len(result) == len(receiver):
            return table.put(result, ranges, name, (receiver,))
        width = _WIDTHS[name]
        widths = [width(one) for one in receiver]
        if name == "capitalize":
            widths = [len(receiver[0].title()), *(len(one.lower()) for one in receiver[1:])]
        elif name == "title":
            # Only the first letter of a word is in title case; the lower-case forms are as long except for U+0130.
            widths = [len(one) for one in _title_parts(receiver)]
        if sum(widths) != len(result):
            return table.put(result, whole(ranges, len(result)), name, (receiver,))
        return table.put(result, mapped(ranges, widths), name, (receiver,))

    return transfer


def _title_parts(text: str) -> list[str]:
    out, before = [], False
    for one in text:
        out.append(one.lower() if before else one.title())
        before = one.isalpha() and (one.lower() != one.upper() or one.istitle())
    return out


for _name in _WIDTHS:
    SLOW["." + _name] = _case(_name)


def offset_of(value: Any, piece: Any, start: int) -> int:
    """Where `piece` begins in `value` at or after `start` (``start`` when it is not found)."""
    found = value.find(piece, start)
    return found if found >= 0 else start


@slow(".strip", ".lstrip", ".rstrip")
@text_only
def _strip(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    if ranges is None or not result:
        return result
    # The result is the receiver without a prefix and a suffix of stripped characters; its first character is none of these, so
    # the first place where the whole result fits is its place.
    at = offset_of(receiver, result, 0)
    return table.put(result, clip(ranges, at, at + len(result)), "strip", (receiver,))


@slow(".removeprefix")
@text_only
def _removeprefix(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    if ranges is None:
        return result
    return table.put(result, clip(ranges, len(receiver) - len(result), len(receiver)), "removeprefix", (receiver,))


@slow(".removesuffix")
@text_only
def _removesuffix(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    return result if ranges is None else table.put(result, clip(ranges, 0, len(result)), "removesuffix", (receiver,))


def _in_order(table: Any, result: list[Any], receiver: Any, op: str) -> list[Any]:
    """Pieces of `receiver` in their order: each is searched behind the one before."""
    ranges = table.ranges(receiver)
    if ranges is None:
        return result
    at = 0
    for index, piece in enumerate(result):
        if not piece:
            continue
        at = offset_of(receiver, piece, at)
        result[index] = table.put(piece, clip(ranges, at, at + len(piece)), op, (receiver,))
        at += len(piece)
    return result


@slow(".split", ".rsplit")
@text_only
def _split(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    separator = _argument(args, keywords, 0, "sep", None)
    ranges = table.ranges(receiver)
    if type(result) is not list or ranges is None:
        return result
    if separator is None:
        return _in_order(table, result, receiver, "split")
    at, gap = 0, len(separator)
    for index, piece in enumerate(result):
        size = len(piece)
        if size:
            result[index] = table.put(piece, clip(ranges, at, at + size), "split", (receiver,))
        at += size + gap
    return result


@slow(".splitlines")
@text_only
def _splitlines(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    return _in_order(table, result, receiver, "splitlines")


@slow(".partition", ".rpartition")
@text_only
def _partition(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    if ranges is None:
        return result
    out, at = [], 0
    for piece in result:
        out.append(table.put(piece, clip(ranges, at, at + len(piece)), "partition", (receiver,)) if piece else piece)
        at += len(piece)
    return tuple(out)


@slow(".replace")
@text_only
def _replace(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    old, new = args[0], args[1]
    count = _argument(args, keywords, 2, "count", -1)
    ranges, other = table.ranges(receiver) or (), table.ranges(new) or ()
    if not isinstance(result, TEXT) or (hasattr(result, "__html__") and len(new) and not hasattr(new, "__html__")):
        return safe_markup(table, result, "replace", (receiver, new)) if isinstance(result, TEXT) else result
    limit = len(receiver) + 1 if count < 0 else count
    pieces: list[Range] = []
    at = target = 0
    if not len(old):
        for index in range(min(limit, len(receiver) + 1)):
            pieces += moved(other, target)
            target += len(new)
            if index < len(receiver):
                pieces += clip(ranges, index, index + 1, target)
                target += 1
                at = index + 1
    else:
        while limit:
            found = receiver.find(old, at)
            if found < 0:
                break
            pieces += clip(ranges, at, found, target)
            target += found - at
            pieces += moved(other, target)
            target += len(new)
            at = found + len(old)
            limit -= 1
    pieces += clip(ranges, at, len(receiver), target)
    marks = _replace_marks(old, new) if ranges and count < 0 else 0
    if marks:
        pieces = [(low, high, source, known | marks) for low, high, source, known in pieces]
    if not normal(pieces, 1):
        # Equal text took the place of the tainted one, and the interpreter may have given back the receiver itself.
        return copy(result) if table.has(result) else result
    return table.put(result, pieces, "replace", (receiver, new))


def _replace_marks(old: Any, new: Any) -> int:
    """What ``value.replace(old, new)`` makes harmless: a doubled or removed quote closes no literal, a line without ends is one line."""
    from ..marks import escaped_by_replace

    return escaped_by_replace(old, new)


def _padding(table: Any, result: Any, receiver: Any, left: int, op: str, fill: Any) -> Any:
    pieces = moved(table.ranges(receiver) or (), left)
    other = table.ranges(fill) if fill is not None else None
    if other is not None and len(result) > len(receiver):
        source, marks = other[0][2], other[0][3]
        pieces = [(0, left, source, marks), *pieces, (left + len(receiver), len(result), source, marks)]
    return table.put(result, pieces, op, (receiver, fill))


@slow(".ljust")
@text_only
def _ljust(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    return _padding(table, result, receiver, 0, "ljust", args[1] if len(args) > 1 else None)


@slow(".rjust")
@text_only
def _rjust(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    return _padding(table, result, receiver, len(result) - len(receiver), "rjust", args[1] if len(args) > 1 else None)


@slow(".center")
@text_only
def _center(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    margin = len(result) - len(receiver)
    left = margin // 2 + (margin & len(result) & 1)
    return _padding(table, result, receiver, left, "center", args[1] if len(args) > 1 else None)


@slow(".zfill")
@text_only
def _zfill(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges, margin = table.ranges(receiver), len(result) - len(receiver)
    if ranges is None:
        return result
    if margin and receiver[:1] in ("+", "-", b"+", b"-"):
        pieces = [*clip(ranges, 0, 1), *clip(ranges, 1, len(receiver), 1 + margin)]
    else:
        pieces = moved(ranges, margin)
    return table.put(result, pieces, "zfill", (receiver,))


@slow(".expandtabs")
@text_only
def _expandtabs(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    size = _argument(args, keywords, 0, "tabsize", 8)
    if ranges is None:
        return result
    widths, column = [], 0
    for one in receiver if isinstance(receiver, str) else receiver.decode("latin-1"):
        if one == "\t":
            width = size - column % size if size > 0 else 0
            column += width
        else:
            width = 1
            column = 0 if one in "\n\r" else column + 1
        widths.append(width)
    return table.put(result, mapped(ranges, widths), "expandtabs", (receiver,))


@slow(".translate")
@text_only
def _translate(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    if ranges is None or not args:
        return result
    mapping = args[0]
    if isinstance(receiver, str) and type(mapping) is dict:
        widths = []
        for one in receiver:
            made = mapping.get(ord(one), one)
            widths.append(0 if made is None else 1 if isinstance(made, int) else len(made))
        if sum(widths) == len(result):
            return table.put(result, mapped(ranges, widths), "translate", (receiver,))
    elif isinstance(receiver, (bytes, bytearray)):
        gone = _argument(args, keywords, 1, "delete", b"")
        return table.put(
            result, mapped(ranges, [0 if one in gone else 1 for one in receiver]), "translate", (receiver,)
        )
    return table.put(result, whole(ranges, len(result)), "translate", (receiver,))


@slow(".join")
@text_only
def _join(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if len(args) != 1:
        return result
    members = args[0]
    if hasattr(result, "__html__"):
        return safe_markup(table, result, "join", (receiver, *members))
    gap, between = len(receiver), table.ranges(receiver)
    pieces: list[Range] = []
    parents: list[Any] = [receiver] if between is not None else []
    at = 0
    for index, one in enumerate(members):
        if index and gap:
            if between is not None:
                pieces += moved(between, at)
            at += gap
        ranges = table.ranges(one)
        if ranges is not None:
            pieces += moved(ranges, at)
            if len(parents) < 8:
                parents.append(one)
        at += len(one)
    return table.put(result, pieces, "join", tuple(parents)) if pieces else result


@slow(".encode")
@text_only
def _encode(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    ranges = table.ranges(receiver)
    if ranges is None:
        return result
    if len(result) == len(receiver):
        return table.put(result, ranges, "encode", (receiver,))
    encoding = _argument(args, keywords, 0, "encoding", "utf-8")
    errors = _argument(args, keywords, 1, "errors", "strict")
    if _is_utf8(encoding):
        widths = [len(one.encode("utf-8", errors)) for one in receiver]
        if sum(widths) == len(result):
            return table.put(result, mapped(ranges, widths), "encode", (receiver,))
    return table.put(result, whole(ranges, len(result)), "encode", (receiver,))


def _is_utf8(encoding: Any) -> bool:
    return isinstance(encoding, str) and encoding.lower().replace("_", "-") in ("utf-8", "utf8", "u8")


@slow(".decode")
@text_only
def _decode(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if type(result) is not str:
        return result
    return decoded(
        table,
        result,
        receiver,
        _argument(args, keywords, 0, "encoding", "utf-8"),
        _argument(args, keywords, 1, "errors", "strict"),
    )


def decoded(table: Any, result: Any, receiver: Any, encoding: Any, errors: Any) -> Any:
    ranges = table.ranges(receiver)
    if ranges is None:
        return result
    if len(result) == len(receiver):
        return table.put(result, ranges, "decode", (receiver,))
    if _is_utf8(encoding) and errors == "strict":
        widths: list[int] = []
        for one in result:
            size = len(one.encode())
            widths += [1] + [0] * (size - 1)
        if len(widths) == len(receiver):
            # A character belongs to its first byte; a range that begins inside a character takes the character as well.
            starts = [0]
            for width in widths:
                starts.append(starts[-1] + width)
            pieces: list[Range] = []
            for low, high, source, marks in ranges:
                first = starts[low] if widths[low] else starts[low] - 1
                if pieces and pieces[-1][1] > first:
                    first = pieces[-1][1]
                pieces.append((first, starts[high], source, marks))
            return table.put(result, pieces, "decode", (receiver,))
    return table.put(result, whole(ranges, len(result)), "decode", (receiver,))


@slow(".hex")
@text_only
def _hex(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    return result  # hexadecimal digits carry nothing that could leave a literal


@slow(".format")
@text_only
def _format_method(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    if hasattr(result, "__html__"):
        return safe_markup(table, result, "format", (receiver, *args, *(keywords or {}).values()))
    pieces = brace_pieces(receiver, args, keywords or {}, table.ranges(receiver) or ())
    return assemble(table, result, pieces, "format", receiver)


@slow(".format_map")
@text_only
def _format_map(table: Any, result: Any, receiver: Any, args: Any, keywords: Any) -> Any:
    mapping = args[0] if args and type(args[0]) is dict else {}
    return _format_method(table, result, receiver, (), mapping)


# --- builtins --------------------------------------------------------------------------------------------------------------------------


@slow("str", "Markup", "SafeString", "SafeText")
def _str(table: Any, result: Any, value: Any = "", *more: Any) -> Any:
    if not isinstance(result, str) or (result is not value and table.has(result)):
        return result
    ranges = table.ranges(value)
    if ranges is None:
        return _contained(table, result, value, "str")
    if isinstance(value, str) and len(value) == len(result):
        if result is not value:
            return table.put(result, ranges, "str", (value,))
        # Text stays text, but whoever asked for `str` knows now that it is no operator object; only this copy knows it.
        made = table.put(copy(value), ranges, "str", (value,))
        table.validate(table.step(made), NOSQL)
        return made
    if more and isinstance(value, (bytes, bytearray)):
        return decoded(table, result, value, more[0], more[1] if len(more) > 1 else "strict")
    return table.put(result, whole(ranges, len(result)), "str", (value,))


def _contained(table: Any, result: Any, value: Any, op: str) -> Any:
    """The text of a container with tainted members: tainted as a whole."""
    members = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    for one in members:
        ranges = table.ranges(one)
        if ranges is not None:
            return table.put(result, whole(ranges, len(result)), op, (one,))
    return result


@slow("repr", "ascii")
def _repr(table: Any, result: Any, value: Any, *more: Any) -> Any:
    ranges = table.ranges(value)
    if type(result) is not str:
        return result
    if ranges is None:
        return _contained(table, result, value, "repr")
    if type(value) is str:
        pieces = mapped(ranges, repr_widths(value, result))
        return table.put(result, moved(pieces, 1), "repr", (value,))
    return table.put(result, whole(ranges, len(result)), "repr", (value,))


def repr_widths(value: str, shown: str) -> list[int]:
    """How many characters of `shown`, the `repr` or `ascii` of `value`, each character takes."""
    quote = shown[:1]
    plain = ascii if shown.isascii() else repr
    return [2 if one in (quote, "\\") else 1 if one in "'\"" else len(plain(one)) - 2 for one in value]


@slow("bytes", "bytearray")
def _bytes(table: Any, result: Any, value: Any = b"", *more: Any) -> Any:
    ranges = table.ranges(value)
    if ranges is None or not isinstance(result, (bytes, bytearray)):
        return result
    if isinstance(value, str):
        return _encode(table, result, value, more, None)
    return table.put(result, ranges if len(result) == len(value) else whole(ranges, len(result)), "bytes", (value,))


@slow("format")
def _format_builtin(table: Any, result: Any, value: Any, *more: Any) -> Any:
    return assemble(table, result, [spec_piece(value, None, more[0] if more else "")], "format")


@slow("list", "tuple", "sorted", "reversed")
def _characters(table: Any, result: Any, value: Any = (), *more: Any) -> Any:
    """The characters of tainted text, each carrying its taint."""
    if type(value) is not str or not table.has(value):
        return result
    characters = _loop(table, value)
    if type(result) is list and len(result) == len(characters):
        if result == characters:
            result[:] = characters
        else:  # sorted(): pair equal characters
            pool: dict[str, list[str]] = {}
            for one in reversed(characters):
                pool.setdefault(one, []).append(one)
            result[:] = [pool[one].pop() if pool.get(one) else one for one in result]
        return result
    if type(result) is tuple and result == tuple(characters):
        return tuple(characters)
    if type(result).__name__ == "reversed":
        return iter(characters[::-1])
    return result
