"""SQL, paths, deserialization, trust boundary."""

import base64
import codecs
import configparser
import io
import json
import os
import os.path
import pathlib
import pickle
import re
import shutil
import urllib.parse
import zipfile

import yaml
from flask import abort, jsonify, request, session
from werkzeug.utils import secure_filename

from . import FILES, case, database

NAME = {"query_string": {"name": "ada"}}
FORM = {"method": "POST", "data": {"name": "ada"}}


class Holder:
    """Carries a value through an object."""

    def __init__(self, value):
        self.value = value

    def get(self):
        return self.value


# --- SQL ------------------------------------------------------------------------------------------------------------------------------------


@case("sql-injection", True, **NAME)
def sql_plus():
    name = request.args.get("name", "")
    return jsonify(database().execute("SELECT * FROM people WHERE name = '" + name + "'").fetchall())


@case("sql-injection", True, **NAME)
def sql_fstring_strip():
    name = request.args["name"].strip().lower()
    cursor = database().cursor()
    cursor.execute(f"SELECT note FROM people WHERE name = '{name}' AND id > {0:d}")
    return jsonify(cursor.fetchall())


@case("sql-injection", True, **FORM)
def sql_percent_dict():
    values = {"name": request.form["name"], "limit": 5}
    return jsonify(database().execute("SELECT * FROM people WHERE name = '%(name)s' LIMIT %(limit)d" % values).fetchall())


@case("sql-injection", True, json={"filter": {"name": "ada"}, "order": "id"}, method="POST")
def sql_json_format():
    body = request.get_json()
    query = "SELECT * FROM people ORDER BY {order}".format(**body)
    return jsonify(database().execute(query).fetchall())


@case("sql-injection", True, headers={"X-Name": "ada"})
def sql_header_join():
    parts = ["SELECT * FROM people WHERE name =", "'" + request.headers["X-Name"] + "'"]
    return jsonify(database().execute(" ".join(parts)).fetchall())


@case("sql-injection", True, cookies={"who": "ada"})
def sql_cookie_configparser():
    parser = configparser.ConfigParser()
    parser.add_section("s")
    parser.set("s", "a", "fixed")
    parser.set("s", "b", request.cookies.get("who", ""))
    return jsonify(database().execute(f"SELECT * FROM people WHERE name = '{parser.get('s', 'b')}'").fetchall())


@case("sql-injection", True, query_string={"name": "YWRh"})
def sql_base64_generator():
    raw = base64.b64decode(request.args["name"].encode()).decode()
    name = "".join(c for c in raw)
    return jsonify(database().execute("SELECT * FROM people WHERE name = '{}'".format(name)).fetchall())


@case("sql-injection", True, query_string="name=ada&x=1")
def sql_raw_query_string():
    query = request.query_string.decode("utf-8")
    name = urllib.parse.unquote_plus(query.split("name=")[1].split("&")[0])
    buffer = io.StringIO()
    buffer.write("SELECT * FROM people WHERE name = '")
    buffer.write(name)
    buffer.write("'")
    return jsonify(database().execute(buffer.getvalue()).fetchall())


@case("sql-injection", True, tail="/ada", tail_template="/<name>")
def sql_path_second_order(name):
    row = database().execute("SELECT note FROM people WHERE name = ?", (name,)).fetchone()
    return jsonify(database().execute(f"SELECT * FROM people WHERE note = '{row[0]}'").fetchall())


@case("sql-injection", True, **NAME)
def sql_regex_group_augmented():
    match = re.match(r"(?P<first>.+)", request.args["name"])
    query = "SELECT * FROM people WHERE name = '"
    query += match["first"]
    query += "'"
    return jsonify(database().executescript(query).fetchall())


@case("sql-injection", True, **NAME)
def sql_checked_too_late():
    name = request.args["name"]
    rows = database().execute("SELECT * FROM people WHERE name = '" + name + "'").fetchall()
    if not name.isalnum():
        abort(400)
    return jsonify(rows)


@case("sql-injection", False, **NAME)
def sql_parameter():
    return jsonify(database().execute("SELECT * FROM people WHERE name = ?", (request.args["name"],)).fetchall())


@case("sql-injection", False, **NAME)
def sql_other_key():
    values = {"a": "ada", "b": request.args["name"]}
    values["b"] = "bob"
    return jsonify(database().execute(f"SELECT * FROM people WHERE name = '{values['a']}'").fetchall())


@case("sql-injection", False, **NAME)
def sql_list_pop():
    values = ["ada", request.args["name"], "bob"]
    values.pop(1)
    return jsonify(database().execute("SELECT * FROM people WHERE name = '%s'" % values[1]).fetchall())


@case("sql-injection", False, query_string={"id": "1"})
def sql_int():
    return jsonify(database().execute(f"SELECT * FROM people WHERE id = {int(request.args['id'])}").fetchall())


@case("sql-injection", False, **NAME)
def sql_isalnum():
    name = request.args["name"]
    if not name.isalnum():
        abort(400)
    return jsonify(database().execute(f"SELECT * FROM people WHERE name = '{name}'").fetchall())


@case("sql-injection", False, query_string={"order": "id"})
def sql_allow_list():
    order = request.args["order"]
    if order not in ("id", "name"):
        abort(400)
    return jsonify(database().execute("SELECT * FROM people ORDER BY " + order).fetchall())


@case("sql-injection", False, **NAME)
def sql_fullmatch():
    name = request.args["name"]
    if re.fullmatch(r"[a-z0-9_]{1,20}", name) is None:
        abort(400)
    return jsonify(database().execute("SELECT * FROM people WHERE name = '" + name + "'").fetchall())


@case("sql-injection", False, **NAME)
def sql_configparser_other():
    parser = configparser.ConfigParser()
    parser.read_dict({"s": {"a": "ada"}})
    parser["s"]["b"] = request.args["name"]
    return jsonify(database().execute(f"SELECT * FROM people WHERE name = '{parser['s']['a']}'").fetchall())


@case("sql-injection", False, **NAME)
def sql_constant_branch():
    name = "ada" if 7 * 42 > 200 else request.args["name"]
    return jsonify(database().execute(f"SELECT * FROM people WHERE name = '{name}'").fetchall())


@case("sql-injection", False, **NAME)
def sql_doubled_quotes():
    name = request.args["name"].replace("'", "''")
    return jsonify(database().execute(f"SELECT * FROM people WHERE name = '{name}'").fetchall())


# --- paths ----------------------------------------------------------------------------------------------------------------------------------

FILE = {"query_string": {"file": "ada.txt"}}


@case("path-traversal", True, **FILE)
def path_open():
    with open(f"{FILES}/{request.args['file']}") as file:
        return jsonify(file.read())


@case("path-traversal", True, **FILE)
def path_join_exists():
    return jsonify(os.path.exists(os.path.join(str(FILES), request.args["file"])))


@case("path-traversal", True, **FILE)
def path_pathlib():
    return jsonify((FILES / request.args["file"]).read_text())


@case("path-traversal", True, **FILE)
def path_pathlib_constructor():
    return jsonify(pathlib.Path(FILES, "sub", "..", request.args["file"]).exists())


@case("path-traversal", True, method="POST", data={"file": "ada.txt"})
def path_codecs():
    with codecs.open(str(FILES) + "/" + request.form["file"], "r", "utf-8") as file:
        return jsonify(file.read())


@case("path-traversal", True, headers={"X-File": "ada.txt"})
def path_shutil():
    target = "/dev/null"
    shutil.copyfile(os.path.normpath(str(FILES) + "/" + request.headers.get("X-File")), target)
    return jsonify("copied")


@case("path-traversal", True, **FILE)
def path_os_stat_bytes():
    name = request.args["file"].encode()
    return jsonify(os.stat(os.fsencode(FILES) + b"/" + name).st_size)


@case("path-traversal", True, method="POST", json={"files": ["ada.txt", "x"]})
def path_json_list():
    first, *_ = request.json["files"]
    return jsonify(os.path.getsize(f"{FILES}/{first}"))


@case("path-traversal", True, **FILE)
def path_replace_is_no_check():
    name = request.args["file"].replace("../", "")
    with open(os.path.join(FILES, name), encoding="utf-8") as file:
        return jsonify(file.read())


@case("path-traversal", True, query_string={"file": "missing.zip"})
def path_zip():
    try:
        zipfile.ZipFile(str(FILES / request.args["file"]))
    except OSError:
        return jsonify("none")
    return jsonify("one")


@case("path-traversal", False, **FILE)
def path_basename():
    with open(FILES / os.path.basename(request.args["file"])) as file:
        return jsonify(file.read())


@case("path-traversal", False, **FILE)
def path_secure_filename():
    return jsonify((FILES / secure_filename(request.args["file"])).exists())


@case("path-traversal", False, **FILE)
def path_realpath_inside():
    path = os.path.realpath(os.path.join(FILES, request.args["file"]))
    if not path.startswith(str(FILES) + os.sep):
        abort(400)
    with open(path) as file:
        return jsonify(file.read())


@case("path-traversal", False, **FILE)
def path_relative_to():
    path = (FILES / request.args["file"]).resolve()
    if not path.is_relative_to(FILES.resolve()):
        abort(400)
    return jsonify(path.read_text())


@case("path-traversal", False, **FILE)
def path_dots_refused():
    name = request.args["file"]
    if "../" in name or name.startswith("/"):
        abort(400)
    with open(f"{FILES}/{name}") as file:
        return jsonify(file.read())


@case("path-traversal", False, **FILE)
def path_allow_dict():
    known = {"ada.txt": "ada.txt"}
    return jsonify((FILES / known[request.args["file"]]).read_text())


@case("path-traversal", False, **FILE)
def path_commonpath():
    path = os.path.abspath(os.path.join(FILES, request.args["file"]))
    if os.path.commonpath([str(FILES), path]) != str(FILES):
        abort(400)
    return jsonify(os.path.getsize(path))


@case("path-traversal", False, **FILE)
def path_pattern():
    name = request.args["file"]
    if not re.match(r"^[a-z]+\.txt$", name):
        abort(400)
    return jsonify((FILES / name).read_text())


# --- deserialization --------------------------------------------------------------------------------------------------------------------------

PICKLED = base64.urlsafe_b64encode(pickle.dumps({"a": 1})).decode()


@case("unsafe-deserialization", True, query_string={"data": PICKLED})
def pickle_base64():
    return jsonify(pickle.loads(base64.urlsafe_b64decode(request.args["data"])))


@case("unsafe-deserialization", True, method="POST", data=pickle.dumps([1, 2]), content_type="application/octet-stream")
def pickle_body():
    return jsonify(pickle.loads(request.get_data()))


@case("unsafe-deserialization", True, cookies={"state": PICKLED})
def pickle_stream():
    return jsonify(pickle.load(io.BytesIO(base64.urlsafe_b64decode(request.cookies["state"]))))


@case("unsafe-deserialization", True, method="POST", data={"text": "a: 1"})
def yaml_unsafe():
    return jsonify(yaml.load(request.form["text"], Loader=yaml.UnsafeLoader))


@case("unsafe-deserialization", True, method="POST", data={"text": "a: 1"})
def yaml_full():
    return jsonify(yaml.load("root:\n  " + request.form["text"], Loader=yaml.Loader))


@case("unsafe-deserialization", False, method="POST", data={"text": "a: 1"})
def yaml_safe():
    return jsonify(yaml.safe_load(request.form["text"]))


@case("unsafe-deserialization", False, method="POST", data={"text": "a: 1"})
def yaml_safe_loader():
    return jsonify(yaml.load(request.form["text"], Loader=yaml.SafeLoader))


@case("unsafe-deserialization", False, method="POST", data={"text": '{"a": 1}'})
def json_instead():
    return jsonify(json.loads(request.form["text"]))


@case("unsafe-deserialization", False, query_string={"data": PICKLED})
def pickle_own():
    kept = pickle.dumps({"size": len(request.args["data"])})
    return jsonify(pickle.loads(kept))


@case("unsafe-deserialization", False, query_string={"data": PICKLED})
def pickle_not_reached():
    holder = Holder(PICKLED)
    Holder(request.args["data"])
    return jsonify(pickle.loads(base64.urlsafe_b64decode(holder.get())))


# --- trust boundary -----------------------------------------------------------------------------------------------------------------------------


@case("trust-boundary", True, **NAME)
def session_value():
    session["user"] = request.args["name"]
    return jsonify("ok")


@case("trust-boundary", True, **FORM)
def session_key():
    session[request.form["name"]] = "yes"
    return jsonify("ok")


@case("trust-boundary", True, cookies={"role": "reader"})
def session_helper():
    session["role"] = Holder(request.cookies["role"]).get().upper()
    return jsonify("ok")


@case("trust-boundary", True, query_string={"names": "ada,bob"})
def session_split():
    session["first"] = request.args["names"].split(",")[0]
    return jsonify("ok")


@case("trust-boundary", False, **NAME)
def session_constant():
    session["user"] = "ada" if request.args["name"] else "none"
    return jsonify("ok")


@case("trust-boundary", False, **NAME)
def session_from_list():
    name = request.args["name"]
    if name not in ["ada", "bob"]:
        abort(400)
    session["user"] = name
    return jsonify("ok")


@case("trust-boundary", False, query_string={"id": "7"})
def session_number():
    session["id"] = int(request.args["id"])
    return jsonify("ok")


@case("trust-boundary", False, **NAME)
def session_dict_lookup():
    session["user"] = {"ada": "Ada", "bob": "Bob"}[request.args["name"]]
    return jsonify("ok")
