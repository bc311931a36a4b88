"""A FastAPI application with flawed and safe twins: models, dependencies, raw Starlette requests, async code."""

import asyncio
import base64
import hashlib
import html
import json
import os
import pickle
import random
import re
import secrets
import sqlite3
import subprocess
from pathlib import Path
from typing import Annotated

import lxml.etree
from fastapi import Cookie, Depends, FastAPI, Form, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel, Field

app = FastAPI()
FILES = Path(__file__).parent / "flaskapp" / "files"
CASES = []


def case(category, flawed, method="GET", **request):
    def register(view):
        route = f"/{category}/{view.__name__}"
        template = route + request.pop("tail_template", "")
        app.add_api_route(template, view, methods=[method], response_model=None)
        CASES.append({"route": template.replace(":path}", "}"), "path": route + request.pop("tail", ""), "category": category, "flawed": flawed, "request": {"method": method, **request}})
        return view

    return register


def rows(query, *values):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE people (id INTEGER, name TEXT)")
    return connection.execute(query, values).fetchall()


class Person(BaseModel):
    name: str = Field(min_length=1)
    tags: list[str] = []


def wanted(name: str = "none") -> str:
    return name.strip()


@case("sql-injection", True, params={"name": "ada"})
def sql_query_parameter(name: str):
    return rows(f"SELECT * FROM people WHERE name = '{name}'")


@case("sql-injection", True, params={"name": "ada"})
async def sql_async_gathered(name: str):
    async def build(part):
        await asyncio.sleep(0)
        return "SELECT * FROM people WHERE name = '" + part + "'"

    first, second = await asyncio.gather(build(name), build("other"))
    return [rows(first), rows(second)]


@case("sql-injection", True, method="POST", json={"name": "ada", "tags": ["x1y"]})
def sql_model(person: Person):
    return rows("SELECT * FROM people WHERE name = '%s'" % person.tags[0])


@case("sql-injection", True, params={"name": "ada"})
def sql_dependency(name: Annotated[str, Depends(wanted)]):
    return rows("SELECT * FROM people WHERE name = '{}'".format(name))


@case("sql-injection", True, tail="/ada", tail_template="/{name}")
def sql_path(name: str):
    return rows("SELECT * FROM people WHERE name = '" + name + "'")


@case("sql-injection", True, headers={"x-name": "ada"})
def sql_header(x_name: Annotated[str, Header()]):
    return rows("SELECT * FROM people WHERE name = '" + x_name + "'")


@case("sql-injection", False, method="POST", json={"name": "ada"})
def sql_model_parameter(person: Person):
    return rows("SELECT * FROM people WHERE name = ?", person.name)


@case("sql-injection", False, params={"number": "4"})
def sql_typed(number: int):
    return rows(f"SELECT * FROM people WHERE id = {number}")


@case("sql-injection", False, params={"name": "ada"})
async def sql_other_task(name: str):
    async def fixed():
        return "SELECT * FROM people WHERE name = 'ada'"

    return rows(await asyncio.create_task(fixed()))


@case("command-injection", True, params={"word": "hello"})
async def command_async(word: str):
    process = await asyncio.create_subprocess_shell("echo " + word, stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode()


@case("command-injection", True, params={"word": "hello"})
async def command_to_thread(word: str):
    return await asyncio.to_thread(subprocess.getoutput, f"echo {word}")


@case("command-injection", True, params={"word": "hello"})
async def command_in_executor(word: str):
    return await asyncio.get_running_loop().run_in_executor(None, lambda: subprocess.getoutput("echo " + word))


@case("command-injection", False, params={"word": "hello"})
async def command_arguments(word: str):
    process = await asyncio.create_subprocess_exec("echo", word, stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode()


@case("command-injection", False, params={"word": "hello"})
def command_pattern(word: str):
    if not re.fullmatch("[a-z]+", word):
        raise HTTPException(400)
    return subprocess.getoutput("echo " + word)


@case("path-traversal", True, tail="/ada.txt", tail_template="/{file:path}")
def path_parameter(file: str):
    return (FILES / file).read_text()


@case("path-traversal", True, cookies={"file": "ada.txt"})
def path_cookie(file: Annotated[str, Cookie()]):
    return os.path.exists(f"{FILES}/{file}")


@case("path-traversal", False, params={"file": "ada.txt"})
def path_checked(file: str):
    path = (FILES / file).resolve()
    if not path.is_relative_to(FILES.resolve()):
        raise HTTPException(400)
    return path.read_text()


@case("path-traversal", False, params={"file": "ada.txt"})
def path_name(file: str):
    return os.path.exists(FILES / os.path.basename(file))


@case("cross-site-scripting", True, params={"name": "ada"})
def xss_html(name: str):
    return HTMLResponse(f"<p>{name}</p>")


@case("cross-site-scripting", True, params={"name": "ada"})
async def xss_raw_request(request: Request):
    return HTMLResponse("<p>" + request.query_params["name"] + "</p>")


@case("cross-site-scripting", True, method="POST", data={"name": "ada"})
def xss_form(name: Annotated[str, Form()]):
    return HTMLResponse("".join(["<p>", name, "</p>"]))


@case("cross-site-scripting", False, params={"name": "ada"})
def xss_escaped(name: str):
    return HTMLResponse(f"<p>{html.escape(name)}</p>")


@case("cross-site-scripting", False, params={"name": "ada"})
def xss_plain(name: str):
    return PlainTextResponse(name)


@case("cross-site-scripting", False, params={"name": "ada"})
def xss_json(name: str):
    return {"name": name}


@case("open-redirect", True, params={"next": "/home"})
def redirect_any(next: str):
    return RedirectResponse(next)


@case("open-redirect", False, params={"page": "home"})
def redirect_page(page: str):
    return RedirectResponse(f"/pages/{page}")


@case("code-injection", True, method="POST", content=b"1+2")
async def code_body(request: Request):
    return eval((await request.body()).decode())


@case("code-injection", False, method="POST", content=b"12")
async def code_number(request: Request):
    return eval(str(int(await request.body())))


@case("unsafe-deserialization", True, params={"data": base64.urlsafe_b64encode(pickle.dumps([1])).decode()})
def pickle_parameter(data: str):
    return pickle.loads(base64.urlsafe_b64decode(data))


@case("unsafe-deserialization", False, params={"data": "[1]"})
def json_parameter(data: str):
    return json.loads(data)


@case("xpath-injection", True, params={"name": "ada"})
def xpath_expression(name: str):
    return len(lxml.etree.fromstring("<a><b n='1'/></a>").xpath(f"//b[@n='{name}']"))


@case("xpath-injection", False, params={"name": "ada"})
def xpath_variable(name: str):
    return len(lxml.etree.fromstring("<a><b n='1'/></a>").xpath("//b[@n=$n]", n=name))


@case("xml-external-entity", True, method="POST", content=b"<a/>")
async def xxe_body(request: Request):
    return lxml.etree.fromstring(await request.body(), lxml.etree.XMLParser(resolve_entities=True)).tag


@case("xml-external-entity", False, method="POST", content=b"<a/>")
async def xxe_default(request: Request):
    return lxml.etree.fromstring(await request.body()).tag


@case("weak-hash", True)
def hash_weak():
    return hashlib.sha1(b"x").hexdigest()


@case("weak-hash", False)
def hash_good():
    return hashlib.sha3_256(b"x").hexdigest()


@case("weak-random", True)
def random_token():
    return {"token": random.randint(0, 9)}


@case("weak-random", False)
def random_secret_token():
    return {"token": secrets.randbelow(9)}


@case("insecure-cookie", True)
def cookie_plain():
    answer = JSONResponse({})
    answer.set_cookie("a", "1", httponly=True)
    return answer


@case("insecure-cookie", False)
def cookie_secure():
    answer = JSONResponse({})
    answer.set_cookie("a", "1", httponly=True, secure=True)
    return answer
