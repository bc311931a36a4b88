"""Reflected output."""

import html
import json

import markupsafe
from flask import Response, abort, jsonify, make_response, render_template_string, request

from . import case, database

NAME = {"query_string": {"name": "ada"}}


class Page:
    """Builds a page line by line."""

    def __init__(self):
        self.lines = []

    def add(self, line):
        self.lines.append(line)
        return self

    def __str__(self):
        return "\n".join(self.lines)


@case("cross-site-scripting", True, **NAME)
def xss_fstring():
    return f"<p>Hello {request.args['name']}</p>"


@case("cross-site-scripting", True, method="POST", data={"name": "ada"})
def xss_response_object():
    return Response("<p>" + request.form.get("name") + "</p>")


@case("cross-site-scripting", True, **NAME)
def xss_template_safe():
    return render_template_string("<p>{{ name|safe }}</p>", name=request.args["name"])


@case("cross-site-scripting", True, **NAME)
def xss_autoescape_off():
    return render_template_string("{% autoescape false %}<p>{{ name }}</p>{% endautoescape %}", name=request.args["name"])


@case("cross-site-scripting", True, **NAME)
def xss_page_object():
    return str(Page().add("<html>").add("<p>%s</p>" % request.args["name"].title()).add("</html>"))


@case("cross-site-scripting", True, cookies={"name": "ada"})
def xss_set_data():
    answer = make_response()
    answer.set_data("<p>{}</p>".format(request.cookies["name"]))
    return answer


@case("cross-site-scripting", True, tail="/ada", tail_template="/<name>")
def xss_bytes(name):
    return Response(b"<p>" + name.encode() + b"</p>", mimetype="text/html")


@case("cross-site-scripting", True, **NAME)
def xss_stored():
    note = database().execute("SELECT note FROM people WHERE id = 2").fetchone()[0]
    return f"<div>{note}</div>"


@case("cross-site-scripting", True, query_string={"a": "x", "b": "y"})
def xss_parameter_names():
    return "<ul>" + "".join("<li>" + key + "</li>" for key in request.args) + "</ul>"


@case("cross-site-scripting", True, **NAME)
def xss_json_in_script():
    return "<script>var name = " + json.dumps({"n": request.args["name"]}) + "</script>"


@case("cross-site-scripting", False, **NAME)
def xss_html_escape():
    return "<p>" + html.escape(request.args["name"]) + "</p>"


@case("cross-site-scripting", False, **NAME)
def xss_markup():
    return markupsafe.Markup("<p>{}</p>").format(request.args["name"])


@case("cross-site-scripting", False, **NAME)
def xss_markup_percent():
    return str(markupsafe.Markup("<p>%s</p>") % request.args["name"])


@case("cross-site-scripting", False, **NAME)
def xss_template():
    return render_template_string("<p>{{ name }} {{ name|upper }}</p>", name=request.args["name"])


@case("cross-site-scripting", False, **NAME)
def xss_json():
    return jsonify(name=request.args["name"])


@case("cross-site-scripting", False, **NAME)
def xss_plain_text():
    return Response("hello " + request.args["name"], mimetype="text/plain")


@case("cross-site-scripting", False, **NAME)
def xss_escape_function():
    return f"<p>{markupsafe.escape(request.args['name'])}</p>"


@case("cross-site-scripting", False, query_string={"count": "4"})
def xss_number():
    return f"<p>{int(request.args['count']) + 1}</p>"


@case("cross-site-scripting", False, **NAME)
def xss_allow_list():
    name = request.args["name"]
    if name not in {"ada", "bob"}:
        abort(400)
    return f"<p>{name}</p>"


@case("cross-site-scripting", False, **NAME)
def xss_entities_by_hand():
    name = request.args["name"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<p>{name}</p>"
