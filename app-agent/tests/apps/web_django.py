"""A Django project in one module with flawed and safe twins: ORM, templates, class-based views, sessions."""

import base64
import hashlib
import json
import os
import pickle
import random
import secrets
import subprocess
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, JsonResponse
from django.template import engines
from django.urls import path
from django.utils.html import escape, format_html
from django.views import View

FILES = Path(__file__).parent / "flaskapp" / "files"
settings.configure(
    DEBUG=False,
    SECRET_KEY=os.urandom(16).hex(),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()


class Person(models.Model):
    name = models.CharField(max_length=50)

    class Meta:
        app_label = "people"


CASES = []
urlpatterns = []


def case(category, flawed, **request):
    def register(view):
        route = f"/{category}/{view.__name__}"
        template = route + request.pop("tail_template", "")
        called = view.as_view() if isinstance(view, type) else view
        urlpatterns.append(path(template[1:], called))
        CASES.append({"route": template, "path": route + request.pop("tail", ""), "category": category, "flawed": flawed, "request": request})
        return view

    return register


def query(statement, values=None):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS people_person (id integer primary key, name text)")
        cursor.execute(statement, values)
        return cursor.fetchall()


@case("sql-injection", True, data={"name": "ada"})
def sql_cursor(request):
    return JsonResponse({"rows": query("SELECT * FROM people_person WHERE name = '" + request.GET["name"] + "'")})


@case("sql-injection", True, method="POST", data={"name": "ada"})
class sql_raw(View):
    def post(self, request):
        query("SELECT 1")
        return JsonResponse({"rows": [one.name for one in Person.objects.raw("SELECT * FROM people_person WHERE name = '%s'" % request.POST.get("name"))]})


@case("sql-injection", True, method="POST", data=json.dumps({"order": "name"}), content_type="application/json")
def sql_json(request):
    return JsonResponse({"rows": query(f"SELECT * FROM people_person ORDER BY {json.loads(request.body)['order']}")})


@case("sql-injection", True, tail="/ada", tail_template="/<str:name>")
def sql_path(request, name):
    return JsonResponse({"rows": query(f"SELECT * FROM people_person WHERE name = '{name}'")})


@case("sql-injection", False, data={"name": "ada"})
def sql_orm(request):
    query("SELECT 1")
    return JsonResponse({"rows": list(Person.objects.filter(name=request.GET["name"]).values_list("name", flat=True))})


@case("sql-injection", False, data={"name": "ada"})
def sql_parameters(request):
    return JsonResponse({"rows": query("SELECT * FROM people_person WHERE name = %s", [request.GET["name"]])})


@case("sql-injection", False, tail="/7", tail_template="/<int:number>")
def sql_path_number(request, number):
    return JsonResponse({"rows": query(f"SELECT * FROM people_person WHERE id = {number}")})


@case("command-injection", True, data={"word": "hello"})
def command_shell(request):
    return HttpResponse(subprocess.getoutput("echo " + request.GET.get("word", "")), content_type="text/plain")


@case("command-injection", False, data={"word": "hello"})
def command_arguments(request):
    return HttpResponse(subprocess.check_output(["echo", request.GET.get("word", "")]), content_type="text/plain")


@case("path-traversal", True, headers={"X-File": "ada.txt"})
def path_header(request):
    return HttpResponse(open(FILES / request.headers["X-File"]).read(), content_type="text/plain")


@case("path-traversal", True, cookies={"file": "ada.txt"})
def path_cookie(request):
    return HttpResponse(str(os.path.isfile(f"{FILES}/{request.COOKIES['file']}")), content_type="text/plain")


@case("path-traversal", False, data={"file": "ada.txt"})
def path_checked(request):
    file = os.path.realpath(f"{FILES}/{request.GET['file']}")
    if not file.startswith(f"{FILES}/"):
        return HttpResponseBadRequest()
    return HttpResponse(Path(file).read_text(), content_type="text/plain")


@case("cross-site-scripting", True, data={"name": "ada"})
def xss_plain(request):
    return HttpResponse("<p>%s</p>" % request.GET["name"])


@case("cross-site-scripting", True, data={"name": "ada"})
def xss_template_safe(request):
    return HttpResponse(engines["django"].from_string("<p>{{ name|safe }}</p>").render({"name": request.GET["name"]}, request))


@case("cross-site-scripting", True, data={"name": "ada"})
def xss_meta(request):
    return HttpResponse("<p>" + request.META["QUERY_STRING"] + "</p>")


@case("cross-site-scripting", False, data={"name": "ada"})
def xss_template(request):
    return HttpResponse(engines["django"].from_string("<p>{{ name }}</p>").render({"name": request.GET["name"]}, request))


@case("cross-site-scripting", False, data={"name": "ada"})
def xss_format_html(request):
    return HttpResponse(format_html("<p>{}</p>", request.GET["name"]))


@case("cross-site-scripting", False, data={"name": "ada"})
def xss_escape(request):
    return HttpResponse("<p>" + escape(request.GET["name"]) + "</p>")


@case("open-redirect", True, data={"next": "/home"})
def redirect_any(request):
    return HttpResponseRedirect(request.GET["next"])


@case("open-redirect", False, data={"next": "home"})
def redirect_inside(request):
    return HttpResponseRedirect("/pages/" + request.GET["next"])


@case("trust-boundary", True, data={"role": "reader"})
def session_value(request):
    request.session["role"] = request.GET["role"]
    return JsonResponse({})


@case("trust-boundary", False, data={"role": "reader"})
def session_checked(request):
    if request.GET["role"] not in ("reader", "writer"):
        return HttpResponseBadRequest()
    request.session["role"] = request.GET["role"]
    return JsonResponse({})


@case("code-injection", True, method="POST", data={"sum": "1+2"})
def code_eval(request):
    return JsonResponse({"sum": eval(request.POST["sum"])})


@case("code-injection", False, method="POST", data={"sum": "12"})
def code_number(request):
    return JsonResponse({"sum": eval(str(float(request.POST["sum"])))})


@case("unsafe-deserialization", True, data={"data": base64.b64encode(pickle.dumps([1])).decode()})
def pickle_parameter(request):
    return JsonResponse({"data": pickle.loads(base64.b64decode(request.GET["data"]))})


@case("unsafe-deserialization", False, data={"data": "[1]"})
def json_parameter(request):
    return JsonResponse({"data": json.loads(request.GET["data"])})


@case("weak-hash", True)
def hash_weak(request):
    return JsonResponse({"hash": hashlib.md5(b"x").hexdigest()})


@case("weak-hash", False)
def hash_good(request):
    return JsonResponse({"hash": hashlib.sha256(b"x").hexdigest()})


@case("weak-random", True)
def random_password(request):
    return JsonResponse({"password": str(random.random())})


@case("weak-random", False)
def random_secret_password(request):
    return JsonResponse({"password": secrets.token_urlsafe(8)})


@case("insecure-cookie", True)
def cookie_plain(request):
    answer = JsonResponse({})
    answer.set_cookie("a", "1")
    return answer


@case("insecure-cookie", False)
def cookie_secure(request):
    answer = JsonResponse({})
    answer.set_cookie("a", "1", secure=True, httponly=True, samesite="Strict")
    return answer


application = get_wsgi_application()
