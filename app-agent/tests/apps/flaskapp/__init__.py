"""A Flask application with flawed and safe twins for every category. Harmless: what it runs prints a word, what it opens lies in its own directory."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from flask import Flask

ROOT = Path(__file__).parent
FILES = ROOT / "files"
CASES: list[dict[str, object]] = []
"""Every case: route, category, whether it is flawed, and the request that passes through it."""

app = Flask(__name__)
app.secret_key = os.urandom(16)


def case(category: str, flawed: bool, **request: object):
    """Register a view as a case. `request` holds what the test client sends."""

    def register(view):
        route = f"/{category}/{view.__name__}"
        template = route + str(request.pop("tail_template", ""))
        app.add_url_rule(template, view.__name__, view, methods=["GET", "POST"])
        CASES.append({"route": template, "path": route + str(request.pop("tail", "")), "category": category, "flawed": flawed, "request": request})
        return view

    return register


def database() -> sqlite3.Connection:
    """A database with one table of two people."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE people (id INTEGER, name TEXT, note TEXT)")
    connection.executemany("INSERT INTO people VALUES (?, ?, ?)", [(1, "ada", "first"), (2, "bob", "<i>second</i>")])
    return connection


from . import commands, documents, pages, secrets_and_cookies, storage  # noqa: E402,F401
