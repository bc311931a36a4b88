"""An aiohttp application with flawed and safe twins."""

import html
import sqlite3
import subprocess
from pathlib import Path

from aiohttp import web

FILES = Path(__file__).parent / "flaskapp" / "files"
CASES = []
VIEWS = []


def case(category, flawed, **request):
    def register(view):
        route = f"/{category}/{view.__name__}"
        template = route + request.pop("tail_template", "")
        VIEWS.append((request.get("method", "GET"), template, view))
        CASES.append({"route": template, "path": route + request.pop("tail", ""), "category": category, "flawed": flawed, "request": request})
        return view

    return register


def application():
    app = web.Application()
    for method, template, view in VIEWS:
        app.router.add_route(method, template, view)
    return app


def rows(query, *values):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE people (id INTEGER, name TEXT)")
    return web.json_response(connection.execute(query, values).fetchall())


@case("sql-injection", True, params={"name": "ada"})
async def sql_query(request):
    return rows(f"SELECT * FROM people WHERE name = '{request.query['name']}'")


@case("sql-injection", True, method="POST", data={"name": "ada"})
async def sql_form(request):
    form = await request.post()
    return rows("SELECT * FROM people WHERE name = '" + form["name"] + "'")


@case("sql-injection", True, method="POST", json={"name": "ada"})
async def sql_json(request):
    return rows("SELECT * FROM people WHERE name = '%(name)s'" % await request.json())


@case("sql-injection", True, tail="/ada", tail_template="/{name}")
async def sql_path(request):
    return rows("SELECT * FROM people WHERE name = '" + request.match_info["name"] + "'")


@case("sql-injection", True, headers={"X-Name": "ada"})
async def sql_header(request):
    return rows("SELECT * FROM people WHERE name = '" + request.headers["X-Name"] + "'")


@case("sql-injection", False, params={"name": "ada"})
async def sql_parameter(request):
    return rows("SELECT * FROM people WHERE name = ?", request.query["name"])


@case("command-injection", True, cookies={"word": "hello"})
async def command_cookie(request):
    return web.Response(text=subprocess.getoutput("echo " + request.cookies["word"]))


@case("command-injection", False, params={"word": "hello"})
async def command_arguments(request):
    return web.Response(body=subprocess.check_output(["echo", request.query["word"]]))


@case("path-traversal", True, params={"file": "ada.txt"})
async def path_open(request):
    return web.Response(text=(FILES / request.query["file"]).read_text())


@case("path-traversal", False, params={"file": "ada.txt"})
async def path_listed(request):
    if request.query["file"] not in ("ada.txt", "bob.txt"):
        raise web.HTTPBadRequest
    return web.Response(text=(FILES / request.query["file"]).read_text())


@case("cross-site-scripting", True, params={"name": "ada"})
async def xss_text(request):
    return web.Response(text=f"<p>{request.query['name']}</p>", content_type="text/html")


@case("cross-site-scripting", False, params={"name": "ada"})
async def xss_escaped(request):
    return web.Response(text=f"<p>{html.escape(request.query['name'])}</p>", content_type="text/html")


@case("cross-site-scripting", False, params={"name": "ada"})
async def xss_plain(request):
    return web.Response(text=request.query["name"])


@case("open-redirect", True, params={"next": "/home"})
async def redirect_any(request):
    raise web.HTTPFound(request.query["next"])


@case("open-redirect", False, params={"page": "home"})
async def redirect_page(request):
    raise web.HTTPFound(f"/pages/{request.query['page']}")


@case("insecure-cookie", True)
async def cookie_plain(request):
    answer = web.Response()
    answer.set_cookie("a", "1")
    return answer


@case("insecure-cookie", False)
async def cookie_secure(request):
    answer = web.Response()
    answer.set_cookie("a", "1", secure=True, httponly=True)
    return answer
