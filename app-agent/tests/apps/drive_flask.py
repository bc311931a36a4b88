"""Sends each case of the Flask application its ordinary request, `PASSES` times, and prints what went wrong."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from flaskapp import CASES, app


def send(client, one):
    """One request of a case."""
    request = dict(one["request"])
    for name, value in request.pop("cookies", {}).items():
        client.set_cookie(name, value)
    method = request.pop("method", "GET")
    return client.open(one["path"], method=method, **request)


def main():
    """Drive all cases; the timings of each request go to the file named by PHALANX_TEST_TIMES."""
    times = []
    answers = {}
    for _ in range(int(os.environ.get("PHALANX_TEST_PASSES", "1"))):
        for one in CASES:
            client = app.test_client()
            start = time.perf_counter()
            answer = send(client, one)
            data = answer.get_data()
            times.append(time.perf_counter() - start)
            answers[one["route"]] = (answer.status_code, data.decode("latin-1"))
            if answer.status_code >= 400:
                print("FAILED", one["route"], answer.status_code, data[:200])
    if os.environ.get("PHALANX_TEST_TIMES"):
        with open(os.environ["PHALANX_TEST_TIMES"], "w") as file:
            json.dump({"times": times, "answers": answers}, file)


if __name__ == "__main__":
    if sys.argv[1:] == ["cases"]:
        print(json.dumps([{key: one[key] for key in ("route", "category", "flawed")} for one in CASES]))
    elif sys.argv[1:2] == ["serve"]:
        app.run("127.0.0.1", int(sys.argv[2]), threaded=True)
    else:
        main()
