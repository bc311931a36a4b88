"""Patches that no table describes: paths, XML parsers, host names of URLs, threads, conversions."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import marks, patch, runtime
from ..taint import CURRENT, ON
from ..taint.ranges import whole
from ..taint.validators import mark


def pathlib_paths(module: ModuleType) -> None:
    """Path objects keep their text; it is tainted where a part of it was."""
    pure: Any = module.PurePath

    def carry(table: Any, path: Any, parts: tuple[Any, ...], op: str) -> None:
        tainted = []
        for one in parts:
            value = one if isinstance(one, str) else getattr(one, "_str", None)
            if value is not None and table.has(value):
                tainted.append(value)
        if not tainted:
            return
        text = str(path)
        pieces: list[Any] = []
        at = 0
        for value in tainted:
            ranges = table.ranges(value)
            found = text.find(value, at)
            if found >= 0:
                pieces += [(low + found, high + found, source, known) for low, high, source, known in ranges]
                at = found + len(value)
            elif not pieces:
                pieces = whole(ranges, len(text))
                break
        path._str = table.put(text, pieces, op, tuple(tainted))
        table.put(path, table.ranges(path._str) or pieces, op, (path._str,))

    def wrapper_for(name: str) -> Callable[[Any], Callable[..., Any]]:
        op = "resolve" if name in ("resolve", "absolute", "expanduser") else "path"

        def make(original: Any) -> Callable[..., Any]:
            def wrapper(self: Any, *args: Any, **keywords: Any) -> Any:
                if op == "resolve" and ON:
                    # Resolving looks at files itself (3.12 calls `stat`); that is the check, not the use.
                    with runtime.Busy(None):
                        result = original(self, *args, **keywords)
                else:
                    result = original(self, *args, **keywords)
                if ON:
                    table = CURRENT.get()
                    if table is not None and len(table):
                        try:
                            made = self if name == "__init__" else result
                            if isinstance(made, pure):
                                inputs = (
                                    args
                                    if name in ("__init__", "__new__")
                                    else (args[0], self)
                                    if name == "__rtruediv__" and args
                                    else (self, *args)
                                )
                                carry(table, made, inputs, op)
                        except Exception:  # noqa: BLE001
                            runtime.failed("pathlib")
                return result

            return wrapper

        return make

    if "__init__" in vars(pure):
        patch.wrap(module, "PurePath.__init__", wrapper_for("__init__"))
        if "__init__" in vars(module.Path):
            patch.wrap(module, "Path.__init__", wrapper_for("__init__"))
    else:
        for owner in ("PurePath", "Path"):
            if "__new__" in vars(getattr(module, owner)):
                patch.wrap(module, f"{owner}.__new__", wrapper_for("__new__"))
    for name in ("__truediv__", "__rtruediv__", "joinpath", "with_name", "with_suffix", "with_stem", "relative_to"):
        patch.wrap(module, f"PurePath.{name}", wrapper_for(name))
    for name in ("resolve", "absolute", "expanduser"):
        patch.wrap(module, f"Path.{name}", wrapper_for(name))


def lxml_parsers(module: ModuleType) -> None:
    """lxml's parsers remember whether they were told to resolve external entities."""
    for name in ("XMLParser", "XMLPullParser", "ETCompatXMLParser"):
        original = getattr(module, name, None)
        if original is None:
            continue

        def make(base: Any) -> Any:
            class Remembering(base):  # type: ignore[misc]
                """The library's parser, with a note how it was made."""

                def __init__(self, *args: Any, **keywords: Any) -> None:
                    super().__init__(*args, **keywords)
                    self.phalanx_resolves = keywords.get("resolve_entities", "internal") is True or bool(
                        keywords.get("load_dtd")
                    )

            Remembering.__name__, Remembering.__qualname__, Remembering.__module__ = (
                base.__name__,
                base.__qualname__,
                base.__module__,
            )
            return Remembering

        patch.put(module, name, make(original))

    base = getattr(module, "XPath", None)
    if base is not None:

        class XPath(base):  # type: ignore[misc,valid-type]
            """The library's compiled expression; what it is made from is a sink."""

            def __init__(self, path: Any, **keywords: Any) -> None:
                table = CURRENT.get() if ON else None
                if table is not None and len(table):
                    from ..sinks import engine

                    try:
                        with runtime.Busy(table.owner):
                            engine.plain(table.owner, "xpath-injection", marks.XPATH, "lxml.etree:XPath", [path])
                    except Exception:  # noqa: BLE001
                        runtime.failed("xpath")
                super().__init__(path, **keywords)

        XPath.__qualname__, XPath.__module__ = "XPath", base.__module__
        patch.put(module, "XPath", XPath)


def url_host(module: ModuleType) -> None:
    """`urlsplit(x).hostname` is computed text; it stands for the host of `x` in comparisons."""
    kind: Any = getattr(module, "_NetlocResultMixinBase", None)
    found = vars(kind).get("hostname") if kind is not None else None
    if not isinstance(found, property):
        return

    def hostname(self: Any) -> Any:
        result = found.fget(self)  # type: ignore[misc]
        if ON and isinstance(result, str) and result:
            table = CURRENT.get()
            if table is not None and len(table):
                ranges = table.ranges(self.netloc)
                if ranges:
                    return table.put(result, whole(ranges, len(result)), "urlparse.netloc", (self.netloc,))
        return result

    patch.put(kind, "hostname", property(hostname))


def uuid_type(module: ModuleType) -> None:
    """Text that a UUID was made from is one."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **keywords: Any) -> None:
            original(self, *args, **keywords)
            if ON:
                table = CURRENT.get()
                value = args[0] if args else keywords.get("hex")
                if table is not None and len(table) and table.has(value):
                    mark(table, value, marks.WORD)

        return wrapper

    patch.wrap(module, "UUID.__init__", make)


def common_path(module: ModuleType) -> None:
    """`os.path.commonpath([root, path]) == root` is a check of `path`."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(paths: Any) -> Any:
            paths = list(paths)
            result = original(paths)
            if ON:
                table = CURRENT.get()
                if table is not None and len(table):
                    for one in paths:
                        ranges = table.ranges(one)
                        if ranges:
                            return table.put(result, whole(ranges, len(result)), "commonpath", (one,))
            return result

        return wrapper

    patch.wrap(module, "commonpath", make)


def threads(module: ModuleType) -> None:
    """A thread started by a request belongs to it."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            table = CURRENT.get()
            if table is not None and "run" not in self.__dict__:
                run = self.run

                def inside() -> Any:
                    token = CURRENT.set(table)
                    try:
                        return run()
                    finally:
                        CURRENT.reset(token)
                        del self.run

                self.run = inside
            return original(self)

        return wrapper

    patch.wrap(module, "Thread.start", make)


def pools(module: ModuleType) -> None:
    """Work given to a pool by a request belongs to it."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any, function: Any, /, *args: Any, **keywords: Any) -> Any:
            table = CURRENT.get()
            if table is None:
                return original(self, function, *args, **keywords)

            def inside(*inner_args: Any, **inner_keywords: Any) -> Any:
                token = CURRENT.set(table)
                try:
                    return function(*inner_args, **inner_keywords)
                finally:
                    CURRENT.reset(token)

            return original(self, inside, *args, **keywords)

        return wrapper

    patch.wrap(module, "ThreadPoolExecutor.submit", make)


def celery_task(module: ModuleType) -> None:
    """`celery.app.trace`: a task is a request whose arguments are the message."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(name: Any, task: Any, *args: Any, **keywords: Any) -> Any:
            traced = original(name, task, *args, **keywords)

            def trace(uuid: Any, task_args: Any, task_keywords: Any, request: Any = None) -> Any:
                agent = runtime.RUNTIME
                began = agent.begin("task") if agent is not None else None
                if agent is None or began is None:
                    return traced(uuid, task_args, task_keywords, request)
                mine, token = began
                mine.method, mine.path, mine.route = "TASK", str(name), str(name)
                try:
                    task_args = mine.deep(list(task_args), "message", "args")
                    task_keywords = mine.deep(dict(task_keywords), "message", "kwargs")
                    return traced(uuid, task_args, task_keywords, request)
                finally:
                    agent.end(mine, token)

            return trace

        return wrapper

    patch.wrap(module, "build_tracer", make)


def kafka_messages(module: ModuleType) -> None:
    """`kafka.consumer.group`: a message begins a request that lasts until the next one."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(self: Any) -> Any:
            agent = runtime.RUNTIME
            held = getattr(self, "_phalanx_held", None)
            if held is not None and agent is not None:
                agent.end(*held)
                self._phalanx_held = None
            record = original(self)
            began = agent.begin("message") if agent is not None else None
            if began is None:
                return record
            mine, _ = self._phalanx_held = began
            mine.method, mine.path, mine.route = "MESSAGE", str(record.topic), str(record.topic)
            return record._replace(
                value=mine.deep(record.value, "message", "value"), key=mine.deep(record.key, "message", "key")
            )

        return wrapper

    patch.wrap(module, "KafkaConsumer.__next__", make)


def grpc_server(module: ModuleType) -> None:
    """`grpc._server`: the text fields of a request message are sources."""

    def make(original: Any) -> Callable[..., Any]:
        def wrapper(rpc_event: Any, state: Any, behavior: Any, argument: Any, request_deserializer: Any) -> Any:
            agent = runtime.RUNTIME
            began = agent.begin("rpc") if agent is not None else None
            if agent is None or began is None:
                return original(rpc_event, state, behavior, argument, request_deserializer)
            mine, token = began
            method = rpc_event.call_details.method
            mine.method, mine.path, mine.route = (
                "RPC",
                method.decode() if isinstance(method, bytes) else str(method),
                "",
            )
            mine.route = mine.path
            try:
                return original(rpc_event, state, behavior, Message.around(mine, argument), request_deserializer)
            finally:
                agent.end(mine, token)

        return wrapper

    patch.wrap(module, "_call_behavior", make)


class Message:
    """A protobuf message makes a new text at each look; this hands out the tainted one."""

    __slots__ = ("_message", "_request")

    def __init__(self, request: Any, message: Any) -> None:
        self._request, self._message = request, message

    @staticmethod
    def around(request: Any, message: Any) -> Any:
        """The message itself when it is text, a proxy when it has fields."""
        if isinstance(message, (str, bytes)):
            return request.taint(message, "message", "request")
        return Message(request, message) if hasattr(message, "DESCRIPTOR") else message

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._message, name)
        if isinstance(value, (str, bytes)):
            return self._request.taint(value, "message", name)
        return Message(self._request, value) if hasattr(value, "DESCRIPTOR") else value

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._message)


WATCH: dict[str, Callable[[ModuleType], None]] = {
    "pathlib": pathlib_paths,
    "pathlib._local": pathlib_paths,
    "lxml.etree": lxml_parsers,
    "urllib.parse": url_host,
    "uuid": uuid_type,
    "posixpath": common_path,
    "threading": threads,
    "concurrent.futures.thread": pools,
    "celery.app.trace": celery_task,
    "kafka.consumer.group": kafka_messages,
    "grpc._server": grpc_server,
}
