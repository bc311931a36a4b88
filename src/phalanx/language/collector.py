"""Reads the items of rule files and merges what belongs together: redefinition, ``append``, ``override``, exceptions.

Nothing here knows what a condition means. What is wrong becomes a :class:`~phalanx.language.problems.Problem`; the other items go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Many
from typing import Final, Literal

from phalanx.errors import RuleError
from phalanx.language.limits import MAX_FILES, MAX_LIST_ITEMS, MAX_PROBLEMS
from phalanx.language.problems import Problem, Text
from phalanx.language.ruleset import RuleSource
from phalanx.language.yaml_ import Mapping, Scalar, Sequence, YamlNode, load, text_at
from phalanx.model.severity import FALCO_PRIORITIES

__all__ = ["Collector", "ExceptionItem", "ItemWrong", "ListItem", "MacroItem", "RuleItem"]

_SUPPORTED_ENGINE: Final = (0, 64, 0)
"""Falco's engine version whose rule files are understood in full; a file that asks for more is read all the same, with a warning."""

_RULE_KEYS: Final = (
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "source",
    "tags",
    "enabled",
    "exceptions",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
    "capture",
    "capture_duration",
    "phalanx",
)
_MACRO_KEYS: Final = ("macro", "condition", "append", "override")
_LIST_KEYS: Final = ("list", "items", "append", "override")
_OVERRIDABLE: Final = {
    "append": ("condition", "output", "desc", "tags", "exceptions"),
    "replace": (
        "condition",
        "output",
        "desc",
        "priority",
        "tags",
        "exceptions",
        "enabled",
        "warn_evttypes",
        "skip-if-unknown-filter",
        "capture",
        "capture_duration",
        "source",
        "phalanx",
    ),
}
_TRUE: Final = ("true", "yes", "on", "y")
_FALSE: Final = ("false", "no", "off", "n")


class Definition:
    """What rules, macros and lists have in common."""

    def __init__(self, name: str, index: int, file: str, raw: str, node: Mapping) -> None:
        self.name = name
        self.index = index
        """Number of the item that defined it first; a macro sees those with a lower one than its ``visibility``."""
        self.visibility = index
        """Number of the item that changed it last."""
        self.place = text_at(file, raw, node)
        self.yaml = raw[node.start : node.end].rstrip()


class ListItem(Definition):
    """A list; ``values`` are texts as YAML gives them, quotes of the condition language still in them."""

    values: list[str]


class MacroItem(Definition):
    """A macro."""

    condition: Text


class ExceptionItem:
    """One exception of a rule."""

    def __init__(self, name: str, place: Text) -> None:
        self.name = name
        self.place = place
        self.fields: list[str] | str | None = None
        self.comps: list[str] | str | None = None
        self.values: list[tuple[YamlNode, Text]] = []


class RuleItem(Definition):
    """A rule."""

    condition: Text
    output: Text
    description: str
    priority: str

    def __init__(self, name: str, index: int, file: str, raw: str, node: Mapping) -> None:
        super().__init__(name, index, file, raw, node)
        self.id = ""
        self.advice = ""
        self.references: tuple[str, ...] = ()
        self.source = "syscall"
        self.tags: tuple[str, ...] = ()
        self.enabled = True
        self.exceptions: list[ExceptionItem] = []
        self.warn_evttypes = True
        self.skip_unknown = False


class ItemWrong(Exception):
    """An item is wrong: ends its reading."""


class Collector:
    """Items of files, merged in load order."""

    def __init__(self) -> None:
        self.rules: dict[str, RuleItem] = {}
        self.macros: dict[str, MacroItem] = {}
        self.lists: dict[str, ListItem] = {}
        self.problems: list[Problem] = []
        self.counts = {"rule": 0, "macro": 0, "list": 0}
        self.failed: set[tuple[str, str]] = set()
        """``(kind, name)`` of items that were wrong."""
        self._index = 0
        self._file = ""
        self._raw = ""
        self._item = ""

    # problems

    def note(
        self,
        severity: Literal["error", "warning"],
        node: YamlNode | Text | None,
        message: str,
        *,
        code: str,
        hint: str = "",
    ) -> None:
        """Keep a problem with its place."""
        text = (
            node
            if isinstance(node, Text)
            else text_at(self._file, self._raw, node)
            if node is not None
            else Text(value="", file=self._file)
        )
        line, column, source = text.place(0)
        self.problems.append(
            Problem(
                severity=severity,
                message=message,
                hint=hint,
                code=code,
                file=text.file or "<input>",
                line=line,
                column=column,
                source=source,
                item=self._item,
            )
        )

    def wrong(self, node: YamlNode | Text | None, message: str, *, code: str = "item", hint: str = "") -> ItemWrong:
        """Keep an error; raise what this returns to end the item."""
        self.note("error", node, message, code=code, hint=hint)
        return ItemWrong(message)

    # files

    def read(self, sources: Iterable[RuleSource]) -> None:
        """Read all files in their order."""
        for number, source in enumerate(sources):
            if number >= MAX_FILES:
                self.note("error", None, f"more than {MAX_FILES} rule files", code="limit", hint="join them")
                return
            self._file, self._raw, self._item = source.name, source.text, ""
            try:
                documents = load(source.name, source.text)
            except RuleError as error:
                self.problems.append(Problem.of(error, code="yaml"))
                continue
            for document in documents:
                self._document(document)

    def _document(self, document: YamlNode) -> None:
        if isinstance(document, Scalar) and document.empty:
            return
        if not isinstance(document, Sequence):
            self.note(
                "error",
                document,
                "a rule file is a list of rules, macros and lists",
                code="yaml",
                hint="begin each item with '- rule:', '- macro:' or '- list:'",
            )
            return
        for node in document.items:
            self._item = ""
            if len(self.problems) >= MAX_PROBLEMS:
                self.note(
                    "error",
                    node,
                    f"more than {MAX_PROBLEMS} problems; what follows was not read",
                    code="limit",
                    hint="correct those first",
                )
                return
            self._index += 1
            try:
                self._read_item(node)
            except ItemWrong:
                if self._item:
                    kind, _, name = self._item.partition(" ")
                    self.failed.add((kind, name))

    def _read_item(self, node: YamlNode) -> None:
        if not isinstance(node, Mapping):
            raise self.wrong(
                node, "an item is a mapping", code="yaml", hint="begin it with '- rule:', '- macro:' or '- list:'"
            )
        for kind, read, keys in (
            ("rule", self._rule, _RULE_KEYS),
            ("macro", self._macro, _MACRO_KEYS),
            ("list", self._list, _LIST_KEYS),
        ):
            named = node.get(kind)
            if named is None:
                continue
            self.counts[kind] += 1
            name = self.text(named, f"the name of a {kind}")
            if not name:
                raise self.wrong(named, f"a {kind} needs a name", hint=f"write '- {kind}: name'")
            self._item = f"{kind} {name}"
            seen: set[str] = set()
            for key, _ in node.pairs:
                if key.value not in keys:
                    self.note(
                        "warning",
                        key,
                        f"a {kind} has no key {key.value!r}; it is passed over",
                        code="unknown_key",
                        hint=f"the keys are {', '.join(keys)}",
                    )
                elif key.value in seen:
                    self.note(
                        "warning",
                        key,
                        f"the key {key.value!r} is there twice; the last one counts",
                        code="repeated_key",
                    )
                seen.add(key.value)
            read(name, node)
            return
        version = node.get("required_engine_version")
        if version is not None:
            self._engine_version(version)
            return
        plugins = node.get("required_plugin_versions")
        if plugins is not None:
            self._plugin_versions(plugins)
            return
        first = node.pairs[0][0].value if node.pairs else ""
        self.note(
            "warning",
            node,
            f"an item that begins with {first[:60]!r} is not known; it is passed over",
            code="unknown_item",
            hint="rule, macro, list, required_engine_version, required_plugin_versions",
        )

    def _engine_version(self, node: YamlNode) -> None:
        text = self.text(node, "required_engine_version")
        parts = text.split("-", 1)[0].split("+", 1)[0].split(".")
        if not all(part.isdigit() and len(part) < 9 for part in parts) or len(parts) not in (1, 3):
            raise self.wrong(
                node, f"required_engine_version is a number or a version, not {text[:40]!r}", hint="for example 0.31.0"
            )
        wanted = (0, int(parts[0]), 0) if len(parts) == 1 else tuple(map(int, parts))
        if wanted > _SUPPORTED_ENGINE:
            self.note(
                "warning",
                node,
                f"the file asks for engine version {text}, newer than {'.'.join(map(str, _SUPPORTED_ENGINE))}",
                code="engine_version",
                hint="what is new in it may be reported as unknown",
            )

    def _plugin_versions(self, node: YamlNode) -> None:
        for entry in self.sequence(node, "required_plugin_versions"):
            if not isinstance(entry, Mapping) or entry.get("name") is None or entry.get("version") is None:
                raise self.wrong(entry, "an entry of required_plugin_versions has a name and a version")
            for alternative in self.sequence(entry.get("alternatives"), "alternatives"):
                if (
                    not isinstance(alternative, Mapping)
                    or alternative.get("name") is None
                    or alternative.get("version") is None
                ):
                    raise self.wrong(alternative, "an alternative has a name and a version")

    # values of keys

    def text(self, node: YamlNode | None, what: str) -> str:
        """The text of a scalar."""
        if not isinstance(node, Scalar):
            raise self.wrong(node, f"{what} is a text")
        return node.value.strip() if not node.style else node.value

    def place(self, node: YamlNode, what: str) -> Text:
        """A scalar with its place."""
        if not isinstance(node, Scalar):
            raise self.wrong(node, f"{what} is a text")
        return text_at(self._file, self._raw, node)

    def boolean(self, node: YamlNode, what: str) -> bool:
        """True or false, as YAML 1.1 writes them."""
        text = self.text(node, what).lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise self.wrong(node, f"{what} is true or false, not {text[:40]!r}")

    def sequence(self, node: YamlNode | None, what: str) -> Many[YamlNode]:
        """The items of a list; nothing for an empty value."""
        if node is None or (isinstance(node, Scalar) and node.empty):
            return ()
        if not isinstance(node, Sequence):
            raise self.wrong(node, f"{what} is a list")
        return node.items

    def texts(self, node: YamlNode | None, what: str) -> list[str]:
        """A list of texts."""
        items = self.sequence(node, what)
        if len(items) > MAX_LIST_ITEMS:
            raise self.wrong(node, f"{what} has more than {MAX_LIST_ITEMS} values", code="limit")
        return [self.text(item, f"a value of {what}") for item in items]

    # append and override

    def _mode(self, node: Mapping, previous: Definition | None, kind: str) -> dict[str, str] | None:
        """For each key of a change ``append`` or ``replace``; None when the item is a whole definition."""
        modes: dict[str, str] = {}
        override = node.get("override")
        append = node.get("append")
        if override is not None:
            if not isinstance(override, Mapping):
                raise self.wrong(
                    override,
                    "override maps keys to append or replace",
                    hint="for example override: {condition: append}",
                )
            if append is not None:
                raise self.wrong(append, "append and override exclude each other", hint="use override alone")
            for key, value in override.pairs:
                mode = self.text(value, f"override of {key.value}")
                allowed = (
                    _OVERRIDABLE
                    if kind == "rule"
                    else dict.fromkeys(_OVERRIDABLE, ("condition",) if kind == "macro" else ("items",))
                )
                if mode not in allowed:
                    raise self.wrong(value, f"override of {key.value!r} is append or replace, not {mode[:40]!r}")
                if key.value not in allowed[mode]:
                    raise self.wrong(
                        key,
                        f"{key.value!r} of a {kind} cannot be overridden by {mode}",
                        hint=f"only {', '.join(allowed[mode])}",
                    )
                if node.get(key.value) is None:
                    raise self.wrong(
                        key,
                        f"override names {key.value!r}, but the item does not have it",
                        hint=f"add {key.value}: … or remove it from override",
                    )
                modes[key.value] = mode
            for key, _ in node.pairs:
                if key.value not in (*modes, kind, "override"):
                    raise self.wrong(
                        key,
                        f"{key.value!r} is not named in override",
                        hint=f"add {key.value}: append or replace to override",
                    )
        elif append is not None and self.boolean(append, "append"):
            keys = {
                "rule": ("condition", "output", "desc", "tags", "exceptions"),
                "macro": ("condition",),
                "list": ("items",),
            }[kind]
            modes = dict.fromkeys((key for key in keys if node.get(key) is not None), "append")
            if not modes:
                raise self.wrong(
                    append, f"append: true appends nothing to this {kind}", hint=f"give it {' or '.join(keys)}"
                )
        else:
            return None
        if previous is None:
            if (kind, self._item.partition(" ")[2]) in self.failed:
                raise ItemWrong("its definition was wrong; told already")
            raise self.wrong(
                node,
                f"there is no {kind} of that name to change",
                code="no_previous",
                hint=f"load the file that defines the {kind} before this one",
            )
        return modes

    # lists, macros

    def _list(self, name: str, node: Mapping) -> None:
        previous = self.lists.get(name)
        modes = self._mode(node, previous, "list")
        if node.get("items") is None:
            raise self.wrong(node, "a list needs items", hint="items: [a, b]; an empty list is items: []")
        values = self.texts(node.get("items"), "items")
        if modes is not None and previous is not None:
            previous.values = previous.values + values if modes["items"] == "append" else values
            previous.visibility = self._index
            return
        item = ListItem(name, self._index, self._file, self._raw, node)
        item.values = values
        if previous is not None:
            item.index = previous.index
        self.lists[name] = item

    def _macro(self, name: str, node: Mapping) -> None:
        previous = self.macros.get(name)
        modes = self._mode(node, previous, "macro")
        condition = node.get("condition")
        if condition is None:
            raise self.wrong(node, "a macro needs a condition")
        text = self.place(condition, "the condition")
        if modes is not None and previous is not None:
            previous.condition = previous.condition.joined(text) if modes["condition"] == "append" else text
            previous.visibility = self._index
            return
        item = MacroItem(name, self._index, self._file, self._raw, node)
        item.condition = text
        if previous is not None:
            item.index = previous.index
        self.macros[name] = item

    # rules

    def _rule(self, name: str, node: Mapping) -> None:
        previous = self.rules.get(name)
        modes = self._mode(node, previous, "rule")
        if modes is not None and previous is not None:
            for key, mode in modes.items():
                value = node.get(key)
                assert value is not None
                self._change(previous, key, mode, value)
            previous.visibility = self._index
            return
        keys = {key.value for key, _ in node.pairs}
        enabled = node.get("enabled")
        if keys == {"rule", "enabled"} and enabled is not None:
            if previous is None:
                raise self.wrong(
                    node,
                    "there is no rule of that name to switch on or off",
                    code="no_previous",
                    hint="load the file that defines it before this one",
                )
            previous.enabled = self.boolean(enabled, "enabled")
            return
        item = RuleItem(name, self._index, self._file, self._raw, node)
        for key in ("condition", "output", "desc", "priority"):
            value = node.get(key)
            if value is None:
                raise self.wrong(
                    node,
                    f"the rule has no {key}",
                    code="missing_key",
                    hint=f"add {key}: …; to change a rule of another file use override",
                )
            self._change(item, key, "replace", value)
        for name_of_key, value in node.pairs:
            word = name_of_key.value
            if word in _RULE_KEYS and word not in (
                "rule",
                "condition",
                "output",
                "desc",
                "priority",
                "append",
                "override",
            ):
                self._change(item, word, "replace", value)
        if previous is not None:
            item.index = previous.index
        self.rules[name] = item

    def _change(self, rule: RuleItem, key: str, mode: str, value: YamlNode) -> None:
        """Set, or extend, one key of a rule."""
        append = mode == "append"
        match key:
            case "condition":
                text = self.place(value, "the condition")
                rule.condition = rule.condition.joined(text) if append else text
            case "output":
                text = self.place(value, "the output")
                rule.output = rule.output.joined(text) if append else text
            case "desc":
                described = self.text(value, "desc")
                rule.description = f"{rule.description} {described}" if append else described
            case "priority":
                rule.priority = self._priority(value)
            case "tags":
                tags = self.texts(value, "tags")
                rule.tags = tuple(dict.fromkeys((*rule.tags, *tags) if append else tags))
            case "enabled":
                rule.enabled = self.boolean(value, "enabled")
            case "source":
                rule.source = self.text(value, "source")
            case "warn_evttypes":
                rule.warn_evttypes = self.boolean(value, key)
            case "skip-if-unknown-filter":
                rule.skip_unknown = self.boolean(value, key)
            case "exceptions":
                self._exceptions(rule, value, append=append)
            case "capture":
                self.boolean(value, key)
            case "capture_duration":
                if not self.text(value, key).isdigit():
                    raise self.wrong(value, "capture_duration is a number of milliseconds")
            case "phalanx":
                self._own(rule, value)

    def _own(self, rule: RuleItem, node: YamlNode) -> None:
        """What phalanx's own rules say beside Falco's keys: id, advice, references; other keys are the content's."""
        if not isinstance(node, Mapping):
            raise self.wrong(node, "phalanx is a mapping", hint="for example phalanx: {id: SITE-001, advice: …}")
        for key, value in node.pairs:
            if key.value == "id":
                rule.id = self.text(value, "id")
            elif key.value == "advice":
                english = value.get("en") if isinstance(value, Mapping) else value
                rule.advice = self.text(english, "advice") if english is not None else ""
            elif key.value == "references":
                rule.references = tuple(self.texts(value, "references"))

    def _priority(self, node: YamlNode) -> str:
        word = self.text(node, "priority").upper()
        word = {"INFO": "INFORMATIONAL", "WARN": "WARNING"}.get(word, word)
        if word not in FALCO_PRIORITIES:
            raise self.wrong(node, f"{word[:40]!r} is no priority", hint=f"one of {', '.join(FALCO_PRIORITIES)}")
        return word

    def _exceptions(self, rule: RuleItem, node: YamlNode, *, append: bool) -> None:
        if not append:
            rule.exceptions = []
        for entry in self.sequence(node, "exceptions"):
            if not isinstance(entry, Mapping):
                raise self.wrong(entry, "an exception is a mapping with name, fields, comps and values")
            name = (
                self.text(entry.get("name") or entry, "the name of an exception")
                if entry.get("name") is not None
                else ""
            )
            if not name:
                raise self.wrong(entry, "an exception needs a name")
            known = next((exception for exception in rule.exceptions if exception.name == name), None)
            fields, comps = entry.get("fields"), entry.get("comps")
            exception = (
                known if known is not None and append else ExceptionItem(name, text_at(self._file, self._raw, entry))
            )
            if fields is not None:
                exception.fields = (
                    self.texts(fields, "fields") if isinstance(fields, Sequence) else self.text(fields, "fields")
                )
            if comps is not None:
                exception.comps = (
                    self.texts(comps, "comps") if isinstance(comps, Sequence) else self.text(comps, "comps")
                )
            self._check_exception(exception, entry)
            for value in self.sequence(entry.get("values"), "values"):
                exception.values.append((value, text_at(self._file, self._raw, value)))
            if exception is not known:
                if known is not None:
                    rule.exceptions.remove(known)
                rule.exceptions.append(exception)

    def _check_exception(self, exception: ExceptionItem, entry: Mapping) -> None:
        fields, comps = exception.fields, exception.comps
        if fields is None or fields in ([], ""):
            raise self.wrong(
                entry, f"the exception {exception.name!r} has no fields", hint="fields: [proc.name, fd.name]"
            )
        if comps is None:
            exception.comps = comps = ["="] * len(fields) if isinstance(fields, list) else "in"
        if isinstance(fields, list) != isinstance(comps, list):
            raise self.wrong(
                entry, f"fields and comps of the exception {exception.name!r} are both lists, or both are not"
            )
        if isinstance(fields, list) and isinstance(comps, list) and len(fields) != len(comps):
            raise self.wrong(
                entry,
                f"the exception {exception.name!r} has {len(fields)} fields and {len(comps)} comps",
                hint="one comp for each field",
            )

    def yaml_texts(self, node: YamlNode, text: Text) -> list[str] | str:
        """A value of an exception: a text, or a list of them. ItemWrong when it is neither."""
        if isinstance(node, Scalar):
            return node.value
        if isinstance(node, Sequence) and all(isinstance(item, Scalar) for item in node.items):
            return [item.value for item in node.items if isinstance(item, Scalar)]
        raise self.wrong(text, "a value of an exception is a text or a list of texts")
