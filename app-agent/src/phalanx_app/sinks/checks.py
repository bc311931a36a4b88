"""Decisions that need more than "the argument is tainted": ``check(request, rule, bit, sink, values, args, keywords)``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .. import runtime
from ..request import Request
from ..taint import CURRENT

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "cmd", "cmd.exe", "powershell", "pwsh"})


def _engine() -> Any:
    from . import engine

    return engine


def shell(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """One text that a shell reads."""
    _engine().plain(request, rule, bit, sink, values)


def popen(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """`subprocess.Popen`: a text is a command or a program; of a list, the program, and what follows a shell's `-c`."""
    if not values:
        return
    command = values[0]
    if isinstance(command, (str, bytes)) or hasattr(command, "__fspath__"):
        _engine().plain(request, rule, bit, sink, [command])
        return
    words = list(command)  # with shell=True the first word is the script
    _argv(request, rule, bit, sink, words[:1], words)


def program(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """`os.exec*`, `os.spawn*`: the program, and what a shell among the words is told."""
    words: list[Any] = []
    for one in values:
        if isinstance(one, (list, tuple)):
            words += one
        else:
            words.append(one)
    _argv(request, rule, bit, sink, words[:1], words)


def _argv(request: Request, rule: str, bit: int, sink: str, programs: list[Any], words: list[Any]) -> None:
    engine = _engine()
    engine.plain(request, rule, bit, sink, programs)
    names = [_base(one) for one in words[:4]]
    for index, one in enumerate(names):
        if one in _SHELLS:
            for at in range(index + 1, min(len(words), index + 8)):
                option = words[at]
                if isinstance(option, (str, bytes)) and (
                    option if isinstance(option, str) else option.decode("latin-1")
                ).lower() in ("-c", "/c", "-command", "-lc", "-ec"):
                    engine.plain(request, rule, bit, sink, words[at + 1 : at + 2])
                    return


def _base(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.rpartition("/")[2].lower() if isinstance(value, str) else ""


_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#\\]*[/?#]")


def url(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A URL whose scheme or host is tainted; a tainted path or query goes to a host that the application chose."""
    engine = _engine()
    for value in values[:1]:
        if not isinstance(value, (str, bytes)):
            value = _text_of_url(request, value)
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if not isinstance(text, str):
            return
        match = _AUTHORITY.match(text)
        found = engine.unsafe(request, value, bit)
        if match is not None:
            found = [one for one in found if one[0] < match.end()]
        if found:
            engine.report(rule, sink, value, found)


def _text_of_url(request: Request, value: Any) -> Any:
    """The text behind a URL object: equal text of the request, or its own."""
    for name in ("full_url", "_url", "url"):
        inner = getattr(value, name, None)
        if isinstance(inner, str):
            return request.again(inner)
    return request.again(str(value))


def host(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A connection to a tainted host."""
    flat = [one[0] if isinstance(one, tuple) and one else one for one in values]
    _engine().plain(request, rule, bit, sink, flat)


def redirect(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A target whose host the request decides; behind a fixed host or a fixed path it may choose the page."""
    engine = _engine()
    for value in values[:1]:
        if not isinstance(value, str):
            value = _text_of_url(request, value)
        found = engine.unsafe(request, value, bit)
        if not found:
            return
        start = found[0][0]
        prefix = str(value)[:start]
        fixed = (
            _AUTHORITY.match(prefix) is not None
            or (len(prefix) > 1 and prefix[0] == "/" and prefix[1] not in "/\\")
            or prefix[:1] in ("?", "#")
        )
        if not fixed:
            engine.report(rule, sink, value, found)


def header(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A tainted header name or value. The servers at hand refuse line ends themselves, so only a value that can hold them counts:
    text from a header or cookie cannot, decoded text (query, form, body, path) can."""
    engine = _engine()
    name = str(values[0]).lower() if values else ""
    if name in ("location", "set-cookie", "content-length", "content-type"):
        return
    for value in values:
        found = [
            one
            for one in engine.unsafe(request, value, bit)
            if request.sources[one[2]][0] not in ("header", "cookie", "header.name")
        ]
        if found:
            frame = engine.app_frame(12)
            if frame is not None:
                engine.report(rule, sink, value, found, frame)
            return


def log(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A message or an argument shown with `%s`; `%r` shows line ends as escapes."""
    engine = _engine()
    frame: FrameType | None = sys._getframe(1)
    scope = runtime.RUNTIME.scope if runtime.RUNTIME is not None else None
    while frame is not None and (
        "logging" in frame.f_code.co_filename or frame.f_code.co_filename.startswith(engine._PREFIX)
    ):
        frame = frame.f_back
    if frame is None or scope is None or not scope.has(frame.f_code.co_filename) or not values:
        return
    message, given = values[0].msg, values[0].args
    found = engine.unsafe(request, message, bit)
    if found:
        engine.report(rule, sink, message, found, frame)
        return
    arguments = given if isinstance(given, tuple) else ()
    if isinstance(message, str):
        kinds = re.findall(r"%[-#0 +]*\d*(?:\.\d+)?([a-zA-Z])", message)
        for kind, value in zip(kinds, arguments, strict=False):
            if kind == "s":
                found = engine.unsafe(request, value, bit)
                if found:
                    engine.report(rule, sink, value, found, frame)
                    return


def mail(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """Addresses, and the header part of a message given as text."""
    engine = _engine()
    for value in values[:2]:
        for one in value if isinstance(value, (list, tuple)) else [value]:
            found = engine.unsafe(request, one, bit)
            if found:
                engine.report(rule, sink, one, found)
                return
    if len(values) > 2 and isinstance(values[2], (str, bytes)):
        message = values[2]
        text = message.decode("latin-1") if isinstance(message, bytes) else message
        ends = [one for one in (text.find("\r\n\r\n"), text.find("\n\n")) if one >= 0]
        end = min(ends) if ends else len(text)
        found = [one for one in engine.unsafe(request, message, bit) if one[0] < end]
        if found:
            engine.report(rule, sink, message, found)


def direct(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """Only calls made by first-party code itself."""
    engine = _engine()
    if engine.direct_frame() is not None:
        engine.plain(request, rule, bit, sink, values[:1])


def yaml(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A loader that makes objects; the safe loaders make none."""
    loader = keywords.get("Loader", args[1] if len(args) > 1 else None)
    names = {one.__name__ for one in loader.__mro__} if isinstance(loader, type) else set()
    if names & {"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"}:
        return
    _engine().plain(request, rule, bit, sink, values)


def lxml(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """lxml resolves external entities only when the parser was told so (since 5.0)."""
    parser = keywords.get("parser", args[1] if len(args) > 1 else None)
    if getattr(parser, "phalanx_resolves", False):
        _engine().plain(request, rule, bit, sink, [_stream(request, one) for one in values])


def sax(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """The standard library's parsers resolve external entities when `feature_external_ges` is set."""
    parser = (
        keywords.get("parser", args[1] if len(args) > 1 else None)
        if "minidom" in sink or "pulldom" in sink
        else args[0]
    )
    if parser is None or not hasattr(parser, "getFeature"):
        return
    if parser.getFeature("http://xml.org/sax/features/external-general-entities"):
        _engine().plain(request, rule, bit, sink, [_stream(request, one) for one in values])


def _stream(request: Request, value: Any) -> Any:
    """The tainted text behind a stream or an input source."""
    if request.table.has(value) and hasattr(value, "getvalue"):
        text = value.getvalue()
        return request.table.put(text, request.table.ranges(value), "read", (value,))
    for name in ("getByteStream", "getCharacterStream"):
        if hasattr(value, name):
            inner = getattr(value, name)()
            if inner is not None and request.table.has(inner):
                return _stream(request, inner)
    if hasattr(value, "getvalue"):
        return request.again(value.getvalue())
    return value


def nosql(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A tainted operator name, code in `$where`, or a value of a structured body that could be an operator object."""
    engine = _engine()
    stack: list[tuple[Any, str, int]] = [(values[0], "", 0)] if values else []
    while stack:
        node, key, depth = stack.pop()
        if depth > 10:
            continue
        if isinstance(node, dict):
            for name, one in node.items():
                found = engine.unsafe(request, name, bit)
                if found:
                    engine.report(rule, sink, name, found)
                    return
                stack.append((one, name, depth + 1))
        elif isinstance(node, (list, tuple)):
            stack += [(one, key, depth + 1) for one in node]
        elif isinstance(node, (str, bytes)):
            found = engine.unsafe(request, node, bit)
            if key not in ("$where", "$function", "$accumulator"):
                # Text from a query or form is text; a member of a JSON body may arrive as an object the next time.
                found = [
                    one
                    for one in found
                    if one[0] == 0 and one[1] == len(node) and request.sources[one[2]][0].startswith("json")
                ]
            if found:
                engine.report(rule, sink, node, found)
                return


def prompt(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """Input inside instructions: a system message, or mixed with fixed text in one message."""
    engine = _engine()
    messages = keywords.get("messages") or keywords.get("input") or []
    texts: list[tuple[str, Any]] = [
        ("system", keywords[one]) for one in ("system", "instructions") if isinstance(keywords.get(one), str)
    ]
    if isinstance(messages, str):
        texts.append(("user", messages))
    elif isinstance(messages, list):
        texts += [(str(one.get("role", "")), one.get("content")) for one in messages if isinstance(one, dict)]
    for role, text in texts:
        found = engine.unsafe(request, text, bit)
        if found and (role in ("system", "developer") or found[0][0] > 0 or found[-1][1] < len(text)):
            engine.report(rule, sink, text, found)
            return


# --- without taint ------------------------------------------------------------------------------------------------------------------------

_WEAK = frozenset({"md5", "sha1", "md4", "md2", "ripemd160", "sha", "sha-1", "md5-sha1"})


def weak_hash(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """MD5, SHA-1 and older, called by first-party code and not declared as a use without security."""
    if keywords.get("usedforsecurity") is False:
        return
    name = sink.rpartition(":")[2]
    if name == "new":
        name = str(keywords.get("name", args[0] if args else "")).lower()
    engine = _engine()
    frame = engine.direct_frame()
    if name in _WEAK and frame is not None:
        engine.report(rule, sink, None, None, frame, f"{name} is broken")


def weak_cipher(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A cipher or mode that is broken, used by first-party code."""
    engine = _engine()
    frame = engine.direct_frame()
    if frame is not None:
        engine.report(rule, sink, None, None, frame, sink)


_SECURITY_WORDS = re.compile(
    r"token|secret|passw|session|cookie|nonce|\botp|salt|csrf|api_?key|remember|credential|auth|reset|verif|captcha|signature|invite|voucher",
    re.I,
)


def weak_random(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """Predictable numbers in a function that deals with secrets, by the names and texts in it."""
    engine = _engine()
    frame = engine.direct_frame()
    if frame is None:
        return
    code = frame.f_code
    if code.co_name[:1] == "<" and frame.f_back is not None:
        code = frame.f_back.f_code  # a comprehension or lambda speaks with the words of the function around it
    words = [code.co_name, *code.co_names, *code.co_varnames, *(one for one in code.co_consts if isinstance(one, str))]
    for word in words:
        if _SECURITY_WORDS.search(word):
            engine.report(rule, sink, None, None, frame, f"in a function that deals with {word[:60]!r}")
            return


def verify_off(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """TLS without verification."""
    engine = _engine()
    off = keywords.get("verify", True) is False or sink.endswith("_create_unverified_context")
    context = keywords.get("context")
    if (
        context is not None
        and getattr(context, "check_hostname", True) is False
        and int(getattr(context, "verify_mode", 2)) == 0
    ):
        off = True
    if off:
        engine.report(rule, sink, None, None, None, "verification is off")


def credential(request: Request, rule: str, bit: int, sink: str, values: list[Any], args: Any, keywords: Any) -> None:
    """A password or key that stands as a literal in the code that uses it or at the top of its module."""
    engine = _engine()
    frame = engine.direct_frame()
    if frame is None:
        return
    if len(values) > 1 or sink.endswith("connect"):
        values = [keywords[one] for one in ("password", "passwd") if one in keywords]
    for value in values:
        if not isinstance(value, (str, bytes)) or len(value) < 4:
            continue
        if value in [one for one in frame.f_code.co_consts if type(one) is type(value)] or _module_literal(
            frame, value
        ):
            engine.report(rule, sink, None, None, frame, "the value is a literal of the code")
            return


def _module_literal(frame: FrameType, value: Any) -> bool:
    """Whether a global of the module holds this very value and the source writes it out."""
    import linecache

    if not any(one is value for one in list(frame.f_globals.values())[:2000]):
        return False
    source = "".join(linecache.getlines(frame.f_code.co_filename)[:5000])
    text = value if isinstance(value, str) else value.decode("latin-1")
    return f'"{text}"' in source or f"'{text}'" in source


def cookie_wrapper(sink: str) -> Callable[[Any], Callable[..., Any]]:
    """The flags of a cookie that first-party code sets."""

    def make(original: Any) -> Callable[..., Any]:
        import inspect

        try:
            defaults = {
                name: one.default
                for name, one in inspect.signature(original).parameters.items()
                if one.default is not inspect.Parameter.empty
            }
            order = list(inspect.signature(original).parameters)
        except (TypeError, ValueError):
            defaults, order = {}, []

        def wrapper(*args: Any, **keywords: Any) -> Any:
            table = CURRENT.get()
            if table is not None and table.owner is not None and not runtime.busy():
                with runtime.Busy(table.owner):
                    try:
                        cookie(sink, {**defaults, **dict(zip(order, args, strict=False)), **keywords})
                    except Exception:  # noqa: BLE001
                        runtime.failed(f"sink {sink}")
            return original(*args, **keywords)

        return wrapper

    return make


def cookie(sink: str, given: dict[str, Any]) -> None:
    """Report what one cookie lacks. A cookie that is deleted (no value, or an age of 0) tells nothing."""
    engine = _engine()
    frame = engine.direct_frame()
    if frame is None or given.get("max_age") == 0:
        return
    kwargs: dict[str, Any] = given["kwargs"] if isinstance(given.get("kwargs"), dict) else {}
    name = str(given.get("key", given.get("name", "")))[:80]
    if not (given.get("secure") or kwargs.get("secure")):
        engine.report("insecure-cookie", sink, None, None, frame, f"cookie {name!r} without Secure")
    if not (given.get("httponly") or kwargs.get("httponly")):
        engine.report("cookie-without-httponly", sink, None, None, frame, f"cookie {name!r} without HttpOnly")
    if not (given.get("samesite") or kwargs.get("samesite")):
        engine.report("cookie-without-samesite", sink, None, None, frame, f"cookie {name!r} without SameSite")
