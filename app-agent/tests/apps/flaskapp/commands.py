"""Commands, code, LDAP, templates, SSRF, redirects, headers."""

import ast
import asyncio
import base64
import os
import shlex
import subprocess
import threading
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import jinja2
import ldap3
from flask import abort, jsonify, make_response, redirect, request
from ldap3.utils.conv import escape_filter_chars

from . import case

WORD = {"query_string": {"word": "hello"}}
POOL = ThreadPoolExecutor(2)


@case("command-injection", True, **WORD)
def command_shell():
    return jsonify(subprocess.run(f"echo {request.args['word']}", shell=True, capture_output=True, text=True).stdout)


@case("command-injection", True, **WORD)
def command_sh_c():
    words = ["sh", "-c"]
    words.append("echo " + request.args["word"])
    return jsonify(subprocess.run(words, capture_output=True, text=True).stdout)


@case("command-injection", True, method="POST", data={"word": "hello"})
def command_system():
    return jsonify(os.system("true %s" % request.form["word"]))


@case("command-injection", True, headers={"X-Word": "hello"})
def command_popen():
    return jsonify(os.popen("echo " + request.headers["X-Word"]).read())


@case("command-injection", True, query_string={"program": "true"})
def command_program():
    return jsonify(subprocess.call([request.args["program"], "x"]))


@case("command-injection", True, **WORD)
def command_in_thread():
    word = request.args["word"]
    out = []
    thread = threading.Thread(target=lambda: out.append(subprocess.getoutput("echo " + word)))
    thread.start()
    thread.join()
    return jsonify(out)


@case("command-injection", True, **WORD)
def command_in_pool():
    return jsonify(POOL.submit(lambda: subprocess.check_output("echo " + request_word, shell=True).decode()).result() if (request_word := request.args["word"]) else "")


@case("command-injection", True, **WORD)
def command_asyncio():
    async def run(word):
        process = await asyncio.create_subprocess_shell(f"echo {word}", stdout=subprocess.PIPE)
        return (await process.communicate())[0].decode()

    return jsonify(asyncio.run(run(request.args["word"])))


@case("command-injection", True, headers={"X-Hello-There": "1"})
def command_header_name():
    name = next(key for key in request.headers.keys() if key.startswith("X-Hello"))
    return jsonify(subprocess.getoutput("echo " + name))


@case("command-injection", False, **WORD)
def command_list():
    return jsonify(subprocess.run(["echo", request.args["word"]], capture_output=True, text=True).stdout)


@case("command-injection", False, **WORD)
def command_quoted():
    return jsonify(subprocess.getoutput("echo " + shlex.quote(request.args["word"])))


@case("command-injection", False, **WORD)
def command_checked():
    word = request.args["word"]
    if not word.isalpha():
        abort(400)
    return jsonify(subprocess.getoutput("echo " + word))


@case("command-injection", False, **WORD)
def command_match_statement():
    match request.args["word"]:
        case "hello":
            word = "hello"
        case _:
            word = "other"
    return jsonify(subprocess.getoutput(f"echo {word}"))


@case("command-injection", False, query_string={"count": "3"})
def command_number():
    return jsonify(subprocess.getoutput("echo " + str(int(request.args["count"]))))


@case("command-injection", False, **WORD)
def command_environment():
    return jsonify(subprocess.run("echo $WORD", shell=True, capture_output=True, text=True, env={"WORD": request.args["word"]}).stdout)


# --- code -----------------------------------------------------------------------------------------------------------------------------------------

SUM = {"query_string": {"sum": "1+2"}}


@case("code-injection", True, **SUM)
def code_eval():
    return jsonify(eval(request.args["sum"]))


@case("code-injection", True, method="POST", data={"sum": "1+2"})
def code_exec():
    space = {}
    exec(f"result = {request.form['sum']}", space)
    return jsonify(space["result"])


@case("code-injection", True, query_string={"module": "json"})
def code_import():
    return jsonify(__import__(request.args["module"]).__name__)


@case("code-injection", True, query_string={"data": base64.b64encode(b"1+2").decode()})
def code_compile_base64():
    source = base64.b64decode(request.args["data"]).decode("utf-8")
    return jsonify(eval(compile(source, "input", "eval")))


@case("code-injection", False, **SUM)
def code_literal():
    return jsonify(len(ast.dump(ast.parse("1+2"))) + len(str(ast.literal_eval("[1]"))))


@case("code-injection", False, query_string={"text": "'abc'"})
def code_quoted_literal():
    text = request.args["text"]
    if not text.startswith("'") or not text.endswith("'") or "'" in text[1:-1]:
        abort(400)
    return jsonify(eval(text))


@case("code-injection", False, query_string={"name": "len"})
def code_table():
    table = {"len": "len('four')", "sum": "sum([1])"}
    return jsonify(eval(table[request.args["name"]]))


@case("code-injection", False, query_string={"number": "12"})
def code_digits():
    number = request.args["number"]
    if not number.isdigit():
        abort(400)
    return jsonify(eval(number + " + 1"))


# --- LDAP -----------------------------------------------------------------------------------------------------------------------------------------


def directory():
    server = ldap3.Server("fake", get_info=ldap3.OFFLINE_SLAPD_2_4)
    connection = ldap3.Connection(server, client_strategy=ldap3.MOCK_SYNC)
    connection.strategy.add_entry("cn=ada,o=test", {"sn": "Lovelace", "uid": "ada", "objectClass": "person"})
    connection.open()
    return connection


@case("ldap-injection", True, query_string={"uid": "ada"})
def ldap_filter():
    connection = directory()
    connection.search("o=test", f"(&(objectClass=person)(uid={request.args['uid']}))", attributes=["sn"])
    return jsonify(len(connection.entries))


@case("ldap-injection", True, method="POST", data={"uid": "ada"})
def ldap_base():
    connection = directory()
    connection.search("cn=" + request.form["uid"] + ",o=test", "(objectClass=*)", attributes=["sn"])
    return jsonify(len(connection.entries))


@case("ldap-injection", True, cookies={"uid": "ada"})
def ldap_keyword():
    connection = directory()
    wanted = "(uid={0})".format(request.cookies["uid"].replace("#", "-"))
    connection.search(search_base="o=test", search_filter=wanted, attributes=["sn"])
    return jsonify(len(connection.entries))


@case("ldap-injection", False, query_string={"uid": "ada"})
def ldap_escaped():
    connection = directory()
    connection.search("o=test", f"(uid={escape_filter_chars(request.args['uid'])})", attributes=["sn"])
    return jsonify(len(connection.entries))


@case("ldap-injection", False, query_string={"uid": "ada"})
def ldap_checked():
    uid = request.args["uid"]
    if not uid.isalnum():
        abort(400)
    connection = directory()
    connection.search("o=test", "(uid=" + uid + ")", attributes=["sn"])
    return jsonify(len(connection.entries))


@case("ldap-injection", False, query_string={"uid": "ada"})
def ldap_replaced():
    uid = request.args["uid"]
    uid = "ada"
    connection = directory()
    connection.search("o=test", f"(uid={uid})", attributes=["sn"])
    return jsonify(len(connection.entries))


# --- redirects --------------------------------------------------------------------------------------------------------------------------------------

NEXT = {"query_string": {"next": "/home"}}


@case("open-redirect", True, **NEXT)
def redirect_plain():
    return redirect(request.args["next"])


@case("open-redirect", True, **NEXT)
def redirect_formatted():
    return redirect("{}?from=login".format(request.args.get("next")))


@case("open-redirect", True, query_string={"host": "example.org"})
def redirect_host():
    return redirect(f"https://{request.args['host']}/home")


@case("open-redirect", True, cookies={"next": "/home"})
def redirect_cookie():
    return redirect(urllib.parse.unquote_plus(request.cookies["next"]))


@case("open-redirect", False, **NEXT)
def redirect_fixed():
    return redirect("/home" if request.args["next"] else "/")


@case("open-redirect", False, query_string={"page": "home"})
def redirect_page():
    return redirect(f"/pages/{request.args['page']}")


@case("open-redirect", False, query_string={"next": "https://example.org/home"})
def redirect_netloc():
    target = request.args["next"]
    if urllib.parse.urlparse(target).netloc not in ("example.org", "www.example.org"):
        abort(400)
    return redirect(target)


@case("open-redirect", False, query_string={"next": "https://example.org/home"})
def redirect_hostname():
    target = request.args["next"]
    if urllib.parse.urlsplit(target).hostname != "example.org":
        abort(400)
    return redirect(target)


@case("open-redirect", False, query_string={"next": "https://example.org/home"})
def redirect_prefix():
    target = request.args["next"]
    if not target.startswith("https://example.org/"):
        abort(400)
    return redirect(target)


# --- beyond the fourteen -------------------------------------------------------------------------------------------------------------------------------


@case("server-side-request-forgery", True, query_string={"host": "127.0.0.1:9"})
def ssrf_host():
    try:
        urllib.request.urlopen(f"http://{request.args['host']}/", timeout=1)
    except OSError:
        return jsonify("unreachable")
    return jsonify("reached")


@case("server-side-request-forgery", False, query_string={"page": "x"})
def ssrf_page():
    try:
        urllib.request.urlopen(f"http://127.0.0.1:9/{urllib.parse.quote(request.args['page'])}", timeout=1)
    except OSError:
        return jsonify("unreachable")
    return jsonify("reached")


@case("template-injection", True, query_string={"name": "ada"})
def template_source():
    return jsonify(jinja2.Environment().from_string("hello " + request.args["name"]).render())


@case("template-injection", False, query_string={"name": "ada"})
def template_variable():
    return jsonify(jinja2.Environment().from_string("hello {{ name }}").render(name=request.args["name"]))


@case("header-injection", True, query_string={"name": "ada"})
def header_value():
    answer = make_response("x")
    answer.content_type = "text/plain"
    answer.headers["X-Name"] = request.args["name"]
    return answer


@case("header-injection", False, query_string={"name": "ada"})
def header_without_lines():
    answer = make_response("x")
    answer.content_type = "text/plain"
    answer.headers["X-Name"] = request.args["name"].replace("\r", "").replace("\n", "")
    return answer
