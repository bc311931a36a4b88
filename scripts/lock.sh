#!/bin/sh
# Lock the dependencies as hashed requirement files; run it after a change of a requirements/*.in.
#   requirements/run.txt    what a running phalanx needs (base, agent, hub)
#   requirements/dev.txt    the same, and what building, checking and testing need
# No download address is written, so that every mirror serves the same files.
set -eu
cd "$(dirname "$0")/.."
compile() {
    out=$1; shift
    uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
        --no-annotate --python-version 3.11 "$@" -o "$out"
}
compile requirements/run.txt requirements/phalanx.in requirements/agent.in requirements/hub.in requirements/build.in
compile requirements/dev.txt requirements/phalanx.in requirements/agent.in requirements/hub.in requirements/dev.in -c requirements/run.txt
