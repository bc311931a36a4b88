#!/bin/sh
# Build phalanx-app into an environment of its own below build/ and run its suite; arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo "$PWD/../.venv/bin/uv")
place=../build/app-agent
if [ ! -x "$place/bin/python" ]; then "$uv" venv -q --python "${PYTHON:-python3}" "$place"; fi
"$uv" pip install -q --python "$place/bin/python" -r requirements-test.in
"$uv" pip install -q --python "$place/bin/python" -e .
exec "$place/bin/python" -m pytest -q -rs "$@"
