#!/bin/sh
# Prepare a machine and the environment ./.venv; what is there already is left alone.
#   prepare.sh run     what `make run` needs
#   prepare.sh dev     also what building, checking and testing need
# System packages are installed through apt when this runs as root; otherwise one line tells what to install.
set -eu
cd "$(dirname "$0")/.."
what=${1:-run}
say() { printf '%s\n' "$*" >&2; }

# --- system packages: only those whose tool is missing -------------------------------------------------------
missing=
need() { # need PACKAGE TEST...: PACKAGE is missing when TEST fails
    package=$1; shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
header() { [ -e "/usr/include/$1" ] || ls /usr/include/*-linux-gnu/"$1"; }
library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p | grep -q "$1"; }
has_venv() { python3 -c 'import ensurepip, venv'; }
need clang command -v clang
need gcc command -v gcc
need make command -v make
need libc6-dev header stdlib.h
need libbpf-dev header bpf/libbpf.h
need libelf-dev header libelf.h
need zlib1g-dev header zlib.h
need libbpf1 library libbpf.so.1
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
if command -v uv >/dev/null 2>&1 || [ -x .venv/bin/uv ]; then :; else need python3-venv has_venv; fi
python_headers() { python3 -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'; }
need python3-dev python_headers
if [ "$what" = dev ]; then
    need git command -v git
    need chromium command -v chromium
    need runc command -v runc
    need busybox-static test -x /bin/busybox
    need iproute2 test -x /sbin/ip
    need debootstrap test -x /usr/sbin/debootstrap
    need openssh-client command -v ssh-keygen
    need buildah command -v buildah
    need docker-registry command -v docker-registry
    need logrotate command -v logrotate
    noto() { ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc; }
    need fonts-noto-cjk noto
fi
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing system packages:$missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        say "phalanx needs these system packages; as root: apt-get install$missing"
        exit 2
    fi
fi

# --- Python ---------------------------------------------------------------------------------------------------
python3 - <<'PY' || exit 2
import sys
if sys.version_info < (3, 11):
    sys.exit(f"phalanx needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")
PY
uv=$(command -v uv || true)
if [ ! -x .venv/bin/python ]; then
    say "making the environment .venv"
    if [ -n "$uv" ]; then "$uv" venv -q --python "$(command -v python3)" .venv; else python3 -m venv .venv; fi
fi
if [ -z "$uv" ]; then
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --require-hashes -r requirements/uv.txt
    uv=.venv/bin/uv
fi
locked=requirements/run.txt
[ "$what" = run ] || locked=requirements/dev.txt
mkdir -p .venv/stamps
if ! cmp -s "$locked" ".venv/stamps/$what.txt"; then
    say "installing $locked"
    "$uv" pip install -q --python .venv/bin/python --require-hashes -r "$locked"
    cp "$locked" ".venv/stamps/$what.txt"
fi
