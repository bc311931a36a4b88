"""Whether a marker changed the structure at a sink: small readers of SQL, shell, paths, XPath, LDAP, markup and code.

`changed(rule, value, ranges, marker)` says what the marker did, or returns an empty text when it stayed plain data.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from .taint import Range

_SQL = re.compile(
    r"(?P<string>'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`[^`]*`)|(?P<comment>--[^\n]*|#[^\n]*|/\*.*?\*/)|(?P<open>['\"`])|(?P<word>\w+)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)


def sql(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker as a word of the statement, or a literal left open."""
    for match in _SQL.finditer(text):
        if match.lastgroup == "word" and marker in match.group():
            return f"the marker is a token of the statement at {match.start()}"
        if match.lastgroup == "open" and any(low <= match.start() < high for low, high, _, _ in ranges):
            return f"a quote of the input opens a literal at {match.start()}"
    return ""


def shell(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker behind an operator that the input brought, outside quotes and not behind a backslash."""
    quote = ""
    at = 0
    word = ""
    ended = False
    while at < len(text):
        one = text[at]
        if quote:
            if one == quote:
                quote = ""
            elif one == "\\" and quote == '"':
                at += 1
            word += "\x01"
        elif one in "'\"":
            quote = one
        elif one == "\\":
            at += 1
        elif one in " \t\n;|&()<>`$":
            if word == marker and ended:
                return "the marker is a word of another command"
            ended = ended or (one in ";|&\n`" and any(low <= at < high for low, high, _, _ in ranges))
            word = ""
        else:
            word += one
        at += 1
    return "the marker is a word of another command" if word == marker and ended else ""


def program(text: str, ranges: Sequence[Range], marker: str) -> str:
    """A program name: the marker in it is the program."""
    return shell(text, ranges, marker) or ("the marker is the program" if text.startswith(marker) else "")


def path(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker outside of the directory that stood before it."""
    root = os.path.normpath(os.path.join("/", text[: ranges[0][0]]).rpartition("/")[0] or "/")
    if ranges[0][0] == 0:
        return "the whole path is the input's" if marker in text else ""
    target = os.path.normpath(os.path.join("/", text))
    if marker in target and not target.startswith(root.rstrip("/") + "/"):
        return f"the path leaves {root}"
    return ""


def url(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker in the authority."""
    match = re.match(r"[a-z][a-z0-9+.-]*://([^/?#\\]*)", text, re.I)
    return "the marker is the host" if match is not None and marker in match.group(1) else ""


def redirect(text: str, ranges: Sequence[Range], marker: str) -> str:
    """A target on the marker's host."""
    match = re.match(r"(?:[a-z][a-z0-9+.-]*:)?[/\\]{2}([^/?#\\]*)", text, re.I)
    return "the marker is the host of the target" if match is not None and marker in match.group(1) else ""


def code(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker as a name of the program."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return "the input broke the syntax" if marker in text else ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == marker:
            return "the marker is a name of the code"
    return ""


def xpath(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker outside of a literal."""
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    return "the marker is part of the expression" if marker in outside else ""


def ldap(text: str, ranges: Sequence[Range], marker: str) -> str:
    """A filter component of the input's own."""
    return "the marker is a component of the filter" if re.search(rf"\({marker}=", text) else ""


def markup(text: str, ranges: Sequence[Range], marker: str) -> str:
    """The marker as a tag."""
    return "the marker is an element of the page" if f"<{marker}>" in text else ""


def lines(text: str, ranges: Sequence[Range], marker: str) -> str:
    """A line of the input's own."""
    return "the input began a line" if re.search(rf"[\r\n]{marker}", text) else ""


def template(text: str, ranges: Sequence[Range], marker: str) -> str:
    """An expression of the input's own."""
    return "the marker is an expression of the template" if re.search(r"(\{\{|\$\{|\{%)\s*" + marker, text) else ""


def entity(text: str, ranges: Sequence[Range], marker: str) -> str:
    """A document type of the input's own."""
    return "the parser was given an entity of the input" if f"<!entity {marker}" in text.lower() else ""


def operator(text: str, ranges: Sequence[Range], marker: str) -> str:
    """An operator's name or operand."""
    return "the marker is inside an operator" if marker in text else ""


def pattern(text: str, ranges: Sequence[Range], marker: str) -> str:
    """A group of the input's own."""
    return "the input is part of the pattern's structure" if f"({marker}+)+" in text else ""


def reached(text: str, ranges: Sequence[Range], marker: str) -> str:
    """For sinks where arriving is the harm."""
    return "the input is part of what is read"


def anywhere(text: str, ranges: Sequence[Range], marker: str) -> str:
    return "the marker arrived" if marker in text else ""


READERS: dict[str, Callable[[str, Sequence[Range], str], str]] = {
    "sql-injection": sql,
    "command-injection": program,
    "code-injection": code,
    "path-traversal": path,
    "server-side-request-forgery": url,
    "unsafe-deserialization": reached,
    "template-injection": template,
    "xml-external-entity": entity,
    "xpath-injection": xpath,
    "ldap-injection": ldap,
    "nosql-injection": operator,
    "open-redirect": redirect,
    "header-injection": lines,
    "cross-site-scripting": markup,
    "log-injection": lines,
    "mail-injection": lines,
    "regex-denial-of-service": pattern,
    "trust-boundary": anywhere,
    "prompt-injection": anywhere,
}


def changed(rule: str, value: Any, ranges: Sequence[Range], marker: str) -> str:
    """What the marker did to the structure at the sink of `rule`; empty when it stayed data."""
    text = (
        value
        if isinstance(value, str)
        else bytes(value).decode("latin-1")
        if isinstance(value, (bytes, bytearray))
        else str(value)
    )
    # The way may have changed the case of letters; markers are lower-case.
    lowered = text.lower()
    return READERS[rule](lowered if len(lowered) == len(text) else text, ranges, marker)


def payloads(rule: str, marker: str, value: str, callback: str) -> list[str]:
    """Harmless values that would change the structure at the sink of `rule`, tried in order.

    Args:
        rule: the rule's name.
        marker: a word that occurs nowhere else.
        value: what the parameter held when the flaw was seen.
        callback: host and port that requests may be sent to for server-side request forgery.
    """
    return {
        "sql-injection": [
            f"{value}' {marker} '",
            f"{value} {marker}",
            f'{value}" {marker} "',
            f"{value}') {marker} ('",
        ],
        "command-injection": [f"{value}; : {marker} ", f"{value}'; : {marker} '", f'{value}"; : {marker} "', marker],
        "code-injection": [marker, f"{value}' + {marker} + '", f'{value}" + {marker} + "'],
        "path-traversal": [f"../../../../../../../../{marker}", f"/{marker}"],
        "server-side-request-forgery": [f"http://{marker}.{callback}/", f"{marker}.{callback}"],
        "unsafe-deserialization": [value],
        "template-injection": ["{{" + marker + "}}", "${" + marker + "}"],
        "xml-external-entity": [f'<!DOCTYPE x [<!ENTITY {marker} "{marker}">]><x>&{marker};</x>'],
        "xpath-injection": [f"{value}' or {marker} or '", f'{value}" or {marker} or "', f"{value} or {marker}"],
        "ldap-injection": [f"{value})({marker}=*", f"*)({marker}=*)"],
        "nosql-injection": [marker, f"'; {marker}; '"],
        "open-redirect": [f"https://{marker}.invalid/", f"//{marker}.invalid/", f"{marker}.invalid"],
        "header-injection": [f"{value}\r\n{marker}: 1"],
        "cross-site-scripting": [f"{value}<{marker}>", f'"><{marker}>'],
        "log-injection": [f"{value}\n{marker}"],
        "mail-injection": [f"{value}\n{marker}: 1"],
        "regex-denial-of-service": [f"({marker}+)+"],
        "trust-boundary": [marker],
        "prompt-injection": [marker],
    }.get(rule, [value])
