"""Taint goes where the data goes: the ways that trackers are known to lose, and the marks that must not be lost or invented."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import sys
from phalanx_app import agent, runtime
a = agent.start()
"""
BODY = """
import ast, base64, codecs, configparser, csv, html, io, json, os, pathlib, pickle, re, shlex, string, struct, textwrap, threading, urllib.parse, uuid, zlib
from concurrent.futures import ThreadPoolExecutor
from phalanx_app import marks, runtime
from phalanx_app.request import current as runtime_request
from phalanx_app.sinks.engine import unsafe

def check():
    results = []
    for name, function in list(globals().items()):
        if not name.startswith(("keeps_", "clears_")):
            continue
        request, token = runtime.RUNTIME.begin("http")
        try:
            value = request.taint("in put/1", "query", "q")
            got = function(value)
            bit = getattr(function, "bit", marks.SQL)
            found = bool(unsafe(request, got, bit))
            if found != name.startswith("keeps_"):
                results.append((name, repr(got), request.table.ranges(got)))
        finally:
            runtime.RUNTIME.end(request, token)
    return results

def rule(bit):
    def set(function):
        function.bit = bit
        return function
    return set

class Thing:
    def __init__(self, v): self.v = v
    def __str__(self): return "<" + self.v + ">"
    @property
    def twice(self): return self.v * 2

def keeps_json(v): return json.loads(json.dumps({"a": [v, 1]}))["a"][0]
def keeps_json_text(v): return json.dumps([v])
def keeps_base64(v): return base64.b64decode(base64.b64encode(v.encode())).decode()
def keeps_urlsafe(v): return base64.urlsafe_b64decode(base64.urlsafe_b64encode(v.encode("ascii"))).decode("ascii")
def keeps_unquote(v): return urllib.parse.unquote_plus(urllib.parse.quote_plus(v))
def keeps_parse_qs(v): return urllib.parse.parse_qs("a=" + v)["a"][0]
def keeps_urlparse(v): return urllib.parse.urlparse("http://h/" + v + "?x").path
def keeps_configparser(v):
    c = configparser.ConfigParser(); c["s"] = {"k": v}; return c["s"]["k"]
def keeps_stringio(v):
    s = io.StringIO(); s.write("a"); s.write(v); s.seek(1); return s.read()
def keeps_bytesio(v): return io.BytesIO(v.encode()).getvalue().decode()
def keeps_regex_groups(v): return re.match("(..) (.*)", v).groups()[1]
def keeps_regex_named(v): return re.search("(?P<x>p.*)", v).groupdict()["x"]
def keeps_regex_split(v): return re.split("[ /]", v)[1]
def keeps_regex_sub(v): return re.sub("i", "o", v)
def keeps_regex_function(v): return re.sub("i", lambda m: m.group(0).upper(), v)
def keeps_finditer(v): return [m.group() for m in re.finditer("[a-z]+", v)][1]
def keeps_translate(v): return v.translate(str.maketrans("i", "j"))
def keeps_format_map(v): return "{k}".format_map({"k": v})
def keeps_percent_dict(v): return "%(k)s" % {"k": v}
def keeps_dict_key(v): return next(iter({v: 1}))
def keeps_comprehension(v): return "".join([c for c in v if c != "x"])
def keeps_generator(v):
    def g():
        yield v
    return next(g())
def keeps_reversed(v): return "".join(reversed(v))
def keeps_zip(v): return "".join(c + d for c, d in zip(list(v), "abcdefgh"))
def keeps_star(v):
    first, *rest = v.split(" "); return rest[0]
def keeps_thread(v):
    out = []; t = threading.Thread(target=lambda: out.append(v + "!")); t.start(); t.join(); return out[0]
def keeps_pool(v):
    with ThreadPoolExecutor(1) as pool: return pool.submit(lambda: v + "!").result()
def keeps_object_text(v): return str(Thing(v))
def keeps_object_in_fstring(v): return f"{Thing(v)}" + Thing(v).twice[:3]
def keeps_one_character(v): return v[0] + ""
def keeps_nested_fstring(v): return f"{f'{v!r:>{3}}'=}"
def keeps_bytes_percent(v): return (b"%s" % v.encode()).decode()
def keeps_bytearray(v):
    b = bytearray(); b.extend(v.encode()); b += b"x"; return bytes(b)
def keeps_template(v): return string.Template("$a").substitute(a=v)
def keeps_shlex(v): return shlex.split(v)[0]
def keeps_literal(v): return ast.literal_eval(repr(v))
def keeps_compressed(v): return zlib.decompress(zlib.compress(v.encode())).decode()
def keeps_codecs(v): return codecs.decode(codecs.encode(v, "rot13"), "rot13")
def keeps_struct(v): return struct.unpack("8s", struct.pack("8s", v.encode()))[0]
def keeps_pathlib(v): return str(pathlib.Path("/a") / v)
def keeps_path_join(v): return os.path.normpath(os.path.join("/a", v))
def keeps_html_unescape(v): return html.unescape(html.escape(v))
def keeps_textwrap(v): return textwrap.dedent("  " + v)
def keeps_csv(v): return v.split(",")[0]
def keeps_max(v): return max([v, "a"])
def keeps_conditional(v): return v if v else "x"
def keeps_walrus(v): return (w := v.strip()) and w
def keeps_augmented(v):
    s = "a"; s += v; s *= 2; return s
def keeps_class_attribute(v):
    class C: x = "p" + v
    return C.x
def keeps_lambda(v): return (lambda q=v + "!": q)()
def keeps_exception(v):
    try: raise ValueError("bad " + v)
    except ValueError as error: return error.args[0]

# What replaces, checks or converts.
def clears_other_key(v): d = {"a": "x", "b": v}; return d["a"]
def clears_list(v): l = ["x", v, "y"]; l.pop(1); return l[1]
def clears_overwritten(v): v = "x"; return v
def clears_int(v): return str(int("1"))
def clears_length(v): return "x" * len(v)
def clears_untainted_slice(v): return ("abc" + v)[:3]
def clears_equal(v):
    if v != "in put/1": raise ValueError
    return v
def clears_allow_list(v): return v if v in ("in put/1", "x") else ""
def clears_dict_allow(v): return v if v in {"in put/1": 1} else ""
def clears_word(v):
    w = v[:2]
    return w if w.isalnum() else ""
def clears_fullmatch(v):
    w = v.split(" ")[0]
    return w if re.fullmatch("[a-z]{1,4}", w) else ""
def clears_stripped_by_pattern(v): return re.sub("[^a-z]", "", v)
def clears_quotes(v): return v.replace("'", "''")
def clears_filtered(v): return "".join(c for c in v if c.isalnum())
@rule(marks.XSS)
def clears_html(v): return "<p>" + html.escape(v) + "</p>"
@rule(marks.SQL)
def keeps_html_is_not_sql(v): return "<p>" + html.escape(v) + "</p>"
@rule(marks.COMMAND)
def clears_shell(v): return "echo " + shlex.quote(v)
@rule(marks.PATH)
def clears_basename(v): return "/a/" + os.path.basename(v)
@rule(marks.PATH)
def clears_realpath(v):
    p = os.path.realpath("/tmp/" + v)
    if not p.startswith("/tmp/"): raise ValueError
    return p
@rule(marks.PATH)
def keeps_prefix_without_resolving(v):
    p = "/tmp/" + v
    if not p.startswith("/tmp/"): raise ValueError
    return p
@rule(marks.PATH)
def clears_dots(v):
    if ".." in v: raise ValueError
    return "/tmp/" + v
@rule(marks.PATH)
def keeps_dots_found(v):
    w = v + ".."
    assert ".." in w
    return w
@rule(marks.PATH)
def keeps_removed_dots(v): return v.replace("../", "")
@rule(marks.REDIRECT)
def clears_netloc(v):
    u = runtime_request().taint("http://host/a b", "query", "u")
    if urllib.parse.urlsplit(u).netloc != "host": raise ValueError
    return u
@rule(marks.REDIRECT)
def keeps_scheme_is_no_check(v):
    u = ("http" + v[:0]) + "://" + v.replace(" ", "")
    if urllib.parse.urlsplit(u).scheme != "http": raise ValueError
    return u
@rule(marks.REDOS)
def clears_regex(v): return re.escape(v)
@rule(marks.XSS)
def keeps_decoded_again(v): return urllib.parse.unquote(urllib.parse.quote(v))
def keeps_match_at_the_start_only(v):
    if not re.match("[a-z]+", v): raise ValueError
    return v
def keeps_search(v):
    if not re.search("^[a-z]+", v): raise ValueError
    return v
def keeps_wide_pattern(v):
    if not re.fullmatch(".*", v): raise ValueError
    return v
def keeps_length_check(v): return v if len(v) < 100 else ""
def keeps_truth(v): return v or "x"
"""


def run(tmp_path: Path, body: str, **more: str) -> str:
    (tmp_path / "cases.py").write_text(body)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PHALANX_", "PYTHON"))}
    env |= {
        "PHALANX_APP_ROOT": str(tmp_path),
        "PHALANX_APP_STATE": str(tmp_path / "state"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    code = (
        textwrap.dedent(PRELUDE)
        + f"sys.path.insert(0, {str(tmp_path)!r})\nimport cases\nfor one in cases.check(): print(one)\nprint('errors', a.counters.errors, a.last_errors[:1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("pure", ["0", "1"], ids=["native", "pure"])
def test_every_way_and_every_check(tmp_path: Path, pure: str) -> None:
    assert run(tmp_path, BODY, PHALANX_APP_PURE=pure).splitlines() == ["errors 0 []"]


SINKS = {
    "cmd": ("command-injection", "import os; os.system('true ' + v)"),
    "argv": ("command-injection", "import subprocess; subprocess.run(['/bin/sh', '-c', 'true ' + v])"),
    "exec": ("code-injection", "exec('x = ' + v, {'abc': 1})"),
    "open": (
        "path-traversal",
        "open('/dev/../dev/null' + v[:0] if False else os.path.join('/dev', 'null', '..', v) if False else '/tmp/' + v, 'a').close()",
    ),
    "log": ("log-injection", "logging.getLogger('x').warning('hello %s', v)"),
    "regex": ("regex-denial-of-service", "re.compile(v)"),
    "mail": ("mail-injection", "smtplib.SMTP.sendmail(object(), v, ['a'], 'x')"),
    "marshal": ("unsafe-deserialization", "marshal.loads(v.encode())"),
    "template": ("template-injection", "string.Template('x' + v)"),
    "urlopen": ("server-side-request-forgery", "urllib.request.urlopen('http://' + v + '.invalid/')"),
    "connect": ("server-side-request-forgery", "http.client.HTTPConnection(v)"),
    "remove": ("path-traversal", "os.remove('/tmp/none-' + v)"),
    "tar": ("path-traversal", "tarfile.open('/tmp/none-' + v)"),
    "rmtree": ("path-traversal", "shutil.rmtree('/tmp/none-' + v)"),
    "import": ("code-injection", "importlib.import_module(v)"),
    "password": ("hard-coded-credentials", "hmac.new(b'not a secret key', b'x', 'sha256')"),
    "tls": ("certificate-not-verified", "ssl._create_unverified_context()"),
    "old hash": ("weak-hash", "hashlib.new('md5')"),
}


def test_every_family_of_sinks_in_the_standard_library(tmp_path: Path) -> None:
    lines = [
        "import hashlib, hmac, http.client, importlib, logging, marshal, os, re, shutil, smtplib, ssl, string, tarfile, urllib.request",
        "from phalanx_app import runtime",
        "def check():",
        "    out = []",
    ]
    lines += [
        "    told = []",
        "    runtime.RUNTIME.reporter.finding = told.append",
        "    runtime.RUNTIME.told = type('N', (dict,), {'__setitem__': lambda *a: None})()",
    ]
    for number, (name, (rule, code)) in enumerate(SINKS.items()):
        lines += [
            f"    def case_{number}(v):",
            f"        {code}",
            "    request, token = runtime.RUNTIME.begin('http')",
            f"    try: case_{number}(request.taint('abc', 'query', 'q'))",
            "    except Exception: pass",
            "    finally: runtime.RUNTIME.end(request, token)",
            f"    if {rule!r} not in [one['rule'] for one in told]: out.append(({name!r}, [one['rule'] for one in told]))",
            "    told.clear()",
        ]
    lines += ["    return out"]
    assert run(tmp_path, "\n".join(lines)).splitlines() == ["errors 0 []"]


@pytest.mark.skipif(importlib.util.find_spec("pymongo") is None, reason="pymongo is not installed here")
def test_a_member_of_a_json_body_may_be_an_operator(tmp_path: Path) -> None:
    body = """
    import pymongo, json
    from phalanx_app import runtime
    def check():
        people = pymongo.MongoClient("mongodb://127.0.0.1:9", connect=False, serverSelectionTimeoutMS=1).db.people
        told = []
        runtime.RUNTIME.reporter.finding = told.append
        out = []
        def case(expected, build):
            request, token = runtime.RUNTIME.begin("http")
            runtime.RUNTIME.told.clear()
            try:
                people.find(build(request))
            finally:
                runtime.RUNTIME.end(request, token)
            rules = [one["rule"] for one in told if one["rule"] == "nosql-injection"]
            if bool(rules) != expected: out.append((expected, rules))
            told.clear()
        case(True, lambda r: {"name": r.deep({"n": "ada"}, "json")["n"]})
        case(False, lambda r: {"name": str(r.deep({"n": "ada"}, "json")["n"])})
        case(False, lambda r: {"name": r.taint("ada", "query", "n")})
        case(True, lambda r: {"$where": "this.name == '" + r.taint("ada", "query", "n") + "'"})
        case(True, lambda r: {r.taint("field", "query", "n"): 1})
        case(False, lambda r: {"name": "ada"})
        return out
    """
    assert run(tmp_path, textwrap.dedent(body)).splitlines() == ["errors 0 []"]
