"""Secure marks: one bit for each rule that reads taint. A set bit means "these characters cannot do that harm".

The order is part of the format of the catalogue; new rules are added at the end.
"""

from __future__ import annotations

import re
from typing import Any

TAINT_RULES = (
    "sql-injection",
    "command-injection",
    "code-injection",
    "path-traversal",
    "server-side-request-forgery",
    "unsafe-deserialization",
    "template-injection",
    "xml-external-entity",
    "xpath-injection",
    "ldap-injection",
    "nosql-injection",
    "open-redirect",
    "header-injection",
    "cross-site-scripting",
    "log-injection",
    "mail-injection",
    "regex-denial-of-service",
    "trust-boundary",
    "prompt-injection",
)
BIT = {name: 1 << number for number, name in enumerate(TAINT_RULES)}
ALL = (1 << len(TAINT_RULES)) - 1

SQL = BIT["sql-injection"]
COMMAND = BIT["command-injection"]
CODE = BIT["code-injection"]
PATH = BIT["path-traversal"]
SSRF = BIT["server-side-request-forgery"]
XPATH = BIT["xpath-injection"]
LDAP = BIT["ldap-injection"]
REDIRECT = BIT["open-redirect"]
HEADER = BIT["header-injection"]
XSS = BIT["cross-site-scripting"]
LOG = BIT["log-injection"]
MAIL = BIT["mail-injection"]
REDOS = BIT["regex-denial-of-service"]
PROMPT = BIT["prompt-injection"]
NOSQL = BIT["nosql-injection"]
TRUST = BIT["trust-boundary"]
DESERIALIZE = BIT["unsafe-deserialization"]

WORD = ALL & ~(TRUST | PROMPT | DESERIALIZE)
"""What text of letters, digits, `_` and `-` alone cannot do. It can still be an identity that is trusted too early."""


def of(names: list[str] | str) -> int:
    """The bits of rule names; ``all`` and ``word`` are the two sets above."""
    if isinstance(names, str):
        names = [names]
    marks = 0
    for name in names:
        marks |= ALL if name == "all" else WORD if name == "word" else BIT[name]
    return marks


def names(marks: int) -> list[str]:
    """The rule names of a bit set."""
    return [name for name, bit in BIT.items() if marks & bit]


def escaped_by_replace(old: Any, new: Any) -> int:
    """The marks of ``value.replace(old, new)`` over all occurrences.

    Only replacements that no value can undo: doubled or removed single quotes end no SQL or XPath literal, ``<`` written as an entity opens no
    tag, removed line ends make no second header or log line. Removing ``../`` is none: ``....//`` becomes ``../``.
    """
    if isinstance(old, bytes) and isinstance(new, bytes):
        old, new = old.decode("latin-1"), new.decode("latin-1")
    if not isinstance(old, str) or not isinstance(new, str):
        return 0
    marks = 0
    if old == "'" and new in ("''", "", "&apos;", "&#39;", "&#x27;"):
        marks |= XPATH if new != "''" else SQL | XPATH
        if new in ("",):
            marks |= SQL
    if old == "<" and new in ("&lt;", ""):
        marks |= XSS
    if old in ("\n", "\r\n", "\r") and "\n" not in new and "\r" not in new:
        marks |= LOG | HEADER | MAIL
    if old == "/" and "/" not in new and "\\" not in new:
        marks |= PATH
    return marks


_SAFE_CLASS = re.compile(r"\[\^((?:\\[wds]|[A-Za-z0-9 _-])+)\][+*]?\Z")


def removed_by_pattern(pattern: re.Pattern[Any]) -> int:
    """The marks of removing everything that `pattern` matches: a negated class of harmless characters leaves only these."""
    text = pattern.pattern
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    match = _SAFE_CLASS.match(text)
    if match is None:
        return 0
    inside = match.group(1)
    if "\\s" in inside:
        return WORD & ~(LOG | HEADER | MAIL | COMMAND | CODE | SQL)
    return WORD if " " not in inside else WORD & ~(COMMAND | CODE | SQL)


_SAFE_ATOM = r"(?:\\[dw]|\[(?:\\[dw]|[A-Za-z0-9](?:-[A-Za-z0-9])?|[_-])+\]|[A-Za-z0-9_-])(?:[+*?]|\{\d+(?:,\d*)?\})?"
_SAFE_PATTERN = re.compile(rf"\A\(?(?:{_SAFE_ATOM})+\)?\Z")
_DOTS = re.compile(r"\\\.")


def of_full_match(pattern: re.Pattern[Any]) -> int:
    """What a value that matches `pattern` from end to end cannot do.

    Harmless where every atom is a class of letters, digits, `_` and `-`; with a literal dot it may still be a file name, never a path.
    """
    text = pattern.pattern
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    text = text.removeprefix("^").removeprefix("\\A")
    text = text.removesuffix("\\Z") if text.endswith("\\Z") else text.removesuffix("$")
    dots = len(_DOTS.findall(text))
    plain = _DOTS.sub("x", text)
    if _SAFE_PATTERN.match(plain):
        return WORD if not dots else WORD & ~(CODE | SSRF)
    # Alternatives of plain words: (red|green|blue)
    if re.fullmatch(r"\(?\??:?[A-Za-z0-9_]+(?:\|[A-Za-z0-9_]+)*\)?", text):
        return ALL
    return 0
