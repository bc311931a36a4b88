"""Sends each case of an application its ordinary request through the framework's own test client: `drive.py flask|fastapi|django|aiohttp [cases|serve PORT]`."""

import asyncio
import importlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
MODULES = {"flask": "flaskapp", "fastapi": "web_fastapi", "django": "web_django", "aiohttp": "web_aiohttp"}


def client_of(name, module):
    """A function that sends one case and gives status and body."""
    if name == "flask":

        def send(one):
            request = dict(one["request"])
            client = module.app.test_client()
            for key, value in request.pop("cookies", {}).items():
                client.set_cookie(key, value)
            answer = client.open(one["path"], method=request.pop("method", "GET"), **request)
            return answer.status_code, answer.get_data()

        return send
    if name == "fastapi":
        from starlette.testclient import TestClient

        def send(one):
            request = dict(one["request"])
            with TestClient(module.app, raise_server_exceptions=False, cookies=request.pop("cookies", {}), follow_redirects=False) as client:
                answer = client.request(request.pop("method", "GET"), one["path"], **request)
            return answer.status_code, answer.content

        return send
    if name == "django":
        from django.test import Client

        def send(one):
            request = dict(one["request"])
            client = Client(raise_request_exception=False)
            for key, value in request.pop("cookies", {}).items():
                client.cookies[key] = value
            headers = request.pop("headers", None)
            method = request.pop("method", "GET").lower()
            extra = {"headers": headers} if headers else {}
            answer = getattr(client, method)(one["path"], **request, **extra)
            return answer.status_code, answer.content

        return send
    from aiohttp.test_utils import TestClient as AioClient
    from aiohttp.test_utils import TestServer

    async def once(one):
        request = dict(one["request"])
        async with AioClient(TestServer(module.application()), cookies=request.pop("cookies", {})) as client:
            answer = await client.request(request.pop("method", "GET"), one["path"], allow_redirects=False, **request)
            return answer.status, await answer.read()

    return lambda one: asyncio.run(once(one))


def main(name):
    """Drive all cases; timings and answers go to the file named by PHALANX_TEST_TIMES."""
    module = importlib.import_module(MODULES[name])
    if sys.argv[2:3] == ["cases"]:
        print(json.dumps([{key: one[key] for key in ("route", "category", "flawed")} for one in module.CASES]))
        return
    if sys.argv[2:3] == ["serve"]:
        serve(name, module, int(sys.argv[3]))
        return
    send = client_of(name, module)
    times = []
    answers = {}
    for _ in range(int(os.environ.get("PHALANX_TEST_PASSES", "1"))):
        for one in module.CASES:
            start = time.perf_counter()
            status, data = send(one)
            times.append(time.perf_counter() - start)
            answers[one["route"]] = (status, data.decode("latin-1"))
            if status >= 400:
                print("FAILED", one["route"], status, data[:200])
    if os.environ.get("PHALANX_TEST_TIMES"):
        with open(os.environ["PHALANX_TEST_TIMES"], "w") as file:
            json.dump({"times": times, "answers": answers}, file)


def serve(name, module, port):
    """Serve on loopback with a real server."""
    if name == "flask":
        module.app.run("127.0.0.1", port, threaded=True)
    elif name == "fastapi":
        import uvicorn

        uvicorn.run(module.app, host="127.0.0.1", port=port, log_level="warning")
    elif name == "django":
        from wsgiref.simple_server import make_server

        make_server("127.0.0.1", port, module.application).serve_forever()
    else:
        from aiohttp import web

        web.run_app(module.application(), host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(sys.argv[1])
